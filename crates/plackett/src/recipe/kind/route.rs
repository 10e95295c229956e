//! `route`: policies over real prompts whose rewards are known for every arm.

use super::{dataset_of, rankings_of};
use crate::recipe::data::digits::{self, Picture};
use crate::recipe::error::{Problem, RecipeError, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, Registry, StageKind, StageOutput};
use crate::recipe::task::{Task, hash_file};
use plackett_arena::routing::{Replay, ReplayTable, parse};
use plackett_core::Run;
use plackett_core::formats::FormatError;
use plackett_eval::measure::parse_list;
use plackett_eval::{Evaluator, IntervalOptions, Policy};
use plackett_lm::EmbedOptions;
use rayon::prelude::*;

/// What it gives of each policy.
const NUMBERS: [&str; 3] = ["outscores_best", "optimal", "regret"];

/// Rows of the pictures that classifiers learn from; the others are the stream.
const LEARNED_FROM: usize = 600;

/// The declaration.
pub static ROUTE: StageKind = StageKind {
    name: "route",
    help: "policies of `plackett route` on real prompts, each of which comes once for every seed, in another order. With `pictures` arms are four \
           classifiers that see the upper, lower, left and right half of a picture of a digit, and the reward is 1 where they are right; with `runs` \
           arms are rankings, the reward of a query is a measure, and contexts are vectors of the bundled encoder. Gives POLICY/outscores_best, \
           POLICY/optimal, POLICY/regret, and for each arm the mean reward ARM/reward",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required("policies", FieldKind::Texts, "as `plackett route show` explains them"),
        FieldSpec::new("pictures", FieldKind::Text, Default::Absent, "the collection of pictures"),
        FieldSpec::new(
            "runs",
            FieldKind::Stages(&[OutputKind::Rankings]),
            Default::Absent,
            "rankings of the same queries",
        ),
        FieldSpec::new(
            "data",
            FieldKind::Stage(&[OutputKind::Data]),
            Default::Absent,
            "with `runs`: whose judgments",
        ),
        FieldSpec::new("measure", FieldKind::Text, Default::Text("nDCG@10"), "with `runs`: the reward"),
        FieldSpec::new("seeds", FieldKind::Whole(1, 1000), Default::Whole(3), "orders of the prompts"),
    ],
    chooses: None,
    check,
    numbers: |values, _| {
        let policies = values.texts("policies").into_iter();
        let of = |policy: &str| NUMBERS.map(|number| format!("{policy}/{number}"));
        let mut names: Vec<String> = policies.flat_map(of).collect();
        let arms = match values.has("pictures") {
            true => HALVES.map(|(name, _)| name.to_string()).to_vec(),
            false => values.texts("runs").iter().map(ToString::to_string).collect(),
        };
        names.extend(arms.iter().map(|arm| format!("{arm}/reward")));
        names
    },
    outside: |values, environment| match values.text("pictures") {
        None => Ok(vec![("model".into(), environment.fingerprint(ENCODER)?)]),
        Some(collection) => {
            Ok(vec![("pictures".into(), hash_file(&digits::file(environment, collection)?)?)])
        }
    },
    estimate: |task| {
        let values = task.values;
        let work = format!("{} policies, {} orders", values.texts("policies").len(), values.count("seeds"));
        Ok(Estimate {
            work,
            seconds: Some(5.0 * values.texts("policies").len() as f64),
            ..Estimate::default()
        })
    },
    run,
};

const ENCODER: &str = "all-MiniLM-L6-v2";

