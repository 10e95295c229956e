//! Lists of a stage as what a decoder reads and has to write.

use crate::listwise_examples::{ListwiseExamples, ListwiseExamplesError, ListwiseTrainingSet, Reasoner};
use crate::recipe::data::dataset::seed_of;
use crate::recipe::error::StageError;
use crate::recipe::running::inputs::{dataset_of, rankings_of};
use crate::recipe::task::Task;
use plackett_core::Document;
use plackett_train::synth::reasoning::needs_reasoning;

/// Makes examples for the fields `method`, `reasoning`, `depth` and `seed` of a stage.
pub struct StageExamples<'t> {
    task: &'t Task<'t>,
    examples: ListwiseExamples,
}

impl From<ListwiseExamplesError> for StageError {
    fn from(error: ListwiseExamplesError) -> StageError {
        match error {
            ListwiseExamplesError::Model(error) => StageError::Model(error),
            ListwiseExamplesError::Field { field, problem } => StageError::Field { field, problem },
            ListwiseExamplesError::List { name, problem } => {
                StageError::Field { field: "candidates", problem: format!("query `{name}`: {problem}") }
            }
            ListwiseExamplesError::OtherTokens => StageError::Work(error.to_string()),
        }
    }
}

impl<'t> StageExamples<'t> {
    /// For a model of a name or folder.
    ///
    /// # Errors
    /// A model that cannot be opened or reads no prompts, or a method that cannot be taught.
    pub fn new(task: &'t Task<'t>, model: &str) -> Result<StageExamples<'t>, StageError> {
        let models = task.environment.models(Some(model));
        let examples = ListwiseExamples::new(&models, None, task.values.word("method"))?;
        Ok(StageExamples { task, examples })
    }

    /// The lists of a stage, each shown in so many drawn orders; its own order is the one that is taught.
    ///
    /// # Errors
    /// The collection cannot be read, or a list cannot be taught with this method and model.
    pub fn of(&self, stage: &str, orders: usize) -> Result<ListwiseTrainingSet, StageError> {
        let task = self.task;
        let (rankings, dataset) = (rankings_of(task, stage)?, dataset_of(task, stage)?);
        let most = Some(task.values.count("depth")).filter(|&depth| depth > 0).unwrap_or(usize::MAX);
        let entries = rankings.iter().flat_map(|ranking| ranking.entries.iter().take(most));
        let documents = dataset.documents(entries.map(|entry| entry.id.as_str()))?;
        let reasoner = task.values.text("reasoning").map(|_| needs_reasoning as Reasoner);
        let mut taught = ListwiseTrainingSet::default();
        for (nth, (query, ranking)) in dataset.queries.iter().zip(&rankings).enumerate() {
            (task.progress)("prompts", nth as u64, rankings.len() as u64);
            let best = ranking.entries.iter().take(most);
            let best: Vec<&Document> = best.filter_map(|entry| documents.get(&entry.id)).collect();
            let seed = seed_of(task.values.count("seed") as u64, &query.id);
            self.examples.teach((query, &best), (seed, orders), reasoner, &mut taught)?;
        }
        Ok(taught)
    }

    /// Checks that another model reads and writes the same tokens: one that was trained and saved, so that it is asked what
    /// it has learned.
    ///
    /// # Errors
    /// It does not.
    pub fn check_same(&self, other: &StageExamples<'_>) -> Result<(), StageError> {
        Ok(self.examples.check_same(&other.examples)?)
    }
}
