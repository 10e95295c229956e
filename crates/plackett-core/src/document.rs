//! What is asked and what is found.

use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Free fields of a document or query, in the order of their file.
pub type Metadata = serde_json::Map<String, serde_json::Value>;

/// Whether a name that somebody gives is that of a field. `metadata.year` is `year` too, since documents that come with an
/// object `metadata` have its fields for theirs.
pub fn names_field(given: &str, field: &str) -> bool {
    given == field || given.strip_prefix("metadata.") == Some(field)
}

/// The field of a name that somebody gives, as [`names_field`] says; one that has all of the name comes first.
pub fn field_named<'a>(metadata: &'a Metadata, given: &str) -> Option<&'a serde_json::Value> {
    metadata.get(given).or_else(|| metadata.get(given.strip_prefix("metadata.")?))
}

/// An information need. The id is always a string, even when it looks like a number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Query {
    /// Identifier, unique within a collection.
    pub id: String,
    /// The words of the need.
    pub text: String,
}

impl Query {
    /// A query from an id and its text.
    pub fn new(id: impl Into<String>, text: impl Into<String>) -> Self {
        Query { id: id.into(), text: text.into() }
    }
}

/// A text that can be ranked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Identifier, unique within a collection.
    pub id: String,
    /// Title; empty when there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// Body.
    pub text: String,
    /// Other fields, kept as they came.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// Where headings stand in the body, in bytes and in their order, as a reader of pages found them; not kept in files. `None` where
    /// nobody looked: a body may still be Markdown.
    #[serde(skip)]
    pub headings: Option<Vec<Range<usize>>>,
}

impl Document {
    /// A document without title or further fields.
    pub fn new(id: impl Into<String>, text: impl Into<String>) -> Self {
        Document { id: id.into(), text: text.into(), ..Document::default() }
    }

    /// The text a model reads: title, a blank and the body, or the body alone when the title is empty (BEIR's rule).
    pub fn model_text(&self) -> std::borrow::Cow<'_, str> {
        if self.title.is_empty() {
            (&self.text).into()
        } else if self.text.is_empty() {
            (&self.title).into()
        } else {
            format!("{} {}", self.title, self.text).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_go_by_their_names_with_and_without_the_object_they_came_in() {
        let json = serde_json::json!({"year": 1, "metadata.on": 2, "on": 3});
        let metadata = json.as_object().unwrap();
        for (given, value) in [("year", 1), ("metadata.year", 1), ("metadata.on", 2), ("on", 3)] {
            assert_eq!(field_named(metadata, given), Some(&value.into()), "{given}");
        }
        assert!(field_named(metadata, "metadata.day").is_none());
        assert!(names_field("metadata.year", "year") && !names_field("year", "metadata.year"));
    }

    #[test]
    fn model_text_joins_title_and_body_only_when_both_exist() {
        let mut document = Document::new("d", "body");
        assert_eq!(document.model_text(), "body");
        document.title = "title".into();
        assert_eq!(document.model_text(), "title body");
        document.text.clear();
        assert_eq!(document.model_text(), "title");
    }
}
