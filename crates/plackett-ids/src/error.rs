//! Why identifiers cannot be made, read or used.

use plackett_core::declaration::OptionError;
use plackett_core::formats::FormatError;

/// Why identifiers cannot be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum IdsError {
    /// A file cannot be read or written, or a line is damaged.
    #[error(transparent)]
    File(#[from] FormatError),
    /// Options of a scheme that cannot be.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// A scheme that is not written as one.
    #[error("{0}")]
    Scheme(String),
    /// A scheme without what it reads.
    #[error("the scheme `{scheme}` needs {what}; {remedy}")]
    Needs {
        /// The scheme.
        scheme: &'static str,
        /// What is missing.
        what: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// Items, vectors or histories that cannot be used.
    #[error("{0}")]
    Data(String),
    /// A quantiser whose training failed.
    #[error("the quantiser cannot be trained: {0}")]
    Training(String),
    /// The file in which vectors wait.
    #[error(
        "the file of vectors cannot be read or written: {0}; make room on its disk, or keep vectors in memory (no --memory-budget)"
    )]
    VectorFile(#[from] std::io::Error),
    /// A catalogue that is not whole, or not the one that is meant.
    #[error("{file}: {problem}")]
    Catalogue {
        /// The file.
        file: String,
        /// What is wrong and what to do.
        problem: String,
    },
}
