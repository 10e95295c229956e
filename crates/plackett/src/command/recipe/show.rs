//! `plackett recipe show`, and what other actions print of a recipe.

use super::{StoreArguments, read};
use crate::command::{Outcome, Output};
use clap::Args;
use console::style;
use plackett::recipe::field::FieldSpec;
use plackett::recipe::{Recipe, Registry, Results, Scale, graph};
use serde_json::{Value, json};
use std::fmt::Write;

#[derive(Args)]
#[command(after_help = "Examples:\n  plackett recipe show hybrid\n  plackett recipe show ./mine.toml --json")]
pub(super) struct Arguments {
    /// Name or file of the recipe
    recipe: String,
    #[command(flatten)]
    store: StoreArguments,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Outcome {
    let store = arguments.store.store()?;
    let recipe = read(&store, &arguments.recipe, &Registry::default())?;
    let results = Results::read(&store, &recipe.name).map_err(super::failure)?;
    if output.json {
        let mut value = json!({
            "recipe": recipe.name, "title": recipe.title, "system": recipe.system, "about": recipe.about, "file": recipe.source.file,
            "results": results,
        });
        for scale in Scale::ALL {
            value[scale.name()] = graph_json(&recipe, scale);
        }
        return Ok(output.print_json(&value)?);
    }
    Ok(output.print(&text(&recipe, results.as_ref()))?)
}

/// Stages and claims at a scale.
pub(super) fn graph_json(recipe: &Recipe, scale: Scale) -> Value {
    let at = recipe.at(scale);
    let stages: Vec<Value> = at
        .stages
        .iter()
        .map(|stage| {
            let inputs: Vec<&str> =
                stage.inputs.iter().map(|&input| at.stages[input].name.as_str()).collect();
            let fields: serde_json::Map<String, Value> = stage
                .values
                .written()
                .into_iter()
                .map(|(name, value)| (name.to_string(), value.into()))
                .collect();
            json!({"name": stage.name, "kind": stage.kind.name, "inputs": inputs, "fields": fields})
        })
        .collect();
    let claims: Vec<Value> = at
        .claims
        .iter()
        .map(|claim| {
            let about = claim.kind.quantities(&claim.values);
            json!({"id": claim.id, "text": claim.text, "main": claim.main, "expected": claim.expected, "kind": claim.kind.name, "about": about})
        })
        .collect();
    let waiting: Vec<Value> = at
        .waiting
        .iter()
        .map(|c| json!({"id": c.id, "text": c.text, "main": c.main, "waiting": c.needs}))
        .collect();
    json!({"recipe": recipe.name, "scale": scale.name(), "stages": stages, "claims": claims, "waiting": waiting})
}

fn text(recipe: &Recipe, results: Option<&Results>) -> String {
    let mut text = format!("{}  {}\n", style(&recipe.name).bold(), recipe.title);
    let _ = writeln!(text, "  {}", style(recipe.source.origin()).dim());
    if !recipe.about.is_empty() {
        let _ = writeln!(text, "\n{}", recipe.about);
    }
    let scale = recipe.at(Scale::Quick);
    let _ = writeln!(text, "\n{}", style("Stages (quick)").bold());
    for &nth in &scale.order {
        let stage = &scale.stages[nth];
        let _ = writeln!(text, "  {} {}", style(&stage.name).cyan(), style(stage.kind.name).dim());
        for (name, value) in stage.values.given().into_iter().filter(|(name, _)| *name != "kind") {
            let _ = writeln!(text, "    {name} = {value}");
        }
    }
    let _ = writeln!(text, "\n{}", style("Claims").bold());
    for claim in &scale.claims {
        let last = results.and_then(|results| results.judged(&claim.id));
        let state = last
            .map_or_else(|| "not checked".into(), |last| format!("{}: {}", last.state.name(), last.numbers));
        let main = if claim.main { " (main)" } else { "" };
        let _ =
            writeln!(text, "  {}{main}  {}\n    {}", style(&claim.id).cyan(), claim.text, style(state).dim());
    }
    for claim in &scale.waiting {
        let _ = writeln!(
            text,
            "  {}  {}\n    {}",
            style(&claim.id).cyan(),
            claim.text,
            style(format!("waits for {}", claim.needs)).dim()
        );
    }
    let _ = writeln!(text, "\n{}\n{}", style("Graph").bold(), graph::text(scale));
    if let Some(results) = results {
        let _ = writeln!(
            text,
            "Last checked {} at the scale {}, {} s of work.",
            results.checked, results.scale, results.seconds
        );
    }
    text
}

/// The kinds with their fields.
pub(super) fn kinds_text(registry: &Registry) -> String {
    let mut text = String::new();
    let mut part = |title: &str, kinds: Vec<(&str, &str, &[FieldSpec])>| {
        let _ = writeln!(text, "{}", style(title).bold());
        for (name, help, specs) in kinds {
            let _ = writeln!(text, "  {}  {help}", style(name).cyan());
            for spec in specs {
                let _ = writeln!(
                    text,
                    "    {:<14} {}; {}; {}",
                    spec.name,
                    spec.help,
                    spec.kind.words(),
                    spec.default_words()
                );
            }
        }
        text.push('\n');
    };
    part("Stages", registry.stages.iter().map(|kind| (kind.name, kind.help, kind.fields)).collect());
    part("Claims", registry.claims.iter().map(|kind| (kind.name, kind.help, kind.fields)).collect());
    part("Simulations", registry.simulations.iter().map(|s| (s.name, s.help, s.fields)).collect());
    text
}
