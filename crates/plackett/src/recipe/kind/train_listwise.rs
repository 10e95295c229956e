//! `train-listwise`: a decoder that learns to order lists, from the very prompts with which a listwise method asks it.

use super::train::{FOLDER, model_of, remove_checkpoint};
use super::{DEPTH, SEED};
use crate::listwise_examples::{ListwiseTrainingSet, method_of};
use crate::recipe::error::{Problem, RecipeError, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::models::stage_examples::StageExamples;
use crate::recipe::models::training_fields::{SCHEDULE, batch, decay, rate, settings_of, warmup};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, Registry, StageKind, StageOutput};
use crate::recipe::task::{Environment, Task};
use plackett_train::Compute;
use plackett_train::trainer::{ListMeasure, ListwiseJob, ListwiseStart, Outcome, StepRecord, Trained};
use std::path::PathBuf;

/// What a training gives as numbers.
const NUMBERS: [&str; 4] = ["trainable", "loss", "first_loss", "step_seconds"];
/// What it gives of lists that are held out, by query.
const MEASURES: [&str; 2] = ["nll", "first_nll"];
/// Lists of a pass while held-out ones are measured.
const MEASURED_TOGETHER: usize = 8;
/// Tokens of a list with its prompt, as far as an estimate goes.
const USUAL_TOKENS: usize = 300;

/// The declaration.
pub static TRAIN_LISTWISE: StageKind = StageKind {
    name: "train-listwise",
    help: "a decoder that learns to order lists. The prompts are those with which `method` asks, made by the method itself; the answer is the \
           order of `candidates`, shown in a drawn order. Objectives of tokens (`language`, `importance-aware`) are about the written answer, those of \
           scores (`weighted-ranknet`, `listnet`) about the logits of the labels where the first of them is written (FIRST: `language + \
           10*weighted-ranknet`). Gives trainable (numbers that were learned), loss (the mean of the last tenth of the steps), first_loss, \
           step_seconds and, with `held`, by query nll (−ln p of a token of the right answer) and first_nll (−ln p of the label at rank 1, \
           summed over its tokens)",
    version: 1,
    gives: OutputKind::Model,
    fields: &[
        FieldSpec::required(
            "candidates",
            FieldKind::Stage(&[OutputKind::Data, OutputKind::Rankings]),
            "the lists in the order that is taught, the best first",
        ),
        FieldSpec::new(
            "held",
            FieldKind::Stage(&[OutputKind::Data, OutputKind::Rankings]),
            Default::Absent,
            "lists, likewise, on which the model is measured after the training",
        ),
        FieldSpec::new(
            "method",
            FieldKind::Text,
            Default::Text("first"),
            "a listwise method with its options, as in a pipeline: `first(words=20)`",
        ),
        // Absent and not a word, which would stand in the keys of all stages.
        FieldSpec::new(
            "reasoning",
            FieldKind::Choice(&["needs"]),
            Default::Absent,
            "with methods that reason (`dear`, `reason-rank`), what is learned before the order: `needs` has the words of the query that some \
             passage holds, and for each the passages that hold it, the best first",
        ),
        FieldSpec::new(
            "model",
            FieldKind::Text,
            Default::Text("SmolLM2-135M-Instruct"),
            "the decoder to begin with: a Llama",
        ),
        FieldSpec::new(
            "trained",
            FieldKind::Stage(&[OutputKind::Model]),
            Default::Absent,
            "a stage of this kind whose model takes the place of `model`",
        ),
        FieldSpec::new(
            "layers",
            FieldKind::Whole(0, 200),
            Default::Whole(0),
            "so many layers of it, from the first, or of a model that is drawn; 0 for all",
        ),
        FieldSpec::new(
            "width",
            FieldKind::Whole(0, 8192),
            Default::Whole(0),
            "numbers of a token of a model whose weights are drawn, with the tokenizer of `model`; 0 for the weights of `model`",
        ),
        FieldSpec::new(
            "heads",
            FieldKind::Whole(1, 256),
            Default::Whole(4),
            "heads of attention of a model that is drawn",
        ),
        FieldSpec::new(
            "adapter",
            FieldKind::Text,
            Default::Text("lora(rank=16)"),
            "an adapter with its options; `full` trains everything",
        ),
        FieldSpec::new(
            "targets",
            FieldKind::Text,
            Default::Text("all"),
            "ends of the names of the linear layers that get the adapter, or `all`",
        ),
        FieldSpec::new(
            "objective",
            FieldKind::Text,
            Default::Text("language + 10*weighted-ranknet"),
            "what is minimised, as in docs/objectives.md",
        ),
        FieldSpec::new(
            "end",
            FieldKind::Switch,
            Default::Switch(true),
            "whether the token that ends a turn is learned after the order",
        ),
        DEPTH,
        FieldSpec::new(
            "orders",
            FieldKind::Whole(1, 1000),
            Default::Whole(1),
            "how often each list is there, its passages shown in another order each time",
        ),
        batch(8, "lists in a step"),
        FieldSpec::required("steps", FieldKind::Whole(0, i64::MAX), "steps; 0 leaves the model as it begins"),
        rate(1e-3),
        warmup(0),
        SCHEDULE,
        decay(0.0),
        // Absent and not 0, which would stand in the keys of all stages.
        FieldSpec::new(
            "noise",
            FieldKind::Number(0.0, 1000.0),
            Default::Absent,
            "α of the noise on the embeddings of what is learned from (NEFTune), evenly from ±α/√(tokens · width); left out it is 0, and there is none",
        ),
        SEED,
    ],
    chooses: None,
    check,
    numbers: |values, _| {
        let measures = MEASURES.iter().filter(|_| values.has("held"));
        NUMBERS.iter().chain(measures).map(ToString::to_string).collect()
    },
    outside,
    estimate,
    run,
};

