//! An index as a collection that pipelines search.

use super::feedback::{FEEDBACK, FeedbackStage};
use super::run::{BoxError, Collection, FirstStage};
use super::{LocalModel, REMARK};
use plackett_core::{Document, Query, Ranking, Trace, Truncation};
use plackett_lm::LmError;
use plackett_rank::model::{Role, TextLength, TextVector};
use plackett_search::{
    Bm25, DenseFound, DenseSearch, Filter, Index, Lengths, QueryTerms, Rm3, SearchError, Selection,
};
use rayon::prelude::*;
use std::collections::HashSet;
use std::time::Instant;
use unicode_categories::UnicodeCategories;

/// A query's vector and what it cost, or why there is nothing to search for.
type Vector = Result<Result<Option<(TextVector, f64)>, BoxError>, String>;

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
        filter: Option<&Filter>,
        query: &Query,
        depth: usize,
    ) -> Result<Ranking, BoxError> {
        let start = Instant::now();
        let selection = self.index.select(filter)?;
        let terms = match rm3 {
            Some(rm3) => selection.expand(&query.text, bm25, rm3)?,
            None => self.index.query_terms(&query.text),
        };
        if terms.is_empty() {
            let analyzer = &self.index.settings().analyzer;
            let why = wordless(&query.text).unwrap_or_else(|| match has_word(&query.text) {
                true => format!("has only words that the analyser `{analyzer}` leaves out"),
                false => "has no word, only signs".into(),
            });
            return Ok(nothing(query, "bm25", &why));
        }
        let found = selection.search_terms(&terms, bm25, depth)?;
        let mut facts = self.filtered("bm25", filter, &selection);
        facts.extend([("bm25:k1".to_string(), bm25.k1.to_string()), ("bm25:b".into(), bm25.b.to_string())]);
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

    /// What there is to say of a stage's filter.
    fn filtered(
        &self,
        stage: &str,
        filter: Option<&Filter>,
        selection: &Selection<'_>,
    ) -> Vec<(String, String)> {
        let Some(filter) = filter else { return Vec::new() };
        let (passed, all) = (selection.len(), self.index.len());
        let mut facts = vec![(format!("{stage}:filter"), format!("{filter} ({passed} of {all} documents)"))];
        if passed == 0 {
            let remark = format!("no document passes the filter `{filter}`, so that nothing is found");
            facts.push((format!("{REMARK}{stage}"), remark));
        }
        facts
    }

    /// The vectors of queries, and what each costs; `None` for a query of which the model reads not one token. When a shared call fails each query is tried alone, so that one of
    /// them does not take the others with it.
    fn vectors(&self, queries: &[&Query]) -> Vec<Result<Option<(TextVector, f64)>, BoxError>> {
        let Some(model) = self.embedder else {
            return queries.iter().map(|_| Err("there is no model for the index's vectors".into())).collect();
        };
        let embed = |queries: &[&Query]| -> Result<Vec<Option<(TextVector, f64)>>, LmError> {
            let start = Instant::now();
            let overhead = model.overhead(Role::Query)?;
            let texts: Vec<&str> = queries.iter().map(|query| query.text.as_str()).collect();
            let vectors = model.embed_texts(Role::Query, &texts)?;
            let each = start.elapsed().as_secs_f64() / queries.len().max(1) as f64;
            let read = |vector: TextVector| (vector.length.tokens > overhead).then_some((vector, each));
            Ok(vectors.into_iter().map(read).collect())
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

    /// Queries with their vectors, in order.
    fn paired<'q>(&self, queries: impl Iterator<Item = &'q Query> + Clone) -> Vec<(&'q Query, Vector)> {
        let asking: Vec<&Query> = queries.clone().filter(|query| wordless(&query.text).is_none()).collect();
        let mut vectors = self.vectors(&asking).into_iter();
        let mut pair = |query: &'q Query| match wordless(&query.text) {
            Some(why) => (query, Err(why)),
            None => (query, Ok(vectors.next().unwrap_or_else(|| Err("no vector came back".into())))),
        };
        queries.map(&mut pair).collect()
    }

    /// Moves a query's vector to what a reranker said, and searches by it.
    fn again(
        &self,
        stage: &FeedbackStage,
        (query, vector): (&Query, Vector),
        reranked: &Ranking,
        depth: usize,
    ) -> Result<Ranking, BoxError> {
        let vector = match vector {
            Err(why) => return Ok(nothing(query, FEEDBACK, &why)),
            Ok(vector) => vector?,
        };
        let Some((mut vector, seconds)) = vector else {
            return Ok(nothing(query, FEEDBACK, "has no token that the model reads"));
        };
        let start = Instant::now();
        let mut known = Vec::with_capacity(reranked.entries.len());
        for entry in &reranked.entries {
            known.extend(self.index.vector(&entry.id)?.map(|passage| (entry.score, passage)));
        }
        let moved = stage.moved(&vector.values, &known, reranked)?;
        vector.values = moved.query;
        let vector = (vector, seconds + start.elapsed().as_secs_f64());
        let filter = stage.filter.as_ref();
        let mut found = self.nearest((FEEDBACK, query), vector, &stage.search, filter, depth)?;
        let before: HashSet<&str> = reranked.entries.iter().map(|entry| entry.id.as_str()).collect();
        let new = found.entries.iter().filter(|entry| !before.contains(entry.id.as_str())).count();
        found.trace.facts.extend(moved.facts);
        found.trace.facts.push((format!("{FEEDBACK}:new"), new.to_string()));
        Ok(found)
    }

    /// The nearest to a vector, for the stage of this name.
    fn nearest(
        &self,
        (stage, query): (&str, &Query),
        (vector, seconds): (TextVector, f64),
        search: &DenseSearch,
        filter: Option<&Filter>,
        depth: usize,
    ) -> Result<Ranking, SearchError> {
        let start = Instant::now();
        let selection = self.index.select(filter)?;
        let DenseFound { documents, used } = selection.search_dense(&vector.values, depth, search)?;
        let TextLength { tokens, kept, estimated } = vector.length;
        let id = || query.id.clone();
        let cut = (kept < tokens).then(|| Truncation { id: id(), tokens, kept, estimated, of_query: true });
        let mut facts = self.filtered(stage, filter, &selection);
        facts.push((format!("{stage}:search"), used.to_string()));
        let trace = Trace {
            passes: 1,
            prompt_tokens: kept as u64,
            seconds: seconds + start.elapsed().as_secs_f64(),
            truncated: cut.into_iter().collect(),
            facts,
            ..Trace::default()
        };
        Ok(Ranking::from_scores(query.id.clone(), documents, trace))
    }
}

