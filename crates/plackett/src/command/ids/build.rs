//! `plackett ids build`: a catalogue from items and a scheme.

use super::budget::{Budget, peak};
use super::item_vectors::ItemVectors;
use super::{described, with_trainer};
use crate::command::number::whole;
use crate::command::paths::Paths;
use crate::command::{Global, Outcome, Output};
use anyhow::bail;
use clap::Args;
use plackett_ids::scheme::{Reads, Scheme, Source, parse};
use plackett_ids::{Catalogue, Item, Keep, Origin, read_histories, read_items_keeping};
use serde_json::json;
use std::path::PathBuf;

/// Build a catalogue: an identifier for each item, by a scheme
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        plackett ids build items.jsonl --scheme title -o catalogue.jsonl\n  \
                        plackett ids build items.jsonl --scheme 'balanced-rq(levels=3, codes=64)' \\\n    \
                        --model all-MiniLM-L6-v2 -o catalogue.jsonl\n  \
                        plackett ids build items.jsonl --scheme 'collaborative(clusters=10, most=200, last=item)' \\\n    \
                        --histories interactions.tsv.gz -o catalogue.jsonl\n  \
                        plackett ids build items.jsonl --index other.index.json -o catalogue.jsonl\n  \
                        plackett ids build items.jsonl --table other.tsv -o catalogue.jsonl\n\n\
                        An item is a line such as {\"id\": \"x\", \"title\": \"Green tea\", \"keywords\": \"tea\", \"text\": \"…\", \"url\":\n\
                        \"https://…\", \"categories\": [\"Food\", \"Tea\"]}. Histories are lines of user, item, rating and time with\n\
                        tabs between them, or of a user and items with blanks between them; their last positions are held\n\
                        out, so that no identifier knows them. A vector is a line such as {\"id\": \"x\", \"vector\": [0.1, …]}.\n\n\
                        With --memory-budget vectors that do not fit wait in a file beside the catalogue, and a scheme that\n\
                        needs more is refused before it begins. Vectors that a model makes are kept in CATALOGUE.unfinished\n\
                        until the end: a build that was killed goes on there.")]
pub struct Arguments {
    /// The items, one JSON object a line
    pub(super) items: PathBuf,
    /// How identifiers are made (`plackett ids schemes`)
    #[arg(long, value_name = "SCHEME", required_unless_present_any = ["index", "table"])]
    scheme: Option<String>,
    /// Who had which items, for schemes that read histories
    #[arg(long, value_name = "FILE", conflicts_with_all = ["index", "table"])]
    histories: Option<PathBuf>,
    /// Positions at the end of each history that identifiers must not know
    #[arg(long, value_name = "N", default_value = "2", value_parser = whole::<usize>(0..), requires = "histories", conflicts_with_all = ["index", "table"])]
    held_out: usize,
    /// A vector for each item, for schemes that read vectors
    #[arg(long, value_name = "FILE", conflicts_with_all = ["model", "index", "table"])]
    pub(super) vectors: Option<PathBuf>,
    /// Embedding model that makes vectors of titles and texts
    #[arg(long, short, value_name = "MODEL", conflicts_with_all = ["index", "table"])]
    pub(super) model: Option<String>,
    /// Take identifiers that were made elsewhere: a JSON object with a list of tokens for each item
    #[arg(long, value_name = "FILE", conflicts_with = "scheme")]
    index: Option<PathBuf>,
    /// Take them from a table: item, tokens with blanks between them and perhaps the title, with tabs between them
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scheme", "index"])]
    table: Option<PathBuf>,
    /// From which what is drawn follows
    #[arg(long, value_name = "N", default_value = "1", value_parser = whole::<u64>(0..), conflicts_with_all = ["index", "table"])]
    seed: u64,
    /// The catalogue
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: PathBuf,
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
        .reads("--table", &arguments.table)
        .writes("--output", [&arguments.output])
        .writes("--write-index", &arguments.write_index)
        .writes("--write-table", &arguments.write_table)
        .check(output)?;
    let scheme = arguments.scheme.as_deref().map(parse).transpose()?;
    let mut made = match &scheme {
        Some(scheme) => build(arguments, scheme, global, output)?,
        None => BuiltCatalogue::of(made_elsewhere(arguments, global)?),
    };
    let catalogue = &made.catalogue;
    catalogue.save(&arguments.output)?;
    if let Some(path) = &arguments.write_index {
        catalogue.write_index(path)?;
    }
    if let Some(path) = &arguments.write_table {
        catalogue.write_table(path)?;
    }
    // What was kept on the way is no longer needed.
    made.vectors.take().map(ItemVectors::remove).transpose()?;
    catalogue.remarks().iter().for_each(|remark| output.warn(remark));
    let statistics = catalogue.statistics();
    if output.json {
        return Ok(output.print_json(&json!({
            "catalogue": arguments.output, "scheme": catalogue.scheme(), "sha256": catalogue.sha256(), "statistics": statistics,
            "made_with": catalogue.origin(),
            "memory": {"estimate": made.estimate, "peak": peak(), "vectors_in_file": made.in_file},
            "resumed": made.resumed,
        }))?);
    }
    Ok(output.print_styled(&described(catalogue, &statistics))?)
}

