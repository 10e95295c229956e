//! What the inverted index knows of the metadata of a document: a term for each value of each field.
//!
//! A term is a letter for what it is, the path of the field, and for values a NUL and the value:
//! `e` the field has a value · `l` it has a list · `s` a text · `n` a number · `b` true or false · `t` a text that is too
//! long to be compared, without it. Objects in objects are paths with dots; the values of a list are values of the field.

use super::FieldType;
use super::fields::given_to;
use super::number::Number;
use super::value::{Stored, truth};
use crate::SearchError;
use plackett_core::{Document, Metadata};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of the longest text that can be compared.
pub(super) const LONGEST_VALUE: usize = 512;
/// Bytes of the longest path of a field.
const LONGEST_NAME: usize = 1000;

/// Between path and value.
const END: char = '\0';

/// What a term says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Exists,
    List,
    Text,
    Number,
    Boolean,
    LongText,
}

impl Kind {
    /// Kinds of terms that have values.
    pub(super) const VALUES: [Kind; 3] = [Kind::Text, Kind::Number, Kind::Boolean];

    fn letter(self) -> char {
        match self {
            Kind::Exists => 'e',
            Kind::List => 'l',
            Kind::Text => 's',
            Kind::Number => 'n',
            Kind::Boolean => 'b',
            Kind::LongText => 't',
        }
    }

    /// The term of a field that has no value.
    pub(super) fn of_field(self, path: &str) -> String {
        format!("{}{path}", self.letter())
    }

    /// The term of a value of a field.
    pub(super) fn of_value(self, path: &str, value: &str) -> String {
        format!("{}{path}{END}{value}", self.letter())
    }

    /// The first term of the values of a field, and the first behind them.
    pub(super) fn range(self, path: &str) -> (String, String) {
        (self.of_value(path, ""), format!("{}{path}\u{1}", self.letter()))
    }

    /// The first term of all of its kind, and the first behind them.
    pub(super) fn all(self) -> (String, String) {
        let behind = char::from_u32(self.letter() as u32 + 1).unwrap_or(char::MAX);
        (self.letter().into(), behind.into())
    }

    /// What a term of this kind, without its first letter and path, stands for.
    pub(super) fn stored(self, value: &str) -> Option<Stored<'_>> {
        match self {
            Kind::Text => Some(Stored::Text(value)),
            Kind::Number => Number::read(value).map(Stored::Number),
            Kind::Boolean => truth(value).map(Stored::Boolean),
            Kind::LongText => Some(Stored::LongText),
            Kind::Exists | Kind::List => None,
        }
    }
}

/// The terms of a document, each once. `given` says what the values of some fields must be.
///
/// # Errors
/// A path that is too long, or a value that is not what was said of its field.
pub(crate) fn terms(
    document: &Document,
    given: &BTreeMap<String, FieldType>,
) -> Result<Vec<String>, SearchError> {
    let mut terms = Terms { given, terms: BTreeSet::new() };
    let read = terms.object("", &document.metadata, false);
    read.map_err(|problem| SearchError::Argument(format!("document `{}`: {problem}", document.id)))?;
    Ok(terms.terms.into_iter().collect())
}

struct Terms<'a> {
    given: &'a BTreeMap<String, FieldType>,
    terms: BTreeSet<String>,
}

impl Terms<'_> {
    fn object(&mut self, path: &str, fields: &Metadata, in_list: bool) -> Result<(), String> {
        for (name, value) in fields {
            // The sign between path and value is in no path.
            let name = name.replace(END, "\u{fffd}");
            let path = if path.is_empty() { name } else { format!("{path}.{name}") };
            if path.len() > LONGEST_NAME {
                let start: String = path.chars().take(40).collect();
                let length = path.len();
                return Err(format!(
                    "the field `{start}…` has a name of {length} bytes; at most {LONGEST_NAME} can be filtered by"
                ));
            }
            self.value(&path, value, in_list)?;
        }
        Ok(())
    }

    fn value(&mut self, path: &str, value: &Value, in_list: bool) -> Result<(), String> {
        let scalar = match value {
            Value::Null => return Ok(()),
            Value::Object(fields) => return self.object(path, fields, in_list),
            Value::Array(items) => return items.iter().try_for_each(|item| self.value(path, item, true)),
            Value::Bool(value) => Stored::Boolean(*value),
            Value::Number(number) => match Number::of_json(number) {
                Some(number) => Stored::Number(number),
                None => return Ok(()),
            },
            Value::String(text) if text.len() > LONGEST_VALUE => Stored::LongText,
            Value::String(text) => Stored::Text(text),
        };
        if self.scalar(path, scalar)? && in_list {
            self.terms.insert(Kind::List.of_field(path));
        }
        Ok(())
    }

    /// Takes a value, and says whether it is one.
    fn scalar(&mut self, path: &str, value: Stored<'_>) -> Result<bool, String> {
        let given = given_to(self.given, path);
        let shown = |value: Stored<'_>| match value {
            Stored::Text(text) => format!("the text `{}`", text.chars().take(60).collect::<String>()),
            Stored::LongText => format!("a text of more than {LONGEST_VALUE} bytes"),
            Stored::Number(number) => format!("the number {number}"),
            Stored::Boolean(value) => value.to_string(),
        };
        // The empty cell of a table is no value.
        if value == Stored::Text("") {
            return Ok(false);
        }
        // A number can be the name of something: then its digits are a text.
        let name = match (given, value) {
            (Some(FieldType::Keyword), Stored::Number(number)) => Some(number.to_string()),
            (Some(FieldType::Keyword), Stored::Boolean(value)) => Some(value.to_string()),
            _ => None,
        };
        let value = name.as_deref().map_or(value, Stored::Text);
        if let Some(kind) = given.filter(|kind| !value.can_be(*kind)) {
            return Err(format!(
                "the field `{path}` has {}, and --field-types says {kind}; mend the document, or leave the type out",
                shown(value)
            ));
        }
        self.terms.insert(Kind::Exists.of_field(path));
        self.terms.insert(match (given, value) {
            (Some(FieldType::Text), _) | (_, Stored::LongText) => Kind::LongText.of_field(path),
            (Some(FieldType::Number), Stored::Text(text)) => match Number::read(text) {
                Some(number) => Kind::Number.of_value(path, &number.to_string()),
                None => Kind::Text.of_value(path, text),
            },
            (Some(FieldType::Boolean), Stored::Text(text)) => {
                Kind::Boolean.of_value(path, &text.to_ascii_lowercase())
            }
            (_, Stored::Text(text)) => Kind::Text.of_value(path, text),
            (_, Stored::Number(number)) => Kind::Number.of_value(path, &number.to_string()),
            (_, Stored::Boolean(value)) => Kind::Boolean.of_value(path, &value.to_string()),
        });
        Ok(true)
    }
}
