//! What is shown of a document: title, passage, text, metadata.

use super::snippet;
use super::terminal::plain;
use clap::ValueEnum;
use console::style;
use plackett_core::{Document, Metadata};
use plackett_search::Snippet;
use serde_json::{Value, json};

/// A part of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The title
    Title,
    /// The passage that speaks to the query, with its matches marked
    Snippet,
    /// The whole text; in an index of passages that of the passage
    Text,
    /// The other fields
    Metadata,
}

/// Adds the parts of a document to its JSON object. `snippet` is there where a query asks for one.
pub fn add_json(object: &mut Value, document: &Document, found: Option<&Snippet>, parts: &[Part]) {
    for part in parts {
        match part {
            Part::Title => object["title"] = json!(document.title),
            Part::Text => object["text"] = json!(document.text),
            Part::Metadata => object["metadata"] = json!(document.metadata),
            Part::Snippet => {
                if let Some(found) = found {
                    object["snippet"] = snippet::to_json(found);
                }
            }
        }
    }
}

/// The text of a document and its other fields for people, indented; title and passage stand in lines of their own.
pub fn lines(document: &Document, parts: &[Part]) -> String {
    let mut text = String::new();
    if parts.contains(&Part::Text) {
        for line in document.text.lines() {
            text.push_str(&format!("      {}\n", plain(line)));
        }
    }
    if parts.contains(&Part::Metadata) {
        add_fields(&mut text, "", &document.metadata);
    }
    text
}

/// A field a line, by the paths that filters have.
fn add_fields(text: &mut String, path: &str, fields: &Metadata) {
    for (name, value) in fields {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let value = match value {
            Value::Object(inner) if !inner.is_empty() => {
                add_fields(text, &path, inner);
                continue;
            }
            Value::String(value) => value.clone(),
            other => other.to_string(),
        };
        text.push_str(&format!("      {} {}\n", style(format!("{}:", plain(&path))).dim(), plain(&value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_shown_as_asked() {
        let fields = json!({"year": 2024, "author": {"name": "Ada\u{1b}[2J"}, "tags": ["a", "b"]});
        let metadata = fields.as_object().unwrap().clone();
        let document = Document { title: "T".into(), metadata, ..Document::new("d", "one\ntwo") };
        let text = lines(&document, &[Part::Text, Part::Metadata]);
        let text = console::strip_ansi_codes(&text);
        assert_eq!(
            text,
            "      one\n      two\n      year: 2024\n      author.name: Ada␛[2J\n      tags: [\"a\",\"b\"]\n"
        );
        assert_eq!(lines(&document, &[Part::Title]), "");
        let mut object = json!({"id": "d"});
        add_json(&mut object, &document, None, &[Part::Title, Part::Snippet, Part::Metadata]);
        assert_eq!(object, json!({"id": "d", "title": "T", "metadata": fields}));
    }
}
