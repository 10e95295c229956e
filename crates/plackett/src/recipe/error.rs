//! What is wrong with a recipe, where, and what to do.

use super::reading::source::Place;
use crate::pipeline::{ModelError, PipelineError, QueryError};
use crate::query_synthesis::QuerySynthesisError;
use plackett_core::formats::FormatError;
use plackett_lm::store::StoreError;
use plackett_rank::model::CallError;
use plackett_search::SearchError;
use std::path::PathBuf;

/// Why a recipe cannot be read or run.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// Something written in the file is wrong. Found before any work is done, but for what only a model or an index knows.
    #[error("{}: {problem}\n{}", place, place.caret())]
    At {
        /// File, line and column.
        place: Box<Place>,
        /// What is wrong there.
        problem: Problem,
    },
    /// No recipe has this name.
    #[error("there is no recipe `{name}`{}; `plackett recipe list` shows all, a path to a file may be given too", did_you_mean(.nearest))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The name that is spelled most like it.
        nearest: Option<String>,
    },
    /// A file that cannot be read or written.
    #[error("{}: {}", path.display(), plackett_core::formats::plain(.source))]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of results, or the table of systems, is not of its form.
    #[error("{file}: {problem}")]
    Form {
        /// Which.
        file: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A stage could not do its work.
    #[error("{place}: stage `{stage}`: {source}")]
    Stage {
        /// Where it stands.
        place: Box<Place>,
        /// Its name.
        stage: String,
        /// What it said.
        source: Box<StageError>,
    },
    /// The report page could not be put together.
    #[error("the report page could not be put together: {0}")]
    Page(#[from] askama::Error),
    /// A file that holds rankings, judgments or a page.
    #[error(transparent)]
    Format(#[from] FormatError),
}

impl RecipeError {
    /// What a stage said.
    fn of_stage(&self) -> Option<&StageError> {
        match self {
            RecipeError::Stage { source, .. } => Some(source),
            _ => None,
        }
    }

    /// Whether a service outside this program is to blame.
    pub fn is_outside(&self) -> bool {
        self.of_stage().is_some_and(|error| matches!(error, StageError::Store(error) if error.is_outside()))
    }

    /// Whether the work needs a collection that is not on this machine.
    pub fn lacks_data(&self) -> bool {
        matches!(self.of_stage(), Some(StageError::NoData { .. }))
    }
}

/// What can be wrong at a place of a recipe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is not TOML.
    #[error("not TOML: {0}")]
    Syntax(String),
    /// A key that means nothing there.
    #[error("{of} has no key `{key}`{}; its keys: {known}", did_you_mean(.nearest))]
    UnknownKey {
        /// What was written.
        key: String,
        /// What it was written in.
        of: String,
        /// The key that is spelled most like it.
        nearest: Option<String>,
        /// All keys.
        known: String,
    },
    /// A key that must be there.
    #[error("{of} needs the key `{key}` ({help})")]
    MissingKey {
        /// Which.
        key: String,
        /// What lacks it.
        of: String,
        /// What it says.
        help: String,
    },
    /// A value of another type, or outside what is allowed.
    #[error("`{key}` must be {expected}, found {found}")]
    Value {
        /// The key.
        key: String,
        /// What may stand there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A name that the registry does not have.
    #[error("unknown {what} `{name}`{}; there are: {known}", did_you_mean(.nearest))]
    UnknownName {
        /// `stage kind`, `claim kind`, `method` …
        what: &'static str,
        /// What was written.
        name: String,
        /// The name that is spelled most like it.
        nearest: Option<String>,
        /// All names.
        known: String,
    },
    /// A stage that the recipe does not have.
    #[error("there is no stage `{name}`{}; the stages: {known}", did_you_mean(.nearest))]
    UnknownStage {
        /// What was written.
        name: String,
        /// The stage that is spelled most like it.
        nearest: Option<String>,
        /// All stages.
        known: String,
    },
    /// A stage whose product is not of the kind that is needed.
    #[error("the stage `{name}` gives {gives}; here a stage that gives {wanted} is needed")]
    WrongStage {
        /// The stage.
        name: String,
        /// What it gives.
        gives: &'static str,
        /// What is needed.
        wanted: String,
    },
    /// Stages that wait for each other.
    #[error("the stages go round in a circle: {0}")]
    Cycle(String),
    /// A number that a stage does not give.
    #[error("the stage `{stage}` does not give `{number}`{}; it gives: {known}", did_you_mean(.nearest))]
    UnknownNumber {
        /// The stage.
        stage: String,
        /// What was written.
        number: String,
        /// The number that is spelled most like it.
        nearest: Option<String>,
        /// All numbers.
        known: String,
    },
    /// A quantity that is not written as one.
    #[error(
        "`{0}` is not written as STAGE/NUMBER, the name of a stage and a number that it gives, as in quality/bm25/nDCG@10"
    )]
    NoQuantity(String),
    /// A claim that cannot be judged on the numbers as they came out.
    #[error("the claim cannot be judged: {0}")]
    Claim(String),
    /// Anything that a kind of stage or claim says about its own fields.
    #[error("{0}")]
    Said(String),
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

/// The name that is spelled most like what was written, when one is near enough to be meant.
pub fn nearest<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let far = |name: &str| strsim::damerau_levenshtein(&written.to_lowercase(), &name.to_lowercase());
    let nearest = names.into_iter().map(|name| (far(name), name)).min_by_key(|(far, _)| *far)?;
    (nearest.0 <= 1 + written.chars().count() / 3).then(|| nearest.1.to_string())
}

