//! What can go wrong with what comes from outside.

use plackett_core::formats::plain;
use plackett_lm::LmError;
use plackett_train::TrainError;
use std::path::{Path, PathBuf};

/// A retriever that cannot be made, opened or asked.
#[derive(Debug, thiserror::Error)]
pub enum GenirError {
    /// The training.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] LmError),
    /// The catalogue of docids.
    #[error(transparent)]
    Ids(#[from] plackett_ids::IdsError),
    /// A file of categories that is not in its form.
    #[error(transparent)]
    Format(#[from] plackett_core::formats::FormatError),
    /// A file cannot be read or written.
    #[error("{}: {}", .path.display(), plain(.source))]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what is expected.
    #[error("{}{}: {problem}", .path.display(), .line.map(|line| format!(", line {line}")).unwrap_or_default())]
    Form {
        /// The file.
        path: PathBuf,
        /// The line, from 1, where it is one.
        line: Option<usize>,
        /// What is wrong and what to do.
        problem: String,
    },
    /// Docids that no tree can be made of, or that cannot be written in the language of the model.
    #[error("the docid of document {document}: {problem}")]
    Docid {
        /// Place of the document in the corpus, from 0.
        document: usize,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A setting that cannot be.
    #[error("{0}")]
    Setting(String),
}

impl GenirError {
    /// A file that cannot be read or written.
    pub fn file(path: &Path, source: std::io::Error) -> GenirError {
        GenirError::File { path: path.into(), source }
    }
}
