//! Which fields the documents of an index have, and of what types: found in the index, not declared.

use super::allowed::{count_within, each_term, living};
use super::terms::Kind;
use super::value::Stored;
use crate::snapshot::Snapshot;
use plackett_core::names_field;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Error;
use std::str::FromStr;

/// What the values of a field are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FieldType {
    /// Texts of which some are too long to be compared.
    Text,
    /// Texts that are compared as wholes.
    Keyword,
    /// Numbers, and texts that are such.
    Number,
    /// ISO dates, with or without times.
    Date,
    /// `true` and `false`.
    Boolean,
}

impl FieldType {
    /// All types.
    pub const ALL: [FieldType; 5] =
        [FieldType::Text, FieldType::Keyword, FieldType::Number, FieldType::Date, FieldType::Boolean];
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FieldType::Text => "text",
            FieldType::Keyword => "keyword",
            FieldType::Number => "number",
            FieldType::Date => "date",
            FieldType::Boolean => "boolean",
        })
    }
}

impl FromStr for FieldType {
    type Err = String;

    fn from_str(name: &str) -> Result<FieldType, String> {
        let known = || FieldType::ALL.map(|kind| kind.to_string()).join(", ");
        let found = FieldType::ALL.into_iter().find(|kind| kind.to_string() == name);
        found.ok_or_else(|| format!("`{name}` is no type of a field; use one of {}", known()))
    }
}

/// The type that was given to a field, by its path or, as in filters, by `metadata.` and its path.
pub(super) fn given_to(given: &BTreeMap<String, FieldType>, path: &str) -> Option<FieldType> {
    let named = || given.iter().find(|(name, _)| names_field(name, path)).map(|(_, kind)| kind);
    given.get(path).or_else(named).copied()
}

/// A field of the documents of an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// Its path: objects in objects have dots between their names.
    pub name: String,
    /// Several where documents disagree.
    pub types: BTreeSet<FieldType>,
    /// Whether some document has a list there.
    pub list: bool,
    /// Documents that have a value.
    pub documents: usize,
}

impl Field {
    /// Its types in words: `number`, `list of keyword or number`.
    pub fn types(&self) -> String {
        let types: Vec<String> = self.types.iter().map(ToString::to_string).collect();
        format!("{}{}", if self.list { "list of " } else { "" }, types.join(" or "))
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.types())
    }
}

/// What was seen of a field so far.
struct Seen {
    field: Field,
    /// What all texts could be, as long as there is none that is something else; `None` before the first text.
    texts: Option<BTreeSet<FieldType>>,
}

/// The fields that living documents have, by name; `given` has the types of some.
pub(super) fn of(snapshot: &Snapshot, given: &BTreeMap<String, FieldType>) -> Result<Vec<Field>, Error> {
    let mut all = named(snapshot)?;
    for (name, seen) in &mut all {
        look(snapshot, name, seen)?;
    }
    let mut fields: Vec<Field> = all.into_values().map(Seen::end).collect();
    for field in &mut fields {
        if let Some(kind) = given_to(given, &field.name) {
            field.types = BTreeSet::from([kind]);
        }
    }
    Ok(fields)
}

/// The fields by name, with their numbers of documents.
fn named(snapshot: &Snapshot) -> Result<BTreeMap<String, Seen>, Error> {
    let mut all = BTreeMap::new();
    for (segment, living) in snapshot.segments.iter().zip(living(snapshot)) {
        let Some(reader) = segment.metadata.as_deref() else { continue };
        each_term(reader, &Kind::Exists.all(), |name, info| {
            let documents = count_within(reader, info, &living)?;
            if documents > 0 {
                let new = || Seen {
                    field: Field { name: name.into(), types: BTreeSet::new(), list: false, documents: 0 },
                    texts: None,
                };
                all.entry(name.to_string()).or_insert_with(new).field.documents += documents;
            }
            Ok(true)
        })?;
    }
    Ok(all)
}

/// Finds the types of a field.
fn look(snapshot: &Snapshot, name: &str, seen: &mut Seen) -> Result<(), Error> {
    for reader in snapshot.segments.iter().filter_map(|segment| segment.metadata.as_deref()) {
        seen.field.list |= reader.terms().get(Kind::List.of_field(name))?.is_some();
        if reader.terms().get(Kind::LongText.of_field(name))?.is_some() {
            seen.field.types.insert(FieldType::Text);
        }
        for (kind, own) in [(Kind::Number, FieldType::Number), (Kind::Boolean, FieldType::Boolean)] {
            each_term(reader, &kind.range(name), |_, _| {
                seen.field.types.insert(own);
                Ok(false)
            })?;
        }
        each_term(reader, &Kind::Text.range(name), |text, _| Ok(seen.take_text(text)))?;
    }
    Ok(())
}

impl Seen {
    /// Takes a text, and says whether more of them are worth a look.
    fn take_text(&mut self, text: &str) -> bool {
        let every = || BTreeSet::from([FieldType::Number, FieldType::Date, FieldType::Boolean]);
        let could = self.texts.get_or_insert_with(every);
        could.retain(|kind| Stored::Text(text).can_be(*kind));
        !could.is_empty()
    }

    fn end(mut self) -> Field {
        if let Some(could) = self.texts {
            // Texts that are different things are texts.
            let is_long = self.field.types.contains(&FieldType::Text);
            match could.first().copied() {
                Some(kind) => self.field.types.insert(kind),
                None => !is_long && self.field.types.insert(FieldType::Keyword),
            };
        }
        self.field
    }
}
