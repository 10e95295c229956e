//! The entries of a JSON object with the bytes at which they stand, for messages about files.

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::borrow::Cow;

/// An entry of an object.
pub(crate) struct JsonEntry<'a> {
    /// Its key.
    pub name: Cow<'a, str>,
    /// Where its key begins in the text; `None` for a key that is written with escapes.
    pub at: Option<usize>,
    /// What stands under it.
    pub value: Value,
}

/// Text that is not one JSON object.
#[derive(Debug)]
pub(crate) struct JsonFault {
    /// Where in the text.
    pub at: usize,
    /// What is wrong.
    pub problem: String,
}

/// Reads the entries of an object in their order, into `entries`; where the text breaks off, the last one is that which
/// could not be read.
pub(crate) fn read<'a>(text: &'a str, entries: &mut Vec<JsonEntry<'a>>) -> Result<(), JsonFault> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = Object { text, entries }.deserialize(&mut reader).and_then(|()| reader.end());
    read.map_err(|error| {
        let before = text.split_inclusive('\n').take(error.line().saturating_sub(1));
        let at = before.map(str::len).sum::<usize>() + error.column().saturating_sub(1);
        JsonFault { at: at.min(text.len()), problem: error.to_string() }
    })
}

/// Where the key of the outermost object begins in JSON bytes.
pub(crate) fn of_key(bytes: &[u8], key: &str) -> Option<usize> {
    let mut entries = Vec::new();
    read(std::str::from_utf8(bytes).ok()?, &mut entries).ok()?;
    entries.iter().find(|entry| entry.name == key)?.at
}

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

struct Object<'a, 'v> {
    text: &'a str,
    entries: &'v mut Vec<JsonEntry<'a>>,
}

impl<'a> DeserializeSeed<'a> for Object<'a, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Object<'a, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(Key(name)) = map.next_key()? {
            let at = match &name {
                // A key without escapes is a part of the text; its quotation mark stands before it.
                Cow::Borrowed(part) => (part.as_ptr() as usize - self.text.as_ptr() as usize).checked_sub(1),
                Cow::Owned(_) => None,
            };
            self.entries.push(JsonEntry { name, at, value: Value::Null });
            let value = map.next_value()?;
            if let Some(last) = self.entries.last_mut() {
                last.value = value;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_places() {
        let text = "{\"a\": {\"b\": 1},\n  \"b\": [2], \"\\u0063\": 3}";
        let mut entries = Vec::new();
        assert!(read(text, &mut entries).is_ok());
        let found: Vec<_> = entries.iter().map(|e| (&*e.name, e.at)).collect();
        assert_eq!(found, [("a", Some(1)), ("b", Some(18)), ("c", None)]);
        assert_eq!(entries[2].value, 3);
        assert_eq!((of_key(text.as_bytes(), "b"), of_key(text.as_bytes(), "d")), (Some(18), None));
    }

    #[test]
    fn a_broken_text_names_the_place_and_keeps_what_came_before() {
        let mut entries = Vec::new();
        let fault = read("{\"a\": 1,\n\"b\": x}", &mut entries).expect_err("broken");
        assert_eq!((fault.at, entries.len(), &*entries[1].name), (14, 2, "b"));
        for text in ["[]", "", "{} {}", "{\"a\":"] {
            assert!(read(text, &mut Vec::new()).is_err(), "{text}");
        }
    }
}
