//! What `plackett index` says at its end.

use super::blocks::BlockSummary;
use crate::command::open::{listed, many};
use crate::command::terminal::plain;
use crate::command::{Outcome, Output};
use console::style;
use plackett::sync::CollectionSync;
use plackett_core::declaration::{nearest, suggestion};
use plackett_core::names_field;
use plackett_search::{Committed, Field, Index, SearchError};
use serde_json::json;
use std::time::Instant;

/// Prints what was done, and tells of what vectors do not see and of types that nothing has.
pub(super) fn print(
    index: &Index,
    done: &Committed,
    sync: Option<&CollectionSync>,
    blocks: Option<&BlockSummary>,
    (given, started): (bool, Instant),
    output: &Output,
) -> Outcome {
    let stats = index.stats();
    let seconds = started.elapsed().as_secs_f64();
    let directory = index.directory().display().to_string();
    if let Some(model) = &index.settings().model {
        remark_on_texts(done, &model.name, (index.has_passages(), given), output);
    }
    if let Some(made) = blocks {
        made.remark(output);
    }
    // An older index does not know its fields; what needs them says so.
    let fields = if index.settings().filters { Some(index.fields()?) } else { None };
    remark_on_types(index, fields.as_deref().unwrap_or_default(), output);
    if output.json {
        let value = json!({
            "fields": fields, "blocks": blocks.map(BlockSummary::json), "index": directory, "documents": done.documents,
            "chunk": index.settings().chunking, "passages": index.has_passages().then_some(done.passages), "written": done.added + done.replaced,
            "added": done.added, "replaced": done.replaced, "deleted": done.deleted,
            "unchanged": sync.map(CollectionSync::unchanged),
            "kept": sync.map(CollectionSync::kept),
            "vectors": index.settings().model, "bytes": stats.bytes, "graph_vectors": stats.graph_vectors,
            "truncated": done.truncated, "without_vector": done.without_vector, "seconds": seconds,
        });
        return Ok(output.print_json(&value)?);
    }
    let directory = plain(&directory);
    let unchanged = sync.map_or_else(String::new, |sync| format!(", {} unchanged", sync.unchanged()));
    let passages =
        if index.has_passages() { format!(" in {}", many(done.passages, "passage")) } else { String::new() };
    let text = format!(
        "{} {directory}: {}{passages} ({} added, {} replaced, {} deleted{unchanged}), {:.1} MB, {seconds:.1} s\n  try: \
         plackett search {directory} \"your words\"\n",
        style("indexed").green().bold(),
        many(done.documents, "document"),
        done.added,
        done.replaced,
        done.deleted,
        stats.bytes as f64 / 1e6
    );
    let text = text + &fields.map(|fields| fields_line(&fields)).unwrap_or_default();
    Ok(output.print_styled(&format!("{text}{}", blocks.map(BlockSummary::text).unwrap_or_default()))?)
}

/// Files that are named to people where a sync cannot read them.
const KEPT_SHOWN: usize = 5;

/// Says which documents a sync leaves as they were, since their files are there and cannot be read.
pub(super) fn remark_on_kept(kept: &[String], directory: &str, output: &Output) {
    if !kept.is_empty() {
        let (they, files) = if kept.len() == 1 { ("it was", "file") } else { ("they were", "files") };
        let shown: Vec<String> = kept.iter().take(KEPT_SHOWN).map(|name| format!("`{name}`")).collect();
        let more = if kept.len() > KEPT_SHOWN { ", …" } else { "" };
        output.warn(&format!(
            "{directory}: kept as {they}: {} {files} this program cannot read ({}{more})",
            kept.len(),
            shown.join(", ")
        ));
    }
}

/// Fields that are named to people.
const FIELDS_SHOWN: usize = 12;

/// The fields of the documents with their types, in a line.
fn fields_line(fields: &[Field]) -> String {
    let shown: Vec<String> =
        fields.iter().take(FIELDS_SHOWN).map(|field| plain(&field.to_string()).into()).collect();
    match fields.len() {
        0 => String::new(),
        all if all > FIELDS_SHOWN => {
            let more = all - FIELDS_SHOWN;
            format!("  fields: {} and {more} more (`plackett get DIR --fields`)\n", shown.join(", "))
        }
        _ => format!("  fields: {}\n", shown.join(", ")),
    }
}

/// Tells of types that were given to fields which no document has.
fn remark_on_types(index: &Index, fields: &[Field], output: &Output) {
    let types = index.settings().types.keys();
    let absent: Vec<&String> =
        types.filter(|name| !fields.iter().any(|field| names_field(name, &field.name))).collect();
    if !absent.is_empty() {
        let names = || fields.iter().map(|field| field.name.as_str());
        let meant = absent.first().and_then(|name| nearest(name, names()));
        let what = match absent.as_slice() {
            [one] => format!("the field `{one}`"),
            many => format!("any of {}", listed(many, "field", "fields")),
        };
        output.warn(&format!("--field-types: no document has {what}{}", suggestion(&meant)));
    }
}

/// What the vectors of some documents or passages do not see; `given` says that they came with the documents.
fn remark_on_texts(done: &Committed, model: &str, (has_passages, given): (bool, bool), output: &Output) {
    let cut: Vec<&str> = done.truncated.iter().map(|cut| cut.id.as_str()).collect();
    if !cut.is_empty() {
        output.warn(&format!(
            "vectors see only the beginning of {}, longer than {model} reads; words see all",
            listed(&cut, "text", "texts")
        ));
    }
    if !done.without_vector.is_empty() {
        let (one, many) = if has_passages { ("passage", "passages") } else { ("document", "documents") };
        let why = match given {
            true => "what was given is all zeros".to_string(),
            false => format!("there is no text in it that {model} reads"),
        };
        output.warn(&format!(
            "no vector for {}: {why}, and `dense` does not find it",
            listed(&done.without_vector, one, many)
        ));
    }
}

/// Documents that came into the index otherwise are nothing that a sync would remove.
pub(super) fn remark_on_strangers(sync: &CollectionSync, done: &Committed, directory: &str, output: &Output) {
    let others = done.documents.saturating_sub(sync.documents());
    if others > 0 {
        let (documents, verb) = if others == 1 { ("document", "stays") } else { ("documents", "stay") };
        output.warn(&format!(
            "{directory}: {others} {documents} that no sync has put there {verb}; --delete removes what is not wanted"
        ));
    }
}

/// Says what cannot be written where the user has no right to.
pub(super) fn unwritable(directory: &str, error: SearchError) -> anyhow::Error {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    match &error {
        SearchError::Io { source, .. } if matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem) => {
            anyhow::Error::new(error).context(format!(
                "{directory}: the index can be searched and not changed, since its folder cannot be written; ask its owner, \
                 or index the collection into a folder of your own"
            ))
        }
        _ => error.into(),
    }
}
