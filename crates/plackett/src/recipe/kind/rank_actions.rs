//! `rank-actions`: HSTU's ranking form, which foretells what somebody does with an item.

use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::quantity::{Quantity, mean};
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_to_check};
use crate::recipe::task::{Environment, Task, hash_file};
use plackett_rec::hstu::{ActionRanker, HstuConfig, Liked};
use plackett_rec::sequential::LearningSettings;
use plackett_rec::{FitData, FitStep, Fitting, TestCase, Training, leave_last_out, parse, read_interactions};
use plackett_train::Compute;
use std::path::PathBuf;

const FILE: &str = "interactions.tsv.gz";
/// Ratings by which rates of few events are drawn to the mean.
const PRIOR: f64 = 5.0;
/// Candidates at a time.
const MICRO_BATCH: usize = 64;

/// The declaration.
pub static RANK_ACTIONS: StageKind = StageKind {
    name: "rank-actions",
    help: "HSTU over items and ratings in turn foretells whether the last item of each user was liked (rated at or above `liked`). Gives \
           `log_loss` and, of a floor that adds what is said of the user and of the item, `floor_log_loss`, by user, and `auc` and \
           `floor_auc` over all users, by seed",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required("collection", FieldKind::Text, "a folder's name in PLACKETT_DATA, or a path"),
        FieldSpec::new(
            "liked",
            FieldKind::Number(-1e9, 1e9),
            Default::Number(4.0),
            "the lowest rating of what was liked",
        ),
        FieldSpec::new(
            "events",
            FieldKind::Whole(1, 100_000),
            Default::Whole(100),
            "of a history, the newest",
        ),
        FieldSpec::new("blocks", FieldKind::Whole(1, 100), Default::Whole(2), "layers"),
        FieldSpec::new("width", FieldKind::Whole(1, 4096), Default::Whole(32), "numbers of a state"),
        FieldSpec::new(
            "epochs",
            FieldKind::Whole(1, 10_000),
            Default::Whole(10),
            "how often all users are seen",
        ),
        FieldSpec::new("seeds", FieldKind::Whole(1, 1000), Default::Whole(1), "how many"),
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| ["log_loss", "floor_log_loss", "auc", "floor_auc"].map(str::to_string).to_vec(),
    outside: |values, environment| {
        Ok(vec![("interactions".into(), hash_file(&path_of(values, environment)?)?)])
    },
    estimate: |task| {
        Ok(Estimate { work: format!("{} trainings", task.values.count("seeds")), ..Estimate::default() })
    },
    run,
};

fn path_of(values: &Values, environment: &Environment) -> Result<PathBuf, StageError> {
    Ok(environment.collection(values.word("collection"))?.join(FILE))
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let all = read_interactions(&path_of(task.values, task.environment)?, None)?;
    let split = leave_last_out(&all, 0);
    let from = task.values.real("liked") as f32;
    let labels: Vec<bool> = split.cases.iter().map(|case| case.target.rating >= from).collect();
    let floor = floor(&split, all.items.len(), from);
    let (mut losses, mut areas) = (vec![Vec::new(); labels.len()], Vec::new());
    let seeds: Vec<usize> = (1..=task.values.count("seeds")).collect();
    for seed in &seeds {
        let probabilities = probabilities(task, &split, all.items.len(), *seed)?;
        for (at, loss) in log_losses(&probabilities, &labels).into_iter().enumerate() {
            losses[at].push(loss);
        }
        areas.push(area(&probabilities, &labels));
    }
    let users: Vec<String> = split.cases.iter().map(|case| all.users[case.user].clone()).collect();
    let by_seed = |name: &str, values: Vec<f64>| Quantity {
        name: name.into(),
        unit: "seed".into(),
        keys: seeds.iter().map(usize::to_string).collect(),
        values,
    };
    let floor_area = area(&floor, &labels);
    Ok(StageOutput {
        numbers: vec![
            Quantity::by_query("log_loss", users.clone(), losses.iter().map(|losses| mean(losses)).collect()),
            Quantity::by_query("floor_log_loss", users, log_losses(&floor, &labels)),
            by_seed("auc", areas),
            by_seed("floor_auc", vec![floor_area; seeds.len()]),
        ],
        warnings: all.account.remarks(),
        facts: vec![("users".into(), split.cases.len().to_string())],
    })
}

