//! Relevance judgments.

use crate::{IdList, IdListFull};
use std::collections::HashMap;

/// One judged document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgment<'a> {
    /// The second column of a TREC qrels file: the subtopic in diversity judgments, otherwise usually `0`.
    pub iteration: &'a str,
    /// Document identifier.
    pub document: &'a str,
    /// Relevance level. Negative levels: −1 not in the pool, −2 in the pool but not judged (infAP's convention).
    pub grade: i32,
}

/// The judgments of one query, in file order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryQrels {
    id: String,
    documents: IdList,
    iterations: IdList,
    grades: Vec<i32>,
}

impl QueryQrels {
    /// No judgments yet.
    pub fn new(id: impl Into<String>) -> Self {
        QueryQrels { id: id.into(), ..QueryQrels::default() }
    }

    /// The query's identifier.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Appends a judgment.
    pub fn push(&mut self, iteration: &str, document: &str, grade: i32) -> Result<(), IdListFull> {
        self.documents.push(document)?;
        self.iterations.push(iteration)?;
        self.grades.push(grade);
        Ok(())
    }

    /// Number of judgments.
    pub fn len(&self) -> usize {
        self.grades.len()
    }

    /// Whether nothing was judged.
    pub fn is_empty(&self) -> bool {
        self.grades.is_empty()
    }

    /// The judgments in file order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Judgment<'_>> {
        self.documents
            .iter()
            .zip(self.iterations.iter())
            .zip(self.grades.iter())
            .map(|((document, iteration), &grade)| Judgment { iteration, document, grade })
    }
}

/// Judgments of a set of queries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Qrels {
    queries: Vec<QueryQrels>,
    by_id: HashMap<String, usize>,
}

impl Qrels {
    /// No judgments.
    pub fn new() -> Self {
        Qrels::default()
    }

    /// The entry of a query, made at the end when it is new.
    pub fn query_mut(&mut self, id: &str) -> &mut QueryQrels {
        let index = match self.by_id.get(id) {
            Some(&index) => index,
            None => {
                self.queries.push(QueryQrels::new(id));
                self.by_id.insert(id.to_string(), self.queries.len() - 1);
                self.queries.len() - 1
            }
        };
        &mut self.queries[index]
    }

    /// The judgments of a query.
    pub fn query(&self, id: &str) -> Option<&QueryQrels> {
        self.by_id.get(id).map(|&index| &self.queries[index])
    }

    /// All judged queries in order of arrival.
    pub fn queries(&self) -> &[QueryQrels] {
        &self.queries
    }
}