fn check(values: &Values, _: &Registry) -> Result<(), RecipeError> {
    let wrong = |field, problem: String| Err(values.wrong(field, 0, Problem::Said(problem)));
    if let Err(problem) = method_of(values.word("method")) {
        return wrong("method", problem);
    }
    let (width, heads) = (values.count("width"), values.count("heads"));
    if width > 0 && !width.is_multiple_of(2 * heads) {
        return wrong("heads", format!("{heads} heads do not cut a width of {width} into even parts"));
    }
    if width > 0 && values.count("layers") == 0 {
        return wrong("layers", "a model that is drawn has layers; write how many".into());
    }
    if width > 0 && values.has("trained") {
        return wrong("width", "a model of another stage has weights; leave out `width` or `trained`".into());
    }
    job(values).check().map_err(|error| values.wrong("objective", 0, Problem::Said(error.to_string())))
}

/// The weights to begin with, or the tokenizer. What a stage has trained is known by that stage.
fn outside(values: &Values, environment: &Environment) -> Result<Vec<(String, String)>, StageError> {
    match values.has("trained") {
        true => Ok(Vec::new()),
        false => Ok(vec![("model".into(), environment.fingerprint(values.word("model"))?)]),
    }
}

fn estimate(task: &Task<'_>) -> Result<Estimate, StageError> {
    let values = task.values;
    let (steps, width) = (values.count("steps"), values.count("width"));
    let mut estimate = Estimate { work: format!("{steps} steps of lists"), ..Estimate::default() };
    let weights = match (width, values.has("trained")) {
        (0, true) => return Ok(estimate),
        (0, false) => match task.environment.model_size(values.word("model"))? {
            // Blocks of about half a byte a weight; a frozen weight has no gradient of its own.
            Ok(bytes) => bytes as f64,
            Err(missing) => {
                estimate.missing.push(missing);
                return Ok(estimate);
            }
        },
        (width, _) => (13 * values.count("layers") * width * width) as f64 * 1.5 + (width * 5000) as f64,
    };
    let tokens = (steps * values.count("batch") * USUAL_TOKENS) as f64;
    estimate.seconds = Some(5.0 + 6.0 * weights * tokens / 5e10);
    Ok(estimate)
}

