//! Wrong documents for queries, from some ranks of a search.

use super::{QuerySearch, QuerySynthesisError, WrittenQuery};
use crate::negative_mining::{NegativeMining, RankBand};
use plackett_core::Document;
use plackett_core::formats::{AtomicFile, FormatError};
use serde_json::json;
use std::collections::HashSet;
use std::io::Write;
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
            let mut candidates = vec![json!({"text": own.model_text(), "label": 1})];
            let right = HashSet::from([own.id.as_str()]);
            let mined = mining.negatives(0, found, &right, &HashSet::new());
            let (wrong, _) = mined.unwrap_or_default();
            for id in wrong {
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
