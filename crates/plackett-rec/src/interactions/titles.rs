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
    keywords: Option<Words>,
    genres: Option<Words>,
}

impl Item {
    /// What it is called; nothing where the file does not say so.
    fn title(&self) -> Option<String> {
        let year = self.year.as_ref().map(Year::text).filter(|year| !year.is_empty());
        let title = self.title.clone().or_else(|| self.keywords.as_ref().map(Words::text));
        let title = title.filter(|title| !title.trim().is_empty())?;
        Some(one_line(&format!("{title}{}", year.map(|year| format!(" ({year})")).unwrap_or_default())))
    }

    /// Everything that is said of it; nothing where that is no word.
    fn text(&self) -> Option<String> {
        let words = |words: &Option<Words>| words.as_ref().map(Words::text);
        let said = [
            self.title.clone(),
            self.year.as_ref().map(Year::text),
            words(&self.keywords),
            words(&self.genres),
        ];
        let said: Vec<String> = said.into_iter().flatten().filter(|text| !text.trim().is_empty()).collect();
        (!said.is_empty()).then(|| one_line(&said.join(". ")))
    }
}

/// A text in one line, whatever the file has.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// One text or several.
#[derive(Deserialize)]
#[serde(untagged, expecting = "`keywords` and `genres` are a text or a list of texts")]
enum Words {
    One(String),
    Several(Vec<String>),
}

impl Words {
    fn text(&self) -> String {
        match self {
            Words::One(text) => text.clone(),
            Words::Several(texts) => texts.join(", "),
        }
    }
}

/// A year in quotes or not.
#[derive(Deserialize)]
#[serde(untagged, expecting = "`year` is a whole number, in quotes or not")]
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

/// What a file says of items, by item.
#[derive(Debug, Default)]
pub struct ItemWords {
    /// Titles, as [`read_titles`] has them.
    pub titles: HashMap<String, String>,
    /// Everything in words, as [`read_item_texts`] has it.
    pub texts: HashMap<String, String>,
}

/// Titles by item, from lines of JSON with `item` and `title` (and perhaps `year`), or `keywords` in its place. Items without any are
/// left out. No line may be longer than `line_limit`, in bytes.
///
/// # Errors
/// The file cannot be read, or a line is no such object.
pub fn read_titles(path: &Path, line_limit: usize) -> Result<HashMap<String, String>, RecError> {
    Ok(read_item_words(path, line_limit)?.titles)
}

/// Everything that is said of items in words: title, year, keywords and genres. Items of which nothing is said are left out.
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
    Ok(read_item_words(path, line_limit)?.texts)
}

/// Titles and texts in one reading, so that the file may be a pipe. No line may be longer than `line_limit`, in bytes.
///
/// # Errors
/// The file cannot be read, or a line is no such object.
pub fn read_item_words(path: &Path, line_limit: usize) -> Result<ItemWords, RecError> {
    let mut words = ItemWords::default();
    let mut lines: HashMap<String, u64> = HashMap::new();
    for (line, item) in read_json_lines::<Item>(path, line_limit, "an object with item and title")? {
        if let Some(first) = lines.insert(item.item.clone(), line) {
            let problem =
                format!("the item `{}` stands in line {first} and in line {line}; leave one out", item.item);
            return Err(FormatError::File { file: path.display().to_string(), problem }.into());
        }
        words.titles.extend(item.title().map(|title| (item.item.clone(), title)));
        words.texts.extend(item.text().map(|text| (item.item.clone(), text)));
    }
    Ok(words)
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
    #[test]
    fn keywords_and_genres_are_a_text_or_several() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("items.jsonl");
        let text = "{\"item\":\"1\",\"title\":\"Up\",\"keywords\":[\"house\",\"sky\"],\"genres\":\"Comedy\"}\n\
                    {\"item\":\"2\",\"keywords\":[\"red\",\"soap\"]}\n";
        std::fs::write(&path, text).unwrap();
        let words = read_item_words(&path, DEFAULT_LINE_LIMIT).unwrap();
        assert_eq!((words.titles["1"].as_str(), words.titles["2"].as_str()), ("Up", "red, soap"));
        assert_eq!(words.texts["1"], "Up. house, sky. Comedy");
        for (field, said) in
            [("\"year\":1.5", "`year` is a whole number"), ("\"genres\":7", "a list of texts")]
        {
            std::fs::write(&path, format!("{{\"item\":\"1\",{field}}}\n")).unwrap();
            let error = read_titles(&path, DEFAULT_LINE_LIMIT).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("line 1"), "{error}");
        }
    }
}
