//! `plackett recipe run --dry-run`: what would be done, fetched and taken.

use crate::command::table::{Align, Table};
use crate::command::{Outcome, Output};
use plackett::recipe::{PlannedStage, Runner};
use serde_json::{Value, json};

pub(super) fn print(runner: &Runner<'_>, output: &Output) -> Outcome {
    let stages = runner.plan().map_err(super::failure)?;
    let known: Option<f64> = stages.iter().map(|stage| stage.estimate.seconds).sum();
    let memory = stages.iter().map(|stage| stage.estimate.memory).max().unwrap_or(0);
    let mut missing: Vec<&String> = stages.iter().flat_map(|stage| &stage.estimate.missing).collect();
    missing.sort();
    missing.dedup();
    if output.json {
        let plan: Vec<Value> = stages
            .iter()
            .map(|stage| json!({"stage": stage.name, "kind": stage.kind, "cached": stage.cached, "estimate": stage.estimate}))
            .collect();
        let (recipe, scale) = (&runner.recipe.name, runner.scale.name());
        let value = json!({"recipe": recipe, "scale": scale, "plan": plan, "seconds": known, "memory": memory, "missing": missing});
        return Ok(output.print_json(&value)?);
    }
    let mut text = format!("{} at the scale {}\n", runner.recipe.name, runner.scale.name());
    text.push_str(&table(&stages));
    let time = known.map_or_else(|| "unknown while something is missing".into(), duration);
    text.push_str(&format!(
        "\n  Time     about {time} on two cores (a rough estimate; what is in the cache takes none)\n"
    ));
    text.push_str(&format!(
        "  Memory   {} for model weights, and the work's buffers beside them\n",
        bytes(memory)
    ));
    match missing.as_slice() {
        [] => text.push_str("  Missing  nothing: all data and models are on this machine\n"),
        missing => missing.iter().for_each(|what| text.push_str(&format!("  Missing  {what}\n"))),
    }
    Ok(output.print(&text)?)
}

fn table(stages: &[PlannedStage]) -> String {
    let mut table = Table::new([
        ("stage".to_string(), Align::Left),
        ("kind".into(), Align::Left),
        ("state".into(), Align::Left),
        ("time".into(), Align::Right),
        ("memory".into(), Align::Right),
        ("work".into(), Align::Left),
    ]);
    for stage in stages {
        let state = match stage.cached {
            Some(true) => "done",
            Some(false) => "to do",
            None => "unknown",
        };
        let estimate = &stage.estimate;
        let time = estimate.seconds.map_or("?".into(), duration);
        let memory = if estimate.memory == 0 { "–".into() } else { bytes(estimate.memory) };
        table.row([
            stage.name.clone(),
            stage.kind.to_string(),
            state.into(),
            time,
            memory,
            estimate.work.clone(),
        ]);
    }
    table.render()
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

fn bytes(count: u64) -> String {
    match count as f64 {
        b if b < 1e9 => format!("{:.0} MB", b / 1e6),
        b => format!("{:.1} GB", b / 1e9),
    }
}
