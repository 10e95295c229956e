//! Reading filters. The grammar stands at the head of the module.

use super::date::Date;
use super::number::Number;
use super::terms::LONGEST_VALUE;
use super::value::truth;
use super::{Comparison, Filter, Value};
use plackett_core::pipeline::ParseError;
use std::str::FromStr;

/// How deep parts may stand inside each other.
const NESTING: usize = 64;
/// What can stand for a value.
const A_VALUE: &str = "a text in quotes, a number, a date such as 2024-05-01, true or false";
/// Words that are no fields unless they stand in backticks.
const WORDS: [&str; 5] = ["and", "or", "not", "in", "exists"];

impl FromStr for Filter {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Filter, ParseError> {
        let mut parser = Parser { text, at: 0 };
        let filter = parser.any(0)?;
        parser.blanks();
        match parser.peek() {
            None => Ok(filter),
            Some(_) => Err(parser.error("`and`, `or` or the end")),
        }
    }
}

/// A field as it stands in a filter.
pub(super) fn quoted_field(field: &str) -> String {
    let bare = field.starts_with(begins_name) && field.chars().all(is_name) && !is_word(field);
    if bare { field.into() } else { format!("`{}`", field.replace('\\', "\\\\").replace('`', "\\`")) }
}

/// A text as it stands in a filter.
pub(super) fn quoted_text(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn begins_name(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '_' | '@' | '$')
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/' | '@' | '$')
}

