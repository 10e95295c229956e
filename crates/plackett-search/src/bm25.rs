//! BM25 with settable constants, scored from the postings.
//!
//! score(d) = Σ over query terms t of  qtf · idf(t) · tf / (tf + k1 · (1 − b + b · |d| / mean |d|)),
//! idf(t) = ln(1 + (N − df + 0.5) / (df + 0.5)): Lucene's form (Robertson and Zaragoza 2009 without the constant factor
//! k1 + 1). tf and |d| are sums over fields times their weights (BM25F with one b); with all weights 1, the default,
//! that is BM25 over the concatenated fields. Lengths are exact; Lucene rounds them to a byte.

use crate::schema::Fields;
use crate::snapshot::Snapshot;
use plackett_core::order_by_score;
use std::collections::BTreeMap;
use tantivy::postings::Postings;
use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet, TERMINATED, Term};

/// Constants and field weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Bm25 {
    /// Term frequency saturation, ≥ 0.
    pub k1: f64,
    /// Length normalisation, 0 to 1.
    pub b: f64,
    /// One weight per searched field of the index; empty means 1 for all.
    pub weights: Vec<f64>,
}

impl Default for Bm25 {
    /// Anserini's defaults, 0.9 and 0.4.
    fn default() -> Self {
        Bm25 { k1: 0.9, b: 0.4, weights: Vec::new() }
    }
}

/// One query term's part of a document's score.
#[derive(Clone, Debug, PartialEq)]
pub struct TermScore {
    /// The term after analysis.
    pub term: String,
    /// Weight of the term in the query (how often it occurs there, unless it comes from expansion).
    pub query_weight: f64,
    /// Documents that have it.
    pub df: usize,
    /// Its weight by rarity.
    pub idf: f64,
    /// Weighted number of occurrences in the document.
    pub tf: f64,
    /// What it adds to the score.
    pub score: f64,
}

/// How often each matching document of one segment has a term, weighted by field.
type Hits = Vec<(u32, f64)>;

/// A term with its matches in every segment.
pub(crate) struct Matches {
    pub term: String,
    pub query_weight: f64,
    pub df: usize,
    pub hits: Vec<Hits>,
}

/// Query terms and weights in a fixed order, so that sums do not depend on a hash.
pub(crate) type QueryTerms = BTreeMap<String, f64>;

pub(crate) struct Scorer<'a> {
    pub snapshot: &'a Snapshot,
    pub fields: &'a Fields,
    pub bm25: &'a Bm25,
}

