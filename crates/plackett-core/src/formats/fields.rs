//! Values of JSON objects under one of several names.

use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization;

/// Names of a text, in order of preference.
pub(super) const TEXT: [&str; 6] = ["text", "segment", "contents", "content", "body", "passage"];
/// Names of a document's identifier.
pub(super) const ID: [&str; 6] = ["_id", "docid", "doc_id", "docno", "id", "pid"];
/// Names of a query's identifier.
pub(super) const QUERY_ID: [&str; 5] = ["_id", "qid", "query_id", "query-id", "id"];

/// A string, or a number as it stands in the file. Identifiers are strings even when they look like numbers.
pub(super) fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// What a value is in the words of whoever writes JSON.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(text) if text.is_empty() => "empty",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A field of one of the names that is there, and is none of the values that are read.
pub(super) struct Unfit<'a> {
    pub(super) name: &'a str,
    /// What is there in its place, such as `a list`.
    pub(super) found: &'static str,
}

/// The first of `names` that is there and not null: a string or a number, or what is there in its place. Nothing is passed
/// over for a name that comes later.
pub(super) fn text_of<'a>(
    object: &Map<String, Value>,
    names: &[&'a str],
) -> Result<Option<(&'a str, String)>, Unfit<'a>> {
    let there = names.iter().find_map(|name| Some((*name, object.get(*name).filter(|v| !v.is_null())?)));
    let Some((name, value)) = there else { return Ok(None) };
    as_text(value).map(|text| Some((name, text))).ok_or(Unfit { name, found: kind_of(value) })
}

/// Whether two names look the same: letters with accents may be one character or two.
pub(super) fn is_same_name(one: &str, other: &str) -> bool {
    one == other || (!(one.is_ascii() && other.is_ascii()) && one.nfc().eq(other.nfc()))
}
