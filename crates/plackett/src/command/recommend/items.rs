//! `--filter`: the items of which something is said that passes.

use crate::command::get::read_filter;
use crate::command::{Global, Output};
use anyhow::{Context, anyhow, bail};
use plackett_core::formats::read_json_lines;
use plackett_core::{Document, Metadata};
use plackett_rec::CatalogueItem;
use plackett_search::{Index, IndexSettings};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// For each item of a catalogue whether it passes a filter over lines of JSON. What the file does not name does not pass, and is
/// counted aloud. The lines go into an index among the temporary files, so that a filter means here what it means in a search.
pub fn passing(
    filter: &str,
    file: &Path,
    catalogue: &[CatalogueItem],
    global: &Global,
    output: &Output,
) -> anyhow::Result<Vec<bool>> {
    let filter = read_filter(filter)?;
    let folder = tempfile::tempdir()
        .context("--filter: no folder can be made among the temporary files (TMPDIR names another place)")?;
    let place = folder.path().join("items");
    let mut index = Index::create(&place, &IndexSettings::default())?;
    let mut writer = index.writer(None)?;
    let mut lines: HashMap<String, u64> = HashMap::new();
    let expected = "an object with item and what is said of it";
    for (line, mut fields) in read_json_lines::<Metadata>(file, global.max_line_bytes, expected)? {
        let Some(Value::String(item)) = fields.remove("item") else {
            bail!("--items {}, line {line}: there is no `item` that is a text", file.display());
        };
        if let Some(first) = lines.insert(item.clone(), line) {
            bail!(
                "--items {}: the item `{item}` stands in line {first} and in line {line}; leave one out",
                file.display()
            );
        }
        writer
            .put(Document { id: item, metadata: fields, ..Document::default() })
            .with_context(|| format!("--items {}, line {line}", file.display()))?;
    }
    writer.finish()?;
    let selection = index.select(Some(&filter)).map_err(|error| {
        let said = error.to_string().replace(&*place.to_string_lossy(), &file.to_string_lossy());
        anyhow!("--filter: {said}")
    })?;
    let passed: HashSet<&str> = selection.ids().collect();
    let unknown = catalogue.iter().filter(|item| !lines.contains_key(&item.item)).count();
    if unknown > 0 {
        let all = catalogue.len();
        output.warn(&format!("{unknown} of {all} items are not in {} and do not pass", file.display()));
    }
    Ok(catalogue.iter().map(|item| passed.contains(item.item.as_str())).collect())
}
