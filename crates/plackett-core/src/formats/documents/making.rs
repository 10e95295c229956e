//! One document from the named fields of a line or row, in every format that names fields.

use super::DocumentOptions;
use super::seen::Seen;
use crate::formats::FormatError;
use crate::formats::fields::{ID, TEXT, as_text, is_same_name};
use crate::{Document, Metadata};
use serde_json::Value;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where a document stands.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// The file's name in messages.
    pub file: &'a str,
    /// The line in it, from 1, for messages.
    pub line: u64,
    /// The number of the line, of the row or of the item of an array, from 1, for documents without id.
    pub number: u64,
}

/// How to read, and what was seen so far. The readers of all formats make their documents with it; clones share what
/// was seen.
#[derive(Clone)]
pub(super) struct Making {
    pub options: DocumentOptions,
    seen: Arc<Mutex<Seen>>,
}

impl Making {
    pub(super) fn new(options: DocumentOptions) -> Making {
        Making { options, seen: Arc::default() }
    }

    /// What was seen.
    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names of the fields whose digits and texts count as they stand.
    pub(super) fn exact(&self) -> Vec<&str> {
        let options = &self.options;
        let asked = [&options.id_field, &options.title_field, &options.text_field];
        let asked = asked.into_iter().flatten().map(String::as_str);
        asked.chain(ID).chain(TEXT).chain(["title"]).collect()
    }

    /// A document that a file gave as a whole.
    pub(super) fn whole(&self, mut document: Document) -> Document {
        let title = (!document.title.is_empty()).then_some("title");
        self.seen().taken(None, title, Some("text"));
        self.as_asked(&mut document.metadata);
        document
    }

    /// Gives the metadata the names that are asked for, and notes them.
    fn as_asked(&self, metadata: &mut Metadata) {
        for asked in self.options.fields.iter().filter(|asked| !asked.is_ascii()) {
            named_as_asked(metadata, asked);
        }
        self.seen().others(metadata, &self.options);
    }

    /// The fields that are no part of the document, with those of BEIR's own object `metadata`, which is the metadata and not a
    /// field of it. A column of a table that is called `metadata.year` is its field `year`. What stands by itself is kept
    /// where both have a name.
    fn merged(&self, mut fields: Metadata) -> Metadata {
        let mut inner = match fields.shift_remove("metadata") {
            Some(Value::Object(inner)) => inner,
            Some(other) => {
                fields.insert("metadata".into(), other);
                Metadata::new()
            }
            None => Metadata::new(),
        };
        let mut hidden = Vec::new();
        let prefixed: Vec<String> =
            fields.keys().filter(|name| inner_name(name).is_some()).cloned().collect();
        for name in prefixed {
            let (Some(own), Some(value)) =
                (inner_name(&name).map(str::to_string), fields.shift_remove(&name))
            else {
                continue;
            };
            if inner.get(&own).is_some_and(|other| *other != value) {
                hidden.push(own.clone());
            }
            inner.insert(own, value);
        }
        if inner.is_empty() {
            return fields;
        }
        let other = |name: &String, value: &Value| inner.get(name).is_some_and(|own| own != value);
        hidden.extend(fields.iter().filter(|(name, value)| other(name, value)).map(|(name, _)| name.clone()));
        let mut seen = self.seen();
        hidden.iter().for_each(|name| seen.hidden(name));
        drop(seen);
        inner.extend(fields);
        inner
    }

    /// A document; what is not id, title or text becomes metadata.
    pub(super) fn document(&self, mut fields: Metadata, at: Place<'_>) -> Result<Document, FormatError> {
        let options = &self.options;
        let names = Names::of(&fields, options);
        self.seen().taken(names.id.as_deref(), names.title.as_deref(), names.text.as_deref());
        let id = taken(&mut fields, &names.id, at, &ID_PART)?.filter(|id| !id.is_empty()).or_else(|| {
            let number = options.first_number.saturating_sub(1).saturating_add(at.number);
            options.number_missing_ids.then(|| number.to_string())
        });
        let Some(id) = id else {
            return Err(match &names.id {
                Some(name) => FormatError::Missing {
                    file: at.file.into(),
                    line: at.line,
                    field: format!("id in `{name}`, which is empty"),
                    remedy: "give every document an id, or let --number-missing-ids number those without",
                },
                None => names.missing("id", &options.id_field, &ID, &fields, at),
            });
        };
        let title = taken(&mut fields, &names.title, at, &TITLE_PART)?.unwrap_or_default();
        let text = taken(&mut fields, &names.text, at, &TEXT_PART)?;
        if names.text.is_none() && title.is_empty() {
            return Err(names.missing("text", &options.text_field, &TEXT, &fields, at));
        }
        let mut metadata = self.merged(fields);
        self.as_asked(&mut metadata);
        Ok(Document { id, title, text: text.unwrap_or_default(), metadata, ..Document::default() })
    }
}

