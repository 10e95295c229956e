//! `ranking-module`: an encoder learns to rank, in a small module.

use super::language_module::{FILE, file_of};
use super::{ENCODER, SEED, encoder_fingerprint, train};
use crate::recipe::error::{Problem, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::models::training_fields::{batch, rate, settings_of};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput};
use crate::recipe::task::Task;
use plackett_train::modular::RankingModuleJob;
use plackett_train::objective;
use plackett_train::trainer::{Settings, StepRecord};
use plackett_train::{Compute, adapter};

/// Numbers of the module.
const NUMBERS: [&str; 3] = ["trainable", "bytes", "loss"];

/// The declaration.
pub static RANKING_MODULE: StageKind = StageKind {
    name: "ranking-module",
    help: "an encoder learns to rank the judged candidates of a collection (whose `list` is `judged`) in a module (a bottleneck adapter or a sparse \
           difference) with a head, on top of the module of their language where one is given; gives `trainable` (numbers of the module), `bytes` \
           (of its file) and `loss` (the mean of the last tenth of the steps)",
    version: 1,
    gives: OutputKind::Model,
    fields: &[
        FieldSpec::required("data", FieldKind::Stage(&[OutputKind::Data]), "the collection"),
        FieldSpec::required(
            "module",
            FieldKind::Text,
            "an adapter with its options, as `bottleneck(reduction=2)` or `lt-sft(k=1000)`",
        ),
        FieldSpec::new(
            "language",
            FieldKind::Stage(&[OutputKind::Model]),
            Default::Absent,
            "a stage `language-module` whose module is put below",
        ),
        ENCODER,
        FieldSpec::new(
            "objective",
            FieldKind::Text,
            Default::Text("bce"),
            "what is minimised, as in docs/objectives.md",
        ),
        batch(8, "queries in a step"),
        FieldSpec::new(
            "epochs",
            FieldKind::Number(0.0, 1000.0),
            Default::Number(1.0),
            "how often each is seen, in each phase",
        ),
        rate(1e-3),
        FieldSpec::new(
            "head_rate",
            FieldKind::Number(0.0, 1.0),
            Default::Number(1e-3),
            "the learning rate of the head",
        ),
        FieldSpec::new(
            "negatives",
            FieldKind::Whole(1, 1000),
            Default::Whole(4),
            "candidates that are not relevant, at most, for each that is",
        ),
        FieldSpec::new("tokens", FieldKind::Whole(8, 512), Default::Whole(96), "most tokens of a pair"),
        SEED,
    ],
    chooses: None,
    check: |values, _| {
        let wrong = |field, error: String| values.wrong(field, 0, Problem::Said(error));
        objective::parse_sum(values.word("objective"))
            .map_err(|error| wrong("objective", error.to_string()))?;
        adapter::parse(values.word("module")).map_err(|error| wrong("module", error.to_string()))?;
        Ok(())
    },
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside: encoder_fingerprint,
    estimate: |task| {
        let dataset = super::dataset_of(task, task.values.word("data"))?;
        let count = dataset.queries.len();
        let seconds = count as f64 * task.values.real("epochs") * 0.2;
        Ok(Estimate {
            work: format!("learns from {count} queries"),
            seconds: Some(seconds),
            ..Estimate::default()
        })
    },
    run,
};

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let (examples, without) = train::examples(task)?;
    let base = task.environment.directory(values.word("model"))?;
    let language = values.text("language").map(|stage| file_of(task, stage)).transpose()?;
    let settings = Settings { warmup: 10, checkpoint: 0, ..settings_of(values) };
    let job = RankingModuleJob {
        module: values.word("module").into(),
        objective: values.word("objective").into(),
        tokens: values.count("tokens"),
        settings,
    };
    let output = task.folder.join(FILE);
    let compute = Compute::new(rayon::current_num_threads());
    let mut progress =
        |record: &StepRecord, total: usize| (task.progress)(task.name, record.step as u64, total as u64);
    let outcome = job.run((&base, language.as_deref()), &examples, &output, &compute, &mut progress)?;
    let bytes = output.metadata().map_err(StageError::cache(&output))?.len();
    let seed = values.count("seed");
    let numbers = [outcome.trainable as f64, bytes as f64, outcome.loss];
    let mut made = StageOutput {
        numbers: NUMBERS
            .into_iter()
            .zip(numbers)
            .map(|(name, value)| Quantity::of_seed(name, seed, value))
            .collect(),
        facts: vec![("queries".into(), examples.len().to_string())],
        ..StageOutput::default()
    };
    if without > 0 {
        made.warnings
            .push(format!("{without} queries without a relevant candidate teach nothing and are left out"));
    }
    let (cut, of) = outcome.cut;
    if cut > 0 {
        made.warnings.push(format!(
            "{cut} of {of} pairs have more than {} tokens, and what is more is not read",
            job.tokens
        ));
    }
    Ok(made)
}
