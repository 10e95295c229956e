//! Wrong documents for queries, from some ranks of a search.

use super::{QuerySearch, QuerySynthesisError, WrittenQuery};
use crate::negative_mining::{NegativeMining, RankBand};
use crate::training_lists::{TrainingCandidate, TrainingList};
use plackett_core::Document;
use plackett_core::formats::{AtomicFile, FormatError};
use plackett_train::trainer::Candidate;
use std::collections::HashSet;
use std::path::Path;

/// The file of lists to learn from in the folder of a collection.
pub const EXAMPLES_FILE: &str = "examples.jsonl";

/// Where wrong documents come from.
#[derive(Clone, Copy)]
pub struct Negatives<'p> {
    /// The search.
    pub search: QuerySearch<'p>,
    /// The ranks that are looked at (DUQGen: 93 to 100, which are rarely right).
    pub ranks: RankBand,
    /// Wrong documents of a query, at most; the first on these ranks.
    pub most: usize,
}

impl Negatives<'_> {
    /// Writes [`EXAMPLES_FILE`] into a folder, a list a line: the query, its own document with the label 1, wrong ones with 0. Queries that find nothing
    /// on these ranks have no list; without any list there is no file. Gives how many lists there are.
    ///
    /// # Errors
    /// A search fails, or the file cannot be written.
    pub fn write(
        &self,
        documents: &[Document],
        queries: &[WrittenQuery],
        folder: &Path,
        progress: &dyn Fn(usize),
    ) -> Result<usize, QuerySynthesisError> {
        let path = folder.join(EXAMPLES_FILE);
        let mut file = AtomicFile::create(&path)?;
        let mining =
            NegativeMining { ranks: self.ranks, count: self.most, positives: 0, margin: None, seed: None };
        let mut lists = 0;
        self.search.each(queries, self.ranks.last(), progress, &mut |query, found| {
            let own = &documents[query.document];
            let mut candidates = vec![candidate(own, 1.0)];
            let right = HashSet::from([own.id.as_str()]);
            let mined = mining.negatives(0, found, &right, &HashSet::new());
            let (wrong, _) = mined.unwrap_or_default();
            for id in wrong {
                if let Some(wrong) = self.search.index.document(&id)? {
                    candidates.push(candidate(&wrong, 0.0));
                }
            }
            if candidates.len() > 1 {
                lists += 1;
                let list = TrainingList { qid: query.id.clone(), query: query.text.clone(), candidates };
                let full = |source| FormatError::Write { file: path.display().to_string(), source };
                list.write(&mut file).map_err(full)?;
            }
            Ok(())
        })?;
        if lists > 0 {
            file.commit()?;
        }
        Ok(lists)
    }
}

/// A document with its label.
fn candidate(document: &Document, label: f32) -> TrainingCandidate {
    let candidate = Candidate { text: document.model_text().into_owned(), label, teacher: None };
    TrainingCandidate { docid: document.id.clone(), candidate }
}
