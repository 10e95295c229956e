//! The one trait of this crate.

use plackett_core::{RankRequest, Ranking};

/// Why a request could not be ranked. A failed request never comes back in its old order as if it had been ranked.
#[derive(Debug, thiserror::Error)]
pub enum RankError {
    /// The model failed while it read the request.
    #[error("query `{query}`: {source}")]
    Model {
        /// The query's identifier.
        query: String,
        /// What the model said.
        source: Box<plackett_lm::LmError>,
    },
    /// The request itself cannot be ranked.
    #[error("query `{query}`: {problem}")]
    Request {
        /// The query's identifier.
        query: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The model answered with a number that has no place in an order.
    #[error(
        "query `{query}`, document `{document}`: {method} gave the score {score}; the model or its weights are broken"
    )]
    NotFinite {
        /// The query's identifier.
        query: String,
        /// The document's identifier.
        document: String,
        /// The method that was asked.
        method: String,
        /// NaN or an infinity.
        score: f64,
    },
}

/// A method that orders candidates.
pub trait Ranker: Send + Sync {
    /// The method's name, as in a pipeline expression: `bi-encoder`, `cross-encoder` …
    fn name(&self) -> &str;

    /// One result per request, in the order of the requests. Every candidate of a request is in its ranking once.
    ///
    /// A request without candidates has an empty ranking. A document that is a candidate twice is an error, because no
    /// order of it with itself is right. An empty text is read like any other (a model has a score for it).
    fn rank(&self, requests: &[RankRequest]) -> Vec<Result<Ranking, RankError>>;
}
