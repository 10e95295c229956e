//! Trainings within a stage: their progress is the stage's. Most leave no checkpoint, since a stage is the unit that is resumed; long ones
//! go on from their own.

use super::training_fields::settings_of;
use crate::recipe::error::StageError;
use crate::recipe::task::Task;
use plackett_train::objective::parse_sum;
use plackett_train::trainer::{
    self, Hooks, Report, Settings, StepRecord, VectorList, VectorScorer, VectorTask, train,
};
use plackett_train::{Compute, Parameters};

/// Steps between two checkpoints of a training that goes on after a kill.
const KEPT_EVERY: usize = 10;

/// Trains what is trainable; `label` says which of the stage's trainings this is.
///
/// # Errors
/// Settings or labels that cannot be, or a loss that is no number.
pub fn train_within(
    task: &Task<'_>,
    label: &str,
    learning: &dyn trainer::Task,
    parameters: &mut Parameters,
    settings: &Settings,
) -> Result<Report, StageError> {
    train_watched(task, label, learning, (parameters, settings), None)
}

/// The same with somebody who looks at each step.
///
/// # Errors
/// As [`train_within`].
pub fn train_watched(
    task: &Task<'_>,
    label: &str,
    learning: &dyn trainer::Task,
    (parameters, settings): (&mut Parameters, &Settings),
    hooks: Option<&mut dyn Hooks>,
) -> Result<Report, StageError> {
    let settings = Settings { checkpoint: 0, ..settings.clone() };
    let mut progress =
        |record: &StepRecord, total: usize| (task.progress)(label, record.step as u64, total as u64);
    let compute = Compute::new(rayon::current_num_threads());
    Ok(train(learning, &compute, parameters, &settings, (None, ""), hooks, &mut progress)?)
}

/// The same with a log and checkpoints in a folder `part` of the stage, from which a run that was killed goes on to the same bits. The folder
/// is the caller's to remove once all of the stage is done; `label` is asked after every step.
///
/// # Errors
/// As [`train_within`], or a file that cannot be written.
pub fn train_kept(
    task: &Task<'_>,
    (part, label): (&str, &dyn Fn() -> String),
    learning: &dyn trainer::Task,
    parameters: &mut Parameters,
    settings: &Settings,
    hooks: Option<&mut dyn Hooks>,
) -> Result<Report, StageError> {
    let folder = task.folder.join(part);
    std::fs::create_dir_all(&folder).map_err(StageError::cache(&folder))?;
    let settings = Settings { checkpoint: KEPT_EVERY, ..settings.clone() };
    let mut progress =
        |record: &StepRecord, total: usize| (task.progress)(&label(), record.step as u64, total as u64);
    let compute = Compute::new(rayon::current_num_threads());
    // The stage's folder is named after all that the result depends on: what lies in it is of the same training.
    Ok(train(learning, &compute, parameters, &settings, (Some(&folder), part), hooks, &mut progress)?)
}

/// How a scorer of vectors is learned.
pub struct ScorerTraining<'t> {
    /// What is minimised.
    pub objective: &'t str,
    /// Numbers of a vector.
    pub width: usize,
    /// Lists in a step, at most as many as there are.
    pub batch: usize,
    /// Weight decay.
    pub decay: f32,
    /// From which weights and order follow.
    pub seed: u64,
}

/// Learns a scorer with one hidden layer from lists of vectors; the fields `hidden`, `steps` and `rate` of the stage say how wide, long and fast.
///
/// # Errors
/// An objective that lists cannot teach, or a loss that is no number.
pub fn learn_scorer(
    task: &Task<'_>,
    lists: &[VectorList],
    training: &ScorerTraining<'_>,
) -> Result<(VectorScorer, Parameters), StageError> {
    let values = task.values;
    let mut parameters = Parameters::default();
    let scorer = VectorScorer::hidden(&mut parameters, training.width, values.count("hidden"), training.seed);
    let objective = parse_sum(training.objective).map_err(|error| StageError::Work(error.to_string()))?;
    let learning = VectorTask { scorer: scorer.clone(), lists, objective, temperature: 1.0 };
    let settings = Settings {
        batch: training.batch.min(lists.len()),
        seed: training.seed,
        decay: training.decay,
        ..settings_of(values)
    };
    train_within(task, task.name, &learning, &mut parameters, &settings)?;
    Ok((scorer, parameters))
}
