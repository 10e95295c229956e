//! `plackett get`: documents of an index by their ids or by a filter, and the fields that they have.

use super::number::whole;
use super::open::{listed, many, open_index};
use super::shown::{self, Part};
use super::terminal::plain;
use super::{Failure, Outcome, Output};
use clap::Args;
use console::{Alignment, measure_text_width, pad_str, style};
use plackett_core::Document;
use plackett_search::{Filter, Index};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::path::PathBuf;

/// Show documents of an index by their ids or by a filter, or the fields that they have
#[derive(Args)]
#[command(after_help = "Examples:\n  plackett get my.index d17 d18\n  plackett get my.index --fields\n  \
                        plackett get my.index --filter 'tags = \"pod\" and year >= 2024' -k 50 --show title,metadata\n\n\
                        docs/filters.md says what a filter can ask for.")]
pub struct Arguments {
    /// Index directory, made by `plackett index`
    index: PathBuf,
    /// Ids of documents
    #[arg(required_unless_present_any = ["filter", "fields"], value_name = "ID")]
    ids: Vec<String>,
    /// Documents whose metadata pass, in the order of their ids
    #[arg(long, value_name = "FILTER", conflicts_with = "ids")]
    filter: Option<String>,
    /// Documents of a filter that are shown at most [default: 10]
    #[arg(short = 'k', long = "top-k", value_name = "N", requires = "filter", value_parser = whole::<usize>(1..))]
    k: Option<usize>,
    /// What is shown of each document [default: title,text,metadata]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PARTS")]
    show: Option<Vec<Part>>,
    /// The fields of the documents, with their types and in how many documents they are
    #[arg(long, conflicts_with_all = ["ids", "filter", "show"])]
    fields: bool,
}

/// Documents of a filter that are shown when nothing is said.
const USUAL_NUMBER: usize = 10;
/// What is shown of a document when nothing is said.
const USUAL_PARTS: [Part; 3] = [Part::Title, Part::Text, Part::Metadata];

/// Runs the command.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome {
    let parts = arguments.show.as_deref().unwrap_or(&USUAL_PARTS);
    if parts.contains(&Part::Snippet) {
        return Err(anyhow::anyhow!(
            "--show snippet: a passage speaks to a query, and there is none; use text, or `plackett search`"
        )
        .into());
    }
    if arguments.k.is_some() && arguments.filter.is_none() {
        return Err(anyhow::anyhow!(
            "-k says how many documents of a --filter are shown; leave it out, or give a --filter"
        )
        .into());
    }
    let index = open_index(&arguments.index)?;
    if arguments.fields {
        return fields(&index, output);
    }
    match &arguments.filter {
        Some(filter) => by_filter(&index, filter, arguments.k.unwrap_or(USUAL_NUMBER), parts, output),
        None => by_id(&index, &arguments.ids, parts, output),
    }
}

/// Reads a filter of the command line.
pub fn read_filter(text: &str) -> anyhow::Result<Filter> {
    text.parse().map_err(|error| anyhow::anyhow!("--filter: {error}"))
}

fn by_id(index: &Index, ids: &[String], parts: &[Part], output: &Output) -> Outcome {
    let (mut documents, mut missing) = (Vec::new(), Vec::new());
    for id in ids {
        match index.document(id)? {
            Some(document) => documents.push(document),
            None => missing.push(id.as_str()),
        }
    }
    print(&documents, json!({"missing": missing}), parts, output)?;
    if missing.is_empty() {
        return Ok(());
    }
    let path = index.directory().display();
    Err(Failure::Check(format!("{path}: not in the index: {}", listed(&missing, "id", "ids"))))
}

fn by_filter(index: &Index, filter: &str, most: usize, parts: &[Part], output: &Output) -> Outcome {
    let filter = read_filter(filter)?;
    let selection = index.select(Some(&filter)).map_err(|error| anyhow::anyhow!("--filter: {error}"))?;
    let mut ids: Vec<&str> = selection.ids().collect();
    ids.sort_unstable();
    let passed = ids.len();
    ids.truncate(most);
    let documents: Result<Vec<Option<Document>>, _> = ids.iter().map(|id| index.document(id)).collect();
    let documents: Vec<Document> = documents?.into_iter().flatten().collect();
    print(&documents, json!({"missing": [], "passed": passed}), parts, output)?;
    if passed > most {
        output.warn(&format!("{most} of {passed} documents that pass the filter are shown; -k N shows more"));
    } else if passed == 0 {
        output.warn("no document passes the filter");
    }
    Ok(())
}

/// Documents, and with `--json` what else there is to say.
fn print(documents: &[Document], more: Value, parts: &[Part], output: &Output) -> anyhow::Result<()> {
    if output.json {
        let one = |document: &Document| {
            let mut object = json!({"id": document.id});
            shown::add_json(&mut object, document, None, parts);
            object
        };
        let mut value = json!({"documents": documents.iter().map(one).collect::<Vec<_>>()});
        if let (Value::Object(all), Value::Object(more)) = (&mut value, more) {
            all.extend(more);
        }
        return output.print_json(&value);
    }
    let mut text = String::new();
    for document in documents {
        text.push_str(&style(plain(&document.id)).cyan().to_string());
        if parts.contains(&Part::Title) && !document.title.is_empty() {
            text.push_str(&format!("  {}", style(plain(&document.title)).bold()));
        }
        text.push_str(&format!("\n{}", shown::lines(document, parts)));
    }
    Ok(output.print_styled(&text)?)
}

fn fields(index: &Index, output: &Output) -> Outcome {
    let fields = index.fields()?;
    if output.json {
        return Ok(output.print_json(&json!({"fields": fields}))?);
    }
    if fields.is_empty() {
        output.warn("the documents have no fields besides title and text");
    }
    let names: Vec<Cow<'_, str>> = fields.iter().map(|field| plain(&field.name)).collect();
    let width = names.iter().map(|name| measure_text_width(name)).max().unwrap_or(0).min(40);
    let mut text = String::new();
    for (field, name) in fields.iter().zip(&names) {
        let name = pad_str(name, width, Alignment::Left, None);
        let types = field.types();
        text.push_str(&format!(
            "{}  {types:<20} {}\n",
            style(name).cyan(),
            many(field.documents, "document")
        ));
    }
    Ok(output.print_styled(&text)?)
}