/// The name of a field in the object `metadata` of which a column's name is the whole path.
fn inner_name(name: &str) -> Option<&str> {
    name.strip_prefix("metadata.").filter(|inner| !inner.is_empty())
}

/// Gives a field that looks the same as one that is asked for the name of that one, in its place.
fn named_as_asked(fields: &mut Metadata, asked: &str) {
    if !fields.contains_key(asked) && fields.keys().any(|name| is_same_name(name, asked)) {
        let name = |name: String| if is_same_name(&name, asked) { asked.to_string() } else { name };
        *fields = std::mem::take(fields).into_iter().map(|(field, value)| (name(field), value)).collect();
    }
}

/// What a part of a document must be, and what to do when it is not.
type Part = (&'static str, &'static str);
const ID_PART: Part = ("id that is a string or a number", "write the id as a string");
const TITLE_PART: Part =
    ("title that is a string", "write the title as a string, or name another field with --title-field");
const TEXT_PART: Part =
    ("text that is a string", "write the text as a string, or name another field with --text-field");

/// Takes a field out; `null` is none.
fn taken(
    fields: &mut Metadata,
    name: &Option<String>,
    at: Place<'_>,
    (what, remedy): &Part,
) -> Result<Option<String>, FormatError> {
    let Some(name) = name else { return Ok(None) };
    match take_at(fields, name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => as_text(&value).map(Some).ok_or_else(|| FormatError::Missing {
            file: at.file.into(),
            line: at.line,
            field: format!("{what} in `{name}`"),
            remedy,
        }),
    }
}

/// Takes the value of a path out: `body.text` is the field of that name, or `text` in the object `body`. An object that is
/// empty then goes too.
fn take_at(fields: &mut Metadata, path: &str) -> Option<Value> {
    if let Some(value) = fields.shift_remove(path) {
        return Some(value);
    }
    let (outer, inner) = path.split_once('.')?;
    let Value::Object(object) = fields.get_mut(outer)? else { return None };
    let value = take_at(object, inner)?;
    if object.is_empty() {
        fields.shift_remove(outer);
    }
    Some(value)
}

/// Whether there is a value at a path.
fn has_at(fields: &Metadata, path: &str) -> bool {
    let inside = || {
        let (outer, inner) = path.split_once('.')?;
        Some(has_at(fields.get(outer)?.as_object()?, inner))
    };
    fields.contains_key(path) || inside() == Some(true)
}

/// The fields that become id, title and text.
struct Names {
    id: Option<String>,
    title: Option<String>,
    text: Option<String>,
}

impl Names {
    fn of(fields: &Metadata, options: &DocumentOptions) -> Names {
        let chosen = |asked: &Option<String>, known: &[&str]| match asked {
            Some(name) => {
                let same = || fields.keys().find(|field| is_same_name(field, name));
                let whole = fields.get_key_value(name).map(|(field, _)| field).or_else(same).cloned();
                whole.or_else(|| has_at(fields, name).then(|| name.clone()))
            }
            None => known.iter().find(|name| fields.contains_key(**name)).map(|name| name.to_string()),
        };
        Names {
            id: chosen(&options.id_field, &ID),
            title: chosen(&options.title_field, &["title"]),
            text: chosen(&options.text_field, &TEXT),
        }
    }

    /// The error of a document without a part, with the fields that it has: those taken before and those left.
    fn missing(
        &self,
        what: &str,
        asked: &Option<String>,
        known: &[&str],
        left: &Metadata,
        at: Place<'_>,
    ) -> FormatError {
        let looked = asked.clone().unwrap_or_else(|| known.join(", "));
        let before = [&self.id, &self.title].into_iter().flatten().filter(|name| !left.contains_key(*name));
        let there: Vec<String> = before.chain(left.keys()).take(30).map(|name| format!("`{name}`")).collect();
        let there = if there.is_empty() { "none".into() } else { there.join(", ") };
        let remedy = match what {
            "id" => "--id-field NAME names the field of the id, --number-missing-ids numbers such documents",
            _ => "--text-field NAME names the field of the text",
        };
        let field = format!("{what} (looked for {looked}; the fields are {there})");
        FormatError::Missing { file: at.file.into(), line: at.line, field, remedy }
    }
}
