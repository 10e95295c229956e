//! Writing BEIR folders.

use crate::formats::trec::{check, check_start};
use crate::formats::{FormatError, atomic};
use crate::{Document, Qrels, Query};
use serde_json::json;
use std::collections::HashSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes the parts of a BEIR folder, each of them whole or not at all. What is there under other names stays.
pub struct BeirWriter {
    folder: PathBuf,
}

impl BeirWriter {
    /// A writer into a folder, which is made where it is not there.
    pub fn create(folder: &Path) -> Result<BeirWriter, FormatError> {
        make(folder)?;
        Ok(BeirWriter { folder: folder.to_path_buf() })
    }

    /// Writes `corpus.jsonl` with `_id`, `title`, `text` and `metadata`, and gives the number of documents. An error among
    /// the documents ends it, and nothing is written.
    pub fn corpus(
        &self,
        documents: impl IntoIterator<Item = Result<Document, FormatError>>,
    ) -> Result<usize, FormatError> {
        let path = self.folder.join("corpus.jsonl");
        let mut file = atomic::AtomicFile::create(&path)?;
        let mut count = 0;
        for document in documents {
            let Document { id, title, text, metadata, .. } = document?;
            if id.is_empty() {
                return Err(unwritten(&path, refused(format!("document {} has an empty id", count + 1))));
            }
            let line = json!({"_id": id, "title": title, "text": text, "metadata": metadata});
            writeln!(file, "{line}").map_err(|source| unwritten(&path, source))?;
            count += 1;
        }
        file.commit()?;
        Ok(count)
    }

    /// Writes `queries.jsonl` with `_id` and `text`. An empty id, or one that comes twice, is an error.
    pub fn queries(&self, queries: &[Query]) -> Result<(), FormatError> {
        atomic::write(&self.folder.join("queries.jsonl"), |out| {
            let mut seen = HashSet::new();
            for Query { id, text, .. } in queries {
                if id.is_empty() || !seen.insert(id) {
                    return Err(refused(format!("the id `{id}` of a query is empty or comes a second time")));
                }
                writeln!(out, "{}", json!({"_id": id, "text": text}))?;
            }
            Ok(())
        })
    }

    /// Writes `qrels/SPLIT.tsv` with its header. The format has no iterations: a document that is judged twice for a query
    /// is an error, and so are ids with blanks, which readers take for the ends of columns.
    pub fn qrels(&self, split: &str, qrels: &Qrels) -> Result<(), FormatError> {
        let folder = self.folder.join("qrels");
        make(&folder)?;
        atomic::write(&folder.join(format!("{split}.tsv")), |out| {
            out.write_all(b"query-id\tcorpus-id\tscore\n")?;
            for query in qrels.queries() {
                let mut seen = HashSet::new();
                for one in query.iter() {
                    if !seen.insert(one.document) {
                        let (document, query) = (one.document, query.id());
                        let problem = format!("`{document}` is judged twice for query `{query}`");
                        return Err(refused(problem));
                    }
                    let id = check_start(query.id(), false, &[])?;
                    writeln!(out, "{id}\t{}\t{}", check(one.document)?, one.grade)?;
                }
            }
            Ok(())
        })
    }
}

fn make(folder: &Path) -> Result<(), FormatError> {
    std::fs::create_dir_all(folder).map_err(|source| unwritten(folder, source))
}

/// What a reader would refuse.
fn refused(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, problem)
}

