//! `plackett ids schemes`: the schemes there are.

use crate::command::{Outcome, Output};
use plackett_ids::scheme::{SCHEMES, SchemeSpec};
use serde_json::{Value, json};

/// Runs the command.
pub fn run(output: &Output) -> Outcome {
    if output.json {
        let schemes: Vec<Value> = SCHEMES.iter().map(|spec| as_json(spec)).collect();
        return Ok(output.print_json(&json!({"schemes": schemes}))?);
    }
    let mut text = String::new();
    for spec in SCHEMES {
        let also = match spec.aliases.is_empty() {
            true => String::new(),
            false => format!(" ({})", spec.aliases.join(", ")),
        };
        text.push_str(&format!("{}{also}\n  {}\n", spec.name, spec.summary));
        if !spec.reads.is_empty() {
            text.push_str(&format!("  reads {}\n", reads(spec).join(" and ")));
        }
        for option in spec.options {
            text.push_str(&format!("  {}: {} ({})\n", option.name, option.help, option.expects()));
        }
    }
    Ok(output.print(&text)?)
}

fn reads(spec: &SchemeSpec) -> Vec<&'static str> {
    spec.reads.iter().map(|reads| reads.words()).collect()
}

fn as_json(spec: &SchemeSpec) -> Value {
    let option = |option: &plackett_core::declaration::OptionSpec| json!({"name": option.name, "expects": option.kind.to_string(), "default": option.default, "help": option.help});
    json!({
        "name": spec.name,
        "aliases": spec.aliases,
        "summary": spec.summary,
        "paper": spec.paper,
        "reads": reads(spec),
        "options": spec.options.iter().map(option).collect::<Vec<_>>(),
    })
}
