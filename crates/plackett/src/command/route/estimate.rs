//! `plackett route estimate`: what a policy would be worth, from rewards that another one has gathered.

use crate::command::paths::Paths;
use crate::command::table::{Align, Table};
use crate::command::{Global, Outcome, Output};
use anyhow::{Context, anyhow};
use clap::Args;
use plackett_arena::routing::off_policy::{Logged, OffPolicy};
use plackett_core::formats::read_json_lines;
use serde::Deserialize;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Say what a policy would be worth, from the choices and rewards of another one
#[derive(Args)]
#[command(after_help = "Example:\n  \
                        plackett route estimate log.jsonl\n\n\
                        A line is {\"reward\": 1, \"propensity\": 0.25, \"target\": 0.9}: the reward of the arm that was chosen,\n\
                        with which probability it was chosen then, and with which the policy in question would choose it.\n\
                        With \"predicted\" and \"predicted_target\" (what a model of rewards expects of that arm, and of the\n\
                        policy) the doubly robust estimate is narrower.")]
pub struct Arguments {
    /// The choices (`-`: standard input)
    log: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    reward: f64,
    propensity: f64,
    target: f64,
    predicted: Option<f64>,
    predicted_target: Option<f64>,
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    Paths::default().reads("LOG", [&arguments.log]).check(output)?;
    let logged = read(&arguments.log, global.max_line_bytes)?;
    let found = OffPolicy::new(&logged)
        .ok_or_else(|| anyhow!("{}: there is no choice; give at least one line", arguments.log.display()))?;
    if output.json {
        return Ok(output.print_json(&json!({"choices": logged.len(), "estimates": found}))?);
    }
    output.print(&format!(
        "{} choices, worth {:.0} of the policy's own\n\n",
        logged.len(),
        found.effective
    ))?;
    let columns = [("estimate", Align::Left), ("value", Align::Right), ("95 %", Align::Right)];
    let mut table = Table::new(columns.map(|(name, align)| (name.to_string(), align)));
    for (name, estimate) in [
        ("inverse propensity", found.inverse_propensity),
        ("self-normalised", found.self_normalised),
        ("doubly robust", found.doubly_robust),
    ] {
        let interval = format!("{:.4} – {:.4}", estimate.lower, estimate.upper);
        table.row([name.to_string(), format!("{:.4}", estimate.value), interval]);
    }
    Ok(output.print_styled(&table.render())?)
}

fn read(path: &Path, limit: usize) -> anyhow::Result<Vec<Logged>> {
    let expected = "{\"reward\": …, \"propensity\": …, \"target\": …}";
    let mut all = Vec::new();
    for (number, line) in read_json_lines::<Line>(path, limit, expected)? {
        let place = || format!("{}, line {number}", path.display());
        if !(line.propensity > 0.0 && line.propensity <= 1.0 && (0.0..=1.0).contains(&line.target)) {
            return Err(anyhow!("a propensity above 0 and a target from 0, both up to 1, are expected"))
                .with_context(place);
        }
        all.push(Logged {
            reward: line.reward,
            propensity: line.propensity,
            target: line.target,
            predicted: line.predicted.unwrap_or(0.0),
            predicted_target: line.predicted_target.unwrap_or(0.0),
        });
    }
    Ok(all)
}
