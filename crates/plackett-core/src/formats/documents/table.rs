//! Comma- and tab-separated tables.

use super::making::{Making, Place};
use super::quotes::Quotes;
use super::{DocumentOptions, Documents};
use crate::formats::FormatError;
use crate::formats::error::shown;
use crate::formats::fields::{ID, is_same_name};
use crate::formats::input::unmarked;
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
    /// Follows the marks of formats that have them.
    quotes: Option<Quotes>,
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
        if let (Some(quotes), false) = (&mut self.quotes, buffer.is_empty()) {
            quotes.read(buffer.get(..count).unwrap_or_default());
        }
        Ok(count)
    }
}

struct Table<R> {
    reader: Reader<Bounded<R>>,
    header: Option<Vec<String>>,
    file: String,
    making: Making,
    tabs: bool,
    done: bool,
}

pub(super) fn open(input: Box<dyn BufRead + Send>, file: String, separator: u8, making: Making) -> Documents {
    Box::new(table(input, file, separator, making))
}

/// Documents of a table in memory; `separator` is `b','` or a tab.
pub fn parse_table<'a>(
    bytes: &'a [u8],
    file: &str,
    separator: u8,
    options: &DocumentOptions,
) -> impl Iterator<Item = Result<Document, FormatError>> + 'a {
    table(unmarked(bytes), file.to_string(), separator, Making::new(options.clone()))
}

fn table<R: Read>(input: R, file: String, separator: u8, making: Making) -> Table<R> {
    let tabs = separator == b'\t';
    // MS MARCO's files have bare quotation marks in their texts, so tabs alone separate there.
    let quotes = (!tabs).then(|| Quotes::new(separator));
    let limit = making.options.line_limit;
    let reader = ReaderBuilder::new()
        .delimiter(separator)
        .quoting(!tabs)
        .has_headers(false)
        .flexible(tabs)
        .from_reader(Bounded { input, read: 0, limit, quotes });
    Table { reader, header: None, file, making, tabs, done: false }
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
            if let Some(fault) = self.misquoted() {
                self.done = true;
                return Some(Err(fault));
            }
            let line = record.position().map_or(1, csv::Position::line);
            if self.header.is_none() {
                match self.take_header(&record, line) {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(error) => {
                        self.done = true;
                        return Some(Err(error));
                    }
                }
            }
            return Some(self.row(&record, line));
        }
    }
}

impl<R: Read> Table<R> {
    /// The fault of a quotation mark that opens in what was read, after which nothing can be trusted: it may have taken
    /// other records for its text.
    fn misquoted(&self) -> Option<FormatError> {
        let fault = self.reader.get_ref().quotes.as_ref()?.fault(self.reader.position().byte())?;
        Some(FormatError::Quote { file: self.file.clone(), line: fault.opened, problem: fault.problem() })
    }

    /// Whether the first record names columns. A table without names is one of MS MARCO's: passages are `id, text`, documents
    /// `id, url, title, text`; `id, title, text` is known too. A name that comes
    /// twice is an error: one of the columns would be lost.
    fn take_header(&mut self, record: &StringRecord, line: u64) -> Result<bool, FormatError> {
        let names: Vec<String> = record.iter().map(|name| name.trim().to_string()).collect();
        let known = names.iter().any(|name| match &self.making.options.id_field {
            Some(asked) => is_same_name(asked, name),
            None => ID.contains(&name.as_str()),
        });
        let is_header = known || !self.tabs;
        let twice = names
            .iter()
            .enumerate()
            .find(|(nth, name)| names.iter().take(*nth).any(|before| is_same_name(before, name)));
        if let (true, Some((_, name))) = (is_header, twice) {
            let problem = format!("line {line}: two columns are called `{}`; rename one", shown(name));
            return Err(FormatError::File { file: self.file.clone(), problem });
        }
        let asked = self.making.options.id_field.is_some();
        if !is_header && !asked && names.len() > 1 && names.iter().all(|name| is_word(name)) {
            let shown_names: Vec<String> = names.iter().map(|name| format!("`{}`", shown(name))).collect();
            self.making.options.remarks.add(format!(
                "{}: the first line ({}) is read as a document, since it names no column of ids ({}); if it names the \
                 columns, --id-field NAME says which one has the ids",
                self.file,
                shown_names.join(", "),
                ID.join(", ")
            ));
        }
        let plain: &[&str] = match names.as_slice() {
            [_, _, _] => &["_id", "title", "text"],
            [_, url, _, _] if is_address(url) => &["_id", "url", "title", "text"],
            _ => &["_id", "text"],
        };
        self.header = Some(if is_header { names } else { plain.iter().map(|n| n.to_string()).collect() });
        Ok(is_header)
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
        let value = |text: &str| Value::String(text.to_string());
        let fields: Metadata = header.iter().cloned().zip(record.iter().map(value)).collect();
        self.making.document(fields, Place { file: &self.file, line, number: line })
    }

    /// What a failure means. `start` is the line on which the record begins.
    fn problem(&mut self, error: csv::Error, start: u64) -> FormatError {
        let line = error.position().map_or(start, csv::Position::line);
        let file = self.file.clone();
        if self.reader.get_ref().is_over() && matches!(error.kind(), ErrorKind::Io(_)) {
            self.done = true;
            let limit = self.making.options.line_limit;
            let open = self.reader.get_ref().quotes.as_ref().and_then(Quotes::open);
            let Some(line) = open else { return FormatError::LineTooLong { file, line, limit } };
            let problem = format!(
                "is not closed within {limit} bytes; close it, or raise the limit with --max-line-bytes"
            );
            return FormatError::Quote { file, line, problem };
        }
        // A mark that took the ends of lines for text makes too few fields; it is what is to be mended.
        if let Some(fault) = self.misquoted() {
            self.done = true;
            return fault;
        }
        let text = error.to_string();
        match error.into_kind() {
            ErrorKind::Utf8 { err, .. } => FormatError::Utf8 { file, line, byte: err.valid_up_to() + 1 },
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
            _ => {
                self.done = true;
                let problem = format!("line {line}: is no row of a table ({text})");
                FormatError::File { file, problem }
            }
        }
    }
}

/// An address of a page.
fn is_address(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// One word of letters, as columns are called: neither the number of a document nor a text.
fn is_word(name: &str) -> bool {
    let letter = |c: char| c.is_alphabetic() || c == '_' || c == '-';
    !name.is_empty() && name.chars().all(letter)
}
