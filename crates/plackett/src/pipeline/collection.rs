//! An index as a collection that pipelines search.

use super::LocalModel;
use super::run::{BoxError, Collection, FirstStage};
use plackett_core::{Document, Query, Ranking, Trace, Truncation};
use plackett_lm::LmError;
use plackett_rank::model::{Role, TextVector};
use plackett_search::{Bm25, DenseFound, DenseSearch, Index, Lengths, QueryTerms, Rm3, SearchError};
use rayon::prelude::*;
use std::time::Instant;

/// An index and the model that embeds queries for its vectors.
pub struct IndexCollection<'a> {
    index: &'a Index,
    embedder: Option<&'a LocalModel>,
}

impl<'a> IndexCollection<'a> {
    /// An index; `embedder` is needed for `dense`.
    pub fn new(index: &'a Index, embedder: Option<&'a LocalModel>) -> Self {
        IndexCollection { index, embedder }
    }

    fn words(
        &self,
        bm25: &Bm25,
        rm3: Option<&Rm3>,
        query: &Query,
        depth: usize,
    ) -> Result<Ranking, BoxError> {
        let start = Instant::now();
        let terms = match rm3 {
            Some(rm3) => self.index.expand(&query.text, bm25, rm3)?,
            None => self.index.query_terms(&query.text),
        };
        let found = self.index.search_terms(&terms, bm25, depth)?;
        let mut facts =
            vec![("bm25:k1".to_string(), bm25.k1.to_string()), ("bm25:b".into(), bm25.b.to_string())];
        if !bm25.weights.is_empty() {
            let fields = self.index.settings().fields.iter().zip(&bm25.weights);
            let written: Vec<String> = fields.map(|(field, weight)| format!("{field}:{weight}")).collect();
            facts.push(("bm25:weights".into(), written.join("/")));
        }
        if bm25.lengths != Lengths::Exact {
            facts.push(("bm25:lengths".into(), bm25.lengths.to_string()));
        }
        if let Some(rm3) = rm3 {
            let settings = [
                ("fb_docs", rm3.documents.to_string()),
                ("fb_terms", rm3.terms.to_string()),
                ("fb_weight", rm3.original_weight.to_string()),
            ];
            facts.extend(settings.map(|(name, value)| (format!("rm3:{name}"), value)));
            facts.push(("rm3:query".into(), weighted(&terms)));
        }
        let trace = Trace { seconds: start.elapsed().as_secs_f64(), facts, ..Trace::default() };
        Ok(Ranking::from_scores(query.id.clone(), found, trace))
    }

    /// The vectors of queries, and what each costs. When a shared call fails each query is tried alone, so that one of
    /// them does not take the others with it.
    fn vectors(&self, queries: &[Query]) -> Vec<Result<(TextVector, f64), BoxError>> {
        let Some(model) = self.embedder else {
            return queries.iter().map(|_| Err("there is no model for the index's vectors".into())).collect();
        };
        let embed = |queries: &[Query]| -> Result<Vec<(TextVector, f64)>, LmError> {
            let start = Instant::now();
            let texts: Vec<&str> = queries.iter().map(|query| query.text.as_str()).collect();
            let vectors = model.embed_texts(Role::Query, &texts)?;
            let each = start.elapsed().as_secs_f64() / queries.len().max(1) as f64;
            Ok(vectors.into_iter().map(|vector| (vector, each)).collect())
        };
        match embed(queries) {
            Ok(vectors) => vectors.into_iter().map(Ok).collect(),
            Err(_) => queries
                .iter()
                .map(|query| {
                    embed(std::slice::from_ref(query))?.pop().ok_or_else(|| "no vector came back".into())
                })
                .collect(),
        }
    }

    fn nearest(
        &self,
        query: &Query,
        (vector, seconds): (TextVector, f64),
        search: &DenseSearch,
        depth: usize,
    ) -> Result<Ranking, SearchError> {
        let start = Instant::now();
        let DenseFound { documents, used } = self.index.search_dense(&vector.values, depth, search)?;
        let (tokens, kept) = (vector.length.tokens, vector.length.kept);
        let cut = (kept < tokens).then(|| Truncation { id: query.id.clone(), tokens, kept });
        let trace = Trace {
            passes: 1,
            prompt_tokens: kept as u64,
            seconds: seconds + start.elapsed().as_secs_f64(),
            truncated: cut.into_iter().collect(),
            facts: vec![("dense:search".into(), used.to_string())],
            ..Trace::default()
        };
        Ok(Ranking::from_scores(query.id.clone(), documents, trace))
    }
}

/// Terms with their weights, the heaviest first.
fn weighted(terms: &QueryTerms) -> String {
    let mut terms: Vec<_> = terms.iter().collect();
    terms.sort_by(|a, b| b.1.total_cmp(a.1));
    let shown: Vec<String> = terms.iter().map(|(term, weight)| format!("{term}^{weight:.4}")).collect();
    shown.join(" ")
}

impl Collection for IndexCollection<'_> {
    fn retrieve(
        &self,
        stage: &FirstStage,
        queries: &[Query],
        depth: usize,
    ) -> Vec<Result<Ranking, BoxError>> {
        match stage {
            FirstStage::Bm25 { k1, b, weights, lengths, rm3 } => {
                let usual = Bm25::default();
                let (k1, b) = (k1.unwrap_or(usual.k1), b.unwrap_or(usual.b));
                let bm25 = Bm25 { k1, b, weights: weights.clone(), lengths: *lengths };
                queries.par_iter().map(|query| self.words(&bm25, rm3.as_ref(), query, depth)).collect()
            }
            FirstStage::Dense { search } => {
                let vectors = self.vectors(queries);
                let one = |(query, vector): (&Query, Result<(TextVector, f64), BoxError>)| {
                    Ok(self.nearest(query, vector?, search, depth)?)
                };
                // A scan uses all threads for one query, a walk through the graph one.
                if self.index.uses_graph(search, depth).unwrap_or(false) {
                    return queries.par_iter().zip(vectors).map(one).collect();
                }
                queries.iter().zip(vectors).map(one).collect()
            }
        }
    }

    fn document(&self, id: &str) -> Result<Option<Document>, BoxError> {
        Ok(self.index.document(id)?)
    }
}
