//! `plackett ids show`: what a catalogue's identifiers are like, and those of single items.

use super::{described, page};
use crate::command::paths::Paths;
use crate::command::terminal::plain;
use crate::command::{Global, Outcome, Output};
use anyhow::anyhow;
use clap::Args;
use plackett_ids::{Catalogue, CatalogueItem};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Show what the identifiers of a catalogue are like: collisions, lengths, use of codes; or those of single items
#[derive(Args)]
#[command(
    after_help = "Examples:\n  plackett ids show catalogue.jsonl\n  plackett ids show catalogue.jsonl --item B004756YJA --json\n  \
                        plackett ids show catalogue.jsonl --codes '<a_3> <b_17> <c_4>'\n  plackett ids show catalogue.jsonl --report catalogue.html"
)]
pub struct Arguments {
    /// The catalogue
    catalogue: PathBuf,
    /// Only this item; may be given more than once
    #[arg(long, value_name = "ID")]
    item: Vec<String>,
    /// Only the items with this identifier: its tokens with blanks between them
    #[arg(long, value_name = "TOKENS", conflicts_with = "item")]
    codes: Option<String>,
    /// Write a self-contained HTML page: use of codes, lengths, collisions
    #[arg(long, value_name = "FILE.html", conflicts_with_all = ["item", "codes"])]
    report: Option<PathBuf>,
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    Paths::default()
        .reads("CATALOGUE", [&arguments.catalogue])
        .writes("--report", &arguments.report)
        .check(output)?;
    let catalogue = Catalogue::open_within(&arguments.catalogue, global.max_line_bytes)?;
    let places = asked(arguments, &catalogue)?;
    if let Some(places) = places {
        return items(&catalogue, &places, output);
    }
    let statistics = catalogue.statistics();
    catalogue.remarks().iter().for_each(|remark| output.warn(remark));
    if let Some(path) = &arguments.report {
        page::write(path, &arguments.catalogue, &catalogue, &statistics)?;
        output.note(&format!("page: {}", path.display()));
    }
    if output.json {
        return Ok(output.print_json(&json!({
            "scheme": catalogue.scheme(), "sha256": catalogue.sha256(), "made_with": catalogue.origin(),
            "statistics": statistics,
        }))?);
    }
    Ok(output.print_styled(&described(&catalogue, &statistics))?)
}

/// The places of the items that were asked for; `None` where all are meant.
fn asked(arguments: &Arguments, catalogue: &Catalogue) -> anyhow::Result<Option<Vec<usize>>> {
    let file = arguments.catalogue.display();
    if let Some(text) = &arguments.codes {
        let code = |token: &str| {
            let found = catalogue.tokens().iter().position(|known| known == token);
            found.map(|code| code as u32).ok_or_else(|| anyhow!("--codes: {file} has no token `{token}`"))
        };
        let codes: Vec<u32> = text.split_whitespace().map(code).collect::<anyhow::Result<_>>()?;
        return match catalogue.find(&codes) {
            [] => Err(anyhow!("--codes {text}: no item of {file} has this identifier")),
            places => Ok(Some(places.to_vec())),
        };
    }
    if arguments.item.is_empty() {
        return Ok(None);
    }
    let place =
        |id: &String| catalogue.place(id).ok_or_else(|| anyhow!("--item {id}: {file} has no such item"));
    arguments.item.iter().map(place).collect::<anyhow::Result<Vec<_>>>().map(Some)
}

fn items(catalogue: &Catalogue, places: &[usize], output: &Output) -> Outcome {
    let of = |place: &usize| (&catalogue.items()[*place], catalogue.text(*place));
    if output.json {
        let one = |(item, text): (&CatalogueItem, String)| json!({"id": item.id, "title": item.title, "codes": text.split(' ').collect::<Vec<_>>()});
        let items: Vec<Value> = places.iter().map(of).map(one).collect();
        return Ok(output.print_json(&json!({"items": items}))?);
    }
    let line = |(item, text): (&CatalogueItem, String)| {
        format!("{}\t{}\t{}\n", plain(&item.id), plain(&text), plain(&item.title))
    };
    Ok(output.print(&places.iter().map(of).map(line).collect::<String>())?)
}
