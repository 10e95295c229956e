//! Preferences between documents: what people said who compared documents instead of grading each.

use std::collections::HashMap;

/// One line of preferences: the level that a document has in a list of documents that were compared with each other.
#[derive(Clone, Debug, PartialEq)]
pub struct PreferenceLevel {
    /// Who judged, and when: the judgment group. Groups may contradict each other.
    pub group: String,
    /// The list within the group. Every document of a list is preferred to those with a lower level in the same list.
    pub list: String,
    /// Document identifier.
    pub document: String,
    /// Finite. Only the order of levels counts, but that level 0 is "not relevant".
    pub level: f64,
}

/// The preferences of one query, in file order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryPreferences {
    id: String,
    levels: Vec<PreferenceLevel>,
}

impl QueryPreferences {
    /// The query's identifier.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Appends a line.
    pub fn push(&mut self, level: PreferenceLevel) {
        self.levels.push(level);
    }

    /// The lines in file order.
    pub fn levels(&self) -> &[PreferenceLevel] {
        &self.levels
    }
}

/// Preferences of a set of queries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preferences {
    queries: Vec<QueryPreferences>,
    by_id: HashMap<String, usize>,
}

impl Preferences {
    /// No preferences.
    pub fn new() -> Self {
        Preferences::default()
    }

    /// The entry of a query, made at the end when it is new.
    pub fn query_mut(&mut self, id: &str) -> &mut QueryPreferences {
        let next = self.queries.len();
        let index = *self.by_id.entry(id.to_string()).or_insert(next);
        if index == next {
            self.queries.push(QueryPreferences { id: id.to_string(), levels: Vec::new() });
        }
        &mut self.queries[index]
    }

    /// The preferences of a query.
    pub fn query(&self, id: &str) -> Option<&QueryPreferences> {
        self.by_id.get(id).map(|&index| &self.queries[index])
    }

    /// All queries in order of arrival.
    pub fn queries(&self) -> &[QueryPreferences] {
        &self.queries
    }
}
