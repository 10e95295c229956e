//! A vector for each item of `plackett ids build`: read from a file, or made by a model.

use super::budget::{Budget, Place};
use super::build::Arguments;
use super::kept_vectors::{KeptVectors, folder_of};
use crate::command::{Global, Output};
use anyhow::{Context, anyhow, bail};
use plackett::content_hash::is_stream;
use plackett::pipeline::{ModelOptions, Models};
use plackett_core::formats::{FormatError, Lines, json_problem};
use plackett_ids::{Item, VectorTable};
use plackett_lm::EmbedOptions;
use plackett_lm::sha256::Sha256;
use plackett_lm::store::Store;
use serde::Deserialize;
use serde_json::json;
use std::path::Path;

/// Texts of one call of the model.
const AT_ONCE: usize = 512;

/// The vectors, and what was kept on the way.
pub struct ItemVectors {
    /// A row for each item.
    pub table: VectorTable,
    /// The model or file that they came from.
    pub origin: String,
    /// Rows that an earlier run had made.
    pub resumed: usize,
    kept: Option<KeptVectors>,
}

impl ItemVectors {
    /// Reads or makes the vectors.
    ///
    /// # Errors
    /// A vector is missing or cannot be used, a text has no words, or the budget is too small.
    pub fn make(
        arguments: &Arguments,
        items: &[Item],
        budget: &Budget<'_>,
        global: &Global,
        output: &Output,
    ) -> anyhow::Result<ItemVectors> {
        match &arguments.vectors {
            Some(path) => {
                let (table, others) = read(path, items, (budget, &arguments.output), global.max_line_bytes)?;
                if others > 0 {
                    output.warn(&format!("--vectors: {others} vectors are of no item; they were left out"));
                }
                Ok(ItemVectors { table, origin: path.display().to_string(), resumed: 0, kept: None })
            }
            None => embedded(arguments, items, budget, global, output),
        }
    }

    /// Removes what was kept on the way.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(self) -> anyhow::Result<()> {
        self.kept.map_or(Ok(()), KeptVectors::remove)
    }
}

#[derive(Deserialize)]
struct Line {
    id: String,
    vector: Vec<f64>,
}

/// The vectors of a file, in the order of the items, and how many others it has.
fn read(
    path: &Path,
    items: &[Item],
    (budget, beside): (&Budget<'_>, &Path),
    limit: usize,
) -> anyhow::Result<(VectorTable, usize)> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_unstable_by(|a, b| items[*a].id.cmp(&items[*b].id));
    let place =
        |id: &str| order.binary_search_by(|at| items[*at].id.as_str().cmp(id)).ok().map(|at| order[at]);
    let (mut table, mut seen): (Option<VectorTable>, _) = (None, vec![false; items.len()]);
    let mut others = 0;
    let mut lines = Lines::open(path, limit)?;
    while let Some(text) = lines.next()? {
        if text.trim().is_empty() {
            continue;
        }
        let parsed: Result<Line, _> = serde_json::from_str(text).map_err(|error| json_problem(text, &error));
        let (file, line) = (lines.file().to_string(), lines.line());
        let expected = "{\"id\": …, \"vector\": […]}";
        let read = parsed.map_err(|problem| FormatError::Json { file, line, expected, problem })?;
        let Some(row) = place(&read.id) else {
            others += 1;
            continue;
        };
        let where_it_is = || format!("{}, line {line}", path.display());
        if std::mem::replace(&mut seen[row], true) {
            bail!("{}: a second vector of the item `{}`; leave one of them out", where_it_is(), read.id);
        }
        let vector: Vec<f32> = read.vector.iter().map(|x| *x as f32).collect();
        if table.is_none() {
            table = Some(new_table(items.len(), vector.len(), budget.place(vector.len())?, beside)?);
        }
        if let Some(table) = &mut table {
            table.set(row, &read.id, &vector).with_context(where_it_is)?;
        }
    }
    match (seen.iter().position(|seen| !seen), table) {
        (None, Some(table)) => Ok((table, others)),
        (missing, _) => {
            let item = &items[missing.unwrap_or_default()].id;
            Err(anyhow!("{}: no vector of the item `{item}`", path.display()))
        }
    }
}

