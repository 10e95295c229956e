//! `plackett ids build`: a catalogue from items and a scheme.

use super::described;
use crate::command::number::whole;
use crate::command::paths::Paths;
use crate::command::{Global, Outcome, Output};
use anyhow::{anyhow, bail};
use clap::Args;
use plackett::pipeline::Models;
use plackett_core::formats::read_json_lines;
use plackett_ids::scheme::{Reads, Scheme, Source, parse};
use plackett_ids::{Catalogue, Item, read_histories, read_items};
use plackett_lm::EmbedOptions;
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Texts of one call of the model.
const AT_ONCE: usize = 512;

/// Build a catalogue: an identifier for each item, by a scheme
#[derive(Args)]
#[command(after_help = "Examples:\n  plackett ids build items.jsonl --scheme title -o catalogue.jsonl\n  \
                  plackett ids build items.jsonl --scheme 'balanced-rq(levels=3, codes=64)' --model all-MiniLM-L6-v2 -o catalogue.jsonl\n  \
                  plackett ids build items.jsonl --scheme 'collaborative(clusters=10, most=200, last=item)' --histories interactions.tsv.gz -o catalogue.jsonl\n  \
                  plackett ids build items.jsonl --index other.index.json -o catalogue.jsonl\n\n\
                  An item is a line such as {\"id\": \"x\", \"title\": \"Green tea\", \"keywords\": \"tea\", \"text\": \"…\", \"categories\": [\"Food\", \"Tea\"]}.\n\
                  Histories are lines of user, item, rating and time with tabs between them, or of a user and items with blanks between them;\n\
                  their last positions are held out, so that no identifier knows them. A vector is a line such as {\"id\": \"x\", \"vector\": [0.1, …]}.")]
pub struct Arguments {
    /// The items, one JSON object a line
    items: PathBuf,
    /// How identifiers are made (`plackett ids schemes`)
    #[arg(long, value_name = "SCHEME", required_unless_present = "index")]
    scheme: Option<String>,
    /// Who had which items, for schemes that read histories
    #[arg(long, value_name = "FILE", conflicts_with = "index")]
    histories: Option<PathBuf>,
    /// Positions at the end of each history that identifiers must not know
    #[arg(long, value_name = "N", default_value = "2", value_parser = whole::<usize>(0..), requires = "histories", conflicts_with = "index")]
    held_out: usize,
    /// A vector for each item, for schemes that read vectors
    #[arg(long, value_name = "FILE", conflicts_with_all = ["model", "index"])]
    vectors: Option<PathBuf>,
    /// Embedding model that makes vectors of titles and texts
    #[arg(long, short, value_name = "MODEL", conflicts_with = "index")]
    model: Option<String>,
    /// Take identifiers that were made elsewhere: a JSON object with a list of tokens for each item
    #[arg(long, value_name = "FILE", conflicts_with = "scheme")]
    index: Option<PathBuf>,
    /// From which what is drawn follows
    #[arg(long, value_name = "N", default_value = "1", value_parser = whole::<u64>(0..), conflicts_with = "index")]
    seed: u64,
    /// The catalogue
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Write the identifiers as an index in JSON too
    #[arg(long, value_name = "FILE")]
    write_index: Option<PathBuf>,
    /// Write them as a table with tabs too: item, tokens, title
    #[arg(long, value_name = "FILE")]
    write_table: Option<PathBuf>,
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    Paths::default()
        .reads("ITEMS", [&arguments.items])
        .reads("--histories", &arguments.histories)
        .reads("--vectors", &arguments.vectors)
        .reads("--index", &arguments.index)
        .writes("--output", [&arguments.output])
        .writes("--write-index", &arguments.write_index)
        .writes("--write-table", &arguments.write_table)
        .check()?;
    let scheme = arguments.scheme.as_deref().map(parse).transpose()?;
    let items = read_items(&arguments.items, global.max_line_bytes)?;
    let catalogue = match (&scheme, &arguments.index) {
        (Some(scheme), _) => build(arguments, scheme, &items, global, output)?,
        (None, Some(index)) => Catalogue::read_index(index, &items)?,
        (None, None) => return Err(anyhow!("--scheme: say how identifiers are made").into()),
    };
    catalogue.save(&arguments.output)?;
    if let Some(path) = &arguments.write_index {
        catalogue.write_index(path)?;
    }
    if let Some(path) = &arguments.write_table {
        catalogue.write_table(path)?;
    }
    catalogue.remarks().iter().for_each(|remark| output.warn(remark));
    let statistics = catalogue.statistics();
    if output.json {
        return Ok(output.print_json(&json!({
            "catalogue": arguments.output, "scheme": catalogue.scheme(), "sha256": catalogue.sha256(), "statistics": statistics,
        }))?);
    }
    Ok(output.print_styled(&described(&catalogue, &statistics))?)
}