fn probabilities(
    task: &Task<'_>,
    split: &Training<'_>,
    catalogue: usize,
    seed: usize,
) -> Result<Vec<f64>, StageError> {
    let values = task.values;
    let options = parse(&format!(
        "hstu(epochs={}, batch=16, width={})",
        values.count("epochs"),
        values.count("width")
    ))?
    .options;
    let learning = LearningSettings::of(&options, seed as u64);
    let name = format!("{}, seed {seed}", task.name);
    let mut progress = |step: FitStep| (task.progress)(&name, step.done as u64, step.total as u64);
    let compute = Compute::new(rayon::current_num_threads());
    let mut fitting = Fitting { compute, seed: seed as u64, kept: None, progress: &mut progress };
    let config = HstuConfig::research(
        catalogue,
        values.count("width"),
        values.count("blocks"),
        values.count("events"),
    );
    let liked = Liked { from: values.real("liked") as f32 };
    let data = FitData { catalogue, sequences: &split.sequences, texts: &[] };
    let ranker = ActionRanker::fit(config, liked, &learning, &data, &mut fitting)?;
    let probability = |case: &TestCase<'_>| {
        let history = ranker.read(case.history, case.target.time)?;
        let found = ranker.probabilities(&history, case.target.time, (&[case.target.item], MICRO_BATCH))?;
        Ok(f64::from(found[0]))
    };
    split.cases.iter().map(probability).collect()
}

/// What the rates of user and item say: their log-odds added, that of all events taken away; rates of few events are drawn to the mean.
fn floor(split: &Training<'_>, catalogue: usize, from: f32) -> Vec<f64> {
    let mut items = vec![(0.0, 0.0); catalogue];
    let mut all = (0.0, 0.0);
    for event in split.sequences.iter().copied().flatten() {
        let liked = f64::from(u8::from(event.rating >= from));
        for sums in [&mut items[event.item as usize], &mut all] {
            *sums = (sums.0 + liked, sums.1 + 1.0);
        }
    }
    let mean = (all.0 + 1.0) / (all.1 + 2.0);
    let odds = |(liked, count): (f64, f64)| {
        let rate = (liked + PRIOR * mean) / (count + PRIOR);
        (rate / (1.0 - rate)).ln()
    };
    let probability = |case: &TestCase<'_>| {
        let liked = case.history.iter().filter(|event| event.rating >= from).count() as f64;
        let user = (liked, case.history.len() as f64);
        let sum = odds(user) + odds(items[case.target.item as usize]) - (mean / (1.0 - mean)).ln();
        1.0 / (1.0 + (-sum).exp())
    };
    split.cases.iter().map(probability).collect()
}

fn log_losses(probabilities: &[f64], labels: &[bool]) -> Vec<f64> {
    let loss = |(p, label): (&f64, &bool)| -if *label { p.max(1e-7).ln() } else { (1.0 - p).max(1e-7).ln() };
    probabilities.iter().zip(labels).map(loss).collect()
}

/// The probability that something liked has a greater number than something else, equal ones being half.
fn area(probabilities: &[f64], labels: &[bool]) -> f64 {
    let side = |wanted: bool| {
        probabilities.iter().zip(labels).filter(move |(_, label)| **label == wanted).map(|(p, _)| *p)
    };
    let (mut won, mut pairs) = (0.0, 0.0);
    for liked in side(true) {
        for other in side(false) {
            won += if liked > other { 1.0 } else { f64::from(u8::from(liked == other)) / 2.0 };
            pairs += 1.0;
        }
    }
    if pairs > 0.0 { won / pairs } else { 0.5 }
}
