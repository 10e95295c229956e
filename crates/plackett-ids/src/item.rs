//! Items, and documents, that get identifiers.

use crate::IdsError;
use plackett_core::formats::{FormatError, Lines, json_problem};
use serde::{Deserialize, Deserializer};
use std::path::Path;

/// An item or document. Only the name must be there; what a scheme lacks it says. A field that is null counts as absent.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Item {
    /// The name by which it is known outside.
    #[serde(alias = "item", alias = "_id", alias = "docid")]
    pub id: String,
    /// What people call it.
    #[serde(default, deserialize_with = "or_absent")]
    pub title: String,
    /// A few words for it.
    #[serde(default, deserialize_with = "or_absent")]
    pub keywords: String,
    /// What it says.
    #[serde(default, deserialize_with = "or_absent", alias = "description")]
    pub text: String,
    /// Where it is found.
    #[serde(default, deserialize_with = "or_absent")]
    pub url: String,
    /// Its categories, from the widest to the narrowest.
    #[serde(default, deserialize_with = "or_absent", alias = "category")]
    pub categories: Vec<String>,
}

/// The value of a field; its default where it is null.
fn or_absent<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(field: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(field)?.unwrap_or_default())
}

impl Item {
    /// An item with a name alone.
    pub fn new(id: impl Into<String>) -> Item {
        Item { id: id.into(), ..Item::default() }
    }
}

/// What of items is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Everything.
    #[default]
    All,
    /// Names and titles: nothing else takes memory.
    Names,
}

/// Reads items from lines of JSON: `id` (or `item`, `_id`, `docid`), and where they are known `title`, `keywords`, `text` (or
/// `description`), `url` and `categories`. Other fields are left alone.
///
/// # Errors
/// The file cannot be read, a line is no item, a name stands twice, or there is none.
pub fn read_items(path: &Path, limit: usize) -> Result<Vec<Item>, IdsError> {
    read_items_keeping(path, limit, Keep::All)
}

/// The same, without what is not asked for.
///
/// # Errors
/// As [`read_items`].
pub fn read_items_keeping(path: &Path, limit: usize, keep: Keep) -> Result<Vec<Item>, IdsError> {
    const EXPECTED: &str = "an item with id, and perhaps title, keywords, text and categories";
    let (mut items, mut places): (Vec<Item>, Vec<u64>) = (Vec::new(), Vec::new());
    let mut lines = Lines::open(path, limit)?;
    while let Some(text) = lines.next()? {
        if text.trim().is_empty() {
            continue;
        }
        let read: Result<Item, _> = serde_json::from_str(text).map_err(|error| json_problem(text, &error));
        let line = lines.line();
        let item = read.map_err(|problem| FormatError::Json {
            file: lines.file().to_string(),
            line,
            expected: EXPECTED,
            problem,
        })?;
        items.push(match keep {
            Keep::All => item,
            Keep::Names => Item { title: item.title, ..Item::new(item.id) },
        });
        places.push(line);
    }
    let file = path.display().to_string();
    if items.is_empty() {
        return Err(FormatError::Empty { file, expected: "items, one JSON object a line" }.into());
    }
    match first_twin(&items) {
        None => Ok(items),
        Some((first, second)) => Err(FormatError::Duplicate {
            file,
            line: places[second],
            first: places[first],
            what: format!("the item `{}`", items[first].id),
            remedy: "an item has one line; leave one of them out",
        }
        .into()),
    }
}

/// The first item whose name another one has before it, after that one.
fn first_twin(items: &[Item]) -> Option<(usize, usize)> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by(|a, b| items[*a].id.cmp(&items[*b].id).then(a.cmp(b)));
    let twins = order.windows(2).filter(|pair| items[pair[0]].id == items[pair[1]].id);
    twins.map(|pair| (pair[0], pair[1])).min_by_key(|(_, second)| *second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_asked_for_is_not_kept_and_twins_are_named_by_their_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("items.jsonl");
        let text = "{\"id\": \"b\", \"title\": \"B\", \"text\": \"long\"}\n\n{\"docid\": \"a\", \"category\": [\"x\"]}\n";
        std::fs::write(&path, text).unwrap();
        let all = read_items(&path, 1 << 20).unwrap();
        assert_eq!((all[0].text.as_str(), all[1].categories.len()), ("long", 1));
        let names = read_items_keeping(&path, 1 << 20, Keep::Names).unwrap();
        assert_eq!(names, [Item { title: "B".into(), ..Item::new("b") }, Item::new("a")]);
        std::fs::write(&path, format!("{text}{{\"id\": \"c\"}}\n{{\"id\": \"a\"}}\n{{\"id\": \"b\"}}\n"))
            .unwrap();
        let error = read_items(&path, 1 << 20).unwrap_err().to_string();
        assert!(error.contains("line 5") && error.contains("`a`") && error.contains('3'), "{error}");
    }

    #[test]
    fn null_counts_as_absent_but_for_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("items.jsonl");
        let nulls = "{\"id\": \"a\", \"title\": null, \"keywords\": null, \"text\": null, \"url\": null, \"categories\": null}";
        std::fs::write(&path, nulls).unwrap();
        assert_eq!(read_items(&path, 1 << 20).unwrap(), [Item::new("a")]);
        std::fs::write(&path, "{\"id\": null}").unwrap();
        assert!(read_items(&path, 1 << 20).is_err());
    }
}
