//! `train`: a cross-encoder that learns from the judgments of a collection.

use super::{ENCODER, SEED, dataset_of, encoder_fingerprint};
use crate::recipe::data::document_part::{PartReader, READS, SUMMARY_WORDS};
use crate::recipe::data::judged_lists::{JudgedList, judged_lists};
use crate::recipe::error::{Problem, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::models::teacher::{TEACHER, TEACHER_SCALE, TeacherScores};
use crate::recipe::models::training_fields::{batch, decay, rate, settings_of, steps, warmup};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput};
use crate::recipe::task::Task;
use plackett_train::trainer::{
    CHECKPOINT, Candidate, Outcome, RankingExample, RankingJob, StepRecord, Trained, keep_negatives,
};
use plackett_train::{Compute, adapter, objective};
use std::path::{Path, PathBuf};

/// Where the trained model lies in the stage's folder.
pub(super) const FOLDER: &str = "model";

/// What a training gives as numbers.
const NUMBERS: [&str; 5] = ["trainable", "loss", "first_loss", "step_seconds", "ranks"];

/// What it gives with `layer_ranks` too.
const RANKS: [&str; 2] = ["layer_ranks", "rank_range"];

/// The declaration.
pub static TRAIN: StageKind = StageKind {
    name: "train",
    help: "a cross-encoder that learns from the judged candidates of a collection (whose `list` is `judged`), whole or with an \
           adapter; gives trainable (numbers that were learned), loss (the mean of the last tenth of the steps), first_loss (that of \
           the first step), step_seconds and ranks (the sum of the ranks of all layers, of adapters that have such); \
           with `layer_ranks` also these, layer by layer, and rank_range (the greatest of them less the least)",
    version: 1,
    gives: OutputKind::Model,
    fields: &[
        FieldSpec::required("data", FieldKind::Stage(&[OutputKind::Data]), "the collection"),
        ENCODER,
        FieldSpec::new(
            "adapter",
            FieldKind::Text,
            Default::Text("full"),
            "an adapter with its options, as `lora(rank=1)`; `full` trains everything, `head` what is new alone",
        ),
        FieldSpec::new(
            "targets",
            FieldKind::Text,
            Default::Text("query,value"),
            "ends of the names of the linear layers that get the adapter, or `all`",
        ),
        FieldSpec::new(
            "objective",
            FieldKind::Text,
            Default::Text("bce"),
            "what is minimised, as in docs/objectives.md",
        ),
        rate(2e-5),
        FieldSpec::new(
            "head_rate",
            FieldKind::Number(0.0, 1.0),
            Default::Number(0.0),
            "the learning rate of what is new; 0 for that of the rest",
        ),
        batch(8, "queries in a step"),
        FieldSpec::new(
            "epochs",
            FieldKind::Number(0.0, 1000.0),
            Default::Number(1.0),
            "how often each is seen",
        ),
        steps((0, i64::MAX), 0, "steps; 0 for as many as `epochs` asks for"),
        warmup(0),
        decay(0.0),
        FieldSpec::new("tokens", FieldKind::Whole(8, 512), Default::Whole(128), "most tokens of a pair"),
        FieldSpec::new(
            "negatives",
            FieldKind::Whole(1, 1000),
            Default::Whole(4),
            "candidates that are not relevant, at most, for each that is",
        ),
        SEED,
        FieldSpec::new(
            "trained",
            FieldKind::Stage(&[OutputKind::Model]),
            Default::Absent,
            "a stage `train` whose model takes the place of `model`",
        ),
        TEACHER,
        TEACHER_SCALE,
        FieldSpec::new(
            "separate_layers",
            FieldKind::Whole(0, 1000),
            Default::Absent,
            "so many of the first layers keep query and document apart (Pyramid-ERNIE); `trained-rank` ranks with such a model",
        ),
        READS,
        SUMMARY_WORDS,
        FieldSpec::new(
            "layer_ranks",
            FieldKind::Switch,
            Default::Absent,
            "whether the ranks are given layer by layer too, of an adapter that has such",
        ),
    ],
    chooses: None,
    check: |values, _| {
        let wrong = |field, error: String| values.wrong(field, 0, Problem::Said(error));
        objective::parse_sum(values.word("objective"))
            .map_err(|error| wrong("objective", error.to_string()))?;
        match values.word("adapter") {
            "full" | "head" if values.on("layer_ranks") => {
                Err(wrong("layer_ranks", "without an adapter layers have no ranks; leave it out".into()))
            }
            "full" | "head" => Ok(()),
            text => adapter::parse(text)
                .and_then(|adapter| adapter.check_begins_alone())
                .map_err(|error| wrong("adapter", error.to_string())),
        }
    },
    numbers: |values, _| {
        let ranks = if values.on("layer_ranks") { &RANKS[..] } else { &[] };
        NUMBERS.iter().chain(ranks).map(ToString::to_string).collect()
    },
    outside: encoder_fingerprint,
    estimate: |task| {
        let dataset = dataset_of(task, task.values.word("data"))?;
        Ok(Estimate {
            work: format!("trains on {} queries", dataset.queries.len()),
            seconds: None,
            ..Estimate::default()
        })
    },
    run,
};

