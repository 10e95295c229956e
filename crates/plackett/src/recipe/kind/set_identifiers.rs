//! `set-identifiers`: SETRec, items as sets of vectors without an order.

use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::models::training_fields::{large_batch, rate, settings_of, steps};
use crate::recipe::quantity::{Quantity, mean};
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_to_check};
use crate::recipe::task::{Environment, Input, Task, hash_file};
use crate::recipe::worlds::recommending::floor_cases::{FloorCase, FloorCases};
use crate::text_vectors::{text_vectors, texts_or_names};
use plackett_lm::LmError;
use plackett_lm::store::BUNDLED;
use plackett_rec::setrec::{
    ItemVectors, SetRec, SetRecConfig, SetRecTask, SlotScores, collaborative_vectors,
};
use plackett_rec::{
    Event, FitData, FitStep, Fitting, Interactions, TargetRank, borrowed, read_interactions, read_item_texts,
    target_rank,
};
use plackett_train::optimizer::Schedule;
use plackett_train::random::Stream;
use plackett_train::trainer::{Settings, StepRecord, train};
use plackett_train::{Compute, Parameters};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

const FILES: [&str; 2] = ["interactions.tsv.gz", "items.jsonl"];
const CUT: usize = 10;
/// Weights of the slots of texts that are tried.
const BETAS: [f32; 10] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];
/// Histories whose tokens are shuffled to see whether anything changes.
const SHUFFLED: usize = 50;

/// The declaration.
pub static SET_IDENTIFIERS: StageKind = StageKind {
    name: "set-identifiers",
    help: "SETRec: an item is a set of one vector of what users did (of a trained SASRec) and some of its text; a small transformer reads the \
           sets of a history and emits all vectors of the next item in one step. Some drawn items are cold: nobody's training has them. The \
           last event of each user is asked for. Gives `all/hr`, `warm/hr`, `cold/hr` (at 10) and `all/ndcg`, `warm/ndcg`, `cold/ndcg`, by user \
           (mean of the seeds; the weight of texts is the best one for all users' second last events), and by seed `beta`, `beta_warm` and \
           `beta_cold` (the best weights for the last events), `reconstruction` (error of the auto-encoder), `shuffled` (the greatest change, \
           relative to 1, when the tokens of items are shuffled) and `seconds` (of ranking all histories)",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required("collection", FieldKind::Text, "a folder's name in PLACKETT_DATA, or a path"),
        FieldSpec::new("model", FieldKind::Text, Default::Text(BUNDLED), "the encoder of the texts"),
        FieldSpec::new(
            "collaborative",
            FieldKind::Switch,
            Default::Switch(true),
            "whether there is a vector of what users did",
        ),
        FieldSpec::new("semantic", FieldKind::Whole(0, 64), Default::Whole(4), "vectors of the text"),
        FieldSpec::new(
            "sparse",
            FieldKind::Switch,
            Default::Switch(true),
            "whether vectors of an item do not see each other",
        ),
        FieldSpec::new(
            "alpha",
            FieldKind::Number(0.0, 1e6),
            Default::Number(0.7),
            "weight of the auto-encoder's error",
        ),
        FieldSpec::new(
            "cold",
            FieldKind::Number(0.0, 0.9),
            Default::Number(0.15),
            "share of the items that are cold",
        ),
        FieldSpec::new("width", FieldKind::Whole(1, 4096), Default::Whole(48), "numbers of a vector"),
        FieldSpec::new("blocks", FieldKind::Whole(1, 100), Default::Whole(2), "layers"),
        FieldSpec::new(
            "events",
            FieldKind::Whole(1, 10_000),
            Default::Whole(20),
            "items of a history, the newest",
        ),
        steps((1, 10_000_000), 300, "of the training"),
        large_batch(16, "users of a step"),
        rate(2e-3),
        FieldSpec::new("start_epochs", FieldKind::Whole(1, 100_000), Default::Whole(20), "of SASRec"),
        FieldSpec::new("seeds", FieldKind::Whole(1, 1000), Default::Whole(1), "how many"),
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| BY_USER.iter().chain(&BY_SEED).map(ToString::to_string).collect(),
    outside: |values, environment| {
        let mut hashes = vec![("model".to_string(), environment.fingerprint(values.word("model"))?)];
        for (file, path) in FILES.iter().zip(paths(values, environment)?) {
            hashes.push((file.to_string(), hash_file(&path)?));
        }
        Ok(hashes)
    },
    estimate: |task| {
        let (steps, seeds) = (task.values.count("steps"), task.values.count("seeds"));
        let work = format!("{seeds} trainings of {steps} steps");
        Ok(Estimate {
            work,
            seconds: Some(seeds as f64 * (20.0 + 0.2 * steps as f64)),
            ..Estimate::default()
        })
    },
    run,
};