/// Why a stage could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// A collection that is not on this machine.
    #[error(
        "the collection `{collection}` is not on this machine (looked in {looked}); name the folder that holds it with PLACKETT_DATA"
    )]
    NoData {
        /// Its name.
        collection: String,
        /// Where it could have been.
        looked: String,
    },
    /// A collection is made by a stage that has not run: while work is only planned.
    #[error("the collection `{collection}` is made by the stage `{stage}`")]
    NotMade {
        /// Its name.
        collection: String,
        /// The stage.
        stage: String,
    },
    /// A field's value does not go with what was found.
    #[error("`{field}`: {problem}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A file of a collection.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The index.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The pipeline.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// A query that no ranking was found for. Rankings of other queries are kept.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Where models come from.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The evaluation.
    #[error(transparent)]
    Eval(#[from] plackett_eval::EvalError),
    /// A ranker of candidates for the sides of a question.
    #[error(transparent)]
    Ask(#[from] plackett_rank::ask::AskError),
    /// A prompt without an answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A training.
    #[error(transparent)]
    Train(#[from] plackett_train::TrainError),
    /// A retriever that writes docids.
    #[error(transparent)]
    Genir(#[from] plackett_genir::GenirError),
    /// Votes, ratings or routes.
    #[error(transparent)]
    Arena(#[from] plackett_arena::ArenaError),
    /// Identifiers of items.
    #[error(transparent)]
    Ids(#[from] plackett_ids::IdsError),
    /// A recommender.
    #[error(transparent)]
    Rec(#[from] plackett_rec::RecError),
    /// A simulation.
    #[error("{0}")]
    Simulation(String),
    /// What a model answered cannot be used, or it did not answer.
    #[error("{0}")]
    Answer(String),
    /// A step of the stage's own work could not be done.
    #[error("{0}")]
    Work(String),
    /// The cache folder.
    #[error(
        "{}: {}; the stage's folder in the cache may be removed, it is made again, or another cache named with --cache",
        path.display(), plackett_core::formats::plain(.source)
    )]
    Cache {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file in the cache that is not as it was written.
    #[error("{}: damaged ({problem}); remove the stage's folder in the cache, it is made again", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl StageError {
    /// From an error of the system about a file in the cache.
    pub fn cache(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> StageError {
        let path = path.into();
        move |source| StageError::Cache { path, source }
    }
}

impl From<QuerySynthesisError> for StageError {
    fn from(error: QuerySynthesisError) -> StageError {
        match error {
            QuerySynthesisError::Search(error) => StageError::Search(error),
            QuerySynthesisError::Sample(error) => StageError::Train(error),
            QuerySynthesisError::Format(error) => StageError::Format(error),
            QuerySynthesisError::Query(error) => StageError::Query(error),
            QuerySynthesisError::Call(error) => StageError::Call(error),
            QuerySynthesisError::Kept(error) => StageError::Work(error.to_string()),
            other @ (QuerySynthesisError::NoVectors | QuerySynthesisError::Id { .. }) => {
                StageError::Field { field: "index", problem: other.to_string() }
            }
            other @ QuerySynthesisError::TooFew { .. } => {
                StageError::Field { field: "documents", problem: other.to_string() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_only_when_it_is_near() {
        let names = ["evaluate", "retrieve", "rank"];
        assert_eq!(nearest("evalaute", names).as_deref(), Some("evaluate"));
        assert_eq!(nearest("RANK", names).as_deref(), Some("rank"));
        assert_eq!(nearest("bibliography", names), None);
        assert_eq!(nearest("x", []), None);
    }
}
