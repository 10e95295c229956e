//! A run: for each query the documents that a system returned, with their scores.

use crate::{IdList, IdListFull, Ranking};
use std::cmp::Ordering;
use std::collections::HashMap;

/// The one order of scored documents: score descending, equal scores by identifier descending as bytes (trec_eval's
/// rule). NaN is lower than every number, so that a broken score cannot win.
pub fn order_by_score(a: (&str, f64), b: (&str, f64)) -> Ordering {
    match (a.1.is_nan(), b.1.is_nan()) {
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        _ => {}
    }
    b.1.partial_cmp(&a.1).unwrap_or(Ordering::Equal).then_with(|| b.0.as_bytes().cmp(a.0.as_bytes()))
}

/// The documents of one query, in file order (which is not necessarily rank order).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunQuery {
    id: String,
    documents: IdList,
    scores: Vec<f64>,
}

impl RunQuery {
    /// No documents yet.
    pub fn new(id: impl Into<String>) -> Self {
        RunQuery { id: id.into(), ..RunQuery::default() }
    }

    /// The query's identifier.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Appends a document.
    pub fn push(&mut self, document: &str, score: f64) -> Result<(), IdListFull> {
        self.documents.push(document)?;
        self.scores.push(score);
        Ok(())
    }

    /// Number of documents.
    pub fn len(&self) -> usize {
        self.scores.len()
    }

    /// Whether the system returned nothing.
    pub fn is_empty(&self) -> bool {
        self.scores.is_empty()
    }

    /// Document identifiers in file order.
    pub fn documents(&self) -> &IdList {
        &self.documents
    }

    /// Scores in file order.
    pub fn scores(&self) -> &[f64] {
        &self.scores
    }

    /// `(document, score)` in file order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, f64)> {
        self.documents.iter().zip(self.scores.iter().copied())
    }

    /// `(document, score)` by [`order_by_score`].
    pub fn ranked(&self) -> Vec<(&str, f64)> {
        let mut entries: Vec<(&str, f64)> = self.iter().collect();
        entries.sort_by(|a, b| order_by_score(*a, *b));
        entries
    }
}

/// What one system returned for a set of queries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// The system's name (the last column of a TREC run).
    pub tag: String,
    queries: Vec<RunQuery>,
    by_id: HashMap<String, usize>,
}

impl Run {
    /// An empty run.
    pub fn new(tag: impl Into<String>) -> Self {
        Run { tag: tag.into(), ..Run::default() }
    }

    /// The entry of a query, made at the end when it is new.
    pub fn query_mut(&mut self, id: &str) -> &mut RunQuery {
        let index = match self.by_id.get(id) {
            Some(&index) => index,
            None => {
                self.queries.push(RunQuery::new(id));
                self.by_id.insert(id.to_string(), self.queries.len() - 1);
                self.queries.len() - 1
            }
        };
        &mut self.queries[index]
    }

    /// Adds a whole query; returns it when its id is already present.
    pub fn insert(&mut self, query: RunQuery) -> Result<(), RunQuery> {
        if self.by_id.contains_key(query.id()) {
            return Err(query);
        }
        self.by_id.insert(query.id().to_string(), self.queries.len());
        self.queries.push(query);
        Ok(())
    }

    /// The entry of a query.
    pub fn query(&self, id: &str) -> Option<&RunQuery> {
        self.by_id.get(id).map(|&index| &self.queries[index])
    }

    /// All queries in order of arrival.
    pub fn queries(&self) -> &[RunQuery] {
        &self.queries
    }

    /// A run from rankings; documents keep the rankings' order and scores.
    pub fn from_rankings<'a>(
        tag: impl Into<String>,
        rankings: impl IntoIterator<Item = &'a Ranking>,
    ) -> Result<Run, IdListFull> {
        let mut run = Run::new(tag);
        for ranking in rankings {
            let query = run.query_mut(&ranking.query_id);
            for entry in &ranking.entries {
                query.push(&entry.id, entry.score)?;
            }
        }
        Ok(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_score_then_id_descending_and_nan_last() {
        let mut query = RunQuery::new("q");
        for (document, score) in [("d10", 1.0), ("d9", 1.0), ("x", f64::NAN), ("a", 2.0), ("n", -1.0)] {
            query.push(document, score).unwrap();
        }
        let order: Vec<&str> = query.ranked().into_iter().map(|(id, _)| id).collect();
        assert_eq!(order, ["a", "d9", "d10", "n", "x"]);
    }

    #[test]
    fn queries_keep_their_order_of_arrival() {
        let mut run = Run::new("t");
        run.query_mut("2").push("d", 1.0).unwrap();
        run.query_mut("1").push("d", 1.0).unwrap();
        run.query_mut("2").push("e", 0.5).unwrap();
        let ids: Vec<&str> = run.queries().iter().map(RunQuery::id).collect();
        assert_eq!(ids, ["2", "1"]);
        assert_eq!(run.query("2").map(RunQuery::len), Some(2));
    }
}