const BY_USER: [&str; 6] = ["all/hr", "warm/hr", "cold/hr", "all/ndcg", "warm/ndcg", "cold/ndcg"];
const BY_SEED: [&str; 6] = ["beta", "beta_warm", "beta_cold", "reconstruction", "shuffled", "seconds"];

fn paths(values: &Values, environment: &Environment) -> Result<[PathBuf; 2], StageError> {
    let folder = environment.collection(values.word("collection"))?;
    Ok(FILES.map(|file| folder.join(file)))
}

/// Histories and what comes next.
struct Asked {
    users: Vec<usize>,
    histories: Vec<Vec<u32>>,
    targets: Vec<u32>,
}

/// What is learned from, what settings are chosen by, and what is asked for.
struct Parts {
    learned: Vec<Vec<Event>>,
    validation: Asked,
    test: Asked,
    cold: Vec<bool>,
}

fn parts_of(all: &Interactions, share: f64) -> Parts {
    let cold: Vec<bool> =
        (0..all.items.len()).map(|item| f64::from(Stream::new(41, 1).uniform(item as u64)) < share).collect();
    let asked = |behind: usize| {
        let mut asked = Asked { users: Vec::new(), histories: Vec::new(), targets: Vec::new() };
        for (user, events) in all.sequences.iter().enumerate().filter(|(_, events)| events.len() > behind + 1)
        {
            let end = events.len() - 1 - behind;
            asked.users.push(user);
            asked.histories.push(events[..end].iter().map(|event| event.item).collect());
            asked.targets.push(events[end].item);
        }
        asked
    };
    let known = |events: &Vec<Event>| {
        let before = &events[..events.len().saturating_sub(2)];
        before.iter().filter(|event| !cold[event.item as usize]).copied().collect()
    };
    Parts { learned: all.sequences.iter().map(known).collect(), validation: asked(1), test: asked(0), cold }
}

/// What is learned from, without cold items and the last two events of each, and the last event of each to ask for.
pub(super) fn floor_cases(task: &Task<'_>, input: &Input<'_>) -> Result<FloorCases, StageError> {
    let all = read_interactions(&paths(input.values, task.environment)?[0], None)?;
    let parts = parts_of(&all, input.values.real("cold"));
    let asked = parts.test.users.iter().zip(parts.test.histories).zip(parts.test.targets);
    let case = |((user, history), target): ((&usize, Vec<u32>), u32)| FloorCase {
        key: all.users[*user].clone(),
        history,
        targets: vec![target],
    };
    Ok(FloorCases {
        catalogue: all.items.len(),
        cases: asked.map(case).collect(),
        learned: parts.learned.iter().map(|events| events.iter().map(|event| event.item).collect()).collect(),
        exclude_seen: true,
    })
}

/// The vectors of all items' texts, each number with a variance of about 1, and how many texts are longer than what is read. An item without a
/// text is read as its name.
fn item_vectors(task: &Task<'_>, all: &Interactions) -> Result<(Vec<f32>, usize), StageError> {
    let texts = read_item_texts(&paths(task.values, task.environment)?[1])?;
    let texts = texts_or_names(&all.items, &texts);
    let model = task.environment.models(task.values.text("model")).open(None)?;
    let mut progress = |done: usize| (task.progress)("embedding", done as u64, texts.len() as u64);
    let failed = |error: LmError| StageError::Field { field: "model", problem: error.to_string() };
    text_vectors(&model, &texts, &mut progress).map_err(failed)
}

