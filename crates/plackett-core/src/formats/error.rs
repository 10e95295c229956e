//! One error for all files: what was expected, what was found, where, and what to do.

use std::path::{Path, PathBuf};

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A line that is not as expected.
    #[error("{path}, line {line}: {problem}")]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// Expected, found, remedy.
        problem: String,
    },
    /// Compressed data that end too early or are damaged.
    #[error(
        "{path}, after line {line}: the compressed data are cut off or damaged ({problem}); fetch the file again"
    )]
    Compressed {
        /// The file.
        path: PathBuf,
        /// The last whole line.
        line: u64,
        /// What the decoder said.
        problem: String,
    },
    /// A file without content where there must be some.
    #[error("{path}: the file is empty, expected {expected}")]
    Empty {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
    },
    /// A file or folder that is wrong as a whole.
    #[error("{path}: {problem}")]
    Whole {
        /// The file or folder.
        path: PathBuf,
        /// Expected, found, remedy.
        problem: String,
    },
}

impl FormatError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> FormatError {
        let path = path.to_path_buf();
        move |source| FormatError::Io { path, source }
    }

    pub(crate) fn line(path: &Path, line: u64, problem: impl Into<String>) -> FormatError {
        FormatError::Line { path: path.to_path_buf(), line, problem: problem.into() }
    }

    pub(crate) fn whole(path: &Path, problem: impl Into<String>) -> FormatError {
        FormatError::Whole { path: path.to_path_buf(), problem: problem.into() }
    }

    /// The line at fault, from 1, when there is one.
    pub fn line_number(&self) -> Option<u64> {
        match self {
            FormatError::Line { line, .. } | FormatError::Compressed { line, .. } => Some(*line),
            _ => None,
        }
    }
}

/// A piece of outside text short enough for a message.
pub(crate) fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short.escape_debug().to_string()
}