impl Scorer<'_> {
    fn weight(&self, field: usize) -> f64 {
        self.bm25.weights.get(field).copied().unwrap_or(1.0)
    }

    pub(crate) fn idf(&self, df: usize) -> f64 {
        let n = self.snapshot.documents as f64;
        (1.0 + (n - df as f64 + 0.5) / (df as f64 + 0.5)).ln()
    }

    /// Mean document length under the field weights.
    fn mean_length(&self) -> f64 {
        self.snapshot.mean_lengths.iter().enumerate().map(|(f, mean)| self.weight(f) * mean).sum()
    }

    /// `k1 · (1 − b + b · |d| / mean |d|)` of a document.
    pub(crate) fn norm(&self, segment: usize, doc: u32, mean: f64) -> f64 {
        let lengths = &self.snapshot.segments[segment].lengths;
        let length: f64 = lengths
            .iter()
            .enumerate()
            .map(|(f, lengths)| self.weight(f) * f64::from(lengths[doc as usize]))
            .sum();
        let ratio = if mean > 0.0 { length / mean } else { 0.0 };
        self.bm25.k1 * (1.0 - self.bm25.b + self.bm25.b * ratio)
    }

    /// Where a term occurs, deleted documents left out.
    pub(crate) fn matches(&self, term: &str, query_weight: f64) -> tantivy::Result<Matches> {
        let mut all = Vec::new();
        for reader in self.snapshot.searcher.segment_readers() {
            let mut hits: Hits = Vec::new();
            for (number, field) in self.fields.searched.iter().enumerate() {
                let weight = self.weight(number);
                let postings = reader
                    .inverted_index(*field)?
                    .read_postings(&Term::from_field_text(*field, term), IndexRecordOption::WithFreqs)?;
                let (Some(mut postings), true) = (postings, weight > 0.0) else { continue };
                let mut own: Hits = Vec::new();
                while postings.doc() != TERMINATED {
                    if !reader.is_deleted(postings.doc()) {
                        own.push((postings.doc(), weight * f64::from(postings.term_freq())));
                    }
                    postings.advance();
                }
                hits = merge(hits, own);
            }
            all.push(hits);
        }
        let df = all.iter().map(Vec::len).sum();
        Ok(Matches { term: term.to_string(), query_weight, df, hits: all })
    }

    /// The `depth` best documents, ordered by score and then by descending identifier.
    pub(crate) fn search(&self, terms: &QueryTerms, depth: usize) -> tantivy::Result<Vec<(String, f64)>> {
        let matches = terms
            .iter()
            .map(|(term, weight)| self.matches(term, *weight))
            .collect::<tantivy::Result<Vec<_>>>()?;
        let mean = self.mean_length();
        let mut best: Vec<(&str, f64)> = Vec::new();
        for (number, segment) in self.snapshot.segments.iter().enumerate() {
            let mut scores = vec![0.0f64; segment.ids.len()];
            let mut touched: Vec<u32> = Vec::new();
            let mut norms = vec![-1.0f64; segment.ids.len()];
            for found in &matches {
                let idf = found.query_weight * self.idf(found.df);
                for (doc, tf) in &found.hits[number] {
                    let at = *doc as usize;
                    if norms[at] < 0.0 {
                        norms[at] = self.norm(number, *doc, mean);
                        touched.push(*doc);
                    }
                    scores[at] += idf * tf / (tf + norms[at]);
                }
            }
            let scored =
                touched.iter().filter_map(|d| Some((segment.ids.get(*d as usize)?, scores[*d as usize])));
            best.extend(scored);
            keep_best(&mut best, depth);
        }
        best.sort_by(|a, b| order_by_score(*a, *b));
        Ok(best.into_iter().map(|(id, score)| (id.to_string(), score)).collect())
    }

    /// The parts of one document's score.
    pub(crate) fn explain(
        &self,
        terms: &QueryTerms,
        segment: usize,
        doc: u32,
    ) -> tantivy::Result<Vec<TermScore>> {
        let mean = self.mean_length();
        let norm = self.norm(segment, doc, mean);
        let mut parts = Vec::new();
        for (term, weight) in terms {
            let found = self.matches(term, *weight)?;
            let tf = found.hits[segment].iter().find(|(d, _)| *d == doc).map_or(0.0, |(_, tf)| *tf);
            let idf = self.idf(found.df);
            let score = if tf > 0.0 { weight * idf * tf / (tf + norm) } else { 0.0 };
            parts.push(TermScore { term: found.term, query_weight: *weight, df: found.df, idf, tf, score });
        }
        Ok(parts)
    }
}

/// Joins two lists that are sorted by document.
fn merge(a: Hits, b: Hits) -> Hits {
    if a.is_empty() {
        return b;
    }
    let mut joined = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a.into_iter().peekable(), b.into_iter().peekable());
    loop {
        match (a.peek(), b.peek()) {
            (Some(x), Some(y)) if x.0 == y.0 => {
                joined.push((x.0, x.1 + y.1));
                a.next();
                b.next();
            }
            (Some(x), Some(y)) if x.0 > y.0 => joined.extend(b.next()),
            (Some(_), _) => joined.extend(a.next()),
            (None, Some(_)) => joined.extend(b.next()),
            (None, None) => return joined,
        }
    }
}

/// Cuts a list to its `depth` best without sorting it.
pub(crate) fn keep_best(scored: &mut Vec<(&str, f64)>, depth: usize) {
    if depth == 0 {
        scored.clear();
    } else if scored.len() > depth {
        scored.select_nth_unstable_by(depth - 1, |a, b| order_by_score(*a, *b));
        scored.truncate(depth);
    }
}
