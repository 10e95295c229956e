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

    /// The judgments with a grade above 0, in file order.
    pub fn relevant(&self) -> impl Iterator<Item = Judgment<'_>> {
        self.iter().filter(|judgment| judgment.grade > 0)
    }

    /// The grade of each judged document: the greatest, where a document is judged under several iterations (subtopics).
    pub fn grades(&self) -> HashMap<&str, i32> {
        let mut grades: HashMap<&str, i32> = HashMap::with_capacity(self.len());
        for judgment in self.iter() {
            let grade = grades.entry(judgment.document).or_insert(judgment.grade);
            *grade = (*grade).max(judgment.grade);
        }
        grades
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

    /// The judgments of a query with a grade above 0, in file order; none for a query that was not judged.
    pub fn relevant(&self, query: &str) -> impl Iterator<Item = Judgment<'_>> {
        self.query(query).into_iter().flat_map(|judged| judged.relevant())
    }

    /// The grade of a document for a query, as [`QueryQrels::grades`] has it; `None` where it was not judged. For many documents of
    /// a query take [`Qrels::grades_of`].
    pub fn grade(&self, query: &str, document: &str) -> Option<i32> {
        let judged = self.query(query)?.iter().filter(|judgment| judgment.document == document);
        judged.map(|judgment| judgment.grade).max()
    }

    /// The grades of some documents for a query, in their order; 0 for those that were not judged.
    pub fn grades_of<'i>(&self, query: &str, documents: impl IntoIterator<Item = &'i str>) -> Vec<i32> {
        let grades = self.query(query).map(QueryQrels::grades).unwrap_or_default();
        documents.into_iter().map(|document| grades.get(document).copied().unwrap_or(0)).collect()
    }

    /// All judged queries in order of arrival.
    pub fn queries(&self) -> &[QueryQrels] {
        &self.queries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_the_greatest_of_its_grades_and_none_where_it_was_not_judged() {
        let mut qrels = Qrels::new();
        for (iteration, document, grade) in [("1", "a", 1), ("2", "a", 3), ("3", "a", 0), ("1", "b", -2)] {
            qrels.query_mut("q").push(iteration, document, grade).unwrap();
        }
        let of = |document| qrels.grade("q", document);
        assert_eq!((of("a"), of("b"), of("c"), qrels.grade("r", "a")), (Some(3), Some(-2), None, None));
        assert_eq!(qrels.grades_of("q", ["c", "b", "a"]), [0, -2, 3]);
        assert_eq!(qrels.grades_of("r", ["a"]), [0]);
        let relevant: Vec<(&str, i32)> = qrels.relevant("q").map(|one| (one.iteration, one.grade)).collect();
        assert_eq!(relevant, [("1", 1), ("2", 3)]);
        assert_eq!(qrels.relevant("r").count(), 0);
    }
}