fn has_word(query: &str) -> bool {
    query.chars().any(char::is_alphanumeric)
}

/// Why there is nothing to search for, or to rank by, in a query without any letter, digit or sign: `has only
/// punctuation`.
pub fn wordless(query: &str) -> Option<String> {
    let mut visible = query.chars().filter(|c| !c.is_whitespace() && !c.is_control()).peekable();
    if visible.peek().is_none() {
        return Some("is empty".into());
    }
    let mut seen = visible.filter(|c| !c.is_other_format()).peekable();
    if seen.peek().is_none() {
        return Some("has only characters without width".into());
    }
    seen.all(UnicodeCategories::is_punctuation).then(|| "has only punctuation".into())
}

/// The answer to a query in which there is nothing to search for. A fact that begins with [`REMARK`] is told to whoever
/// asks.
fn nothing(query: &Query, stage: &str, why: &str) -> Ranking {
    let facts = vec![(format!("{REMARK}{stage}"), format!("{stage} finds nothing: the query {why}"))];
    Ranking::from_scores(query.id.clone(), [], Trace { facts, ..Trace::default() })
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
        let depth = depth.min(self.index.passages());
        match stage {
            FirstStage::Bm25 { k1, b, weights, lengths, rm3, filter } => {
                let usual = Bm25::default();
                let (k1, b) = (k1.unwrap_or(usual.k1), b.unwrap_or(usual.b));
                let bm25 = Bm25 { k1, b, weights: weights.clone(), lengths: *lengths };
                let answer = |query: &Query| self.words(&bm25, rm3.as_ref(), filter.as_ref(), query, depth);
                queries.par_iter().map(answer).collect()
            }
            FirstStage::Dense { search, filter } => {
                let paired = self.paired(queries.iter());
                let one = |(query, vector): (&Query, Vector)| match vector {
                    Err(why) => Ok(nothing(query, "dense", &why)),
                    Ok(vector) => match vector? {
                        None => Ok(nothing(query, "dense", "has no token that the model reads")),
                        Some(vector) => {
                            Ok(self.nearest(("dense", query), vector, search, filter.as_ref(), depth)?)
                        }
                    },
                };
                // A scan uses all threads for one query, a walk through the graph one.
                let selection = self.index.select(filter.as_ref());
                if selection.is_ok_and(|selection| selection.uses_graph(search, depth).unwrap_or(false)) {
                    return paired.into_par_iter().map(one).collect();
                }
                paired.into_iter().map(one).collect()
            }
            FirstStage::Generate { generator } => generator.rank(queries, depth),
            FirstStage::Ngrams { search } => search.rank(queries, depth),
        }
    }

    fn search_again(
        &self,
        stage: &FeedbackStage,
        asked: &[(&Query, &Ranking)],
        depth: usize,
    ) -> Vec<Result<Ranking, BoxError>> {
        let depth = depth.min(self.index.passages());
        let paired = self.paired(asked.iter().map(|(query, _)| *query));
        let rankings = asked.iter().map(|(_, ranking)| *ranking);
        paired
            .into_iter()
            .zip(rankings)
            .map(|(pair, ranking)| self.again(stage, pair, ranking, depth))
            .collect()
    }

    fn document(&self, id: &str) -> Result<Option<Document>, BoxError> {
        Ok(self.index.document(id)?)
    }

    fn passages(&self) -> Option<usize> {
        self.index.has_passages().then(|| self.index.passages())
    }

    fn vector(&self, id: &str) -> Result<Option<Vec<f32>>, BoxError> {
        Ok(self.index.vector(id)?)
    }
}
