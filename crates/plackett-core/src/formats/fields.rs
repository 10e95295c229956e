//! Values of JSON objects under one of several names.

use serde_json::{Map, Value};

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

/// The first of `names` that holds a string or number.
pub(super) fn first<'a>(object: &Map<String, Value>, names: &[&'a str]) -> Option<(&'a str, String)> {
    names.iter().find_map(|name| Some((*name, object.get(*name).and_then(as_text)?)))
}
