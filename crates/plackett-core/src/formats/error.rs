//! One error for all files: what was expected, what was found, where, and what to do.

use crate::IdListFull;
use std::io::{self, ErrorKind};

/// Why a file could not be read or written. Lines count from 1, bytes of a line from 1.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the fields mean what their names say in every variant
pub enum FormatError {
    /// The file cannot be opened.
    #[error("{file}: {}", opening(.source))]
    Open { file: String, source: io::Error },
    /// Reading stopped.
    #[error(
        "{file}, after line {line}: cannot read on ({}); if the file is compressed it is damaged: fetch it again",
        plain(.source)
    )]
    Read { file: String, line: u64, source: io::Error },
    /// Compressed data that end too early.
    #[error("{file}, after line {line}: the compressed file ends too early; fetch it again")]
    Truncated { file: String, line: u64 },
    /// Bytes that are no text.
    #[error("{file}, line {line}: byte {byte} is not UTF-8; convert the file, for example with iconv")]
    Utf8 { file: String, line: u64, byte: usize },
    /// A line that is no line.
    #[error(
        "{file}, line {line}: longer than {limit} bytes; is this a text file? Split the line, or raise the limit with --max-line-bytes"
    )]
    LineTooLong { file: String, line: u64, limit: usize },
    /// Another number of fields.
    #[error("{file}, line {line}: expected {expected}, found {found} field{}; {remedy}", if *.found == 1 { "" } else { "s" })]
    Fields { file: String, line: u64, expected: &'static str, found: usize, remedy: &'static str },
    /// A field that is not what it should be.
    #[error("{file}, line {line}: {what} is `{found}`; {remedy}")]
    Value { file: String, line: u64, what: &'static str, found: String, remedy: &'static str },
    /// A score that has no place in an order.
    #[error(
        "{file}, line {line}: the score is NaN, which has no place in an order; mend the system that wrote it, or let it in with --keep-nan of eval and compare (it then ranks last)"
    )]
    NotANumber { file: String, line: u64 },
    /// The same thing twice.
    #[error("{file}, line {line}: {what} is already on line {first}; {remedy}")]
    Duplicate { file: String, line: u64, first: u64, what: String, remedy: &'static str },
    /// A field that is not there.
    #[error("{file}, line {line}: no {field}; {remedy}")]
    Missing { file: String, line: u64, field: String, remedy: &'static str },
    /// A quotation mark that is not closed, or is closed in the middle of a field.
    #[error("{file}, line {line}: the quotation mark that opens here {problem}")]
    Quote { file: String, line: u64, problem: String },
    /// JSON that is not JSON, or not of the expected shape.
    #[error("{file}, line {line}: expected {expected}, {problem}")]
    Json { file: String, line: u64, expected: &'static str, problem: String },
    /// A file without content where there must be some.
    #[error("{file}: expected {expected}, found none: the file is empty; check the step that writes it")]
    Empty { file: String, expected: &'static str },
    /// A file or folder that is wrong as a whole.
    #[error("{file}: {problem}")]
    File { file: String, problem: String },
    /// More identifiers than a list holds.
    #[error("{file}: {source}")]
    Full { file: String, source: IdListFull },
    /// Writing stopped. What was under the name before is still there.
    #[error("{file}: cannot write ({}); nothing was changed", writing(.source))]
    Write { file: String, source: io::Error },
}

impl FormatError {
    /// The line at fault, from 1, when there is one.
    pub fn line(&self) -> Option<u64> {
        use FormatError::*;
        match self {
            Read { line, .. }
            | Truncated { line, .. }
            | Utf8 { line, .. }
            | LineTooLong { line, .. }
            | Fields { line, .. }
            | Value { line, .. }
            | NotANumber { line, .. }
            | Duplicate { line, .. }
            | Missing { line, .. }
            | Quote { line, .. }
            | Json { line, .. } => Some(*line),
            Open { .. } | Empty { .. } | File { .. } | Full { .. } | Write { .. } => None,
        }
    }
}

/// A failure of the system in plain words, without its numbers and the names of temporary files.
pub fn plain(error: &io::Error) -> String {
    let known = match error.kind() {
        ErrorKind::NotFound => "there is no such file or folder",
        ErrorKind::PermissionDenied => "you have no right to do that there",
        ErrorKind::NotADirectory => "a part of the path is a file and no folder",
        ErrorKind::IsADirectory => "it is a folder and no file",
        ErrorKind::StorageFull => "no space is left on the disk",
        ErrorKind::QuotaExceeded => "your share of the disk is used up",
        ErrorKind::ReadOnlyFilesystem => "the disk cannot be written to",
        ErrorKind::InvalidFilename => "the name is too long, or has characters that names cannot have",
        _ => {
            let said = error.to_string();
            // The kind of links in a circle has no stable name yet.
            if said.contains("symbolic link") {
                return "its links lead in a circle".into();
            }
            return said.split_once(" (os error").map_or(said.as_str(), |(words, _)| words).to_string();
        }
    };
    known.into()
}

fn writing(error: &io::Error) -> String {
    let remedy = if error.kind() == ErrorKind::NotFound { "; its folder has to be there" } else { "" };
    format!("{}{remedy}", plain(error))
}

fn opening(error: &io::Error) -> String {
    let remedy = match error.kind() {
        ErrorKind::PermissionDenied => "check its permissions",
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename => "check the name",
        _ => "check the name and the permissions",
    };
    format!("{}; {remedy}", plain(error))
}

/// A piece of outside text short enough for a message.
pub(super) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short.escape_debug().to_string()
}
