//! Items, and documents, that get identifiers.

use crate::IdsError;
use plackett_core::formats::{FormatError, read_json_lines};
use serde::Deserialize;
use std::collections::HashMap;
use std::path::Path;

/// An item or document. Only the name must be there; what a scheme lacks it says.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Item {
    /// The name by which it is known outside.
    #[serde(alias = "item", alias = "_id", alias = "docid")]
    pub id: String,
    /// What people call it.
    #[serde(default)]
    pub title: String,
    /// A few words for it.
    #[serde(default)]
    pub keywords: String,
    /// What it says.
    #[serde(default, alias = "description")]
    pub text: String,
    /// Its categories, from the widest to the narrowest.
    #[serde(default, alias = "category")]
    pub categories: Vec<String>,
}

impl Item {
    /// An item with a name alone.
    pub fn new(id: impl Into<String>) -> Item {
        Item { id: id.into(), ..Item::default() }
    }
}

/// Reads items from lines of JSON: `id` (or `item`, `_id`, `docid`), and where they are known `title`, `keywords`, `text` (or
/// `description`) and `categories`. Other fields are left alone.
///
/// # Errors
/// The file cannot be read, a line is no item, a name stands twice, or there is none.
pub fn read_items(path: &Path, limit: usize) -> Result<Vec<Item>, IdsError> {
    const EXPECTED: &str = "an item with id, and perhaps title, keywords, text and categories";
    let mut items: Vec<Item> = Vec::new();
    let mut first: HashMap<String, u64> = HashMap::new();
    for (line, item) in read_json_lines::<Item>(path, limit, EXPECTED)? {
        let file = || path.display().to_string();
        if let Some(first) = first.insert(item.id.clone(), line) {
            let what = format!("the item `{}`", item.id);
            let remedy = "an item has one line; leave one of them out";
            return Err(FormatError::Duplicate { file: file(), line, first, what, remedy }.into());
        }
        items.push(item);
    }
    if items.is_empty() {
        let expected = "items, one JSON object a line";
        return Err(FormatError::Empty { file: path.display().to_string(), expected }.into());
    }
    Ok(items)
}
