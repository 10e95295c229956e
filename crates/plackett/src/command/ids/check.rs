//! `plackett ids check`: whether a catalogue can be used.

use crate::command::paths::Paths;
use crate::command::{Failure, Global, Outcome, Output};
use clap::Args;
use plackett_genir::{RETRIEVER_FILE, RetrieverFiles};
use plackett_ids::scheme::{Reads, parse};
use plackett_ids::{Catalogue, Item, read_items};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::PathBuf;

/// Check a catalogue: that it is as it was written, that identifiers are unique and none begins another, that they know no held-out position of a history, that it has the items
#[derive(Args)]
#[command(
    after_help = "Examples:\n  plackett ids check catalogue.jsonl\n  plackett ids check catalogue.jsonl --items items.jsonl\n  \
                        plackett ids check --model recommender\n\nExit code 1: a check failed. Catalogues with shared identifiers pass with --shared."
)]
pub struct Arguments {
    /// The catalogue
    #[arg(required_unless_present = "model")]
    catalogue: Option<PathBuf>,
    /// The items that it has to have, with their titles
    #[arg(long, value_name = "FILE")]
    items: Option<PathBuf>,
    /// The directory of a model: its own catalogue is checked to be the one that it was trained with
    #[arg(long, value_name = "DIR", conflicts_with = "catalogue")]
    model: Option<PathBuf>,
    /// Items may share an identifier
    #[arg(long)]
    shared: bool,
}

/// A check and what was found, empty where it holds.
struct Check {
    name: &'static str,
    problem: Option<String>,
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    let catalogue = match (&arguments.catalogue, &arguments.model) {
        (Some(path), _) => {
            Paths::default().reads("CATALOGUE", [path]).reads("--items", &arguments.items).check(output)?;
            Catalogue::open_within(path, global.max_line_bytes)?
        }
        (None, Some(model)) if model.join(RETRIEVER_FILE).is_file() => RetrieverFiles::open(model)?.catalogue,
        (None, Some(model)) => Catalogue::open_bound(model)?.0,
        (None, None) => return Err(anyhow::anyhow!("name a catalogue, or a model with --model").into()),
    };
    let mut checks = own_checks(&catalogue, arguments.shared);
    if let Some(path) = &arguments.items {
        checks.push(same_items(&catalogue, &read_items(path, global.max_line_bytes)?));
    }
    let failed = checks.iter().filter(|check| check.problem.is_some()).count();
    if output.json {
        let one = |check: &Check| json!({"check": check.name, "held": check.problem.is_none(), "problem": check.problem});
        let all: Vec<Value> = checks.iter().map(one).collect();
        output.print_json(
            &json!({"scheme": catalogue.scheme(), "sha256": catalogue.sha256(), "checks": all}),
        )?;
    } else {
        let line = |check: &Check| match &check.problem {
            None => format!("held    {}\n", check.name),
            Some(problem) => format!("FAILED  {}: {problem}\n", check.name),
        };
        output.print(&checks.iter().map(line).collect::<String>())?;
    }
    match failed {
        0 => Ok(()),
        1 => Err(Failure::Check("1 check failed".into())),
        many => Err(Failure::Check(format!("{many} checks failed"))),
    }
}

fn own_checks(catalogue: &Catalogue, may_share: bool) -> Vec<Check> {
    let statistics = catalogue.statistics();
    // A catalogue that is not as it was written does not even open.
    let mut checks = vec![Check { name: "as it was written", problem: None }];
    if !may_share {
        let problem = (!statistics.is_unique()).then(|| {
            format!(
                "{} items share theirs, up to {} one; build with duplicates=number, or pass --shared",
                statistics.colliding_items, statistics.largest_collision
            )
        });
        checks.push(Check { name: "identifiers are unique", problem });
    }
    let clash = statistics.first_clash.as_ref().filter(|_| !statistics.is_prefix_free());
    let problem = clash.map(|clash| {
        let count = statistics.prefix_clashes;
        format!(
            "{count} do, such as `{}` of {} that of {}; a model needs a token that ends them",
            clash.codes, clash.item, clash.of
        )
    });
    checks.push(Check { name: "no identifier begins another one", problem });
    checks.extend(no_leak(catalogue));
    checks
}

/// Whether identifiers that are made from histories know positions that a model is asked for; nothing to check where a scheme reads none, or
/// nobody knows what identifiers were made from.
fn no_leak(catalogue: &Catalogue) -> Option<Check> {
    let scheme = parse(catalogue.scheme()).ok()?;
    let problem = match catalogue.origin().held_out {
        _ if !scheme.spec.reads.contains(&Reads::Histories) => None,
        None => Some("it does not say how many were held out; build the catalogue anew".to_string()),
        Some(0) => Some("none was held out; build it with --held-out 2".to_string()),
        Some(_) => None,
    };
    Some(Check { name: "no held-out position of a history is known", problem })
}

fn same_items(catalogue: &Catalogue, items: &[Item]) -> Check {
    let known: HashMap<&str, &str> =
        catalogue.items().iter().map(|item| (item.id.as_str(), item.title.as_str())).collect();
    let missing = items.iter().find(|item| !known.contains_key(item.id.as_str()));
    let other =
        items.iter().find(|item| known.get(item.id.as_str()).is_some_and(|title| *title != item.title));
    let problem = match (missing, other) {
        (Some(item), _) => Some(format!("`{}` has no identifier; build the catalogue anew", item.id)),
        (_, Some(item)) => {
            Some(format!("the title of `{}` is another one; build the catalogue anew", item.id))
        }
        _ if items.len() < catalogue.len() => {
            Some(format!("it has {} items, the file {}", catalogue.len(), items.len()))
        }
        _ => None,
    };
    Check { name: "it has the items and their titles", problem }
}
