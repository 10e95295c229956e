//! `plackett recommend list` and `show`.

use crate::command::table::{Align, Table};
use crate::command::{Outcome, Output};
use plackett_rec::{RECOMMENDERS, RecommenderSpec, find};
use serde_json::{Value, json};

fn described(spec: &RecommenderSpec) -> Value {
    let options: Vec<Value> = spec
        .options
        .iter()
        .map(|option| json!({"name": option.name, "expects": option.expects(), "help": option.help}))
        .collect();
    json!({
        "name": spec.name,
        "aliases": spec.aliases,
        "summary": spec.summary,
        "paper": spec.paper,
        "draws": spec.draws,
        "options": options,
    })
}

/// The recommenders there are.
pub fn list(output: &Output) -> Outcome {
    if output.json {
        let all: Vec<Value> = RECOMMENDERS.iter().map(|spec| described(spec)).collect();
        return Ok(output.print_json(&json!({"recommenders": all}))?);
    }
    let mut table = Table::new(
        [("recommender", Align::Left), ("what it does", Align::Left)]
            .map(|(name, align)| (name.to_string(), align)),
    );
    RECOMMENDERS.iter().for_each(|spec| table.row([spec.name.to_string(), spec.summary.to_string()]));
    Ok(output.print_styled(&table.render())?)
}

/// What one of them does, and its options.
pub fn show(name: &str, output: &Output) -> Outcome {
    let spec = find(name)?;
    if output.json {
        return Ok(output.print_json(&json!({"recommender": described(spec)}))?);
    }
    let mut text = format!("{}: {}\n", spec.name, spec.summary);
    if !spec.aliases.is_empty() {
        text += &format!("also: {}\n", spec.aliases.join(", "));
    }
    text += &format!("from: {}\n", spec.paper);
    for option in spec.options {
        text += &format!("  {} ({}): {}\n", option.name, option.expects(), option.help);
    }
    Ok(output.print(&text)?)
}
