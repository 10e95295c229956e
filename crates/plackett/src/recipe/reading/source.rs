//! The text of a recipe and places in it.

use crate::recipe::error::{Problem, RecipeError};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A recipe's text and the name of its file.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file's name for messages.
    pub file: String,
    /// Where it lies; `None` for recipes that are inside the program.
    pub path: Option<PathBuf>,
    /// What is in it.
    pub text: String,
}

/// A place in a recipe's file. Lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file's name.
    pub file: String,
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
    /// How many characters of the line are meant.
    pub width: usize,
    /// The line's text.
    pub text: String,
}

impl Source {
    /// A text that lies in no file.
    pub fn of_text(file: impl Into<String>, text: impl Into<String>) -> Source {
        Source { file: file.into(), path: None, text: text.into() }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or is no text.
    pub fn read(path: &Path) -> Result<Source, RecipeError> {
        let text = plackett_core::formats::read_text(path)?;
        Ok(Source { file: path.display().to_string(), path: Some(path.to_path_buf()), text })
    }

    /// Where it comes from, for people.
    pub fn origin(&self) -> String {
        if self.path.is_some() { format!("from {}", self.file) } else { "built in".into() }
    }

    /// The folder in which the recipe lies.
    pub fn folder(&self) -> Option<&Path> {
        self.path.as_deref().and_then(Path::parent)
    }

    /// Where a stretch of bytes stands.
    pub fn place(&self, span: Range<usize>) -> Place {
        let start = floor(&self.text, span.start);
        let before = &self.text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let rest = &self.text[line_start..];
        let text = rest.lines().next().unwrap_or_default().to_string();
        let column = before[line_start..].chars().count() + 1;
        let end = floor(&self.text, span.end.max(start));
        let meant = self.text[start..end].lines().next().unwrap_or_default().chars().count();
        let line = before.matches('\n').count() + 1;
        Place { file: self.file.clone(), line, column, width: meant.max(1), text }
    }

    /// An error at a stretch of bytes.
    pub fn at(&self, span: Range<usize>, problem: Problem) -> RecipeError {
        RecipeError::At { place: Box::new(self.place(span)), problem }
    }
}

/// The nearest border of a character at or before a byte.
fn floor(text: &str, byte: usize) -> usize {
    (0..=byte.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

impl Place {
    /// The line with what is meant underlined.
    pub fn caret(&self) -> String {
        let shown: String = self.text.chars().map(|c| if c == '\t' { ' ' } else { c }).collect();
        let gap = " ".repeat(self.column.saturating_sub(1));
        format!("  {shown}\n  {gap}{}", "^".repeat(self.width))
    }

    /// The place some characters further on, for a place inside a text.
    pub fn shifted(&self, characters: usize) -> Place {
        Place { column: self.column + characters, width: 1, ..self.clone() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}", self.file, self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_line_and_a_column_in_characters() {
        let source = Source::of_text("r.toml", "a = 1\nü = \"xyz\"\n");
        let place = source.place(11..16);
        assert_eq!((place.line, place.column, place.width), (2, 5, 5));
        assert_eq!(place.caret(), "  ü = \"xyz\"\n      ^^^^^");
        assert_eq!(place.to_string(), "r.toml, line 2");
    }

    #[test]
    fn bytes_beyond_the_end_or_inside_a_character_have_a_place_too() {
        let source = Source::of_text("r.toml", "ü");
        assert_eq!(source.place(1..99).column, 1);
        assert_eq!(source.place(50..60).line, 1);
        assert_eq!(Source::of_text("r", "").place(0..0).width, 1);
    }
}
