//! One JSON object per line.

use super::{DocumentOptions, document};
use crate::Document;
use crate::formats::{FormatError, Lines};

pub(super) struct JsonLines<'a> {
    lines: Lines<'a>,
    options: DocumentOptions,
}

impl<'a> JsonLines<'a> {
    pub(super) fn new(lines: Lines<'a>, options: DocumentOptions) -> Self {
        JsonLines { lines, options }
    }
}

impl Iterator for JsonLines<'_> {
    type Item = Result<Document, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let parsed = match self.lines.next() {
                Ok(None) => return None,
                Ok(Some(line)) if line.trim().is_empty() => continue,
                Ok(Some(line)) => serde_json::from_str(line),
                Err(error) => return Some(Err(error)),
            };
            let (file, line) = (self.lines.file(), self.lines.line());
            return Some(match parsed {
                Ok(fields) => document(fields, file, line, &self.options),
                Err(e) => Err(FormatError::Json { file: file.into(), line, problem: e.to_string() }),
            });
        }
    }
}

/// Documents of JSON lines in memory.
pub fn parse_json_lines<'a>(
    bytes: &'a [u8],
    file: &str,
    options: &DocumentOptions,
) -> impl Iterator<Item = Result<Document, FormatError>> + 'a {
    JsonLines::new(Lines::of_bytes(bytes, file, options.line_limit), options.clone())
}
