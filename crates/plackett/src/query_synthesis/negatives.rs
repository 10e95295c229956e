//! Wrong documents for queries, from some ranks of a search.

use super::{QuerySearch, QuerySynthesisError, WrittenQuery};
use crate::negative_mining::{NegativeMining, RankBand};
use crate::training_lists::{TrainingCandidate, TrainingList};
use plackett_core::Document;
use plackett_core::formats::{AtomicFile, FormatError};
use plackett_train::trainer::Candidate;
use std::collections::HashSet;
use std::io::{self, Write};
use std::path::Path;

/// The file of lists to learn from in the folder of a collection.
pub const EXAMPLES_FILE: &str = "examples.jsonl";

/// The file of triples there: query, right and wrong document, with tabs between them.
pub const TRIPLES_FILE: &str = "triples.tsv";

/// Where wrong documents come from.
#[derive(Clone, Copy)]
pub struct Negatives<'p> {
    /// The search.
    pub search: QuerySearch<'p>,
    /// The ranks that are looked at (DUQGen: 93 to 100, which are rarely right).
    pub ranks: RankBand,
    /// Wrong documents of a query, at most; the first on these ranks.
    pub most: usize,
    /// Whether [`TRIPLES_FILE`] is written too, for retrievers that learn from a right and a wrong document at a time.
    pub triples: bool,
}

/// What was written to learn from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WrittenLists {
    /// Lists, one of each query.
    pub lists: usize,
    /// Triples, one of each wrong document.
    pub triples: usize,
}

impl Negatives<'_> {
    /// Writes [`EXAMPLES_FILE`] into a folder, a list a line: the query, its own document with the label 1, wrong ones with 0. Queries that find nothing
    /// on these ranks have no list; without any list there is no file. The triples are those of the lists.
    ///
    /// # Errors
    /// A search fails, or the file cannot be written.
    pub fn write(
        &self,
        documents: &[Document],
        queries: &[WrittenQuery],
        folder: &Path,
        progress: &dyn Fn(usize),
    ) -> Result<WrittenLists, QuerySynthesisError> {
        let path = folder.join(EXAMPLES_FILE);
        let mut file = AtomicFile::create(&path)?;
        let triples_path = folder.join(TRIPLES_FILE);
        let mut triples = self.triples.then(|| AtomicFile::create(&triples_path)).transpose()?;
        let mining =
            NegativeMining { ranks: self.ranks, count: self.most, positives: 0, margin: None, seed: None };
        let mut written = WrittenLists::default();
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
                written.lists += 1;
                let list = TrainingList { qid: query.id.clone(), query: query.text.clone(), candidates };
                let full = |source| FormatError::Write { file: path.display().to_string(), source };
                list.write(&mut file).map_err(full)?;
                if let Some(file) = &mut triples {
                    let full = |source| {
                        let file = triples_path.display().to_string();
                        FormatError::Write { file, source }
                    };
                    written.triples += write_triples(&list, file).map_err(full)?;
                }
            }
            Ok(())
        })?;
        if written.lists > 0 {
            file.commit()?;
            triples.map_or(Ok(()), AtomicFile::commit)?;
        }
        Ok(written)
    }
}

/// Writes the first document of a list beside each of the others, and gives how many lines that makes.
fn write_triples(list: &TrainingList, out: &mut dyn Write) -> io::Result<usize> {
    let Some((right, wrong)) = list.candidates.split_first() else { return Ok(0) };
    let [query, right] = [&list.query, &right.candidate.text].map(|text| one_line(text));
    for wrong in wrong {
        writeln!(out, "{query}\t{right}\t{}", one_line(&wrong.candidate.text))?;
    }
    Ok(wrong.len())
}

/// A text without line ends and tabs, which part lines and columns.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r', '\t'], " ")
}

/// A document with its label.
fn candidate(document: &Document, label: f32) -> TrainingCandidate {
    let candidate = Candidate { text: document.model_text().into_owned(), label, teacher: None };
    TrainingCandidate { docid: document.id.clone(), candidate }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triples_have_a_line_for_each_wrong_document() {
        let documents = [("a", "green\ttea"), ("b", "black\ntea"), ("c", "figs")];
        let candidates = documents.map(|(id, text)| candidate(&Document::new(id, text), 0.0)).to_vec();
        let list = TrainingList { qid: "1".into(), query: "which tea".into(), candidates };
        let mut text = Vec::new();
        assert_eq!(write_triples(&list, &mut text).unwrap(), 2);
        let expected = "which tea\tgreen tea\tblack tea\nwhich tea\tgreen tea\tfigs\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
