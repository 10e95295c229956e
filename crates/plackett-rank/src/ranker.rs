//! The one trait of this crate.

use plackett_core::{Document, RankRequest, Ranking};
use plackett_lm::LmError;
use plackett_remote::RemoteError;

/// Why a request could not be ranked. A failed request never comes back in its old order as if it had been ranked.
#[derive(Debug, thiserror::Error)]
pub enum RankError {
    /// The model failed while it read the request.
    #[error("query `{query}`: {source}")]
    Model {
        /// The query's identifier.
        query: String,
        /// What the model said.
        source: Box<LmError>,
    },
    /// A prompt of the request has no answer, or none from which an order can be read.
    #[error("query `{query}`: {source}")]
    Call {
        /// The query's identifier.
        query: String,
        /// What was asked, and why it has no answer.
        source: Box<crate::model::CallError>,
    },
    /// The request itself cannot be ranked.
    #[error("query `{query}`: {problem}")]
    Request {
        /// The query's identifier.
        query: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The server of a call for many requests failed, as it would for each of them.
    #[error("query `{query}`: {source}")]
    Service {
        /// The query's identifier.
        query: String,
        /// What happened, shared by the requests of the call.
        source: crate::model::ModelFailure,
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

impl RankError {
    /// Whether a server failed and not the request: the same request may well be answered another time.
    pub fn is_outage(&self) -> bool {
        use crate::model::CallError;
        match self {
            RankError::Model { source, .. } => RemoteError::of(source).is_some_and(RemoteError::is_outage),
            RankError::Call { source, .. } => source.is_outage(),
            RankError::Service { source, .. } => CallError::Model(source.clone()).is_outage(),
            _ => false,
        }
    }
}

/// A method that orders candidates.
pub trait Ranker: Send + Sync {
    /// The method's name, as in a pipeline expression: `bi-encoder`, `cross-encoder` …
    fn name(&self) -> &str;

    /// Whether it asks a model with prompts, so that there are calls to be recorded.
    fn asks_prompts(&self) -> bool {
        false
    }

    /// Whether it compares vectors of whole documents, and can be told those that are known already.
    fn knows_vectors(&self) -> bool {
        false
    }

    /// Tells it the vector that its model makes of a document, so that it need not make it again. Nothing, for methods that
    /// have no use for it.
    fn know_vector(&self, _document: &Document, _vector: Vec<f32>) {}

    /// One result per request, in the order of the requests. Every candidate of a request is in its ranking once.
    ///
    /// A request without candidates has an empty ranking. A document that is a candidate twice is an error, because no
    /// order of it with itself is right. A document without a token is not read and comes last, and the trace names it; a
    /// query without text is an error.
    fn rank(&self, requests: &[RankRequest]) -> Vec<Result<Ranking, RankError>>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CallError;
    use std::sync::Arc;

    fn status(status: u16) -> RemoteError {
        let (url, message) = ("http://localhost".to_string(), String::new());
        RemoteError::Status { url, number: 1, status, attempts: 1, message, remedy: "" }
    }

    #[test]
    fn a_server_that_fails_is_told_from_a_request_that_cannot_be_answered() {
        for (code, outage) in [(503, true), (401, true), (429, true), (400, false), (422, false)] {
            let query = "q".to_string();
            let lm = |code| LmError::from(status(code));
            let errors = [
                RankError::Model { query: query.clone(), source: Box::new(lm(code)) },
                RankError::Call { query: query.clone(), source: Box::new(CallError::model(lm(code))) },
                RankError::Call { query: query.clone(), source: Box::new(CallError::model(status(code))) },
                RankError::Service { query, source: Arc::new(lm(code)) },
            ];
            for error in errors {
                assert_eq!(error.is_outage(), outage, "{code}: {error:?}");
            }
        }
        let local = LmError::Argument("no".into());
        assert!(!RankError::Model { query: "q".into(), source: Box::new(local) }.is_outage());
    }
}
