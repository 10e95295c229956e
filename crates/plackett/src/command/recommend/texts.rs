//! What is said of items: their titles, and their texts as vectors for recommenders that read them.

use crate::command::{Global, Output};
use anyhow::{Context, bail};
use plackett::pipeline::Models;
use plackett::text_vectors::{text_vectors, texts_or_names};
use plackett_rec::{Configured, Interactions, ItemWords, read_item_words};
use std::collections::HashMap;
use std::path::Path;

/// Whether a recommender reads texts.
pub fn reads_texts(configured: &Configured) -> bool {
    configured.encoder().is_some()
}

/// Refuses recommenders that read texts where none are given, before any work.
pub fn check(wanted: &[Configured], titles: Option<&Path>) -> anyhow::Result<()> {
    match wanted.iter().find(|one| reads_texts(one)) {
        Some(reader) if titles.is_none() => bail!(
            "--recommender {}: it reads the texts of the items; give them with --titles",
            reader.spec.name
        ),
        _ => Ok(()),
    }
}

/// What the file of `--titles` says of items, read once, since it may come from a pipe; `None` without one.
pub fn words(titles: Option<&Path>, global: &Global) -> anyhow::Result<Option<ItemWords>> {
    Ok(titles.map(|path| read_item_words(path, global.max_line_bytes)).transpose()?)
}

/// Says how many items have no title.
pub fn remark_on_untitled(titles: &HashMap<String, String>, all: &Interactions, output: &Output) {
    let untitled = all.items.iter().filter(|item| !titles.contains_key(*item)).count();
    let count = all.items.len();
    if untitled > 0 {
        output.warn(&format!("{untitled} of {count} items have no title and are shown by name"));
    }
}

/// The vectors of all items' texts, by encoder.
pub struct VectorsByEncoder(HashMap<String, Vec<f32>>);

impl VectorsByEncoder {
    /// Reads the texts with each encoder that is wanted, once; items without a text are read by their name, which is said.
    pub fn read(
        wanted: &[Configured],
        (words, all): (Option<&ItemWords>, &Interactions),
        global: &Global,
        output: &Output,
    ) -> anyhow::Result<VectorsByEncoder> {
        let mut made = HashMap::new();
        let Some(ItemWords { texts, .. }) = words.filter(|_| wanted.iter().any(reads_texts)) else {
            return Ok(VectorsByEncoder(made));
        };
        let count = all.items.len();
        let unsaid = all.items.iter().filter(|item| !texts.contains_key(*item)).count();
        if unsaid > 0 {
            output.warn(&format!("{unsaid} of {count} items have no text and are read by name"));
        }
        let texts = texts_or_names(&all.items, texts);
        let models = Models::new(None, global.models());
        for encoder in wanted.iter().filter_map(Configured::encoder) {
            if made.contains_key(encoder) {
                continue;
            }
            let model = models.open(Some(encoder)).with_context(|| format!("encoder={encoder}"))?;
            if let Some(remark) = model.remark() {
                output.warn(&remark);
            }
            let bar = output.progress("embedding", count as u64);
            let (vectors, cut) = text_vectors(&model, &texts, &mut |done| bar.set_position(done as u64))?;
            bar.finish_and_clear();
            if cut > 0 {
                output.warn(&format!(
                    "{cut} of {count} items have more text than {encoder} reads, and are cut"
                ));
            }
            made.insert(encoder.to_string(), vectors);
        }
        Ok(VectorsByEncoder(made))
    }

    /// Those that a recommender reads; none where it reads no texts.
    pub fn of(&self, configured: &Configured) -> &[f32] {
        configured.encoder().and_then(|encoder| self.0.get(encoder)).map(Vec::as_slice).unwrap_or_default()
    }
}
