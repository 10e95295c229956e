//! A query with the documents to be ordered for it.

use crate::{Document, Query};
use serde::{Deserialize, Serialize};

/// A document that some first stage proposed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The document with its text.
    pub document: Document,
    /// The score of the stage that proposed it; `None` when the source gave an order but no score.
    pub score: Option<f64>,
}

impl From<Document> for Candidate {
    fn from(document: Document) -> Self {
        Candidate { document, score: None }
    }
}

/// One query and its candidates, in the order in which the earlier stage gave them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RankRequest {
    /// What is asked.
    pub query: Query,
    /// What may be answered, best first according to the stage before.
    pub candidates: Vec<Candidate>,
}

impl RankRequest {
    /// A request over candidates without earlier scores.
    pub fn new(query: Query, documents: impl IntoIterator<Item = Document>) -> Self {
        RankRequest { query, candidates: documents.into_iter().map(Candidate::from).collect() }
    }
}