/// An empty table; one in a file lies beside the output and goes with the process.
fn new_table(rows: usize, dimension: usize, place: Place, beside: &Path) -> anyhow::Result<VectorTable> {
    match place {
        Place::Memory => Ok(VectorTable::in_memory(rows, dimension)),
        Place::File => {
            // Beside a stream, /dev/stdout say, no file can lie.
            let folder = match is_stream(beside) {
                true => std::env::temp_dir(),
                false => match beside.parent() {
                    Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
                    _ => ".".into(),
                },
            };
            let file = tempfile::tempfile_in(&folder).with_context(|| {
                format!("--memory-budget: vectors have to wait in a file in {}", folder.display())
            })?;
            Ok(VectorTable::in_file(file, rows, dimension))
        }
    }
}

/// Vectors of titles and texts by an embedding model; they are kept block by block.
fn embedded(
    arguments: &Arguments,
    items: &[Item],
    budget: &Budget<'_>,
    global: &Global,
    output: &Output,
) -> anyhow::Result<ItemVectors> {
    let options = ModelOptions { memory_budget: budget.for_model(), ..global.models() };
    let models = Models::new(arguments.model.clone(), options);
    let identity = models.identity(None)?;
    let place = budget.place(identity.dim)?;
    let told =
        json!({"vectors": identity.fingerprint, "dimension": identity.dim, "items": hash(items)}).to_string();
    let cache = Store::from_environment(global.offline)?.cache;
    let mut kept = KeptVectors::open(&folder_of(&arguments.output, &told, &cache), &told, identity.dim)?;
    let resumed = kept.rows();
    match (kept.is_of_another(), resumed) {
        (true, _) => output.note("the vectors that an interrupted build has left are of other items or another model; all are made anew"),
        (false, 0) => {}
        (false, rows) => output.note(&format!("went on after {rows} vectors of an earlier run")),
    }
    make_rest(&models, items, &mut kept, output)?;
    if kept.cut() > 0 {
        output.warn(&format!(
            "{} texts are longer than the model reads; the rest of them has no part in their vectors",
            kept.cut()
        ));
    }
    let mut table = VectorTable::in_file(kept.file()?, items.len(), identity.dim);
    if place == Place::Memory {
        table = table.into_memory()?;
    }
    Ok(ItemVectors { table, origin: identity.name, resumed, kept: Some(kept) })
}

/// Makes the vectors that are not there yet.
fn make_rest(models: &Models, items: &[Item], kept: &mut KeptVectors, output: &Output) -> anyhow::Result<()> {
    if kept.rows() >= items.len() {
        return Ok(());
    }
    let model = models.open(None)?;
    let bar = output.progress("vectors", items.len() as u64);
    bar.set_position(kept.rows() as u64);
    for items in items[kept.rows()..].chunks(AT_ONCE) {
        let texts: Vec<String> = items.iter().map(text).collect();
        for (item, text) in items.iter().zip(&texts) {
            if !model.has_words(text)? {
                bail!(
                    "the item `{}` has no words, and so no vector; leave it out or give it a title",
                    item.id
                );
            }
        }
        let views: Vec<&str> = texts.iter().map(String::as_str).collect();
        let made = model.embed(&views, &EmbedOptions::default())?;
        kept.add(&made.data, made.truncated.len())?;
        bar.inc(items.len() as u64);
    }
    bar.finish_and_clear();
    Ok(())
}

/// What of an item is embedded.
fn text(item: &Item) -> String {
    let parts = [&item.title, &item.keywords, &item.text].map(|part| part.trim());
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The hash of what is embedded, in its order.
fn hash(items: &[Item]) -> String {
    let mut hasher = Sha256::new();
    for item in items {
        hasher.update_part(text(item));
    }
    hasher.hex_digest()
}
