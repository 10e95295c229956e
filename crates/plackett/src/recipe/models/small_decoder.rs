//! Small decoders over words and codes that recipes train from drawn weights.

use super::training::{train_kept, train_within};
use super::training_fields::{batch, rate, seed, settings_of};
use crate::recipe::error::{Problem, RecipeError, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, Values};
use crate::recipe::registry::Registry;
use crate::recipe::task::Task;
use plackett_train::Parameters;
use plackett_train::nn::LlamaConfig;
use plackett_train::objective::parse_sum;
use plackett_train::optimizer::Schedule;
use plackett_train::trainer::{LanguageModel, LanguageTask, Settings, WordVocabulary};
use std::path::{Path, PathBuf};

/// Heads of attention; the width of each is even.
pub const HEADS: usize = 4;

/// How many layers.
pub const LAYERS: FieldSpec =
    FieldSpec::new("layers", FieldKind::Whole(1, 100), Default::Whole(2), "layers of the decoder");
/// How wide.
pub const WIDTH: FieldSpec = FieldSpec::new(
    "width",
    FieldKind::Whole(8, 4096),
    Default::Whole(96),
    "numbers of a token; a multiple of 8",
);
/// How wide, for decoders that write docids.
pub const NARROW_WIDTH: FieldSpec = FieldSpec { default: Default::Whole(64), ..WIDTH };
/// From which all that is drawn follows.
pub const SEED: FieldSpec = seed("of all that is drawn");
/// How many examples together.
pub const BATCH: FieldSpec = batch(32, "examples in a step");
/// How long.
pub const STEPS: FieldSpec = FieldSpec::required("steps", FieldKind::Whole(1, i64::MAX), "steps");
/// How fast.
pub const RATE: FieldSpec = rate(3e-3);
/// How often, each time from other weights.
pub const SEEDS: FieldSpec =
    FieldSpec::new("seeds", FieldKind::Whole(1, 1000), Default::Whole(2), "how many");

/// Refuses a width that heads do not cut into even parts.
pub fn check_width(values: &Values, _: &Registry) -> Result<(), RecipeError> {
    match values.count("width").is_multiple_of(2 * HEADS) {
        true => Ok(()),
        false => {
            Err(values.wrong("width", 0, Problem::Said(format!("a multiple of {} is expected", 2 * HEADS))))
        }
    }
}

/// The folder of the model of a seed, in that of its stage.
pub fn folder_of(stage: &Path, seed: usize) -> PathBuf {
    stage.join(format!("model-{seed}"))
}

/// A decoder from drawn weights, as wide and deep as the fields [`LAYERS`] and [`WIDTH`] say, with `context` positions.
///
/// # Errors
/// Numbers that cannot be.
pub fn new_decoder(
    values: &Values,
    vocabulary: &WordVocabulary,
    context: usize,
    seed: usize,
    parameters: &mut Parameters,
) -> Result<LanguageModel, StageError> {
    let width = values.count("width");
    let config = LlamaConfig::small(vocabulary.len(), values.count("layers"), (width, 3 * width), HEADS);
    let config = LlamaConfig { tie_word_embeddings: true, ..config };
    Ok(LanguageModel::of_words(vocabulary, &config, context, seed as u64, parameters)?)
}

/// Lets a decoder learn to write the second sequence of each pair after the first, as the fields [`BATCH`], [`STEPS`] and [`RATE`] say.
///
/// # Errors
/// A pair that the model cannot hold, or a loss that is no number.
pub fn learn_pairs(
    task: &Task<'_>,
    pairs: Vec<(Vec<u32>, Vec<u32>)>,
    (model, seed): (&LanguageModel, usize),
    parameters: &mut Parameters,
) -> Result<(), StageError> {
    let (lesson, settings) = pair_lesson(task.values, pairs, (model, seed))?;
    train_within(task, &format!("{}, seed {seed}", task.name), &lesson, parameters, &settings)?;
    Ok(())
}

/// The same with checkpoints in a folder `part` of the stage, from which a run that was killed goes on; the folder is the caller's to remove.
///
/// # Errors
/// As [`learn_pairs`], or a file that cannot be written.
pub fn learn_pairs_kept(
    task: &Task<'_>,
    part: &str,
    pairs: Vec<(Vec<u32>, Vec<u32>)>,
    (model, seed): (&LanguageModel, usize),
    parameters: &mut Parameters,
) -> Result<(), StageError> {
    let (lesson, settings) = pair_lesson(task.values, pairs, (model, seed))?;
    let label = || format!("{}, seed {seed}", task.name);
    train_kept(task, (part, &label), &lesson, parameters, &settings, None)?;
    Ok(())
}

/// What is learned of pairs, and how.
fn pair_lesson<'m>(
    values: &Values,
    pairs: Vec<(Vec<u32>, Vec<u32>)>,
    (model, seed): (&'m LanguageModel, usize),
) -> Result<(LanguageTask<'m>, Settings), StageError> {
    let objective = parse_sum("language").map_err(|error| StageError::Work(error.to_string()))?;
    let (warmup, schedule) = (values.count("steps") / 20, Schedule::Cosine);
    let settings = Settings { warmup, schedule, seed: seed as u64, ..settings_of(values) };
    Ok((LanguageTask::of_pairs(model, pairs, objective)?, settings))
}