/// The item vectors of a SASRec. Those of cold items stay as they were drawn.
fn sasrec_vectors(
    task: &Task<'_>,
    learned: &[Vec<Event>],
    items: usize,
    seed: u64,
) -> Result<Vec<f32>, StageError> {
    let name = format!("{}, SASRec", task.name);
    let mut progress = |step: FitStep| (task.progress)(&name, step.done as u64, step.total as u64);
    let mut fitting = Fitting {
        compute: Compute::new(rayon::current_num_threads()),
        seed,
        kept: None,
        progress: &mut progress,
    };
    let data = FitData { catalogue: items, sequences: &borrowed(learned), texts: &[] };
    let sizes = (task.values.count("width"), task.values.count("start_epochs"));
    Ok(collaborative_vectors(&data, sizes, &mut fitting)?)
}

/// A measure of the rank of a target.
type OfRank = fn(&TargetRank) -> f64;

/// What a training of one seed gives.
struct Measured {
    /// Ranks of the targets of the test.
    ranks: Vec<TargetRank>,
    by_seed: [f64; BY_SEED.len()],
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let all = read_interactions(&paths(task.values, task.environment)?[0], None)?;
    let parts = parts_of(&all, task.values.real("cold"));
    let (text, cut) = item_vectors(task, &all)?;
    let mut measured = Vec::new();
    for seed in 1..=task.values.count("seeds") {
        measured.push(measure(task, &all, &parts, &text, seed as u64)?);
    }
    let is_cold: Vec<bool> = parts.test.targets.iter().map(|target| parts.cold[*target as usize]).collect();
    let mut numbers = Vec::new();
    let measures: [(&str, OfRank); 2] = [("hr", |rank| rank.hit(CUT)), ("ndcg", |rank| rank.ndcg(CUT))];
    for (measure, of) in measures {
        for (slice, wanted) in [("all", None), ("warm", Some(false)), ("cold", Some(true))] {
            let cases: Vec<usize> =
                (0..is_cold.len()).filter(|at| wanted.is_none_or(|wanted| is_cold[*at] == wanted)).collect();
            let keys = cases.iter().map(|at| all.users[parts.test.users[*at]].clone()).collect();
            let value =
                |at: &usize| mean(&measured.iter().map(|seed| of(&seed.ranks[*at])).collect::<Vec<_>>());
            numbers.push(Quantity::by_query(
                format!("{slice}/{measure}"),
                keys,
                cases.iter().map(value).collect(),
            ));
        }
    }
    for (at, name) in BY_SEED.iter().enumerate() {
        numbers.push(Quantity::of_seeds(name, measured.iter().map(|seed| seed.by_seed[at]).collect()));
    }
    let cold = is_cold.iter().filter(|cold| **cold).count();
    let mut warnings = all.account.remarks();
    if cut > 0 {
        warnings.push(format!("{cut} items have more text than the encoder reads, and are cut"));
    }
    Ok(StageOutput {
        numbers,
        warnings,
        facts: vec![("tested".into(), is_cold.len().to_string()), ("cold targets".into(), cold.to_string())],
    })
}

