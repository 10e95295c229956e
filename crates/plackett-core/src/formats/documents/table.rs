//! Comma- and tab-separated tables.

use super::{DocumentOptions, Documents, document};
use crate::formats::FormatError;
use crate::formats::fields::ID;
use crate::{Document, Metadata};
use csv::{ErrorKind, Reader, ReaderBuilder, StringRecord};
use serde_json::Value;
use std::io::{self, BufRead, Read};

/// Stops a record without end: one opening quotation mark too many would otherwise take the rest of a file, whatever
/// its size, into memory. The count begins anew with each record, so that it is exact up to the reader's buffer.
struct Bounded<R> {
    input: R,
    read: usize,
    limit: usize,
}

impl<R: Read> Bounded<R> {
    fn is_over(&self) -> bool {
        self.read > self.limit
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_over() {
            return Err(io::Error::other("a record beyond the limit"));
        }
        let count = self.input.read(buffer)?;
        self.read = self.read.saturating_add(count);
        Ok(count)
    }
}

struct Table<R> {
    reader: Reader<Bounded<R>>,
    header: Option<Vec<String>>,
    file: String,
    options: DocumentOptions,
    tabs: bool,
    done: bool,
}

pub(super) fn open(
    input: Box<dyn BufRead + Send>,
    file: String,
    separator: u8,
    options: DocumentOptions,
) -> Documents {
    Box::new(table(input, file, separator, options))
}

/// Documents of a table in memory; `separator` is `b','` or a tab.
pub fn parse_table<'a>(
    bytes: &'a [u8],
    file: &str,
    separator: u8,
    options: &DocumentOptions,
) -> impl Iterator<Item = Result<Document, FormatError>> + 'a {
    table(bytes, file.to_string(), separator, options.clone())
}

fn table<R: Read>(input: R, file: String, separator: u8, options: DocumentOptions) -> Table<R> {
    let tabs = separator == b'\t';
    // MS MARCO's files have bare quotation marks in their texts, so tabs alone separate there.
    let reader = ReaderBuilder::new()
        .delimiter(separator)
        .quoting(!tabs)
        .has_headers(false)
        .flexible(tabs)
        .from_reader(Bounded { input, read: 0, limit: options.line_limit });
    Table { reader, header: None, file, options, tabs, done: false }
}

impl<R: Read> Iterator for Table<R> {
    type Item = Result<Document, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let mut record = StringRecord::new();
        loop {
            let start = self.reader.position().line();
            self.reader.get_mut().read = 0;
            match self.reader.read_record(&mut record) {
                Ok(false) => return None,
                Ok(true) => {}
                Err(error) => return Some(Err(self.problem(error, start))),
            }
            let line = record.position().map_or(1, csv::Position::line);
            if self.header.is_none() && self.take_header(&record) {
                continue;
            }
            return Some(self.row(&record, line));
        }
    }
}

impl<R: Read> Table<R> {
    /// Whether the first record names columns. A table without names is MS MARCO's `id, [title,] text`.
    fn take_header(&mut self, record: &StringRecord) -> bool {
        let names: Vec<String> =
            record.iter().map(|n| n.trim_start_matches('\u{feff}').trim().to_string()).collect();
        let known = names.iter().any(|name| match &self.options.id_field {
            Some(asked) => asked == name,
            None => ID.contains(&name.as_str()),
        });
        let is_header = known || !self.tabs;
        let plain: &[&str] = if names.len() == 3 { &["_id", "title", "text"] } else { &["_id", "text"] };
        self.header = Some(if is_header { names } else { plain.iter().map(|n| n.to_string()).collect() });
        is_header
    }

    fn row(&self, record: &StringRecord, line: u64) -> Result<Document, FormatError> {
        let header = self.header.as_deref().unwrap_or_default();
        if record.len() != header.len() {
            return Err(FormatError::Fields {
                file: self.file.clone(),
                line,
                expected: "as many fields as the first line has",
                found: record.len(),
                remedy: "put texts with separators in quotation marks (CSV) or take tabs out of them (TSV)",
            });
        }
        let value = |text: &str| Value::String(text.trim_start_matches('\u{feff}').to_string());
        let fields: Metadata = header.iter().cloned().zip(record.iter().map(value)).collect();
        document(fields, &self.file, line, &self.options)
    }

    /// What a failure means. `start` is the line on which the record begins.
    fn problem(&mut self, error: csv::Error, start: u64) -> FormatError {
        let line = error.position().map_or(start, csv::Position::line);
        let file = self.file.clone();
        if self.reader.get_ref().is_over() && matches!(error.kind(), ErrorKind::Io(_)) {
            self.done = true;
            return FormatError::LineTooLong { file, line, limit: self.options.line_limit };
        }
        match error.into_kind() {
            ErrorKind::Utf8 { err, .. } => FormatError::Utf8 { file, line, byte: err.valid_up_to() },
            ErrorKind::UnequalLengths { len, .. } => FormatError::Fields {
                file,
                line,
                expected: "as many fields as the first line has",
                found: usize::try_from(len).unwrap_or(usize::MAX),
                remedy: "put texts with commas in quotation marks",
            },
            ErrorKind::Io(source) => {
                self.done = true;
                match source.kind() {
                    std::io::ErrorKind::UnexpectedEof => FormatError::Truncated { file, line },
                    _ => FormatError::Read { file, line, source },
                }
            }
            other => {
                self.done = true;
                FormatError::File { file, problem: format!("line {line}: {other:?}") }
            }
        }
    }
}
