//! `plackett route replay`: what policies would have been worth on prompts whose rewards are known for every arm.

use super::context::Encoder;
use crate::command::means::{give_or_take, interval};
use crate::command::number::whole;
use crate::command::paths::Paths;
use crate::command::table::{Align, Table};
use crate::command::{Global, Outcome, Output};
use anyhow::{Context, anyhow};
use clap::Args;
use indexmap::IndexMap;
use plackett_arena::routing::{Configured, Replay, ReplayTable, Trajectory, parse};
use plackett_core::formats::read_json_lines;
use plackett_eval::{Interval, mean};
use rayon::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Compare policies on prompts whose rewards are known for every arm
#[derive(Args)]
#[command(after_help = "Example:\n  \
                        plackett route replay rewards.jsonl --policy greedy --policy 'rff-ucb(eta=1)' --seeds 20\n\n\
                        A line is {\"prompt\": \"…\", \"rewards\": {\"fast\": 0.4, \"large\": [0.7, 0.9]}}, or has numbers in\n\
                        `context` in place of a prompt; several rewards of an arm are drawn from. Every prompt comes once\n\
                        for each seed, in another order. `beyond best arm` is what a prompt got more than the arm that is\n\
                        best on average: above 0, looking at the prompt pays.")]
pub struct Arguments {
    /// Prompts with rewards (`-`: standard input)
    table: PathBuf,
    /// A policy; once for each [default: rff-ucb(eta=1), greedy and random]
    #[arg(long, short, value_name = "POLICY")]
    policy: Vec<String>,
    /// Orders of the prompts
    #[arg(long, value_name = "N", default_value = "20", value_parser = whole::<u64>(1..=100_000))]
    seeds: u64,
    /// The encoder that reads prompts [default: the one that comes with the program]
    #[arg(long, short, value_name = "MODEL")]
    model: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    prompt: Option<String>,
    context: Option<Vec<f64>>,
    rewards: IndexMap<String, Value>,
}

/// The rewards of an arm: a number, or several.
fn numbers(value: &Value) -> Option<Vec<f64>> {
    match value {
        Value::Number(one) => Some(vec![one.as_f64()?]),
        Value::Array(several) if !several.is_empty() => several.iter().map(Value::as_f64).collect(),
        _ => None,
    }
}

/// A policy's runs.
struct Runs {
    policy: Configured,
    runs: Vec<Trajectory>,
}

