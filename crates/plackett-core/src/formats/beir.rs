//! BEIR folders: `corpus.jsonl`, `queries.jsonl`, `qrels/SPLIT.tsv`, each plain, `.gz` or `.zst`.

mod writer;

pub use writer::BeirWriter;

use super::documents::{DocumentFormat, DocumentOptions, Documents, open_documents};
use super::topics::read_topics;
use super::trec::{ReadOptions, read_qrels};
use super::{DEFAULT_LINE_LIMIT, FormatError};
use crate::{Qrels, Query};
use std::path::{Path, PathBuf};

/// A folder in BEIR's form. Ids are strings; a number in the JSON becomes the string of its digits.
#[derive(Clone, Debug)]
pub struct BeirFolder {
    folder: PathBuf,
}

impl BeirFolder {
    /// Opens a folder; it must have a corpus.
    pub fn open(folder: &Path) -> Result<BeirFolder, FormatError> {
        let beir = BeirFolder::at(folder);
        beir.corpus_file()?;
        Ok(beir)
    }

    /// The same without asking for a corpus: queries and judgments alone are enough for an evaluation.
    pub fn at(folder: &Path) -> BeirFolder {
        BeirFolder { folder: folder.to_path_buf() }
    }

    /// The documents, one at a time.
    pub fn corpus(&self) -> Result<Documents, FormatError> {
        self.corpus_with(&DocumentOptions::default())
    }

    /// The same with names of fields, whatever format the options name.
    pub fn corpus_with(&self, options: &DocumentOptions) -> Result<Documents, FormatError> {
        let options = DocumentOptions { format: DocumentFormat::JsonLines, ..options.clone() };
        open_documents(&self.corpus_file()?, &options)
    }

    /// The queries in file order.
    pub fn queries(&self) -> Result<Vec<Query>, FormatError> {
        read_topics(&self.queries_file()?, DEFAULT_LINE_LIMIT)
    }

    /// The judgments of a split such as `test`.
    pub fn qrels(&self, split: &str) -> Result<Qrels, FormatError> {
        read_qrels(&self.qrels_file(split)?, &ReadOptions::default())
    }

    /// Where the documents lie.
    pub fn corpus_file(&self) -> Result<PathBuf, FormatError> {
        self.file("corpus.jsonl")
    }

    /// Where the queries lie.
    pub fn queries_file(&self) -> Result<PathBuf, FormatError> {
        self.file("queries.jsonl")
    }

    /// Where the judgments of a split lie. An error names the splits that are there.
    pub fn qrels_file(&self, split: &str) -> Result<PathBuf, FormatError> {
        self.file(&format!("qrels/{split}.tsv")).map_err(|error| match error {
            FormatError::File { file, problem } => {
                let there = self.splits().unwrap_or_default().join(", ");
                let there = if there.is_empty() { "none".into() } else { there };
                FormatError::File { file, problem: format!("{problem}; splits there: {there}") }
            }
            other => other,
        })
    }

    /// The names of the splits that have judgments, sorted.
    pub fn splits(&self) -> Result<Vec<String>, FormatError> {
        let folder = self.folder.join("qrels");
        let fail = |source| FormatError::Open { file: folder.display().to_string(), source };
        let mut splits = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(fail)? {
            let name = entry.map_err(fail)?.file_name();
            let name = name.to_string_lossy();
            let bare = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
            splits.extend(bare.strip_suffix(".tsv").map(str::to_string));
        }
        splits.sort();
        splits.dedup();
        Ok(splits)
    }

    fn file(&self, name: &str) -> Result<PathBuf, FormatError> {
        let path = self.folder.join(name);
        let forms = ["", ".gz", ".zst"].map(|end| {
            let mut form = path.clone().into_os_string();
            form.push(end);
            PathBuf::from(form)
        });
        forms.into_iter().find(|path| path.is_file()).ok_or_else(|| FormatError::File {
            file: path.display().to_string(),
            problem: "is not there, nor with .gz or .zst; a BEIR folder has corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv".into(),
        })
    }
}
