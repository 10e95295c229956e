//! A collection whose texts are there in several languages under the same ids (as XQuAD): one half to learn languages from, one to search.

use crate::recipe::error::StageError;
use crate::recipe::registry::Hashes;
use crate::recipe::task::{Environment, hash_file};
use plackett_core::formats::{
    BeirFolder, DEFAULT_LINE_LIMIT, DocumentOptions, FormatError, open_documents, read_topics,
};
use plackett_core::{Document, Qrels, Query};
use std::path::PathBuf;

/// The files of the collection in one language.
pub struct ParallelTexts {
    folder: PathBuf,
}

impl ParallelTexts {
    /// The collection of a name.
    ///
    /// # Errors
    /// It is not on this machine.
    pub fn open(environment: &Environment, collection: &str) -> Result<ParallelTexts, StageError> {
        Ok(ParallelTexts { folder: environment.collection(collection)? })
    }

    fn file(&self, names: &[String]) -> Result<PathBuf, StageError> {
        let paths = names.iter().map(|name| self.folder.join(name));
        paths.clone().find(|path| path.is_file()).ok_or_else(|| {
            let problem = format!("{} has no {}", self.folder.display(), names.join(" or "));
            StageError::Field { field: "collection", problem }
        })
    }

    fn corpus(&self, language: &str) -> Result<PathBuf, StageError> {
        self.file(&[format!("corpus.{language}.jsonl.gz"), format!("corpus.{language}.jsonl")])
    }

    fn questions(&self, language: &str) -> Result<PathBuf, StageError> {
        self.file(&[format!("queries.{language}.jsonl"), format!("queries.{language}.jsonl.gz")])
    }

    /// What tells the files of some languages from others.
    ///
    /// # Errors
    /// A file is not there or cannot be read.
    pub fn hashes(&self, texts: &[&str], questions: &[&str]) -> Result<Hashes, StageError> {
        let mut hashes = Vec::new();
        for language in texts {
            hashes.push((format!("corpus.{language}"), hash_file(&self.corpus(language)?)?));
        }
        for language in questions {
            hashes.push((format!("queries.{language}"), hash_file(&self.questions(language)?)?));
        }
        Ok(hashes)
    }

    /// The texts of a language, in the order of the file: the first half to learn from, the second to search.
    ///
    /// # Errors
    /// The file is not there or cannot be read.
    pub fn halves(&self, language: &str) -> Result<[Vec<Document>; 2], StageError> {
        let path = self.corpus(language)?;
        let documents =
            open_documents(&path, &DocumentOptions::default())?.collect::<Result<Vec<_>, FormatError>>()?;
        let mut first = documents;
        let second = first.split_off(first.len() / 2);
        Ok([first, second])
    }

    /// The questions of a language and what is right for them.
    ///
    /// # Errors
    /// A file is not there or cannot be read.
    pub fn judged(&self, language: &str) -> Result<(Vec<Query>, Qrels), StageError> {
        let queries = read_topics(&self.questions(language)?, DEFAULT_LINE_LIMIT)?;
        Ok((queries, BeirFolder::at(&self.folder).qrels("test")?))
    }
}