/// A half, by its name, and which rows and columns it has.
type Half = (&'static str, fn(usize, usize) -> bool);

/// The halves of a picture of 8 × 8 that classifiers see, by row and column.
const HALVES: [Half; 4] = [
    ("upper", |row, _| row < 4),
    ("lower", |row, _| row >= 4),
    ("left", |_, column| column < 4),
    ("right", |_, column| column >= 4),
];

fn check(values: &Values, _: &Registry) -> Result<(), RecipeError> {
    for (nth, text) in values.texts("policies").into_iter().enumerate() {
        parse(text).map_err(|error| values.wrong("policies", nth, Problem::Said(error.to_string())))?;
    }
    let wrong = |field, problem: &str| Err(values.wrong(field, 0, Problem::Said(problem.into())));
    match (values.has("pictures"), values.has("runs"), values.has("data")) {
        (true, false, false) | (false, true, true) => Ok(()),
        (false, true, false) => {
            wrong("runs", "judgments are needed besides; name the collection with `data`")
        }
        _ => wrong("policies", "name either `pictures`, or `runs` and `data`"),
    }
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let table = match values.text("pictures") {
        Some(collection) => pictures(task, collection)?,
        None => rankings(task)?,
    };
    let mut made = StageOutput::default();
    let seeds: Vec<u64> = (1..=values.count("seeds") as u64).collect();
    let keys: Vec<String> = seeds.iter().map(u64::to_string).collect();
    for text in values.texts("policies") {
        let policy = parse(text)?;
        let one = |&seed: &u64| Replay::shuffled(&table, seed).run(&policy, seed);
        let runs = seeds.par_iter().map(one).collect::<Result<Vec<_>, _>>()?;
        let numbers: [Vec<f64>; 3] = [
            runs.iter().map(|run| run.outscores_best).collect(),
            runs.iter().map(|run| run.optimal).collect(),
            runs.iter().map(|run| run.regret.last().copied().unwrap_or_default()).collect(),
        ];
        for (name, values) in NUMBERS.iter().zip(numbers) {
            let name = format!("{text}/{name}");
            made.numbers.push(Quantity { name, unit: "seed".into(), keys: keys.clone(), values });
        }
    }
    let prompts = table.contexts.len();
    for (arm, name) in table.arms.iter().enumerate() {
        let mean = (0..prompts).map(|prompt| table.expected(prompt, arm)).sum::<f64>() / prompts as f64;
        made.numbers.push(Quantity::of_seed(format!("{name}/reward"), 1, mean));
    }
    made.facts = vec![
        ("prompts".into(), prompts.to_string()),
        ("best arm on average".into(), table.arms[table.best_arm()].clone()),
    ];
    Ok(made)
}

/// Classifiers that see half of a picture each, learned from the first pictures, on the others.
fn pictures(task: &Task<'_>, collection: &str) -> Result<ReplayTable, StageError> {
    let all = digits::read(task.environment, collection, LEARNED_FROM)?;
    let (learned, stream) = all.split_at(LEARNED_FROM);
    let arms = HALVES.map(|(name, _)| name.to_string()).to_vec();
    let mut table = ReplayTable { arms, ..ReplayTable::default() };
    let classifiers: Vec<Vec<Vec<f64>>> =
        HALVES.iter().map(|(_, sees)| digits::means(learned, |grey| half(grey, *sees))).collect();
    for Picture { grey, digit } in stream {
        let length = grey.iter().map(|x| x * x).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        table.contexts.push(grey.iter().map(|x| x / length).collect());
        let right = |(at, (_, sees)): (usize, &Half)| {
            vec![f64::from(u8::from(nearest(&classifiers[at], &half(grey, *sees)) == *digit))]
        };
        table.rewards.push(HALVES.iter().enumerate().map(right).collect());
    }
    Ok(table)
}

/// The grey values that a classifier sees.
fn half(grey: &[f64], sees: fn(usize, usize) -> bool) -> Vec<f64> {
    grey.iter().enumerate().filter(|(at, _)| sees(at / 8, at % 8)).map(|(_, x)| *x).collect()
}

fn nearest(centroids: &[Vec<f64>], seen: &[f64]) -> usize {
    let distance = |centroid: &Vec<f64>| centroid.iter().zip(seen).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    let all: Vec<f64> = centroids.iter().map(distance).collect();
    (0..all.len()).fold(0, |best, at| if all[at] < all[best] { at } else { best })
}

/// Rankings as arms: the reward of a query is what a measure gives it.
fn rankings(task: &Task<'_>) -> Result<ReplayTable, StageError> {
    let values = task.values;
    let dataset = dataset_of(task, values.word("data"))?;
    let measures = parse_list(values.word("measure"))
        .map_err(|error| StageError::Field { field: "measure", problem: error.to_string() })?;
    let intervals = IntervalOptions { bootstrap: false, analytic: false, ..IntervalOptions::default() };
    let evaluator = Evaluator { measures, policy: Policy::default(), intervals };
    let mut table = ReplayTable::default();
    let mut queries: Vec<String> = Vec::new();
    for name in values.texts("runs") {
        let full = |source| FormatError::Full { file: name.to_string(), source };
        let run = Run::from_rankings(name, &rankings_of(task, name)?).map_err(full)?;
        let evaluation = evaluator.evaluate(&dataset.qrels, &run)?;
        if queries.is_empty() {
            queries = evaluation.queries.clone();
            table.rewards = vec![Vec::new(); queries.len()];
        } else if queries != evaluation.queries {
            let problem = format!("`{name}` is not of the same queries as the first of them");
            return Err(StageError::Field { field: "runs", problem });
        }
        table.arms.push(name.to_string());
        let rewards =
            evaluation.measures.first().map(|measured| measured.values.as_slice()).unwrap_or_default();
        table.rewards.iter_mut().zip(rewards).for_each(|(all, reward)| all.push(vec![*reward]));
    }
    let texts: Vec<&str> = queries
        .iter()
        .filter_map(|id| dataset.queries.iter().find(|query| query.id == *id))
        .map(|query| query.text.as_str())
        .collect();
    let model = task.environment.models(Some(ENCODER)).open(None)?;
    let made = model.embed(&texts, &EmbedOptions::default()).map_err(crate::pipeline::ModelError::from)?;
    table.contexts = made
        .data
        .chunks_exact(made.dim.max(1))
        .map(|row| row.iter().map(|x| f64::from(*x)).collect())
        .collect();
    Ok(table)
}
