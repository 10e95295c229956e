//! `factorize`: an encoder whose weights are products of thin matrices.

use super::train::FOLDER;
use super::{ENCODER, SEED, encoder_fingerprint};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_to_check};
use crate::recipe::task::Task;
use plackett_train::adapter::Targets;
use plackett_train::adapter::factorize::{Factorization, FactorizationReport, Rank, Solver, factorize};
use plackett_train::nn::{self, Bert, BertConfig, Mode, SafetensorsSource, TokenBatch};
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
           128 tokens is in the training engine) and layers (how many were factorised). The model that is left has the products as \
           whole weights, so that every reader of BERT reads it",
    version: 1,
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
            "semi-nmf" => Solver::SemiNmf { iterations: 10 },
            _ => Solver::Random,
        },
        seed: values.count("seed") as u64,
        balanced: false,
        beyond_limit: false,
    }
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let base = task.environment.directory(task.values.word("model"))?;
    let mut parameters = Parameters::default();
    let mut bert = open(&base, &mut parameters)?;
    let compute = Compute::new(rayon::current_num_threads());
    let whole = seconds(&bert, &parameters, &compute);
    let layers = bert.layers.len();
    let last = Some(task.values.count("last")).filter(|last| *last > 0).unwrap_or(layers).min(layers);
    let first = layers - last;
    let names = bert.linears_mut().map(|linear| linear.name.clone());
    let meant = |name: &String| {
        let number =
            name.strip_prefix("encoder.layer.").and_then(|rest| rest.split('.').next()?.parse().ok());
        number.is_some_and(|number: usize| number >= first)
    };
    let targets = Targets::Names(names.filter(meant).collect());
    let report = factorize(&mut parameters, &mut bert, &targets, &method(task.values))?;
    let thin = seconds(&bert, &parameters, &compute);
    save(&base, &task.folder.join(FOLDER), &mut bert, &parameters)?;
    Ok(made(task, &report, whole / thin))
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

/// Writes the model with the products as whole weights, and everything else of the base beside it.
fn save(base: &Path, output: &Path, bert: &mut Bert, parameters: &Parameters) -> Result<(), StageError> {
    let mut whole = Parameters::default();
    let products: Vec<(String, Vec<f32>)> = bert
        .linears_mut()
        .filter_map(|linear| Some((format!("{}.weight", linear.name), linear.product(parameters)?)))
        .collect();
    for (_, parameter) in parameters.iter().filter(|(_, parameter)| !parameter.name.contains(".led_unit.")) {
        let shape = (parameter.rows, parameter.columns);
        whole.add(parameter.name.clone(), shape, parameter.value.to_vec());
    }
    for (linear, (name, product)) in bert.linears_mut().filter(|linear| linear.down.is_some()).zip(products) {
        whole.add(name, (linear.outputs, linear.inputs), product);
        if let Some(bias) = linear.bias {
            let values = parameters[bias].value.to_vec();
            whole.add(format!("{}.bias", linear.name), (1, linear.outputs), values);
        }
    }
    copy_others(base, output).map_err(StageError::cache(output))?;
    Ok(nn::save(&output.join("model.safetensors"), &whole, |name| Some(name.to_string()))?)
}

/// Copies the files of a model beside its weights, folders too.
fn copy_others(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (path, place) = (entry.path(), to.join(entry.file_name()));
        let is_weights = path.extension().is_some_and(|ending| ending == "safetensors");
        if path.is_dir() {
            copy_others(&path, &place)?;
        } else if !is_weights && entry.file_name() != "plackett-model.json" {
            std::fs::copy(&path, &place)?;
        }
    }
    Ok(())
}

fn made(task: &Task<'_>, report: &FactorizationReport, speed: f64) -> StageOutput {
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
