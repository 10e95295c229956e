//! `plackett arena pairs`: which two models answer next.

use crate::command::number::whole;
use crate::command::paths::Paths;
use crate::command::{Global, Outcome, Output};
use anyhow::anyhow;
use clap::Args;
use plackett_arena::sampler::{Contender, PairSampler};
use plackett_core::formats::read_json_lines;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Draw pairs of models that are to answer next, by weights and rivals
#[derive(Args)]
#[command(after_help = "Example:\n  \
                        plackett arena pairs models.jsonl --count 10 --seed 7\n\n\
                        A line is {\"model\": \"x\", \"weight\": 5, \"rivals\": [\"y\"]}; the weight is 1 where it is not said, more\n\
                        for models that need votes, 0 for an outage. Rivals meet about as often as all others together. Left\n\
                        and right are drawn too.")]
pub struct Arguments {
    /// The models (`-`: standard input)
    models: PathBuf,
    /// How many pairs
    #[arg(long, short = 'n', value_name = "N", default_value = "1", value_parser = whole::<usize>(1..=10_000_000))]
    count: usize,
    /// From which they follow
    #[arg(long, value_name = "N", default_value = "1", value_parser = whole::<u64>(0..))]
    seed: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    model: String,
    #[serde(default = "one")]
    weight: f64,
    #[serde(default)]
    rivals: Vec<String>,
}

fn one() -> f64 {
    1.0
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    Paths::default().reads("MODELS", [&arguments.models]).check(output)?;
    let contenders = read(&arguments.models, global.max_line_bytes)?;
    for contender in &contenders {
        let unknown =
            contender.rivals.iter().find(|rival| !contenders.iter().any(|other| other.name == **rival));
        if let Some(rival) = unknown {
            return Err(anyhow!(
                "{}: the rival `{rival}` of `{}` is no model of the file",
                arguments.models.display(),
                contender.name
            )
            .into());
        }
    }
    let drawable: Vec<&str> = contenders
        .iter()
        .filter(|contender| contender.weight > 0.0)
        .map(|contender| contender.name.as_str())
        .collect();
    if let [only] = drawable[..] {
        output.warn(&format!("`{only}` is the only model that can be drawn, and meets itself"));
    }
    let names: Vec<String> = contenders.iter().map(|contender| contender.name.clone()).collect();
    let sampler = PairSampler::new(contenders)?;
    let mut random = ChaCha8Rng::seed_from_u64(arguments.seed);
    let pairs: Vec<(&str, &str)> = (0..arguments.count)
        .map(|_| sampler.draw(&mut random))
        .map(|(left, right)| (names[left].as_str(), names[right].as_str()))
        .collect();
    if output.json {
        let pairs: Vec<_> = pairs.iter().map(|(left, right)| json!({"left": left, "right": right})).collect();
        return Ok(output.print_json(&json!({"pairs": pairs}))?);
    }
    let lines: String = pairs.iter().map(|(left, right)| format!("{left}\t{right}\n")).collect();
    Ok(output.print(&lines)?)
}

fn read(path: &Path, limit: usize) -> anyhow::Result<Vec<Contender>> {
    let mut all = Vec::new();
    for (_, line) in read_json_lines::<Line>(path, limit, "{\"model\": …}")? {
        all.push(Contender { name: line.model, weight: line.weight, rivals: line.rivals });
    }
    Ok(all)
}
