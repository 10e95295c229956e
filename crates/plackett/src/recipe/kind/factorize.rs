//! `factorize`: an encoder whose linear layers are two thin ones.

use super::train::FOLDER;
use super::{ENCODER, SEED, encoder_fingerprint};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_to_check};
use crate::recipe::task::Task;
use plackett_train::adapter::Targets;
use plackett_train::adapter::factorize::{
    Factorization, FactorizationReport, Layers, Rank, Solver, factorize_directory,
};
use plackett_train::nn::{Bert, BertConfig, Mode, SafetensorsSource, TokenBatch};
use plackett_train::{Compute, Parameters, Tape, TrainError};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// What it gives as numbers.
const NUMBERS: [&str; 4] = ["parameters", "error", "speed", "layers"];

/// Texts and tokens of each over which passes are timed, and how often.
const TIMED: (usize, usize, usize) = (4, 128, 5);

/// The declaration.
pub static FACTORIZE: StageKind = StageKind {
    name: "factorize",
    help: "an encoder whose linear layers become products of two thin ones; gives parameters (the share that is left of the layers' \
           matrices), error (the mean relative error of a weight, ‖W − UV‖ / ‖W‖), speed (how much faster a pass over four texts of \
           128 tokens is in the training engine) and layers (how many were factorised). The model that is left is stored and run as \
           thin layers, as that of `plackett model factorize`",
    version: 2,
    gives: OutputKind::Model,
    fields: &[
        ENCODER,
        FieldSpec::required(
            "rank",
            FieldKind::Number(0.0, 65536.0),
            "below 1 a share of the rank from which on nothing is saved, else a rank",
        ),
        FieldSpec::new(
            "solver",
            FieldKind::Choice(&["svd", "semi-nmf", "random"]),
            Default::Text("svd"),
            "what the thin matrices are",
        ),
        FieldSpec::new(
            "last",
            FieldKind::Whole(0, 1000),
            Default::Whole(0),
            "only so many of the last layers; 0 for all",
        ),
        SEED,
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside: encoder_fingerprint,
    estimate: |_| Ok(Estimate { work: "factorises".into(), seconds: Some(20.0), ..Estimate::default() }),
    run,
};

/// A rank as a field has it: below 1 a share of the rank from which on nothing is saved.
pub(super) fn rank(written: f64) -> Rank {
    if written < 1.0 { Rank::Ratio(written) } else { Rank::Absolute(written as usize) }
}

/// How the fields ask for it to be done.
fn method(values: &Values) -> Factorization {
    Factorization {
        rank: rank(values.real("rank")),
        solver: match values.word("solver") {
            "svd" => Solver::Svd,
            "semi-nmf" => Solver::SEMI_NMF,
            _ => Solver::Random,
        },
        seed: values.count("seed") as u64,
        balanced: false,
        beyond_limit: false,
    }
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let base = task.environment.directory(task.values.word("model"))?;
    let output = task.folder.join(FOLDER);
    if output.exists() {
        std::fs::remove_dir_all(&output).map_err(StageError::cache(&output))?;
    }
    let (whole, depth) = pass(&base)?;
    let last = Some(task.values.count("last")).filter(|last| *last > 0).map(|last| last.min(depth));
    let which = Layers { targets: Targets::All, last };
    let progress = |done: usize, all: usize| (task.progress)(task.name, done as u64, all as u64);
    let made = factorize_directory(&base, &output, &which, &method(task.values), &progress)?;
    let (thin, _) = pass(&output)?;
    Ok(stage_output(task, &made.report, whole / thin))
}

/// Seconds of a pass of a model in the training engine, and its layers.
fn pass(directory: &Path) -> Result<(f64, usize), TrainError> {
    let mut parameters = Parameters::default();
    let bert = open(directory, &mut parameters)?;
    let compute = Compute::new(rayon::current_num_threads());
    Ok((seconds(&bert, &parameters, &compute), bert.layers.len()))
}

fn open(base: &Path, parameters: &mut Parameters) -> Result<Bert, TrainError> {
    let path = base.join("config.json");
    let text = std::fs::read_to_string(&path).map_err(|source| TrainError::file(&path, source))?;
    let config: BertConfig = serde_json::from_str(&text)
        .map_err(|error| TrainError::Form { path: path.clone(), problem: error.to_string() })?;
    let mut source = SafetensorsSource::open(&base.join("model.safetensors"))?;
    let pooler = source.has("pooler.dense.weight");
    Bert::load(parameters, &mut source, &config, "", pooler)
}

/// Seconds of the fastest of some passes.
fn seconds(bert: &Bert, parameters: &Parameters, compute: &Arc<Compute>) -> f64 {
    let (texts, tokens, times) = TIMED;
    let text: Vec<u32> = (0..tokens as u32).map(|at| 1000 + at % 500).collect();
    let batch = TokenBatch::new((0..texts).map(|_| text.as_slice()));
    let pass = || {
        let begun = Instant::now();
        bert.forward(&Tape::inference(parameters, compute), &batch, Mode::default());
        begun.elapsed().as_secs_f64()
    };
    (0..times).map(|_| pass()).fold(f64::MAX, f64::min)
}

fn stage_output(task: &Task<'_>, report: &FactorizationReport, speed: f64) -> StageOutput {
    let done: Vec<(usize, usize, f64)> = report
        .layers
        .iter()
        .filter_map(|layer| {
            let (rank, error) = layer.outcome.as_ref().ok().copied()?;
            Some((rank, layer.layer.outputs + layer.layer.inputs, error))
        })
        .collect();
    let error = done.iter().map(|(_, _, error)| error).sum::<f64>() / done.len().max(1) as f64;
    let matrices: usize = report.layers.iter().map(|layer| layer.layer.outputs * layer.layer.inputs).sum();
    let left = (matrices - (report.before - report.after)) as f64 / matrices.max(1) as f64;
    let seed = task.values.count("seed");
    let number = |(name, value): (&str, f64)| Quantity::of_seed(name, seed, value);
    let of = [left, error, speed, done.len() as f64];
    let skipped = report.layers.len() - done.len();
    StageOutput {
        numbers: NUMBERS.into_iter().zip(of).map(number).collect(),
        facts: vec![
            ("parameters before".into(), report.before.to_string()),
            ("parameters after".into(), report.after.to_string()),
        ],
        warnings: match skipped {
            0 => Vec::new(),
            skipped => vec![format!("{skipped} layers stay whole, since two thin ones would not be smaller")],
        },
    }
}
