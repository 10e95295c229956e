//! BM25 with settable constants, scored from the postings.
//!
//! score(d) = Σ over query terms t of  w(t) · idf(t) · tf / (tf + k1 · (1 − b + b · |d| / mean |d|)),
//! idf(t) = ln(1 + (N − df + 0.5) / (df + 0.5)): Lucene's form (Robertson and Zaragoza 2009 without the constant factor
//! k1 + 1). w(t) is how often t stands in the query, unless expansion gives it another weight. tf and |d| are sums over
//! fields times their weights (BM25F with one b); with all weights 1, the default, that is BM25 over the concatenated
//! fields. Lengths are exact unless those of Lucene are asked for ([`Lengths`]).
//!
//! [`prepared`] keeps what does not depend on the query, [`search`] finds the best documents, [`top`] holds them.

mod lengths;
#[cfg(test)]
mod oracle;
mod prepared;
mod search;
mod top;

pub use lengths::Lengths;
pub(crate) use prepared::PreparedCache;
pub(crate) use top::keep_best;

use crate::filter::Allowed;
use crate::schema::Fields;
use crate::snapshot::Snapshot;
use prepared::{Postings, Prepared};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Constants and field weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Bm25 {
    /// Term frequency saturation, ≥ 0.
    pub k1: f64,
    /// Length normalisation, 0 to 1.
    pub b: f64,
    /// One weight per searched field of the index; empty means 1 for all.
    pub weights: Vec<f64>,
    /// Exact document lengths or Lucene's.
    pub lengths: Lengths,
}

impl Default for Bm25 {
    /// Anserini's defaults, 0.9 and 0.4.
    fn default() -> Self {
        Bm25 { k1: 0.9, b: 0.4, weights: Vec::new(), lengths: Lengths::Exact }
    }
}

impl Bm25 {
    pub(crate) fn weight(&self, field: usize) -> f64 {
        self.weights.get(field).copied().unwrap_or(1.0)
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

/// Query terms and weights in a fixed order, so that sums do not depend on a hash.
pub type QueryTerms = BTreeMap<String, f64>;

/// A query term that some document has.
struct Asked {
    /// Its weight in the query times its idf.
    weight: f64,
    postings: Arc<Postings>,
}

/// BM25 over one committed state.
pub(crate) struct Scorer<'a> {
    pub snapshot: &'a Snapshot,
    pub fields: &'a Fields,
    pub bm25: &'a Bm25,
}

impl Scorer<'_> {
    fn prepared(&self) -> Arc<Prepared> {
        self.snapshot.prepared.of(self.snapshot, self.bm25)
    }

    pub(crate) fn idf(&self, df: usize) -> f64 {
        let n = self.snapshot.passages as f64;
        (1.0 + (n - df as f64 + 0.5) / (df as f64 + 0.5)).ln()
    }

    /// The terms that occur, in the order in which their parts are added up.
    fn asked(&self, prepared: &Prepared, terms: &QueryTerms) -> tantivy::Result<Vec<Asked>> {
        let names: Vec<&str> = terms.keys().map(String::as_str).collect();
        let postings = prepared.postings(self.snapshot, self.fields, &names)?;
        let found = postings.into_iter().zip(terms.values());
        let weighted = found
            .map(|(postings, query_weight)| Asked { weight: query_weight * self.idf(postings.df), postings });
        Ok(weighted.filter(|asked| asked.weight > 0.0 && asked.postings.df > 0).collect())
    }

    /// The `depth` best documents, of all or of those that are allowed, ordered by score and then by descending identifier.
    pub(crate) fn search(
        &self,
        terms: &QueryTerms,
        depth: usize,
        allowed: Option<&Allowed>,
    ) -> tantivy::Result<Vec<(String, f64)>> {
        let asked = self.asked(&self.prepared(), terms)?;
        Ok(search::best(&self.snapshot.segments, &asked, depth, allowed))
    }

    /// How many documents have a term.
    pub(crate) fn df(&self, term: &str) -> tantivy::Result<usize> {
        let found = self.prepared().postings(self.snapshot, self.fields, &[term])?;
        Ok(found.first().map_or(0, |postings| postings.df))
    }

    /// The parts of one document's score.
    pub(crate) fn explain(
        &self,
        terms: &QueryTerms,
        segment: usize,
        doc: u32,
    ) -> tantivy::Result<Vec<TermScore>> {
        let prepared = self.prepared();
        let names: Vec<&str> = terms.keys().map(String::as_str).collect();
        let postings = prepared.postings(self.snapshot, self.fields, &names)?;
        let norm = prepared.norm(segment, doc);
        let mut parts = Vec::new();
        for ((term, query_weight), found) in terms.iter().zip(&postings) {
            let saturation = found.segments[segment].saturation(doc);
            // The inverse of saturation = tf / (tf + norm); with k1 = 0 the number of occurrences leaves no trace there.
            let tf = self.occurrences(term, segment, doc)?;
            debug_assert!(saturation == 0.0 || (saturation - tf / (tf + norm)).abs() < 1e-12);
            let idf = self.idf(found.df);
            let score = query_weight * idf * saturation;
            let (term, query_weight) = (term.clone(), *query_weight);
            parts.push(TermScore { term, query_weight, df: found.df, idf, tf, score });
        }
        Ok(parts)
    }

    /// The weighted number of times a document has a term.
    fn occurrences(&self, term: &str, segment: usize, doc: u32) -> tantivy::Result<f64> {
        let hits = prepared::hits(self.snapshot, self.fields, self.bm25, segment, term)?;
        Ok(hits.binary_search_by_key(&doc, |(d, _)| *d).map_or(0.0, |at| hits[at].1))
    }
}
