//! What training files may name, off the registries: objectives and adapters, for people and for scripts.

use crate::command::{Outcome, Output};
use plackett_train::adapter::{self, ADAPTERS, AdapterSpec};
use plackett_train::objective::{self, OBJECTIVES, ObjectiveSpec, OptionSpec};
use serde_json::{Value, json};

/// Prints all objectives with one sentence each, or everything that is declared of one.
pub fn objectives(name: Option<&str>, output: &Output) -> Outcome {
    let chosen = name.map(objective::find).transpose()?;
    match (chosen, output.json) {
        (Some(spec), true) => output.print_json(&json!({"objectives": [objective_json(spec)]}))?,
        (Some(spec), false) => output.print(&objective::listing::show(spec))?,
        (None, true) => {
            let all: Vec<Value> = OBJECTIVES.iter().map(|spec| objective_json(spec)).collect();
            output.print_json(&json!({"objectives": all}))?;
        }
        (None, false) => output.print(&objective::listing::listing())?,
    }
    Ok(())
}

/// Prints all adapters with one sentence each, or everything that is declared of one.
pub fn adapters(name: Option<&str>, output: &Output) -> Outcome {
    let chosen = name.map(adapter::find).transpose()?;
    match (chosen, output.json) {
        (Some(spec), true) => output.print_json(&json!({"adapters": [adapter_json(spec)]}))?,
        (Some(spec), false) => output.print(&adapter::listing::show(spec))?,
        (None, true) => {
            let all: Vec<Value> = ADAPTERS.iter().map(|spec| adapter_json(spec)).collect();
            output.print_json(&json!({"adapters": all}))?;
        }
        (None, false) => output.print(&adapter::listing::listing())?,
    }
    Ok(())
}

fn objective_json(spec: &ObjectiveSpec) -> Value {
    let takes: Vec<String> = spec.takes.iter().map(ToString::to_string).collect();
    json!({
        "name": spec.name,
        "aliases": spec.aliases,
        "group": spec.group.name(),
        "summary": spec.summary,
        "loss": spec.formula,
        "takes": takes,
        "source": spec.source,
        "options": options_json(spec.options),
    })
}

fn adapter_json(spec: &AdapterSpec) -> Value {
    json!({
        "name": spec.name,
        "aliases": spec.aliases,
        "summary": spec.summary,
        "paper": spec.paper,
        "trained_numbers": spec.formula,
        "options": options_json(spec.options),
    })
}

fn options_json(options: &[OptionSpec]) -> Vec<Value> {
    let option = |option: &OptionSpec| {
        json!({
            "name": option.name,
            "values": option.kind.to_string(),
            "default": option.default,
            "help": option.help,
        })
    };
    options.iter().map(option).collect()
}