fn build(
    arguments: &Arguments,
    scheme: &Scheme,
    items: &[Item],
    global: &Global,
    output: &Output,
) -> anyhow::Result<Catalogue> {
    let reads = |what| scheme.spec.reads.contains(&what);
    for (flag, is_given, what) in [
        ("--vectors", arguments.vectors.is_some(), Reads::Vectors),
        ("--model", arguments.model.is_some(), Reads::Vectors),
        ("--histories", arguments.histories.is_some(), Reads::Histories),
    ] {
        if is_given && !reads(what) {
            bail!("{flag}: the scheme `{}` does not read {}; leave it out", scheme.spec.name, what.words());
        }
    }
    let vectors = match (&arguments.vectors, reads(Reads::Vectors)) {
        (Some(path), _) => Some(read_vectors(path, items, global.max_line_bytes)?),
        (None, true) => Some(embedded(arguments, items, global, output)?),
        (None, false) => None,
    };
    let histories = match &arguments.histories {
        Some(path) => {
            let histories = read_histories(path, items, global.max_line_bytes)?;
            Some(histories.training(arguments.held_out))
        }
        None if reads(Reads::Histories) => {
            bail!("--histories: the scheme `{}` needs histories of users", scheme.spec.name)
        }
        None => None,
    };
    let source =
        Source { items, vectors: vectors.as_deref(), histories: histories.as_deref(), seed: arguments.seed };
    Ok(scheme.catalogue(&source)?)
}

#[derive(Deserialize)]
struct Line {
    id: String,
    vector: Vec<f64>,
}

/// A vector for each item, in the order of the items.
fn read_vectors(path: &Path, items: &[Item], limit: usize) -> anyhow::Result<Vec<Vec<f64>>> {
    let mut by_id: HashMap<String, Vec<f64>> = HashMap::new();
    for (number, line) in read_json_lines::<Line>(path, limit, "{\"id\": …, \"vector\": […]}")? {
        let place = || format!("{}, line {number}", path.display());
        if by_id.insert(line.id.clone(), line.vector).is_some() {
            bail!("{}: a second vector of the item `{}`; leave one of them out", place(), line.id);
        }
    }
    let vector = |item: &Item| {
        by_id
            .remove(&item.id)
            .ok_or_else(|| anyhow!("{}: no vector of the item `{}`", path.display(), item.id))
    };
    items.iter().map(vector).collect()
}

/// Vectors of titles and texts by an embedding model.
fn embedded(
    arguments: &Arguments,
    items: &[Item],
    global: &Global,
    output: &Output,
) -> anyhow::Result<Vec<Vec<f64>>> {
    let models = Models::new(arguments.model.clone(), global.models());
    let model = models.open(None)?;
    let bar = output.progress("vectors", items.len() as u64);
    let (mut vectors, mut cut) = (Vec::with_capacity(items.len()), 0);
    for items in items.chunks(AT_ONCE) {
        let text = |item: &Item| {
            let parts = [&item.title, &item.keywords, &item.text].map(|part| part.trim());
            parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
        };
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
        cut += made.truncated.len();
        vectors.extend(
            made.data.chunks_exact(made.dim.max(1)).map(|row| row.iter().map(|x| f64::from(*x)).collect()),
        );
        bar.inc(items.len() as u64);
    }
    bar.finish_and_clear();
    if cut > 0 {
        output.warn(&format!(
            "{cut} texts are longer than the model reads; the rest of them has no part in their vectors"
        ));
    }
    Ok(vectors)
}

#[cfg(test)]
mod tests {
    use super::Arguments;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        _arguments: Arguments,
    }

    #[test]
    fn flags_without_an_effect_are_refused() {
        let read = |flags: &str| {
            let words = ["build", "items.jsonl", "-o", "c.jsonl"].into_iter().chain(flags.split(' '));
            Line::try_parse_from(words).map(|_| ()).map_err(|error| error.to_string())
        };
        for flags in
            ["--index i", "--scheme rq --seed 3 --model m", "--scheme cid --histories h --held-out 1"]
        {
            assert_eq!(read(flags), Ok(()), "{flags}");
        }
        for flag in ["--histories h", "--vectors v", "--model m", "--seed 1", "--histories h --held-out 1"] {
            let error = read(&format!("--index i {flag}")).unwrap_err();
            assert!(error.contains("cannot be used with"), "{flag}: {error}");
        }
        let error = read("--scheme atomic --held-out 1").unwrap_err();
        assert!(error.contains("--histories"), "{error}");
    }
}
