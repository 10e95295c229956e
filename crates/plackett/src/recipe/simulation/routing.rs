//! `routing`: policies on streams of prompts whose best arms are known.

use super::{Simulated, Simulation, standard_normal};
use crate::recipe::error::Problem;
use crate::recipe::field::{Default, FieldKind, FieldSpec};
use plackett_arena::routing::{Replay, ReplayTable, parse};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const NUMBERS: [&str; 6] = ["outscores_best", "optimal", "regret", "regret_early", "late_share", "round_ms"];

/// Numbers of a context.
const DIMENSION: usize = 8;
/// Rewards of an arm that are drawn for a prompt.
const SAMPLES: usize = 5;

/// The declaration.
pub static ROUTING: Simulation = Simulation {
    name: "routing",
    help: "a policy that chooses arms for a stream of prompts of two kinds. `outscores_best` is what a prompt got more than the arm that is best \
           on average, `optimal` the share of prompts whose best arm was asked, `regret` what was missed in all and `regret_early` in the first \
           quarter, `late_share` the share of the last arm in the last quarter, `round_ms` milliseconds of a prompt",
    version: 1,
    fields: &[
        FieldSpec::required("policy", FieldKind::Text, "as `plackett route show` explains it"),
        FieldSpec::new("prompts", FieldKind::Whole(8, 1_000_000), Default::Whole(500), "that come"),
        FieldSpec::new(
            "world",
            FieldKind::Choice(&["two-kinds", "alike", "newcomer"]),
            Default::Text("two-kinds"),
            "each of two arms better on its kind of prompts; arms that are all worth the same; or two-kinds with a third, better arm that comes \
             in halfway",
        ),
        FieldSpec::new(
            "gap",
            FieldKind::Number(0.0, 1.0),
            Default::Number(0.3),
            "how much better the better arm is",
        ),
        FieldSpec::new("noise", FieldKind::Number(0.0, 10.0), Default::Number(0.1), "deviation of a reward"),
    ],
    check: |values| {
        parse(values.word("policy"))
            .map(drop)
            .map_err(|error| values.wrong("policy", 0, Problem::Said(error.to_string())))
    },
    numbers: |_| NUMBERS.map(str::to_string).to_vec(),
    run,
};

/// Prompts around two middles, with rewards.
fn world(given: &Simulated<'_>) -> ReplayTable {
    let values = given.values;
    let number = |name| values.real(name);
    let (gap, noise) = (number("gap"), number("noise"));
    let mut random = ChaCha8Rng::seed_from_u64(given.seed);
    let arms = if values.word("world") == "newcomer" { 3 } else { 2 };
    let mut table = ReplayTable {
        arms: (0..arms).map(|arm| format!("arm {}", arm + 1)).collect(),
        ..ReplayTable::default()
    };
    for at in 0..values.count("prompts") {
        let kind = at % 2;
        let mut context: Vec<f64> = (0..DIMENSION).map(|_| 0.1 * standard_normal(&mut random)).collect();
        context[kind] += 1.0;
        let length = context.iter().map(|x| x * x).sum::<f64>().sqrt();
        table.contexts.push(context.iter().map(|x| x / length).collect());
        let mean = |arm: usize| match (values.word("world"), arm) {
            ("alike", _) => 0.5,
            (_, 2) => 0.5 + gap,
            (_, arm) if arm == kind => 0.5 + gap / 2.0,
            _ => 0.5 - gap / 2.0,
        };
        let rewards = (0..arms)
            .map(|arm| (0..SAMPLES).map(|_| mean(arm) + noise * standard_normal(&mut random)).collect());
        table.rewards.push(rewards.collect());
    }
    table
}

fn run(given: &Simulated<'_>) -> Result<Vec<f64>, String> {
    let policy = parse(given.values.word("policy")).map_err(|error| error.to_string())?;
    let table = world(given);
    let mut replay = Replay::shuffled(&table, given.seed);
    let rounds = table.contexts.len();
    if given.values.word("world") == "newcomer" {
        replay = replay.last_arm_from(rounds / 2);
    }
    let run = replay.run(&policy, given.seed).map_err(|error| error.to_string())?;
    let last = table.arms.len() - 1;
    let late = &run.chosen[3 * rounds / 4..];
    let share = late.iter().filter(|arm| **arm == last).count() as f64 / late.len() as f64;
    let regret = |round: usize| run.regret.get(round - 1).copied().unwrap_or_default();
    Ok(vec![
        run.outscores_best,
        run.optimal,
        regret(rounds),
        regret(rounds / 4),
        share,
        1000.0 * run.seconds / rounds as f64,
    ])
}