fn measure(
    task: &Task<'_>,
    all: &Interactions,
    parts: &Parts,
    text: &[f32],
    seed: u64,
) -> Result<Measured, StageError> {
    let values = task.values;
    let items = all.items.len();
    let vectors = ItemVectors {
        collaborative: match values.on("collaborative") {
            true => sasrec_vectors(task, &parts.learned, items, seed)?,
            false => Vec::new(),
        },
        text: text.to_vec(),
        items,
    };
    let config = SetRecConfig {
        width: values.count("width"),
        blocks: values.count("blocks"),
        heads: 2,
        max_items: values.count("events"),
        collaborative: values.on("collaborative"),
        semantic: values.count("semantic"),
        sparse: values.on("sparse"),
    };
    let mut parameters = Parameters::default();
    let model = SetRec::new(config, vectors, &mut parameters, seed)?;
    let compute = Compute::new(rayon::current_num_threads());
    learn(task, &model, &parts.learned, (&mut parameters, &compute), seed)?;
    let scores_of = |asked: &Asked, shuffle: Option<u64>, most: usize| {
        let histories: Vec<&[u32]> = asked.histories.iter().take(most).map(Vec::as_slice).collect();
        model.scores(&parameters, &compute, &histories, shuffle)
    };
    let chosen = best_beta(&scores_of(&parts.validation, None, usize::MAX), &parts.validation, |_| true);
    let begun = Instant::now();
    let scores = scores_of(&parts.test, None, usize::MAX);
    let seconds = begun.elapsed().as_secs_f64();
    let is_cold = |at: usize| parts.cold[parts.test.targets[at] as usize];
    let shuffled = difference(&scores, &scores_of(&parts.test, Some(seed), SHUFFLED));
    let tape = plackett_train::Tape::inference(&parameters, &compute);
    let reconstruction = model.tokens(&tape).reconstruction.map_or(0.0, |error| f64::from(error.item()));
    let by_seed = [
        f64::from(chosen),
        f64::from(best_beta(&scores, &parts.test, |at| !is_cold(at))),
        f64::from(best_beta(&scores, &parts.test, is_cold)),
        reconstruction,
        shuffled,
        seconds,
    ];
    let ranks = (0..scores.len()).map(|at| rank(&scores[at].mixed(chosen), &parts.test, at)).collect();
    Ok(Measured { ranks, by_seed })
}

fn learn(
    task: &Task<'_>,
    model: &SetRec,
    learned: &[Vec<Event>],
    (parameters, compute): (&mut Parameters, &Arc<Compute>),
    seed: u64,
) -> Result<(), StageError> {
    let values = task.values;
    let number = |name| values.real(name) as f32;
    let sequences: Vec<Vec<u32>> =
        learned.iter().map(|events| events.iter().map(|event| event.item).collect()).collect();
    let lesson = SetRecTask::new(model, &sequences, number("alpha"));
    let steps = values.count("steps");
    let settings = Settings {
        warmup: steps / 20,
        schedule: Schedule::Cosine,
        dropout: 0.1,
        seed,
        checkpoint: 0,
        ..settings_of(values)
    };
    let name = format!("{}, seed {seed}", task.name);
    let mut progress =
        |record: &StepRecord, total: usize| (task.progress)(&name, record.step as u64, total as u64);
    train(&lesson, compute, parameters, &settings, (None, ""), None, &mut progress)?;
    Ok(())
}

/// The rank of a target among items that are not in its history; of equal scores the middle.
fn rank(scores: &[f32], asked: &Asked, at: usize) -> TargetRank {
    let target = asked.targets[at];
    let seen: HashSet<u32> = asked.histories[at].iter().copied().filter(|item| *item != target).collect();
    let mut scores = scores.to_vec();
    seen.into_iter().for_each(|item| scores[item as usize] = f32::NEG_INFINITY);
    target_rank(&scores, target as usize)
}

/// The weight with the best mean nDCG@10 of some cases; the least of equal ones.
fn best_beta(scores: &[SlotScores], asked: &Asked, wanted: impl Fn(usize) -> bool) -> f32 {
    let cases: Vec<usize> = (0..scores.len()).filter(|at| wanted(*at)).collect();
    let value = |beta: f32| -> f64 {
        cases.iter().map(|at| rank(&scores[*at].mixed(beta), asked, *at).ndcg(CUT)).sum()
    };
    let mut best = (BETAS[0], f64::NEG_INFINITY);
    for beta in BETAS {
        let value = value(beta);
        if value > best.1 {
            best = (beta, value);
        }
    }
    best.0
}

/// The greatest change of a score, relative to 1 or the score.
fn difference(plain: &[SlotScores], shuffled: &[SlotScores]) -> f64 {
    let pairs = plain.iter().zip(shuffled).flat_map(|(a, b)| {
        let one = a.collaborative.iter().chain(&a.semantic);
        one.zip(b.collaborative.iter().chain(&b.semantic))
            .map(|(a, b)| f64::from((a - b).abs() / a.abs().max(1.0)))
    });
    pairs.fold(0.0, f64::max)
}