fn unwritten(path: &Path, source: io::Error) -> FormatError {
    FormatError::Write { file: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::BeirFolder;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn documents() -> impl Strategy<Value = Vec<Document>> {
        let field = ("[a-z]{1,3}", "\\PC{0,6}");
        let metadata = proptest::collection::btree_map(field.0, field.1, 0..3);
        let one = ("\\PC{0,12}", "\\PC{0,40}", metadata);
        proptest::collection::btree_map("[^\\s\\p{C}]{1,8}", one, 1..9).prop_map(|all| {
            let document =
                |(id, (title, text, metadata)): (String, (String, String, BTreeMap<String, String>))| {
                    let metadata = metadata.into_iter().map(|(name, value)| (name, value.into())).collect();
                    Document { id, title, text, metadata, ..Document::default() }
                };
            all.into_iter().map(document).collect()
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            documents in documents(),
            grades in proptest::collection::vec((0usize..5, 0usize..9, -2i32..9), 1..40),
        ) {
            let queries: Vec<Query> = (0..5).map(|n| Query::new(format!("q{n}"), format!("what is \"{n}\"?"))).collect();
            let mut qrels = Qrels::new();
            let mut seen = HashSet::new();
            for (query, document, grade) in grades {
                let document = &documents[document % documents.len()].id;
                if seen.insert((query, document.clone())) {
                    qrels.query_mut(&queries[query].id).push("0", document, grade).expect("room");
                }
            }
            let folder = tempfile::tempdir().expect("folder");
            let writer = BeirWriter::create(&folder.path().join("new/set")).expect("a folder");
            writer.corpus(documents.iter().cloned().map(Ok)).expect("a corpus");
            writer.queries(&queries).expect("queries");
            writer.qrels("test", &qrels).expect("judgments");
            let read = BeirFolder::open(&folder.path().join("new/set")).expect("a set");
            let corpus: Vec<Document> = read.corpus().expect("a corpus").map(|d| d.expect("a document")).collect();
            prop_assert_eq!(corpus, documents);
            prop_assert_eq!(read.queries().expect("queries"), queries);
            prop_assert_eq!(read.splits().expect("splits"), ["test"]);
            let lines = |qrels: &Qrels| -> Vec<(String, String, String, i32)> {
                let of = |query: &crate::QueryQrels| -> Vec<_> {
                    let line = |one: crate::Judgment<'_>| {
                        (query.id().to_string(), one.iteration.to_string(), one.document.to_string(), one.grade)
                    };
                    query.iter().map(line).collect()
                };
                qrels.queries().iter().flat_map(of).collect()
            };
            prop_assert_eq!(lines(&read.qrels("test").expect("judgments")), lines(&qrels));
        }
    }

    #[test]
    fn what_the_format_cannot_hold_leaves_the_old_file() {
        let folder = tempfile::tempdir().expect("folder");
        let writer = BeirWriter::create(folder.path()).expect("a folder");
        let mut good = Qrels::new();
        good.query_mut("q").push("0", "a", 1).expect("room");
        writer.qrels("dev", &good).expect("judgments");
        let before = std::fs::read(folder.path().join("qrels/dev.tsv")).expect("a file");
        let mut twice = good.clone();
        twice.query_mut("q").push("1", "a", 2).expect("room");
        let mut blank = Qrels::new();
        blank.query_mut("q 1").push("0", "a", 1).expect("room");
        for (bad, message) in [(twice, "judged twice"), (blank, "has a blank")] {
            let error = writer.qrels("dev", &bad).expect_err("refused").to_string();
            assert!(error.contains("dev.tsv") && error.contains(message), "{error}");
            assert_eq!(std::fs::read(folder.path().join("qrels/dev.tsv")).expect("a file"), before);
        }
        let same = [Query::new("q", "a"), Query::new("q", "b")];
        for queries in [&same[..], &[Query::new("", "a")]] {
            let error = writer.queries(queries).expect_err("refused").to_string();
            assert!(
                error.contains("queries.jsonl") && error.contains("empty or comes a second time"),
                "{error}"
            );
        }
        let nameless = writer.corpus([Ok(Document::new("", "b"))]).expect_err("refused").to_string();
        assert!(
            nameless.contains("corpus.jsonl") && nameless.contains("document 1 has an empty id"),
            "{nameless}"
        );
        let broken = FormatError::File { file: "source".into(), problem: "is broken".into() };
        let documents = [Ok(Document::new("a", "b")), Err(broken)];
        assert!(writer.corpus(documents).expect_err("refused").to_string().starts_with("source"));
        assert!(!folder.path().join("corpus.jsonl").exists());
        assert!(BeirFolder::open(folder.path()).is_err());
        let none = BeirFolder::at(folder.path()).qrels("test").expect_err("no such split").to_string();
        assert!(none.contains("test.tsv") && none.contains("splits there: dev"), "{none}");
    }
}
