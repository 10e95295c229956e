//! `language-module`: an encoder learns a language from raw text, in a small module.

use super::{ENCODER, SEED, encoder_fingerprint};
use crate::recipe::data::parallel_texts::ParallelTexts;
use crate::recipe::error::{Problem, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::models::training_fields::{batch, rate, settings_of};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput};
use crate::recipe::task::Task;
use plackett_train::modular::{LanguageModuleJob, LanguageOutcome, train_masked_head};
use plackett_train::trainer::{Settings, StepRecord};
use plackett_train::{Compute, adapter};
use std::path::PathBuf;

/// Where the module lies in the stage's folder.
pub(super) const FILE: &str = "module.safetensors";
/// What stands for the output layer that all modules share.
const HEAD: &str = "head";
/// Numbers by text.
const BY_TEXT: [&str; 3] = ["before", "after", "reverted"];
/// Numbers of the module.
const OF_MODULE: [&str; 2] = ["trainable", "bytes"];

/// The declaration.
pub static LANGUAGE_MODULE: StageKind = StageKind {
    name: "language-module",
    help: "an encoder learns a language in a module (a bottleneck adapter or a sparse difference) by predicting hidden tokens of the first half of a \
           collection's texts in that language; the module `head` is the output layer, which is learned first and which the others share. Gives, by text of \
           the second half, `before`, `after` and `reverted` (the loss of hidden tokens without the module, with it, and with it taken off \
           again; of the head the mean over the texts that it has learned from), `trainable` (numbers of the module) and `bytes` (of its file)",
    version: 1,
    gives: OutputKind::Model,
    fields: &[
        FieldSpec::required(
            "collection",
            FieldKind::Text,
            "a folder's name in PLACKETT_DATA, or a path, with corpus.LANGUAGE.jsonl",
        ),
        FieldSpec::required("language", FieldKind::Text, "which, as in the names of the files"),
        FieldSpec::required(
            "module",
            FieldKind::Text,
            "`head`, or an adapter with its options, as `bottleneck(reduction=2, invertible=true)` or `lt-sft(k=1000)`",
        ),
        FieldSpec::new(
            "head",
            FieldKind::Stage(&[OutputKind::Model]),
            Default::Absent,
            "the stage of this kind that has learned the head",
        ),
        ENCODER,
        batch(8, "texts in a step"),
        FieldSpec::required("steps", FieldKind::Whole(1, i64::MAX), "steps, of each phase"),
        rate(1e-3),
        FieldSpec::new("tokens", FieldKind::Whole(8, 512), Default::Whole(128), "most tokens of a text"),
        SEED,
    ],
    chooses: None,
    check: |values, _| {
        let module = values.word("module");
        let problem = match (module, values.has("head")) {
            (HEAD, true) => Some("the module `head` takes no `head`; leave it out".to_string()),
            (HEAD, false) => None,
            (_, false) => Some("`head` is missing: a stage whose module is `head`".to_string()),
            _ => adapter::parse(module).err().map(|error| error.to_string()),
        };
        problem.map_or(Ok(()), |problem| Err(values.wrong("module", 0, Problem::Said(problem))))
    },
    numbers: |_, _| BY_TEXT.iter().chain(&OF_MODULE).map(ToString::to_string).collect(),
    outside: |values, environment| {
        let texts = ParallelTexts::open(environment, values.word("collection"))?;
        let mut hashes = texts.hashes(&[values.word("language")], &[])?;
        hashes.extend(encoder_fingerprint(values, environment)?);
        Ok(hashes)
    },
    estimate: |task| {
        let (steps, language) = (task.values.count("steps"), task.values.word("language"));
        Ok(Estimate {
            work: format!("learns `{language}` in {steps} steps"),
            seconds: Some(steps as f64 * task.values.count("batch") as f64 * 0.05),
            ..Estimate::default()
        })
    },
    run,
};

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let texts = ParallelTexts::open(task.environment, values.word("collection"))?;
    let [first, second] = texts.halves(values.word("language"))?;
    let [first, second] =
        [first, second].map(|half| half.into_iter().map(|text| (text.id, text.text)).unzip());
    let (_, learned): (Vec<String>, Vec<String>) = first;
    let (ids, unseen): (Vec<String>, Vec<String>) = second;
    let base = task.environment.directory(values.word("model"))?;
    let steps = values.count("steps");
    let settings = Settings { warmup: steps / 10, checkpoint: 0, ..settings_of(values) };
    let (tokens, output) = (values.count("tokens"), task.folder.join(FILE));
    let compute = Compute::new(rayon::current_num_threads());
    let mut progress =
        |record: &StepRecord, total: usize| (task.progress)(task.name, record.step as u64, total as u64);
    if values.word("module") == HEAD {
        let [before, after] =
            train_masked_head(&base, &learned, (tokens, &settings), &output, &compute, &mut progress)?;
        let outcome = LanguageOutcome {
            before: vec![before],
            after: vec![after],
            reverted: vec![before],
            ..LanguageOutcome::default()
        };
        return made(task, vec!["learned".into()], &outcome);
    }
    let job = LanguageModuleJob { module: values.word("module").into(), tokens, settings };
    let head = file_of(task, values.word("head"))?;
    let outcome = job.run((&base, &head), (&learned, &unseen), &output, &compute, &mut progress)?;
    made(task, ids, &outcome)
}

/// The file of another stage of a module.
pub(super) fn file_of(task: &Task<'_>, stage: &str) -> Result<PathBuf, StageError> {
    let path = task.input(stage)?.folder.join(FILE);
    match path.is_file() {
        true => Ok(path),
        false => {
            let problem = format!(
                "the stage `{stage}` makes no module; one of the kinds language-module and ranking-module is expected"
            );
            Err(StageError::Field { field: "module", problem })
        }
    }
}

fn made(task: &Task<'_>, texts: Vec<String>, outcome: &LanguageOutcome) -> Result<StageOutput, StageError> {
    let output = task.folder.join(FILE);
    let bytes = output.metadata().map_err(StageError::cache(&output))?.len();
    let losses = [&outcome.before, &outcome.after, &outcome.reverted];
    let by_text = |(name, values): (&str, &Vec<f64>)| Quantity {
        name: name.into(),
        unit: "text".into(),
        keys: texts.clone(),
        values: values.clone(),
    };
    let mut made = StageOutput {
        numbers: BY_TEXT.into_iter().zip(losses).map(by_text).collect(),
        ..StageOutput::default()
    };
    let seed = task.values.count("seed");
    for (name, value) in OF_MODULE.into_iter().zip([outcome.trainable as f64, bytes as f64]) {
        made.numbers.push(Quantity::of_seed(name, seed, value));
    }
    let (cut, of) = outcome.cut;
    if cut > 0 {
        made.warnings.push(format!(
            "{cut} of {of} texts have more than {} tokens, and what is more is not read",
            task.values.count("tokens")
        ));
    }
    Ok(made)
}
