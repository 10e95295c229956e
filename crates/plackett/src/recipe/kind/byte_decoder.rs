//! The model and the texts of `train-decoder`, also for kinds that use what it has trained.

use super::train::FOLDER;
use super::train_decoder::TRAIN_DECODER;
use crate::recipe::data::dataset::Dataset;
use crate::recipe::error::{Problem, RecipeError, StageError};
use crate::recipe::field::Values;
use crate::recipe::task::Task;
use plackett_train::nn::{LlamaConfig, Mode};
use plackett_train::tape::Gradients;
use plackett_train::trainer::{BYTE_VOCABULARY, LanguageModel, LanguageTask, Task as _, held_out};
use plackett_train::{Compute, Parameters, Tape};
use std::time::Instant;

/// The texts of the collections of a stage of this kind, those to learn and those that are held out.
pub(super) fn texts_of(task: &Task<'_>, values: &Values) -> Result<[Vec<String>; 2], StageError> {
    let mut all = Vec::new();
    for name in values.texts("data") {
        let dataset = Dataset::load(task, task.input(name)?.values)?;
        for document in dataset.corpus()? {
            let text = document?.model_text().into_owned();
            if !text.trim().is_empty() {
                all.push(text);
            }
        }
    }
    let share = values.real("held_out");
    let held = held_out(all.len(), share, values.count("seed") as u64);
    let (mut learned, mut kept) = (Vec::new(), Vec::new());
    for (text, held) in all.into_iter().zip(held) {
        if held { kept.push(text) } else { learned.push(text) }
    }
    Ok([learned, kept])
}

/// The fields of a stage of this kind that another stage names, and the folder of its model.
pub(super) fn decoder_of<'t>(
    task: &'t Task<'_>,
    field: &'static str,
) -> Result<(&'t Values, std::path::PathBuf), StageError> {
    let input = task.input_of(field, &[TRAIN_DECODER.name])?;
    Ok((input.values, input.folder.join(FOLDER)))
}

/// What the fields `layers`, `width`, `inner` and `heads` say of a decoder over bytes.
pub(super) fn shape_of(values: &Values) -> LlamaConfig {
    let widths = (values.count("width"), values.count("inner"));
    LlamaConfig::small(BYTE_VOCABULARY, values.count("layers"), widths, values.count("heads"))
}

/// Refuses a shape that no decoder has, before anything runs.
pub(super) fn check_shape(values: &Values) -> Result<(), RecipeError> {
    let (width, heads) = (values.count("width"), values.count("heads"));
    if width.is_multiple_of(2 * heads) {
        return Ok(());
    }
    let problem = format!("{heads} heads do not cut a width of {width} into even parts");
    Err(values.wrong("heads", 0, Problem::Said(problem)))
}

/// The model to begin with.
pub(super) fn open(task: &Task<'_>, parameters: &mut Parameters) -> Result<LanguageModel, StageError> {
    let values = task.values;
    let mut whole = Parameters::default();
    let model = match values.has("model") {
        true => LanguageModel::open(&decoder_of(task, "model")?.1, &mut whole)?,
        false => {
            let config = LlamaConfig { tie_word_embeddings: values.on("tied"), ..shape_of(values) };
            LanguageModel::of_bytes(&config, values.count("tokens"), values.count("seed") as u64, &mut whole)?
        }
    };
    match values.count("take") {
        0 => {
            *parameters = whole;
            Ok(model)
        }
        depth => Ok(model.first_layers(&whole, depth, parameters)?),
    }
}

/// So many of some windows at most, spread evenly over all of them: collections lie one after another.
pub(super) fn spread(windows: Vec<Vec<u32>>, most: usize) -> Vec<Vec<u32>> {
    let count = windows.len();
    let kept = most.min(count);
    let places: Vec<usize> = (0..kept).map(|at| at * count / kept).collect();
    let is_kept = |(at, _): &(usize, Vec<u32>)| places.binary_search(at).is_ok();
    windows.into_iter().enumerate().filter(is_kept).map(|(_, window)| window).collect()
}

/// Times of passes there and back of a task over those of another one, in turn, so that what else the machine does falls on
/// both alike.
pub(super) fn ratios(
    task: &LanguageTask<'_>,
    plain: &LanguageTask<'_>,
    parameters: &Parameters,
    (batch, rounds): (usize, usize),
) -> Result<Vec<f64>, StageError> {
    let compute = Compute::new(rayon::current_num_threads());
    let examples: Vec<usize> = (0..batch.min(task.count())).collect();
    let mut gradients = Gradients::default();
    let mut seconds = |task: &LanguageTask<'_>| -> Result<f64, StageError> {
        let begun = Instant::now();
        let tape = Tape::new(parameters, &compute);
        let loss = task.loss(&tape, &examples, Mode::default())?;
        tape.backward(&loss.value, &mut gradients);
        Ok(begun.elapsed().as_secs_f64())
    };
    // The first passes map memory.
    seconds(task)?;
    seconds(plain)?;
    (0..rounds).map(|_| Ok(seconds(task)? / seconds(plain)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn windows_of_all_collections_are_kept() {
        let windows: Vec<Vec<u32>> = (0..10).map(|at| vec![at]).collect();
        assert_eq!(spread(windows.clone(), 4), [[0], [2], [5], [7]]);
        assert_eq!(spread(windows.clone(), 20), windows);
        assert!(spread(Vec::new(), 4).is_empty());
    }
}