/// Kinds of stages that leave an encoder in their folder `model`.
pub const ENCODERS: [&str; 4] = ["train", "train-embedder", "train-views", "factorize"];

/// Kinds of stages that leave a model of any sort there.
pub const MODELS: [&str; 8] = [
    "train",
    "train-embedder",
    "train-views",
    "factorize",
    "train-decoder",
    "train-listwise",
    "memorize",
    "unlearn",
];

/// The folder of the model that the stage of a field `trained` has left, which has to be of one of these kinds. Whether it can do what it is
/// asked for is said when it is opened.
///
/// # Errors
/// The stage is of another kind: what it gives is no model of its own.
pub fn model_of(task: &Task<'_>, stage: &str, kinds: &[&str]) -> Result<PathBuf, StageError> {
    let input = task.input(stage)?;
    if !kinds.contains(&input.kind.name) {
        let problem = format!(
            "the stage `{stage}` is of the kind `{}`, whose model cannot take the place of `model`; name a stage of the kind `{}`",
            input.kind.name,
            kinds.join("` or `")
        );
        return Err(StageError::Field { field: "trained", problem });
    }
    Ok(input.folder.join(FOLDER))
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let (examples, without) = examples(task)?;
    let base = match task.values.text("trained") {
        Some(stage) => model_of(task, stage, &ENCODERS)?,
        None => task.environment.directory(task.values.word("model"))?,
    };
    let job = job(task.values);
    let identity = format!("{:?}", task.values.written());
    let mut progress = |record: &StepRecord, total: usize| {
        (task.progress)(task.name, record.step as u64, total as u64);
    };
    let output = task.folder.join(FOLDER);
    let outcome = job.run(
        &base,
        (&examples, &[]),
        (task.folder, &output),
        &identity,
        &Compute::new(rayon::current_num_threads()),
        &mut progress,
    )?;
    remove_checkpoint(task.folder)?;
    Ok(made(task, &outcome, (examples.len(), without)))
}

/// Lists of judged candidates of the field `data`, with no more than `negatives` wrong ones for each right one, and how many queries were left out because nothing of theirs is relevant.
pub(super) fn examples(task: &Task<'_>) -> Result<(Vec<RankingExample>, usize), StageError> {
    let name = task.values.word("data");
    let dataset = dataset_of(task, name)?;
    let lists = super::rankings_of(task, name)?;
    let ids = lists.iter().flat_map(|list| list.entries.iter().map(|entry| entry.id.as_str()));
    let documents = dataset.documents(ids)?;
    let (reader, teacher) = (PartReader::new(task.values, &dataset)?, TeacherScores::of(task)?);
    let mut examples: Vec<RankingExample> = Vec::new();
    for JudgedList { query, ranking, grades } in judged_lists(&dataset, &lists) {
        let mut candidates = Vec::with_capacity(grades.len());
        for (entry, grade) in ranking.entries.iter().zip(grades) {
            let Some(document) = documents.get(&entry.id) else { continue };
            let score = teacher.as_ref().map(|teacher| teacher.score(&query.id, &entry.id)).transpose()?;
            let (text, label) = (reader.text(&query.text, document), grade as f32);
            candidates.push(Candidate { text, label, teacher: score });
        }
        if !candidates.is_empty() {
            examples.push(RankingExample { query: query.text.clone(), candidates });
        }
    }
    let seed = task.values.count("seed") as u64;
    let without = keep_negatives(&mut examples, task.values.count("negatives"), seed);
    Ok((examples, without))
}

