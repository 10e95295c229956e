//! One JSON object per line, or an array of them.

use super::DocumentOptions;
use super::making::{Making, Place};
use super::not_json::diagnosis;
use crate::Document;
use crate::formats::object::{object, rounded, texts, wrong};
use crate::formats::{FormatError, Lines};

/// What is expected, for messages.
const EXPECTED: &str = "a JSON object {…} for each document";

pub(super) struct JsonLines<'a> {
    lines: Lines<'a>,
    making: Making,
    begun: bool,
    array: Option<std::vec::IntoIter<(u64, String)>>,
    number: u64,
    done: bool,
}

impl<'a> JsonLines<'a> {
    pub(super) fn new(lines: Lines<'a>, making: Making) -> Self {
        JsonLines { lines, making, begun: false, array: None, number: 0, done: false }
    }

    fn wrong(&self, line: u64, problem: String) -> FormatError {
        FormatError::Json { file: self.lines.file().into(), line, expected: EXPECTED, problem }
    }

    /// Looks at the first byte, which tells an array or what is no JSON at all.
    fn begin(&mut self) -> Result<(), FormatError> {
        self.begun = true;
        match self.lines.peek()? {
            Some(b'[') => {
                let bytes = self.lines.rest()?;
                let items = texts(bytes).map_err(|(line, problem)| self.wrong(line, problem))?;
                self.array = Some(items.into_iter());
            }
            Some(b'{') | None => {}
            Some(_) => {
                while let Some(line) = self.lines.next()?.map(str::to_string) {
                    if !line.trim().is_empty() {
                        let problem = diagnosis(&line).to_string();
                        return Err(self.wrong(self.lines.line(), problem));
                    }
                }
            }
        }
        Ok(())
    }

    fn one(&self, text: &str, line: u64, number: u64) -> Result<Document, FormatError> {
        let fields = object(text, &self.making.exact(), 0).map_err(|problem| {
            let whole = self.array.is_none() && problem.starts_with("ends too early");
            let remedy =
                if whole { "; write each object on one line, as `jq -c .` does" } else { "; mend it" };
            self.wrong(line, wrong(&problem) + remedy)
        })?;
        if let Some(lost) = rounded(&fields, text) {
            self.making.seen().rounded(lost);
        }
        self.making.document(fields, Place { file: self.lines.file(), line, number })
    }
}

impl Iterator for JsonLines<'_> {
    type Item = Result<Document, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        if !self.begun
            && let Err(error) = self.begin()
        {
            self.done = true;
            return Some(Err(error));
        }
        if let Some(array) = &mut self.array {
            let (line, text) = array.next()?;
            self.number += 1;
            return Some(self.one(&text, line, self.number));
        }
        loop {
            let text = match self.lines.next() {
                Ok(None) => return None,
                Ok(Some(line)) if line.trim().is_empty() => continue,
                Ok(Some(line)) => line.to_string(),
                Err(error) => return Some(Err(error)),
            };
            let line = self.lines.line();
            return Some(self.one(&text, line, line));
        }
    }
}

/// Documents of JSON lines in memory.
pub fn parse_json_lines<'a>(
    bytes: &'a [u8],
    file: &str,
    options: &DocumentOptions,
) -> impl Iterator<Item = Result<Document, FormatError>> + 'a {
    JsonLines::new(Lines::of_bytes(bytes, file, options.line_limit), Making::new(options.clone()))
}
