//! Which fields the documents of a file have, and which of them are used.

use super::{DocumentOptions, FieldUse};
use crate::Metadata;
use crate::declaration::{nearest, suggestion};
use crate::document::names_field;
use crate::formats::FormatError;
use crate::formats::error::shown;
use crate::formats::fields::is_same_name;
use crate::formats::remarks::counted;
use indexmap::IndexMap;
use serde_json::Value;

/// Names that are kept at most: where names are made up by each document, remembering all would take the file's memory.
const MOST_NAMES: usize = 1000;

/// The fields of the documents that were read.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Names of the fields that became id, title and text.
    id: Option<String>,
    title: Option<String>,
    text: Option<String>,
    /// The other fields, and what was in them.
    others: IndexMap<String, Content>,
    /// Documents with a number of which digits are lost, and the first such number.
    rounded: u64,
    first_rounded: Option<(String, String)>,
    /// Fields that stand by themselves and, with another value, in the object `metadata`.
    hidden: Affected,
    /// Fields with numbers that JSON does not have.
    no_numbers: Affected,
}

/// How many documents something was done to, by field.
#[derive(Debug, Default)]
struct Affected(IndexMap<String, u64>);

/// Fields that are shown where many are affected.
const AFFECTED_SHOWN: usize = 5;

impl Affected {
    fn add(&mut self, field: &str) {
        if let Some(count) = self.0.get_mut(field) {
            *count += 1;
        } else if self.0.len() < MOST_NAMES {
            self.0.insert(field.to_string(), 1);
        }
    }

    /// The fields with their counts, if there are any.
    fn words(&self) -> Option<String> {
        let field =
            |(name, count): (&String, &u64)| format!("`{}` ({})", shown(name), counted(*count, "document"));
        let fields: Vec<String> = self.0.iter().take(AFFECTED_SHOWN).map(field).collect();
        let more = match self.0.len().saturating_sub(AFFECTED_SHOWN) {
            0 => String::new(),
            more => format!(" and {}", counted(more as u64, "more field")),
        };
        (!fields.is_empty()).then(|| format!("{}{more}", fields.join(", ")))
    }
}

/// What stands in a field, the most telling of its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Content {
    NoText,
    Word,
    Words,
}

impl Content {
    fn of(value: &Value) -> Content {
        match value {
            Value::String(text) if text.split_whitespace().filter(|word| is_word(word)).nth(1).is_some() => {
                Content::Words
            }
            Value::String(text) if text.split_whitespace().any(is_word) => Content::Word,
            _ => Content::NoText,
        }
    }
}

/// Dates and numbers are no words.
fn is_word(text: &str) -> bool {
    text.chars().filter(|c| c.is_alphabetic()).nth(1).is_some()
}

/// Whether a field is one of those that are searched.
fn is_asked(options: &DocumentOptions, name: &str) -> bool {
    options.fields.iter().any(|asked| names_field(asked, name))
}

impl Seen {
    /// Notes the names of a document's id, title and text.
    pub(super) fn taken(&mut self, id: Option<&str>, title: Option<&str>, text: Option<&str>) {
        for (place, name) in [(&mut self.id, id), (&mut self.title, title), (&mut self.text, text)] {
            if let (None, Some(name)) = (&place, name) {
                *place = Some(name.to_string());
            }
        }
    }

    /// Notes the other fields of a document.
    pub(super) fn others(&mut self, fields: &Metadata, options: &DocumentOptions) {
        for (name, value) in fields {
            if let Some(content) = self.others.get_mut(name) {
                if *content != Content::Words {
                    *content = Content::of(value).max(*content);
                }
            } else if self.others.len() < MOST_NAMES || is_asked(options, name) {
                self.others.insert(name.clone(), Content::of(value));
            }
        }
    }

    /// Notes a number of which digits are lost: its field and its digits.
    pub(super) fn rounded(&mut self, lost: (String, String)) {
        self.rounded += 1;
        self.first_rounded.get_or_insert(lost);
    }

    /// Notes a field of which only the value that stands by itself is kept, since the object `metadata` has another.
    pub(super) fn hidden(&mut self, field: &str) {
        self.hidden.add(field);
    }

    /// Notes a field with a number that JSON does not have.
    pub(super) fn no_number(&mut self, field: &str) {
        self.no_numbers.add(field);
    }

    /// The fields there are, for messages.
    pub(super) fn names(&self) -> String {
        let taken = [&self.id, &self.title, &self.text].into_iter().flatten();
        let names: Vec<String> = taken.chain(self.others.keys()).map(|name| format!("`{name}`")).collect();
        let shown = names.iter().take(30).cloned().collect::<Vec<_>>().join(", ");
        match names.len() {
            0 => "none".into(),
            1..=30 => shown,
            more => format!("{shown} and {} more", more - 30),
        }
    }

