//! Methods of vectors as teachers: what an encoder that is trained for them reads is what they ask it for.

use crate::recipe::error::StageError;
use crate::recipe::task::Task;
use plackett_rank::MethodSpec;
use plackett_rank::model::LanguageModel;
use plackett_rank::training_example::EmbeddingExampleBuilder;
use std::path::Path;
use std::sync::Arc;

/// The model of a folder, with whose tokens prompts are cut.
///
/// # Errors
/// It cannot be opened, or reads no prompts.
pub fn reader(task: &Task<'_>, folder: &Path) -> Result<Arc<dyn LanguageModel>, StageError> {
    let opened = task.environment.models(Some(&folder.to_string_lossy())).reranker(None)?;
    opened.language_model().map_err(wrong)
}

/// A method with options, over a model that reads so many tokens once it is trained.
///
/// # Errors
/// There is no such method, or it does not go with the options or the model.
pub fn teacher(
    method: &str,
    options: &[(&str, &str)],
    model: Arc<dyn LanguageModel>,
    most_tokens: usize,
) -> Result<EmbeddingExampleBuilder, StageError> {
    let method = MethodSpec::find(method).map_err(|error| wrong(error.to_string()))?;
    EmbeddingExampleBuilder::new(model, method, options, Some(most_tokens))
        .map_err(|error| wrong(error.to_string()))
}

fn wrong(problem: String) -> StageError {
    StageError::Field { field: "model", problem }
}