/// Identifiers that were made elsewhere.
fn made_elsewhere(arguments: &Arguments, global: &Global) -> anyhow::Result<Catalogue> {
    if global.memory_budget.is_some() {
        bail!("--memory-budget: identifiers that were made elsewhere are read whole; leave it out");
    }
    let items = read_items_keeping(&arguments.items, global.max_line_bytes, Keep::Names)?;
    match (&arguments.index, &arguments.table) {
        (Some(index), _) => Ok(Catalogue::read_index(index, &items)?),
        (_, Some(table)) => Ok(Catalogue::read_table(table, &items)?),
        (None, None) => bail!("--scheme: say how identifiers are made"),
    }
}

/// A catalogue, and what it took.
struct BuiltCatalogue {
    catalogue: Catalogue,
    /// Bytes that the build was to take, where a scheme said so.
    estimate: Option<u64>,
    /// Whether vectors lay in a file.
    in_file: bool,
    /// Vectors of an earlier run that this one went on from.
    resumed: usize,
    vectors: Option<ItemVectors>,
}

impl BuiltCatalogue {
    fn of(catalogue: Catalogue) -> BuiltCatalogue {
        BuiltCatalogue { catalogue, estimate: None, in_file: false, resumed: 0, vectors: None }
    }
}

fn build(
    arguments: &Arguments,
    scheme: &Scheme,
    global: &Global,
    output: &Output,
) -> anyhow::Result<BuiltCatalogue> {
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
    let embeds = reads(Reads::Vectors) && arguments.vectors.is_none();
    let keep = match embeds || [Reads::Texts, Reads::Categories, Reads::Urls].into_iter().any(reads) {
        true => Keep::All,
        false => Keep::Names,
    };
    let items = read_items_keeping(&arguments.items, global.max_line_bytes, keep)?;
    let histories = histories(arguments, scheme, &items, global)?;
    let budget = Budget::new(global.memory_budget, scheme, &items, histories.as_deref().unwrap_or_default());
    let vectors = match reads(Reads::Vectors) {
        true => Some(ItemVectors::make(arguments, &items, &budget, global, output)?),
        false => {
            budget.place(0)?;
            None
        }
    };
    let source = Source {
        vectors: vectors.as_ref().map(|vectors| &vectors.table),
        histories: histories.as_deref(),
        ..Source::of_items(&items, arguments.seed)
    };
    let origin = Origin {
        seed: Some(arguments.seed),
        vectors: vectors.as_ref().map(|vectors| vectors.origin.clone()),
        held_out: histories.as_ref().map(|_| arguments.held_out),
    };
    let catalogue = with_trainer(output, |trainer| {
        Ok(scheme.catalogue(&Source { trainer: Some(trainer), ..source })?.with_origin(origin))
    })?;
    let dimension = vectors.as_ref().map_or(0, |vectors| vectors.table.dimension());
    let in_file = vectors.as_ref().is_some_and(|vectors| vectors.table.is_in_file());
    let resumed = vectors.as_ref().map_or(0, |vectors| vectors.resumed);
    let estimate = Some(budget.estimate(dimension, in_file));
    Ok(BuiltCatalogue { catalogue, estimate, in_file, resumed, vectors })
}

/// The histories that identifiers may know.
fn histories(
    arguments: &Arguments,
    scheme: &Scheme,
    items: &[Item],
    global: &Global,
) -> anyhow::Result<Option<Vec<Vec<usize>>>> {
    match &arguments.histories {
        Some(path) => {
            let histories = read_histories(path, items, global.max_line_bytes)?;
            Ok(Some(histories.training(arguments.held_out)))
        }
        None if scheme.spec.reads.contains(&Reads::Histories) => {
            bail!("--histories: the scheme `{}` needs histories of users", scheme.spec.name)
        }
        None => Ok(None),
    }
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
        for flags in [
            "--index i",
            "--table t",
            "--scheme rq --seed 3 --model m",
            "--scheme cid --histories h --held-out 1",
        ] {
            assert_eq!(read(flags), Ok(()), "{flags}");
        }
        for flag in ["--histories h", "--vectors v", "--model m", "--seed 1", "--histories h --held-out 1"] {
            for elsewhere in ["--index i", "--table t"] {
                let error = read(&format!("{elsewhere} {flag}")).unwrap_err();
                assert!(error.contains("cannot be used with"), "{elsewhere} {flag}: {error}");
            }
        }
        for flags in ["--table t --index i", "--table t --scheme atomic"] {
            assert!(read(flags).unwrap_err().contains("cannot be used with"), "{flags}");
        }
        let error = read("--scheme atomic --held-out 1").unwrap_err();
        assert!(error.contains("--histories"), "{error}");
    }
}