fn is_word(text: &str) -> bool {
    WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn error(&self, expected: &str) -> ParseError {
        let found = match self.peek() {
            None => "the end".to_string(),
            Some(c) if is_name(c) => {
                let word: String = self.rest().chars().take_while(|c| is_name(*c)).take(40).collect();
                format!("`{word}`")
            }
            Some(c @ ('"' | '\'' | '\\')) => format!("`{c}`"),
            Some(c) => format!("`{}`", c.escape_default()),
        };
        let column = self.text.get(..self.at).unwrap_or_default().chars().count() + 1;
        ParseError { expression: self.text.to_string(), column, expected: expected.to_string(), found }
    }

    /// Takes a sign.
    fn take(&mut self, sign: &str) -> bool {
        self.blanks();
        let there = self.rest().starts_with(sign);
        self.at += if there { sign.len() } else { 0 };
        there
    }

    /// The word that stands next, which is not taken.
    fn word(&mut self) -> &'a str {
        self.blanks();
        let rest = self.rest();
        rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len())).0
    }

    /// Takes a word of the grammar.
    fn take_word(&mut self, word: &str) -> bool {
        let there = self.word().eq_ignore_ascii_case(word);
        self.at += if there { word.len() } else { 0 };
        there
    }

    fn any(&mut self, nesting: usize) -> Result<Filter, ParseError> {
        let mut parts = vec![self.all(nesting)?];
        while self.take_word("or") {
            parts.push(self.all(nesting)?);
        }
        Ok(single(parts, Filter::Any))
    }

    fn all(&mut self, nesting: usize) -> Result<Filter, ParseError> {
        let mut parts = vec![self.part(nesting)?];
        while self.take_word("and") {
            parts.push(self.part(nesting)?);
        }
        Ok(single(parts, Filter::All))
    }

    fn part(&mut self, nesting: usize) -> Result<Filter, ParseError> {
        if nesting > NESTING {
            return Err(self.error("at most 64 parts inside each other"));
        }
        if self.take_word("not") {
            return Ok(Filter::Not(Box::new(self.part(nesting + 1)?)));
        }
        if self.take("(") {
            let inner = self.any(nesting + 1)?;
            return if self.take(")") { Ok(inner) } else { Err(self.error("`and`, `or` or `)`")) };
        }
        if self.take_word("exists") {
            return self.exists();
        }
        self.comparison()
    }

    fn exists(&mut self) -> Result<Filter, ParseError> {
        if !self.take("(") {
            return Err(self.error("`(` and a field, as in exists(year)"));
        }
        let field = self.field()?;
        if self.take(")") { Ok(Filter::Exists(field)) } else { Err(self.error("`)`")) }
    }

    fn comparison(&mut self) -> Result<Filter, ParseError> {
        let field = self.field()?;
        let start = self.at;
        if self.take_word("not") {
            if !self.take_word("in") {
                return Err(self.error("`in` behind `not`"));
            }
            return Ok(Filter::Not(Box::new(Filter::In { field, values: self.list()? })));
        }
        if self.take_word("in") {
            return Ok(Filter::In { field, values: self.list()? });
        }
        self.at = start;
        let Some(comparison) = self.operator() else {
            return Err(self.error("`=`, `!=`, `<`, `<=`, `>`, `>=`, `in` or `not in`"));
        };
        self.blanks();
        let place = self.at;
        let value = self.value()?;
        if comparison.is_order() && matches!(value, Value::Text(_) | Value::Boolean(_)) {
            self.at = place;
            return Err(self.error(&format!("a number or a date behind `{comparison}`")));
        }
        Ok(Filter::Compare { field, comparison, value })
    }

    fn operator(&mut self) -> Option<Comparison> {
        use Comparison::{AtLeast, AtMost, Equal, Greater, Less, NotEqual};
        // The longer sign before the one that it begins with.
        [NotEqual, AtMost, AtLeast, Equal, Less, Greater]
            .into_iter()
            .find(|sign| self.take(&sign.to_string()))
    }

    fn list(&mut self) -> Result<Vec<Value>, ParseError> {
        if !self.take("(") {
            return Err(self.error("`(` and the values"));
        }
        let mut values = vec![self.value()?];
        loop {
            if self.take(")") {
                return Ok(values);
            }
            if !self.take(",") {
                return Err(self.error("`,` or `)`"));
            }
            values.push(self.value()?);
        }
    }

    fn field(&mut self) -> Result<String, ParseError> {
        if self.take("`") {
            let field = self.quoted('`')?;
            return if field.is_empty() {
                Err(self.error("a name between the backticks"))
            } else {
                Ok(field)
            };
        }
        let word = self.word();
        if !word.starts_with(begins_name) || is_word(word) {
            return Err(self.error("the name of a field (one of other signs stands in `backticks`)"));
        }
        self.at += word.len();
        Ok(word.to_string())
    }

    fn value(&mut self) -> Result<Value, ParseError> {
        for quote in ['"', '\''] {
            self.blanks();
            let start = self.at;
            if self.take(&quote.to_string()) {
                let text = self.quoted(quote)?;
                let expected = match text.len() {
                    0 => {
                        "a text that is not empty (`not exists(field)` asks for documents without one)".into()
                    }
                    1..=LONGEST_VALUE => return Ok(Value::text(text)),
                    _ => format!("a text of at most {LONGEST_VALUE} bytes"),
                };
                self.at = start;
                return Err(self.error(&expected));
            }
        }
        self.blanks();
        let rest = self.rest();
        let end = rest.find(|c: char| !(is_name(c) || c == '+')).unwrap_or(rest.len());
        let word = rest.get(..end).unwrap_or_default();
        let value = truth(word)
            .map(Value::Boolean)
            .or_else(|| Number::read(word).map(Value::Number))
            .or_else(|| Date::read(word).map(|_| Value::text(word)));
        let Some(value) = value else {
            return Err(match word.eq_ignore_ascii_case("null") {
                true => self.error("a value (`not exists(field)` asks for documents without one)"),
                false => self.error(A_VALUE),
            });
        };
        self.at += end;
        Ok(value)
    }

    /// The text up to a quote, which is taken too.
    fn quoted(&mut self, quote: char) -> Result<String, ParseError> {
        let mut text = String::new();
        loop {
            let Some(sign) = self.peek() else {
                return Err(self.error(&format!("`{quote}` behind the text")));
            };
            self.at += sign.len_utf8();
            match sign {
                '\\' => match self.peek() {
                    Some(escaped @ ('"' | '\'' | '`' | '\\')) => {
                        text.push(escaped);
                        self.at += 1;
                    }
                    _ => return Err(self.error("a quote or `\\` behind `\\`")),
                },
                sign if sign == quote => return Ok(text),
                other => text.push(other),
            }
        }
    }
}

/// A part alone, or several joined.
fn single(mut parts: Vec<Filter>, join: fn(Vec<Filter>) -> Filter) -> Filter {
    if parts.len() == 1 { parts.swap_remove(0) } else { join(parts) }
}