impl Runs {
    /// Mean and 95 % interval over seeds.
    fn mean(&self, of: impl Fn(&Trajectory) -> f64) -> (f64, Option<Interval>) {
        let values: Vec<f64> = self.runs.iter().map(of).collect();
        (mean(&values), interval(&values))
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    Paths::default().reads("TABLE", [&arguments.table]).opens("--model", &arguments.model).check(output)?;
    let written: Vec<&str> = match arguments.policy.is_empty() {
        true => vec!["rff-ucb(eta=1)", "greedy", "random"],
        false => arguments.policy.iter().map(String::as_str).collect(),
    };
    let policies = written.into_iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let table = read(arguments, global)?;
    let bar = output.progress("replaying", policies.len() as u64 * arguments.seeds);
    let mut all = Vec::new();
    for policy in policies {
        let one = |seed: u64| {
            let run = Replay::shuffled(&table, seed).run(&policy, seed);
            bar.inc(1);
            run
        };
        let runs = (1..=arguments.seeds).into_par_iter().map(one).collect::<Result<Vec<_>, _>>()?;
        all.push(Runs { policy, runs });
    }
    bar.finish_and_clear();
    let best = table.best_arm();
    if output.json {
        let told = |runs: &Runs| {
            let pair = |(mean, ci95): (f64, Option<Interval>)| json!({"mean": mean, "ci95": ci95});
            let visits: IndexMap<&str, f64> = (0..table.arms.len())
                .map(|arm| (table.arms[arm].as_str(), runs.mean(|run| run.visits[arm]).0))
                .collect();
            json!({
                "policy": runs.policy.to_string(),
                "outscores_best": pair(runs.mean(|run| run.outscores_best)),
                "optimal": pair(runs.mean(|run| run.optimal)),
                "regret": pair(runs.mean(|run| run.regret.last().copied().unwrap_or_default())),
                "visits": visits,
                "seconds": runs.mean(|run| run.seconds).0,
            })
        };
        return Ok(output.print_json(&json!({
            "prompts": table.contexts.len(),
            "arms": table.arms,
            "best_arm": table.arms[best],
            "seeds": arguments.seeds,
            "policies": all.iter().map(told).collect::<Vec<_>>(),
        }))?);
    }
    output.print(&format!(
        "{} prompts, {} arms; the best one on average is {}; {} orders\n\n",
        table.contexts.len(),
        table.arms.len(),
        table.arms[best],
        arguments.seeds
    ))?;
    Ok(output.print_styled(&rendered(&all))?)
}

fn rendered(all: &[Runs]) -> String {
    let columns = ["policy", "beyond best arm", "best arm for the prompt", "regret", "ms a prompt"];
    let align = |at: usize| if at == 0 { Align::Left } else { Align::Right };
    let mut table =
        Table::new(columns.into_iter().enumerate().map(|(at, name)| (name.to_string(), align(at))));
    for runs in all {
        let (beyond, beyond_interval) = runs.mean(|run| run.outscores_best);
        let (optimal, optimal_interval) = runs.mean(|run| 100.0 * run.optimal);
        let (regret, regret_interval) = runs.mean(|run| run.regret.last().copied().unwrap_or_default());
        let seconds = runs.mean(|run| run.seconds / run.chosen.len().max(1) as f64).0;
        table.row([
            runs.policy.to_string(),
            format!("{beyond:+.4}{}", give_or_take(beyond_interval, 4)),
            format!("{optimal:.1} %{}", give_or_take(optimal_interval, 1)),
            format!("{regret:.1}{}", give_or_take(regret_interval, 1)),
            format!("{:.3}", 1000.0 * seconds),
        ]);
    }
    format!("{}\n± is half of a 95 % interval over orders\n", table.render())
}

fn read(arguments: &Arguments, global: &Global) -> anyhow::Result<ReplayTable> {
    let (mut table, mut prompts) = (ReplayTable::default(), Vec::new());
    let mut given = false;
    let expected = "{\"prompt\": …, \"rewards\": {…}}";
    for (line, found) in read_json_lines::<Line>(&arguments.table, global.max_line_bytes, expected)? {
        let place = || format!("{}, line {line}", arguments.table.display());
        let rewards = rewards_of(&mut table, found.rewards).with_context(place)?;
        table.rewards.push(rewards);
        match (found.context, found.prompt) {
            (Some(context), _) => {
                given = true;
                table.contexts.push(context);
            }
            (None, Some(prompt)) => prompts.push(prompt),
            (None, None) => {
                return Err(anyhow!("no prompt and no context; give one of them")).with_context(place);
            }
        }
    }
    if table.rewards.is_empty() {
        return Err(anyhow!("{}: there is no prompt; give at least one line", arguments.table.display()));
    }
    match (given, prompts.is_empty()) {
        (true, false) => Err(anyhow!(
            "{}: some lines have a context and others only a prompt; give all of them the same",
            arguments.table.display()
        )),
        (true, true) if arguments.model.is_some() => {
            Err(anyhow!("--model: the lines have contexts, and no encoder reads them; leave it out"))
        }
        (true, true) => checked(table, &arguments.table),
        (false, _) => {
            table.contexts = Encoder::open(arguments.model.clone(), global)?.contexts(&prompts)?;
            checked(table, &arguments.table)
        }
    }
}

fn checked(table: ReplayTable, path: &Path) -> anyhow::Result<ReplayTable> {
    table.check().with_context(|| path.display().to_string())?;
    Ok(table)
}

/// Rewards in the order of the arms, which the first line names.
fn rewards_of(
    table: &mut ReplayTable,
    mut rewards: IndexMap<String, Value>,
) -> anyhow::Result<Vec<Vec<f64>>> {
    if table.rewards.is_empty() {
        table.arms = rewards.keys().cloned().collect();
    }
    let arm = |name: &String| {
        let found = rewards.shift_remove(name).with_context(|| format!("no reward of the arm `{name}`"))?;
        numbers(&found).with_context(|| {
            format!("the reward of `{name}` is {found}; a number or a list of numbers is expected")
        })
    };
    let all = table.arms.iter().map(arm).collect::<anyhow::Result<Vec<_>>>()?;
    match rewards.keys().next() {
        Some(name) => Err(anyhow!(
            "the arm `{name}` is not on the first line; every prompt needs rewards of the same arms"
        )),
        None => Ok(all),
    }
}
