//! What kinds that train small scorers over vectors share: fields, settings, and what is said of a training.

use crate::recipe::error::{Problem, RecipeError, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, Values};
use crate::recipe::models::training_fields::{batch, rate, settings_of, steps};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Registry, StageOutput};
use crate::recipe::task::Task;
use plackett_train::trainer::{Report, Settings, StepRecord, VectorList, VectorScorer, VectorTask, train};
use plackett_train::{Compute, Parameters, objective};

pub const OBJECTIVE: FieldSpec = FieldSpec::new(
    "objective",
    FieldKind::Text,
    Default::Text("pg-rank(k=10)"),
    "what is minimised, as in docs/objectives.md",
);
pub const TEMPERATURE: FieldSpec = FieldSpec::new(
    "temperature",
    FieldKind::Number(1e-6, 1e6),
    Default::Number(1.0),
    "scores are divided by it before the objective sees them",
);
pub const RATE: FieldSpec = rate(1e-3);
pub const BATCH: FieldSpec = batch(32, "queries in a step");
pub const STEPS: FieldSpec = steps((0, 1_000_000), 200, "of AdamW; 0 leaves the scorer as it begins");

/// What each training gives beside its own numbers.
pub const NUMBERS: [&str; 9] =
    ["loss_1", "loss_2", "loss_3", "loss_4", "loss", "skipped", "step_seconds", "flat_begin", "flat_end"];

/// Checks the objective.
pub fn check(values: &Values, _: &Registry) -> Result<(), RecipeError> {
    let wrong = |error: objective::ParseError| values.wrong("objective", 0, Problem::Said(error.to_string()));
    objective::parse_sum(values.word("objective")).map(drop).map_err(wrong)
}

/// Trains a scorer on lists, and enters what the training was like: the mean loss of each quarter of the steps, of the last tenth,
/// the share of lists that could not teach, the median seconds of a step, and before and after it the share of lists of which all orders that a policy
/// draws are worth the same.
///
/// # Errors
/// Labels that the objective cannot use, or a loss that is no number.
pub fn learn(
    task: &Task<'_>,
    scorer: &VectorScorer,
    parameters: &mut Parameters,
    lists: &[VectorList],
    made: &mut StageOutput,
) -> Result<(), StageError> {
    let values = task.values;
    let seed = values.count("seed");
    let mut enter = |name: &str, value: f64| made.numbers.push(Quantity::of_seed(name, seed, value));
    if values.count("steps") == 0 {
        NUMBERS.iter().for_each(|name| enter(name, 0.0));
        return Ok(());
    }
    let number = |name| values.real(name) as f32;
    let settings = Settings {
        batch: values.count("batch").min(lists.len()),
        seed: seed as u64,
        checkpoint: 0,
        ..settings_of(values)
    };
    let objective = objective::parse_sum(values.word("objective"))
        .map_err(|error| StageError::Field { field: "objective", problem: error.to_string() })?;
    let lesson = VectorTask { scorer: scorer.clone(), lists, objective, temperature: number("temperature") };
    let mut progress =
        |record: &StepRecord, total: usize| (task.progress)(task.name, record.step as u64, total as u64);
    let compute = Compute::new(rayon::current_num_threads());
    let begin = lesson.flat_share(parameters, &compute)?;
    let report = train(&lesson, &compute, parameters, &settings, (None, ""), None, &mut progress)?;
    let flat = [begin, lesson.flat_share(parameters, &compute)?];
    for (name, value) in NUMBERS.iter().zip(numbers(&report, settings.batch).into_iter().chain(flat)) {
        enter(name, value);
    }
    Ok(())
}

/// The first ones of [`NUMBERS`].
fn numbers(report: &Report, batch: usize) -> [f64; 7] {
    let steps = &report.steps;
    let mean = |from: usize, to: usize| {
        let part = &steps[from..to];
        part.iter().map(|step| f64::from(step.loss)).sum::<f64>() / part.len().max(1) as f64
    };
    let quarter = |nth: usize| mean(steps.len() * nth / 4, steps.len() * (nth + 1) / 4);
    let share = report.skipped() as f64 / (steps.len() * batch).max(1) as f64;
    let (last, seconds) = (f64::from(report.final_loss()), report.median_seconds());
    [quarter(0), quarter(1), quarter(2), quarter(3), last, share, seconds]
}
