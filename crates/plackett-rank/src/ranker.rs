//! The one trait of this crate.

use plackett_core::{RankRequest, Ranking};

/// Why a request could not be ranked. A failed request never comes back in its old order as if it had been ranked.
#[derive(Debug, thiserror::Error)]
pub enum RankError {
    /// The model failed or does not offer what the method needs.
    #[error(transparent)]
    Model(#[from] plackett_lm::LmError),
    /// The request itself cannot be ranked.
    #[error("query `{query}`: {problem}")]
    Request {
        /// The query's identifier.
        query: String,
        /// What is wrong and what to do.
        problem: String,
    },
}

/// A method that orders candidates.
pub trait Ranker: Send + Sync {
    /// The method's name, as in a pipeline expression: `bi-encoder`, `cross-encoder` …
    fn name(&self) -> &str;

    /// One result per request, in the order of the requests. Every candidate of a request is in its ranking once.
    fn rank(&self, requests: &[RankRequest]) -> Vec<Result<Ranking, RankError>>;
}
