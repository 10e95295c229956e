//! `plackett ids schemes`: the schemes there are.

use crate::command::declarations::Declared;
use crate::command::{Outcome, Output};
use plackett_ids::scheme::{SCHEMES, SchemeSpec};
use serde_json::{Value, json};

/// Runs the command.
pub fn run(output: &Output) -> Outcome {
    let all: Vec<Declared> = SCHEMES.iter().map(|spec| declared(spec)).collect();
    if output.json {
        let all: Vec<Value> = all.iter().map(Declared::json).collect();
        return Ok(output.print_json(&json!({"schemes": all}))?);
    }
    let all: Vec<String> = all.iter().map(Declared::text).collect();
    Ok(output.print(&all.join("\n"))?)
}

fn declared(spec: &SchemeSpec) -> Declared {
    let SchemeSpec { name, aliases, summary, paper, options, .. } = *spec;
    let reads: Vec<&str> = spec.reads.iter().map(|reads| reads.words()).collect();
    let line = (!reads.is_empty()).then(|| format!("reads {}", reads.join(" and ")));
    Declared { name, aliases, summary, paper, options, own: ("reads", json!(reads), line) }
}
