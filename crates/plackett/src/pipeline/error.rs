//! Why a pipeline cannot be built or a query not be answered.

use plackett_lm::LmError;
use plackett_rank::RankError;
use plackett_remote::RemoteError;

/// A pipeline that cannot be built. Found before any work is done.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The expression is not written as expected.
    #[error(transparent)]
    Syntax(#[from] plackett_core::pipeline::ParseError),
    /// A stage that does not exist.
    #[error(
        "`{name}` is not a stage{nearest}: use a first stage ({first}), a fusion of first stages ({fusions}), or a reranker \
         (`plackett method list` has them)"
    )]
    UnknownStage {
        /// What was written.
        name: String,
        /// What was probably meant, with the words around it.
        nearest: String,
        /// The first stages there are.
        first: String,
        /// The fusions there are.
        fusions: String,
    },
    /// A known stage in a place or with an argument that makes no sense.
    #[error("stage `{stage}`: {problem}")]
    Stage {
        /// The stage as written.
        stage: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A model that cannot be had or does not fit the method.
    #[error("stage `{stage}`: {source}")]
    Model {
        /// The stage as written.
        stage: String,
        /// What the engine or the method said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl QueryError {
    /// Whether a server failed and not the query: it may well be answered another time.
    pub fn is_outage(&self) -> bool {
        match self {
            QueryError::Rank(error) => error.is_outage(),
            QueryError::Search { source, .. } => {
                source.downcast_ref::<RankError>().is_some_and(RankError::is_outage)
                    || source
                        .downcast_ref::<LmError>()
                        .and_then(RemoteError::of)
                        .is_some_and(RemoteError::is_outage)
            }
        }
    }
}

/// A query that a pipeline could not answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// A reranker failed.
    #[error(transparent)]
    Rank(#[from] RankError),
    /// The first stage failed.
    #[error("query `{query}`: {source}")]
    Search {
        /// The query's identifier.
        query: String,
        /// What the index said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
