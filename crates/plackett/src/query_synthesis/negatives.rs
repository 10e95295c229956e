//! Wrong documents for queries, from some ranks of a search.

use super::{QuerySearch, QuerySynthesisError, WrittenQuery};
use plackett_core::formats::{AtomicFile, FormatError};
use plackett_core::{Document, Ranking};
use serde_json::json;
use std::collections::HashSet;
use std::io::Write;
use std::path::Path;

/// The file of lists to learn from in the folder of a collection.
pub const EXAMPLES: &str = "examples.jsonl";

/// Where wrong documents come from.
#[derive(Clone, Copy)]
pub struct Negatives<'p> {
    /// The search.
    pub search: QuerySearch<'p>,
    /// The first rank and the last one, from 1 (DUQGen: 93 and 100, which are rarely right).
    pub ranks: (usize, usize),
    /// Wrong documents of a query, at most; the first on these ranks.
    pub most: usize,
}

impl Negatives<'_> {
    /// Writes [`EXAMPLES`] into a folder, a list a line: the query, its own document with the label 1, wrong ones with 0. Queries that find nothing
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
        let path = folder.join(EXAMPLES);
        let mut file = AtomicFile::create(&path)?;
        let mut lists = 0;
        self.search.each(queries, self.ranks.1, progress, &mut |query, found| {
            let own = &documents[query.document];
            let mut candidates = vec![json!({"text": own.model_text(), "label": 1})];
            let right = HashSet::from([own.id.as_str()]);
            for id in wrong_on_ranks(found, &right, self.ranks, self.most) {
                if let Some(wrong) = self.search.index.document(&id)? {
                    candidates.push(json!({"text": wrong.model_text(), "label": 0}));
                }
            }
            if candidates.len() > 1 {
                lists += 1;
                let line = json!({"query": query.text, "candidates": candidates});
                let full = |source| FormatError::Write { file: path.display().to_string(), source };
                writeln!(file, "{line}").map_err(full)?;
            }
            Ok(())
        })?;
        if lists > 0 {
            file.commit()?;
        }
        Ok(lists)
    }
}

/// The first documents on some ranks, from 1, that are not right.
pub fn wrong_on_ranks(
    found: &Ranking,
    right: &HashSet<&str>,
    (from, to): (usize, usize),
    most: usize,
) -> Vec<String> {
    let ranks = found.entries.iter().take(to).skip(from.saturating_sub(1));
    let wrong = ranks.filter(|entry| !right.contains(entry.id.as_str())).take(most);
    wrong.map(|entry| entry.id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_core::Trace;

    #[test]
    fn wrong_ones_are_the_first_of_their_ranks_that_are_not_right() {
        let scored = "abcdefgh".chars().enumerate().map(|(at, id)| (id.to_string(), -(at as f64)));
        let found = Ranking::from_scores("q", scored, Trace::default());
        let right = HashSet::from(["d"]);
        assert_eq!(wrong_on_ranks(&found, &right, (3, 6), 2), ["c", "e"]);
        assert_eq!(wrong_on_ranks(&found, &right, (3, 6), 9), ["c", "e", "f"]);
        assert_eq!(wrong_on_ranks(&found, &right, (8, 20), 4), ["h"]);
        assert_eq!(wrong_on_ranks(&found, &right, (9, 20), 4), Vec::<String>::new());
    }
}
