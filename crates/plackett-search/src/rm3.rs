//! Query expansion by pseudo-relevance feedback: RM3.
//!
//! A relevance model is estimated from the documents that a first search finds (RM1: Lavrenko and Croft, Relevance-Based
//! Language Models, 2001): P(t|R) = Σ over documents of P(t|d) · P(d|Q), with P(t|d) the share of the document's terms that
//! are t, and P(d|Q) the document's score divided by the sum of the scores. Its strongest terms are mixed with the query
//! (RM3: Abdul-Jaleel et al., UMass at TREC 2004): w(t) = λ · P(t|Q) + (1 − λ) · P(t|R), both sides summing to one.

use crate::bm25::QueryTerms;
use std::collections::BTreeMap;

/// Shortest and longest term, in characters, that may come into a query.
const LENGTHS: std::ops::RangeInclusive<usize> = 2..=20;

/// Settings of RM3; the defaults are Anserini's.
#[derive(Clone, Debug, PartialEq)]
pub struct Rm3 {
    /// Documents that are read, from the best.
    pub documents: usize,
    /// Terms that are taken from them.
    pub terms: usize,
    /// Share of the original query, 0 to 1.
    pub original_weight: f64,
    /// Terms in a larger share of the documents than this are not taken, 0 to 1.
    pub largest_share: f64,
}

impl Default for Rm3 {
    fn default() -> Self {
        Rm3 { documents: 10, terms: 10, original_weight: 0.5, largest_share: 0.1 }
    }
}

/// A document that the first search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Feedback {
    /// Its score, not negative.
    pub score: f64,
    /// How often it has each term.
    pub terms: BTreeMap<String, f64>,
}

/// The expanded query. `keep` says of a term whether it is rare enough to be taken; it is asked from the strongest term
/// on until enough are found. Equally strong terms stand in alphabetical order, so that the answer does not depend on
/// chance.
///
/// # Errors
/// Those of `keep`.
pub fn expand<E>(
    query: &QueryTerms,
    feedback: &[Feedback],
    rm3: &Rm3,
    mut keep: impl FnMut(&str) -> Result<bool, E>,
) -> Result<QueryTerms, E> {
    let scores: f64 = feedback.iter().map(|d| d.score).sum();
    let mut model: BTreeMap<&str, f64> = BTreeMap::new();
    for document in feedback.iter().filter(|d| d.score > 0.0) {
        let length: f64 = document.terms.values().sum();
        for (term, count) in document.terms.iter().filter(|(_, count)| **count > 0.0) {
            *model.entry(term).or_default() += count / length * (document.score / scores);
        }
    }
    let mut strongest: Vec<(&str, f64)> = model.into_iter().collect();
    // Stable, over terms in alphabetical order.
    strongest.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut taken: Vec<(&str, f64)> = Vec::new();
    for (term, weight) in strongest {
        if taken.len() >= rm3.terms {
            break;
        }
        if LENGTHS.contains(&term.chars().count()) && keep(term)? {
            taken.push((term, weight));
        }
    }
    let asked: f64 = query.values().sum();
    let found: f64 = taken.iter().map(|(_, weight)| weight).sum();
    // Without a single term from the feedback the query stays what it was, at its full weight.
    let share = if taken.is_empty() { 1.0 } else { rm3.original_weight };
    let mut expanded = QueryTerms::new();
    for (term, weight) in query.iter().filter(|_| asked > 0.0) {
        *expanded.entry(term.clone()).or_default() += share * weight / asked;
    }
    for (term, weight) in taken {
        *expanded.entry(term.to_string()).or_default() += (1.0 - share) * weight / found;
    }
    expanded.retain(|_, weight| *weight > 0.0);
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(terms: &[(&str, f64)]) -> BTreeMap<String, f64> {
        terms.iter().map(|(term, count)| (term.to_string(), *count)).collect()
    }

    fn expanded(rm3: &Rm3, rare: impl Fn(&str) -> bool) -> QueryTerms {
        let feedback = [
            Feedback { score: 3.0, terms: counts(&[("rank", 2.0), ("list", 1.0), ("the", 5.0)]) },
            Feedback { score: 1.0, terms: counts(&[("list", 1.0), ("sort", 3.0)]) },
        ];
        let query = counts(&[("rank", 1.0), ("fast", 1.0)]);
        expand(&query, &feedback, rm3, |term| Ok::<_, ()>(rare(term))).unwrap()
    }

    #[test]
    fn weights_are_those_of_the_formula() {
        // P(d|Q) = 3/4 and 1/4; P(rank|R) = 2/8 · 3/4 = 3/16, P(list|R) = 1/8 · 3/4 + 1/4 · 1/4 = 5/32,
        // P(sort|R) = 3/4 · 1/4 = 3/16; `the` is too frequent. Two terms: rank and sort, 1/2 each after normalisation.
        let rm3 = Rm3 { terms: 2, original_weight: 0.6, ..Rm3::default() };
        let found = expanded(&rm3, |term| term != "the");
        let expected = [("fast", 0.3), ("rank", 0.3 + 0.2), ("sort", 0.2)];
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.map(|(term, _)| term));
        for (term, weight) in expected {
            assert!((found[term] - weight).abs() < 1e-15, "{term}: {found:?}");
        }
        assert!((expanded(&Rm3::default(), |_| true).values().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_query_without_feedback_stays_itself() {
        let found = expanded(&Rm3::default(), |_| false);
        assert_eq!(found, counts(&[("fast", 0.5), ("rank", 0.5)]));
        let none = expand(&counts(&[("a", 2.0)]), &[], &Rm3::default(), |_| Ok::<_, ()>(true)).unwrap();
        assert_eq!(none, counts(&[("a", 1.0)]));
        let only_model = expanded(&Rm3 { original_weight: 0.0, ..Rm3::default() }, |term| term == "sort");
        assert_eq!(only_model, counts(&[("sort", 1.0)]));
    }
}