fn job(values: &Values) -> ListwiseJob {
    let settings = settings_of(values);
    ListwiseJob {
        objective: values.word("objective").into(),
        start: match (values.count("width"), values.count("layers")) {
            (0, 0) => ListwiseStart::Base,
            (0, layers) => ListwiseStart::FirstLayers(layers),
            (width, layers) => ListwiseStart::Drawn { layers, width, heads: values.count("heads") },
        },
        trained: Trained {
            adapter: values.word("adapter").into(),
            targets: values.word("targets").into(),
            ..Trained::default()
        },
        ends: values.on("end"),
        noise: values.number("noise").unwrap_or(0.0) as f32,
        together: MEASURED_TOGETHER,
        settings,
    }
}

/// Where the files of the model to begin with are.
fn base_of(task: &Task<'_>) -> Result<PathBuf, StageError> {
    match task.values.text("trained") {
        Some(stage) => model_of(task, stage, &[TRAIN_LISTWISE.name]),
        None => task.environment.directory(task.values.word("model")),
    }
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let base = base_of(task)?;
    let lessons = StageExamples::new(task, &base.to_string_lossy())?;
    let taught = lessons.of(values.word("candidates"), values.count("orders"))?;
    let held = match values.text("held") {
        Some(stage) => lessons.of(stage, 1)?,
        None => ListwiseTrainingSet::default(),
    };
    let identity = format!("{:?}", values.written());
    let mut progress = |record: &StepRecord, total: usize| {
        (task.progress)(task.name, record.step as u64, total as u64);
    };
    let output = task.folder.join(FOLDER);
    let (outcome, measures) = job(values).run(
        &base,
        (&taught.lists, &held.lists, &[]),
        (task.folder, &output),
        &identity,
        &Compute::new(rayon::current_num_threads()),
        &mut progress,
        None,
    )?;
    lessons.check_same(&StageExamples::new(task, &output.to_string_lossy())?)?;
    remove_checkpoint(task.folder)?;
    Ok(made(task, &outcome, (&taught, &held), &measures))
}

fn made(
    task: &Task<'_>,
    outcome: &Outcome,
    (taught, held): (&ListwiseTrainingSet, &ListwiseTrainingSet),
    measures: &[ListMeasure],
) -> StageOutput {
    let report = &outcome.report;
    let (first, last) = (f64::from(report.first_loss()), f64::from(report.final_loss()));
    let seed = task.values.count("seed");
    let of = [outcome.trainable as f64, last, first, report.median_seconds()];
    let mut numbers: Vec<Quantity> =
        NUMBERS.into_iter().zip(of).map(|(name, value)| Quantity::of_seed(name, seed, value)).collect();
    if task.values.has("held") {
        let keys: Vec<String> = held.lists.iter().map(|list| list.name.clone()).collect();
        let column = |of: fn(&ListMeasure) -> f64| measures.iter().map(of).collect::<Vec<f64>>();
        let columns: [Vec<f64>; 2] = [column(|measure| measure.nll), column(|measure| measure.first)];
        let named = MEASURES.into_iter().zip(columns);
        numbers.extend(named.map(|(name, values)| Quantity::by_query(name, keys.clone(), values)));
    }
    let tokens: usize = taught.lists.iter().map(|list| list.prompt.len() + list.answer.len()).sum();
    let mut made = StageOutput {
        numbers,
        facts: vec![
            ("lists".into(), taught.lists.len().to_string()),
            ("tokens of a list".into(), (tokens / taught.lists.len().max(1)).to_string()),
            ("steps".into(), report.total.to_string()),
            ("trainable numbers".into(), outcome.trainable.to_string()),
        ],
        ..StageOutput::default()
    };
    made.warnings.extend(taught.remarks("lists to learn from"));
    made.warnings.extend(held.remarks("held-out lists"));
    let skipped = report.skipped();
    if skipped > 0 {
        made.warnings.push(format!("{skipped} lists of batches could not teach the objective"));
    }
    made
}
