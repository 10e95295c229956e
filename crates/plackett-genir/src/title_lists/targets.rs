//! Several titles as what is learned to be written after a text.

use crate::{GenirError, RetrieverFiles};
use plackett_train::trainer::END_TOKEN;

/// Titles as tokens.
#[derive(Clone, Debug)]
pub struct TitleTargets {
    /// Of each page its title with its end.
    docids: Vec<Vec<u32>>,
    separator: u32,
}

impl TitleTargets {
    /// Those of a retriever whose vocabulary has [`TITLE_SEPARATOR`](super::TITLE_SEPARATOR).
    ///
    /// # Errors
    /// The vocabulary was made for other titles, or lacks the separator.
    pub fn new(files: &RetrieverFiles) -> Result<TitleTargets, GenirError> {
        let docids = files.docids()?;
        let separator = files.title_separator().ok_or_else(|| {
            GenirError::Setting("the vocabulary lacks the separator of titles; make it with one".into())
        })?;
        Ok(TitleTargets { docids, separator })
    }

    /// Titles of pages with the separator between them, and the end after the last one.
    pub fn of(&self, pages: &[usize]) -> Vec<u32> {
        let mut target = Vec::new();
        for (at, page) in pages.iter().enumerate() {
            let title = &self.docids[*page];
            let is_last = at + 1 == pages.len();
            target.extend(title.iter().filter(|token| is_last || **token != END_TOKEN));
            target.extend((!is_last).then_some(self.separator));
        }
        target
    }

    /// Whether two pages have one title.
    pub fn are_equal(&self, one: usize, other: usize) -> bool {
        self.docids[one] == self.docids[other]
    }

    /// The longest answer with so many titles, in tokens.
    pub fn longest(&self, titles: usize) -> usize {
        titles * self.docids.iter().map(Vec::len).max().unwrap_or(0)
    }
}