fn job(values: &Values) -> RankingJob {
    let settings = settings_of(values);
    RankingJob {
        objective: values.word("objective").into(),
        tokens: values.count("tokens"),
        trained: Trained {
            adapter: values.word("adapter").into(),
            targets: values.word("targets").into(),
            ..Trained::default()
        },
        separate_layers: values.has("separate_layers").then(|| values.count("separate_layers")),
        prompt: None,
        settings,
    }
}

/// The model is there: a checkpoint would only be dead weight.
pub(super) fn remove_checkpoint(folder: &Path) -> Result<(), StageError> {
    let path = folder.join(CHECKPOINT);
    match path.is_file() {
        true => std::fs::remove_file(&path).map_err(StageError::cache(&path)),
        false => Ok(()),
    }
}

fn made(task: &Task<'_>, outcome: &Outcome, (examples, without): (usize, usize)) -> StageOutput {
    let report = &outcome.report;
    let (first, last) = (f64::from(report.first_loss()), f64::from(report.final_loss()));
    let rank: usize = outcome.ranks.iter().map(|(_, rank)| rank).sum();
    let of = [outcome.trainable as f64, last, first, report.median_seconds(), rank as f64];
    let seed = task.values.count("seed");
    let number = |(name, value): (&str, f64)| Quantity::of_seed(name, seed, value);
    let skipped = report.skipped();
    let mut made = StageOutput {
        numbers: NUMBERS.into_iter().zip(of).map(number).collect(),
        facts: vec![
            ("queries".into(), examples.to_string()),
            ("steps".into(), report.total.to_string()),
            ("trainable numbers".into(), outcome.trainable.to_string()),
        ],
        ..StageOutput::default()
    };
    if task.values.on("layer_ranks") {
        made.numbers.extend(ranks_by_layer(&outcome.ranks, seed));
    }
    if without > 0 {
        made.warnings
            .push(format!("{without} queries without a relevant candidate teach nothing and are left out"));
    }
    made.warnings.extend(outcome.cut.sentence());
    if skipped > 0 {
        made.warnings.push(format!("{skipped} lists of batches could not teach the objective"));
    }
    made
}

/// The rank of each layer, and how far they are apart.
fn ranks_by_layer(ranks: &[(String, usize)], seed: usize) -> [Quantity; 2] {
    let (keys, values): (Vec<String>, Vec<f64>) =
        ranks.iter().map(|(name, rank)| (name.clone(), *rank as f64)).unzip();
    let greatest = values.iter().copied().fold(0.0, f64::max);
    let least = values.iter().copied().fold(greatest, f64::min);
    let by_layer = Quantity { name: RANKS[0].into(), unit: "layer".into(), keys, values };
    [by_layer, Quantity::of_seed(RANKS[1], seed, greatest - least)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_given_by_layer_with_how_far_they_are_apart() {
        let ranks: Vec<(String, usize)> = vec![("query".into(), 3), ("value".into(), 8), ("dense".into(), 5)];
        let [by_layer, range] = ranks_by_layer(&ranks, 2);
        assert_eq!(by_layer.keys, ["query", "value", "dense"]);
        assert_eq!(by_layer.values, [3.0, 8.0, 5.0]);
        assert_eq!((range.keys[0].as_str(), range.mean()), ("2", 5.0));
        assert_eq!(ranks_by_layer(&ranks[..1], 1)[1].mean(), 0.0);
        assert_eq!(ranks_by_layer(&[], 1)[1].mean(), 0.0);
    }
}
