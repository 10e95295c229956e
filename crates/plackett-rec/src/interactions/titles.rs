//! What items are called.

use crate::RecError;
use plackett_core::formats::{DEFAULT_LINE_LIMIT, FormatError, read_json_lines};
use serde::Deserialize;
use std::collections::HashMap;
use std::path::Path;

#[derive(Deserialize)]
struct Item {
    item: String,
    title: Option<String>,
    year: Option<Year>,
    keywords: Option<String>,
    #[serde(default)]
    genres: Vec<String>,
}

/// A year in quotes or not.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Year {
    Text(String),
    Number(i64),
}

impl Year {
    fn text(&self) -> String {
        match self {
            Year::Text(text) => text.clone(),
            Year::Number(number) => number.to_string(),
        }
    }
}

/// Titles by item, from lines of JSON with `item` and `title` (and perhaps `year`), or `keywords` in its place. Items without any are
/// left out. No line may be longer than `line_limit`, in bytes.
///
/// # Errors
/// The file cannot be read, or a line is no such object.
pub fn read_titles(path: &Path, line_limit: usize) -> Result<HashMap<String, String>, RecError> {
    read_items(path, line_limit, |item| {
        let year = item
            .year
            .as_ref()
            .map(Year::text)
            .filter(|year| !year.is_empty())
            .map(|year| format!(" ({year})"));
        let title = item.title.as_ref().or(item.keywords.as_ref()).filter(|title| !title.trim().is_empty());
        title.map(|title| format!("{title}{}", year.unwrap_or_default()))
    })
}

/// Everything that is said of items in words: title, year, genres and keywords. Items of which nothing is said are left out.
///
/// # Errors
/// The file cannot be read, or a line is no such object.
pub fn read_item_texts(path: &Path) -> Result<HashMap<String, String>, RecError> {
    read_item_texts_within(path, DEFAULT_LINE_LIMIT)
}

/// The same where no line may be longer than `line_limit`, in bytes.
///
/// # Errors
/// As [`read_item_texts`].
pub fn read_item_texts_within(path: &Path, line_limit: usize) -> Result<HashMap<String, String>, RecError> {
    read_items(path, line_limit, |item| {
        let said = [item.title.clone(), item.year.as_ref().map(Year::text), item.keywords.clone()];
        let said = said.into_iter().flatten().chain([item.genres.join(", ")]);
        let said: Vec<String> = said.filter(|text| !text.trim().is_empty()).collect();
        (!said.is_empty()).then(|| said.join(". "))
    })
}

fn read_items(
    path: &Path,
    line_limit: usize,
    text_of: impl Fn(&Item) -> Option<String>,
) -> Result<HashMap<String, String>, RecError> {
    let mut texts = HashMap::new();
    let mut lines: HashMap<String, u64> = HashMap::new();
    for (line, item) in read_json_lines::<Item>(path, line_limit, "an object with item and title")? {
        if let Some(first) = lines.insert(item.item.clone(), line) {
            let problem =
                format!("the item `{}` stands in line {first} and in line {line}; leave one out", item.item);
            return Err(FormatError::File { file: path.display().to_string(), problem }.into());
        }
        if let Some(text) = text_of(&item) {
            // In one line, whatever the file has.
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            texts.insert(item.item, text);
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_have_their_year_and_damaged_lines_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("items.jsonl");
        let text = "{\"item\":\"1\",\"title\":\"Alien\",\"year\":\"1979\"}\n\n{\"item\":\"2\",\"keywords\":\"red soap\"}\n{\"item\":\"3\"}\n";
        std::fs::write(&path, text).unwrap();
        let titles = read_titles(&path, DEFAULT_LINE_LIMIT).unwrap();
        assert_eq!(
            (titles["1"].as_str(), titles["2"].as_str(), titles.len()),
            ("Alien (1979)", "red soap", 2)
        );
        assert_eq!(read_item_texts(&path).unwrap()["1"], "Alien. 1979");
        assert!(read_item_texts_within(&path, 10).is_err(), "a line is longer");
        std::fs::write(&path, "{\"item\":\"1\",\"title\":\"a\",\"year\":1979}\n").unwrap();
        assert_eq!(read_titles(&path, DEFAULT_LINE_LIMIT).unwrap()["1"], "a (1979)");
        std::fs::write(&path, "{\"item\":\"1\",\"title\":\"a\"}\n{\"item\":\"1\"}\n").unwrap();
        assert!(
            read_titles(&path, DEFAULT_LINE_LIMIT).unwrap_err().to_string().contains("line 1 and in line 2")
        );
        std::fs::write(&path, "{\"item\":\"1\",\"title\":\"a\"}\n{\"item\":7}\n").unwrap();
        assert!(read_titles(&path, DEFAULT_LINE_LIMIT).unwrap_err().to_string().contains("line 2"));
    }
}