    /// The field that was probably meant by a name that none has.
    fn meant(&self, asked: &str) -> String {
        let taken = [&self.id, &self.title, &self.text].into_iter().flatten();
        suggestion(&nearest(asked, taken.chain(self.others.keys()).map(String::as_str)))
    }

    /// Refuses names of fields that no document has: nothing would ever be found in them.
    pub(super) fn check(&self, file: &str, options: &DocumentOptions) -> Result<(), FormatError> {
        let refused = |problem: String| Err(FormatError::File { file: file.into(), problem });
        for (flag, asked, seen) in [
            ("--id-field", &options.id_field, &self.id),
            ("--title-field", &options.title_field, &self.title),
            ("--text-field", &options.text_field, &self.text),
        ] {
            if let (Some(asked), None) = (asked, seen) {
                let (names, meant) = (self.names(), self.meant(asked));
                return refused(format!(
                    "no document has the field `{asked}` of {flag}{meant}; the fields are {names}"
                ));
            }
        }
        if options.field_use != FieldUse::SearchedAsAsked {
            return Ok(());
        }
        for name in &options.fields {
            let is = |place: &Option<String>| place.as_ref().is_some_and(|place| is_same_name(place, name));
            let role = if is(&self.title) { Some("title") } else { is(&self.text).then_some("text") };
            match (name.as_str(), role) {
                ("title" | "text", _) => {}
                _ if self.others.keys().any(|own| names_field(name, own)) => {}
                (_, Some(role)) => {
                    return refused(format!(
                        "the field `{name}` of --fields is read as the {role} of the documents; write `{role}` for it"
                    ));
                }
                _ => {
                    let (names, meant) = (self.names(), self.meant(name));
                    return refused(format!(
                        "no document has the field `{name}` of --fields{meant}; the fields are {names}"
                    ));
                }
            }
        }
        let there = |name: &String| match name.as_str() {
            "title" => self.title.is_some(),
            "text" => self.text.is_some(),
            _ => true,
        };
        if !options.fields.is_empty() && !options.fields.iter().any(there) {
            let (asked, names) = (options.fields.join(","), self.names());
            return refused(format!("no document has a field of --fields {asked}; the fields are {names}"));
        }
        Ok(())
    }

    /// Says which texts are kept and not used. Where no field is the text, a single word is one.
    pub(super) fn remark(&self, file: &str, options: &DocumentOptions) {
        if let Some((name, digits)) = &self.first_rounded {
            let documents = counted(self.rounded, "document");
            options.remarks.add(format!(
                "{file}: numbers of {documents} have more digits than are kept, such as `{}` in `{}`; write them as texts",
                shown(digits),
                shown(name)
            ));
        }
        if let Some(fields) = self.hidden.words() {
            options.remarks.add(format!(
                "{file}: stand by themselves and with another value in `metadata`: {fields}; that of `metadata` is left out, rename \
                 one of the two to keep both"
            ));
        }
        if let Some(fields) = self.no_numbers.words() {
            options.remarks.add(format!(
                "{file}: NaN and infinite numbers are kept as null, which no filter finds: {fields}"
            ));
        }
        let least = if self.text.is_some() { Content::Words } else { Content::Word };
        let unused = |name: &String, content: Content| content >= least && !is_asked(options, name);
        let mut names: Vec<&str> = self
            .others
            .iter()
            .filter(|(name, content)| unused(name, **content))
            .map(|(name, _)| name.as_str())
            .collect();
        let mut remedy = String::new();
        match options.field_use {
            FieldUse::Any => return,
            FieldUse::Searched | FieldUse::SearchedAsAsked => {
                for (name, seen) in [("title", &self.title), ("text", &self.text)] {
                    if seen.is_some() && !options.fields.iter().any(|field| field == name) {
                        names.push(name);
                    }
                }
                remedy = if options.field_use == FieldUse::Searched {
                    format!("the index searches {}", options.fields.join(", "))
                } else {
                    let all =
                        [&options.fields.iter().map(String::as_str).collect::<Vec<_>>()[..], &names].concat();
                    format!("`--fields {}` searches all", all.join(","))
                };
            }
            FieldUse::Read => {
                remedy.push_str("models read the title and the text (--title-field, --text-field)");
            }
        }
        let shown: Vec<String> = names.iter().take(10).map(|name| format!("`{name}`")).collect();
        let more = if names.len() > 10 { format!(" and {} more", names.len() - 10) } else { String::new() };
        let verb = if options.field_use == FieldUse::Read { "read" } else { "searched" };
        if !names.is_empty() {
            let shown = shown.join(", ");
            options.remarks.add(format!("{file}: the texts of {shown}{more} are not {verb}; {remedy}"));
        }
    }
}
