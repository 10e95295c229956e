//! Films as a collection has them.

use crate::recipe::error::StageError;
use plackett_core::formats::{DEFAULT_LINE_LIMIT, read_json_lines};
use serde::Deserialize;
use std::path::Path;

/// A film of a collection.
#[derive(Deserialize)]
pub(super) struct FilmItem {
    /// Its name in the interactions.
    pub item: String,
    /// Its title.
    pub title: String,
    /// Its year; empty where it is not known.
    #[serde(default)]
    pub year: String,
    /// Its genres.
    #[serde(default)]
    pub genres: Vec<String>,
}

/// All films of a file, in its order.
///
/// # Errors
/// The file cannot be read, or a line is damaged.
pub(super) fn read_films(path: &Path) -> Result<Vec<FilmItem>, StageError> {
    let items = read_json_lines(path, DEFAULT_LINE_LIMIT, "a film with item, title, year and genres")?;
    Ok(items.into_iter().map(|(_, item)| item).collect())
}
