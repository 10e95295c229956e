//! Values of filters, and how the values of documents compare with them.

use super::date::Date;
use super::number::Number;
use super::{Comparison, FieldType};
use std::cmp::Ordering;
use std::fmt;

/// A value that a filter compares with.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number.
    Number(Number),
    /// `true` or `false`.
    Boolean(bool),
    /// An ISO date, with or without a time; [`Value::text`] makes one of a text that is such.
    Date(IsoDate),
}

/// An ISO date as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsoDate {
    pub(super) text: String,
    pub(super) date: Date,
}

impl Value {
    /// A text, or the date that it is.
    pub fn text(text: impl Into<String>) -> Value {
        let text = text.into();
        match Date::read(&text) {
            Some(date) => Value::Date(IsoDate { text, date }),
            None => Value::Text(text),
        }
    }

    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "a text",
            Value::Number(_) => "a number",
            Value::Boolean(_) => "true or false",
            Value::Date(_) => "a date",
        }
    }

    /// Types of fields that it compares with.
    pub(super) fn fits(&self) -> &'static str {
        match self {
            Value::Text(_) => "texts",
            Value::Number(_) => "numbers",
            Value::Boolean(_) => "true and false",
            Value::Date(_) => "dates",
        }
    }

    /// Whether a value of a document compares with this one as asked; `None` where the two do not compare.
    pub(super) fn is_met(&self, comparison: Comparison, stored: Stored<'_>) -> Option<bool> {
        let order = self.order(stored, comparison.is_order())?;
        Some(match comparison {
            Comparison::Equal | Comparison::NotEqual => order == Some(Ordering::Equal),
            Comparison::Less => order == Some(Ordering::Less),
            Comparison::AtMost => order.is_some_and(Ordering::is_le),
            Comparison::Greater => order == Some(Ordering::Greater),
            Comparison::AtLeast => order.is_some_and(Ordering::is_ge),
        })
    }

    /// How a value of a document stands to this one: `None` where the two do not compare, `Some(None)` where they are
    /// different and neither comes first.
    fn order(&self, stored: Stored<'_>, by_order: bool) -> Option<Option<Ordering>> {
        let same = |same: bool| same.then_some(Ordering::Equal);
        match (self, stored) {
            (Value::Text(_), Stored::Text(_) | Stored::LongText) if by_order => None,
            (Value::Text(own), Stored::Text(text)) => Some(same(own == text)),
            (Value::Text(_), Stored::LongText) => Some(None),
            (Value::Number(own), Stored::Number(number)) => Some(Some(number.compare(*own))),
            // Tables have no numbers of their own: a text that is one counts as such.
            (Value::Number(own), Stored::Text(text)) => {
                Number::read(text).map(|number| Some(number.compare(*own)))
            }
            (Value::Boolean(_), _) if by_order => None,
            (Value::Boolean(own), Stored::Boolean(value)) => Some(same(*own == value)),
            (Value::Boolean(own), Stored::Text(text)) => truth(text).map(|value| same(*own == value)),
            (Value::Date(own), Stored::Text(text)) => match Date::read(text) {
                Some(date) => Some(Some(date.compare(own.date))),
                None => (!by_order).then_some(None),
            },
            (Value::Date(_), Stored::LongText) => (!by_order).then_some(None),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) | Value::Date(IsoDate { text, .. }) => {
                f.write_str(&super::parse::quoted_text(text))
            }
            Value::Number(number) => write!(f, "{number}"),
            Value::Boolean(value) => write!(f, "{value}"),
        }
    }
}

/// `true` or `false` as a text.
pub(super) fn truth(text: &str) -> Option<bool> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    if is("true") { Some(true) } else { is("false").then_some(false) }
}

/// A value of a document.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stored<'a> {
    Text(&'a str),
    /// A text that is too long to be compared: it is another one than any of a filter.
    LongText,
    Number(Number),
    Boolean(bool),
}

impl Stored<'_> {
    /// Whether it can be taken for a value of a type.
    pub(super) fn can_be(self, kind: FieldType) -> bool {
        match (kind, self) {
            (FieldType::Keyword, Stored::Text(_)) => true,
            (FieldType::Text, Stored::Text(_) | Stored::LongText) => true,
            (FieldType::Number, Stored::Number(_)) | (FieldType::Boolean, Stored::Boolean(_)) => true,
            (FieldType::Number, Stored::Text(text)) => Number::read(text).is_some(),
            (FieldType::Boolean, Stored::Text(text)) => truth(text).is_some(),
            (FieldType::Date, Stored::Text(text)) => Date::read(text).is_some(),
            _ => false,
        }
    }
}
