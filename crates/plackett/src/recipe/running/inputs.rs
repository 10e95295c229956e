//! What a stage reads of the stages before it: their collection and their rankings.

use super::rankings;
use crate::recipe::data::dataset::Dataset;
use crate::recipe::data::question_pairs::{QUESTION_PASSAGES, dataset};
use crate::recipe::error::StageError;
use crate::recipe::field::OutputKind;
use crate::recipe::task::Task;
use plackett_core::Ranking;

/// The collection behind a stage: its own, or that of the stage its index or candidates come from.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn dataset_of(task: &Task<'_>, name: &str) -> Result<Dataset, StageError> {
    let input = task.input(name)?;
    match input.kind.gives {
        OutputKind::Data if input.kind.name == QUESTION_PASSAGES => dataset(input.values, task.environment),
        OutputKind::Data => Dataset::load(task, input.values),
        _ => {
            let before = ["data", "index", "candidates"].iter().find_map(|key| input.values.text(key));
            let problem =
                || format!("no collection stands behind the stage `{name}`; name a stage that has one");
            dataset_of(task, before.ok_or_else(|| StageError::Work(problem()))?)
        }
    }
}

/// The rankings of a stage: candidates of a collection, or what a stage found.
///
/// # Errors
/// The collection has no list, or a file cannot be read.
pub fn rankings_of(task: &Task<'_>, name: &str) -> Result<Vec<Ranking>, StageError> {
    let input = task.input(name)?;
    if input.kind.gives != OutputKind::Data {
        return rankings::read(&input.folder);
    }
    let no_list = || StageError::Field {
        field: "list",
        problem: format!(
            "the stage `{name}` has no list of candidates; write `list` there (`judged` takes the judged documents)"
        ),
    };
    Dataset::load(task, input.values)?.candidates.ok_or_else(no_list)
}
