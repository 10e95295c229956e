//! How a pipeline answers queries.

use super::feedback::{self, FeedbackStage};
use super::generator::Generator;
use super::ngrams::NgramSearch;
use super::{DEFAULT_DEPTH, QueryError};
use plackett_core::{Candidate, Document, Query, RankRequest, Ranking, Trace};
use plackett_rank::{RankError, Ranker};
use plackett_search::{DenseSearch, Filter, Lengths, Rm3};
use std::collections::HashMap;
use std::sync::Arc;

/// Any error of a neighbour, with its causes.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Where candidates and their texts come from.
pub trait Collection: Send + Sync {
    /// One ranking per query, in order: the `depth` best documents according to a first stage.
    fn retrieve(&self, stage: &FirstStage, queries: &[Query], depth: usize)
    -> Vec<Result<Ranking, BoxError>>;

    /// One ranking for each query and what a reranker made of it, in order: the `depth` documents that are nearest to the
    /// query's vector after it was moved to what the reranker said.
    fn search_again(
        &self,
        _stage: &FeedbackStage,
        asked: &[(&Query, &Ranking)],
        _depth: usize,
    ) -> Vec<Result<Ranking, BoxError>> {
        asked.iter().map(|_| Err("feedback: there are no vectors to search again".into())).collect()
    }

    /// A document's text; `None` when there is no such document.
    fn document(&self, id: &str) -> Result<Option<Document>, BoxError>;

    /// How many passages there are, where documents are cut into such and first stages find those.
    fn passages(&self) -> Option<usize> {
        None
    }

    /// A document's vector by the collection's model; `None` when there is none.
    fn vector(&self, _id: &str) -> Result<Option<Vec<f32>>, BoxError> {
        Ok(None)
    }
}

/// A stage that finds candidates, with its settings.
#[derive(Clone, Debug, PartialEq)]
pub enum FirstStage {
    /// Words in common, weighted (Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009).
    Bm25 {
        /// Term frequency saturation; `None` for the index's.
        k1: Option<f64>,
        /// Length normalisation; `None` for the index's.
        b: Option<f64>,
        /// One for each searched field of the index, in its order; empty for 1 everywhere.
        weights: Vec<f64>,
        /// Document lengths as counted or as Lucene rounds them.
        lengths: Lengths,
        /// Expansion of the query by what a first search finds.
        rm3: Option<Rm3>,
        /// Documents that may be found; all without one.
        filter: Option<Filter>,
    },
    /// The nearest vectors.
    Dense {
        /// Exactly or approximately.
        search: DenseSearch,
        /// Documents that may be found; all without one.
        filter: Option<Filter>,
    },
    /// Documents whose docids a model writes.
    Generate {
        /// The retriever, opened.
        generator: Arc<Generator>,
    },
    /// Documents that have n-grams which a language model writes (SEAL).
    Ngrams {
        /// The model and the n-grams of the documents.
        search: Arc<NgramSearch>,
    },
}

impl FirstStage {
    /// The name in expressions and in the trace.
    pub fn name(&self) -> &'static str {
        match self {
            FirstStage::Bm25 { .. } => "bm25",
            FirstStage::Dense { .. } => "dense",
            FirstStage::Generate { .. } => "generate",
            FirstStage::Ngrams { .. } => NgramSearch::NAME,
        }
    }

    /// Lets it find only what a filter lets through, besides the filter that it has; otherwise says why it cannot.
    fn filter(&mut self, more: &Filter) -> Result<(), String> {
        match self {
            FirstStage::Bm25 { filter, .. } | FirstStage::Dense { filter, .. } => {
                narrow(filter, more);
                Ok(())
            }
            FirstStage::Generate { .. } => Err(
                "`generate` writes docids and cannot be kept from those that a filter leaves out; leave the filter out, or \
                 search with bm25 or dense"
                    .into(),
            ),
            FirstStage::Ngrams { .. } => Err(
                "`ngrams` writes n-grams of all documents and cannot be kept from those that a filter leaves out; leave the filter \
                 out, or search with bm25 or dense"
                    .into(),
            ),
        }
    }
}

/// Lets through only what both filters do.
fn narrow(filter: &mut Option<Filter>, more: &Filter) {
    *filter = Some(match filter.take() {
        Some(own) => own.and(more.clone()),
        None => more.clone(),
    });
}

/// Joins several rankings of one query into one, and their traces too.
pub type Fuse = Box<dyn Fn(&str, &[Ranking]) -> Result<Ranking, BoxError> + Send + Sync>;

/// Where a chain begins.
pub enum Source {
    /// Candidates from the collection.
    Retrieve {
        /// What is asked.
        stage: FirstStage,
        /// How many are taken; `None` when nothing was written: as many as are asked for, and where something is behind it
        /// that chooses among them [`DEFAULT_DEPTH`] at least.
        depth: Option<usize>,
    },
    /// One order from several chains.
    Fuse {
        /// The name, for the trace.
        name: String,
        /// How.
        fuse: Fuse,
        /// The orders.
        inputs: Vec<Chain>,
        /// How many are passed on; `None` for all.
        keep: Option<usize>,
    },
    /// Candidates by a vector that a reranker has moved.
    Feedback {
        /// How it is moved, and searched by.
        stage: FeedbackStage,
        /// The first search and its rerankers, at least one.
        input: Box<Chain>,
        /// As that of [`Source::Retrieve`].
        depth: Option<usize>,
    },
}

/// A reranker and how many documents it passes on (`None` for all). It reranks all that it gets.
pub struct Stage {
    /// The method.
    pub ranker: Arc<dyn Ranker>,
    /// The depth written behind it.
    pub keep: Option<usize>,
    /// Whether the collection's vectors are those that it would make of documents, so that it need not make them again.
    pub vectors: bool,
}

/// A source and the rerankers behind it.
pub struct Chain {
    /// Where candidates come from.
    pub source: Source,
    /// In order of application.
    pub stages: Vec<Stage>,
}

/// One answer per query.
pub type Answers = Vec<Result<Ranking, QueryError>>;

/// The depth of a first stage, behind which something chooses among what it finds, when answers of `length` documents are
/// asked for.
fn depth_for(written: Option<usize>, length: usize) -> usize {
    written.unwrap_or(DEFAULT_DEPTH.max(length))
}

/// The depth of a first stage whose documents are the answer: a longer search would find the same and throw the rest away.
/// Not so where docids are written, whose beams are as many as the depth. `None` for other sources.
fn depth_alone(source: &Source, stages: &[Stage], length: usize) -> Option<usize> {
    match source {
        Source::Retrieve {
            stage: FirstStage::Bm25 { .. } | FirstStage::Dense { .. } | FirstStage::Ngrams { .. },
            depth,
        } if stages.is_empty() => Some(depth.unwrap_or(length.max(1))),
        _ => None,
    }
}

/// Answers queries by a source and the rerankers behind it: one ranking per query, in order. Every reranker gets all
/// queries at once. `length` is how long the answers should be: no stage without a written depth gives less.
pub fn run(
    source: &Source,
    stages: &[Stage],
    collection: &dyn Collection,
    queries: &[Query],
    length: usize,
) -> Answers {
    match (source, depth_alone(source, stages, length)) {
        (Source::Retrieve { stage, .. }, Some(depth)) => retrieve(collection, stage, depth, queries),
        _ => chain(source, stages, collection, queries, length),
    }
}

/// As [`run`], for a chain whose documents others choose among.
fn chain(
    source: &Source,
    stages: &[Stage],
    collection: &dyn Collection,
    queries: &[Query],
    length: usize,
) -> Answers {
    let found = match source {
        Source::Retrieve { stage, depth } => retrieve(collection, stage, depth_for(*depth, length), queries),
        Source::Fuse { name, fuse, inputs, keep } => {
            let answer = |input: &Chain| chain(&input.source, &input.stages, collection, queries, length);
            join(name, fuse, inputs.iter().map(answer).collect(), *keep, queries)
        }
        Source::Feedback { stage, input, depth } => {
            let reranked = run(&input.source, &input.stages, collection, queries, length);
            feedback::again(stage, collection, queries, reranked, depth_for(*depth, length))
        }
    };
    if stages.is_empty() {
        return found;
    }
    let mut texts = HashMap::new();
    let build = |(query, answer): (&Query, Result<Ranking, QueryError>)| {
        let ranking = answer?;
        let candidates = candidates(&ranking, collection, stages, &mut texts)?;
        Ok((RankRequest { query: query.clone(), candidates }, ranking.trace))
    };
    cascade(stages, queries.iter().zip(found).map(build).collect())
}

/// The most documents of one query whose texts are held at once: those that go into a reranker, here or in an input.
pub fn reranked(source: &Source, stages: &[Stage], length: usize) -> usize {
    let here = if stages.is_empty() { 0 } else { source.passes_on(length) };
    match source {
        Source::Retrieve { .. } => here,
        Source::Fuse { inputs, .. } => {
            inputs.iter().map(|input| reranked(&input.source, &input.stages, length)).fold(here, usize::max)
        }
        Source::Feedback { input, .. } => reranked(&input.source, &input.stages, length).max(here),
    }
}

/// The most documents whose ids and scores are held for one query while it is answered.
pub fn widest(source: &Source, stages: &[Stage], length: usize) -> usize {
    depth_alone(source, stages, length).unwrap_or_else(|| source.widest(length))
}

impl Source {
    /// Lets every first stage find only what a filter lets through; otherwise says which one cannot.
    pub(super) fn filter(&mut self, filter: &Filter) -> Result<(), String> {
        match self {
            Source::Retrieve { stage, .. } => stage.filter(filter),
            Source::Fuse { inputs, .. } => {
                inputs.iter_mut().try_for_each(|input| input.source.filter(filter))
            }
            Source::Feedback { stage, input, .. } => {
                narrow(&mut stage.filter, filter);
                input.source.filter(filter)
            }
        }
    }

    /// The most documents that it gives for one query to what is behind it, when answers of `length` are asked for.
    pub fn passes_on(&self, length: usize) -> usize {
        match self {
            Source::Retrieve { depth, .. } | Source::Feedback { depth, .. } => depth_for(*depth, length),
            Source::Fuse { keep, .. } => keep.unwrap_or(usize::MAX).min(self.widest(length)),
        }
    }

    /// The most documents whose ids and scores are held for one query, where something is behind it.
    pub fn widest(&self, length: usize) -> usize {
        match self {
            Source::Retrieve { depth, .. } => depth_for(*depth, length),
            Source::Fuse { inputs, .. } => {
                let widths = inputs.iter().map(|input| input.source.widest(length));
                widths.fold(0, usize::saturating_add)
            }
            Source::Feedback { input, depth, .. } => {
                input.source.widest(length).max(depth_for(*depth, length))
            }
        }
    }
}

fn retrieve(collection: &dyn Collection, stage: &FirstStage, depth: usize, queries: &[Query]) -> Answers {
    let named = |(query, result): (&Query, Result<Ranking, BoxError>)| match result {
        Ok(mut ranking) => {
            ranking.keep_best(depth);
            ranking.trace.facts.push((format!("depth:{}", stage.name()), depth.to_string()));
            Ok(ranking)
        }
        Err(source) => Err(QueryError::Search { query: query.id.clone(), source }),
    };
    queries.iter().zip(collection.retrieve(stage, queries, depth)).map(named).collect()
}

/// A request on its way through rerankers, with the account so far.
pub type Underway = Result<(RankRequest, Trace), QueryError>;

/// Sends requests through rerankers. A failed request stays failed: it never comes back in its old order.
pub fn cascade(stages: &[Stage], requests: Vec<Underway>) -> Answers {
    let Some((stage, later)) = stages.split_first() else {
        return requests
            .into_iter()
            .map(|request| request.map(|(request, trace)| as_given(&request, trace)))
            .collect();
    };
    let mut open = Vec::new();
    let mut traces = Vec::new();
    let mut failed: Vec<Option<QueryError>> = Vec::new();
    for request in requests {
        match request.and_then(askable) {
            Ok((request, trace)) => {
                open.push(request);
                traces.push(trace);
                failed.push(None);
            }
            Err(error) => failed.push(Some(error)),
        }
    }
    let results = stage.ranker.rank(&open);
    let mut ranked = results.into_iter().zip(traces).zip(&open).map(|((result, before), request)| {
        let mut ranking = result?;
        let depth = format!("depth:{}", stage.ranker.name());
        ranking.trace.facts.push((depth, request.candidates.len().to_string()));
        ranking.trace = before.then(ranking.trace);
        if let Some(keep) = stage.keep {
            ranking.keep_best(keep);
        }
        Ok((request, ranking))
    });
    let merged = failed.into_iter().filter_map(|error| match error {
        Some(error) => Some(Err(error)),
        None => ranked.next(),
    });
    if later.is_empty() {
        return merged.map(|result| result.map(|(_, ranking)| ranking)).collect();
    }
    let next = merged.map(|result| result.map(|(request, ranking)| reordered(request, ranking))).collect();
    cascade(later, next)
}

/// Refuses candidates for an empty query: any order of them would look like an answer.
fn askable((request, trace): (RankRequest, Trace)) -> Underway {
    if request.candidates.is_empty() || !request.query.text.trim().is_empty() {
        return Ok((request, trace));
    }
    let problem = "the query is empty, and nothing says which document is better; give it words".to_string();
    Err(RankError::Request { query: request.query.id, problem }.into())
}

/// The candidates in the order and with the scores of a ranking.
fn reordered(request: &RankRequest, ranking: Ranking) -> (RankRequest, Trace) {
    let by_id: HashMap<&str, &Document> =
        request.candidates.iter().map(|c| (c.document.id.as_str(), &c.document)).collect();
    let candidate = |id: &str, score| {
        by_id.get(id).map(|&document| Candidate { document: document.clone(), score: Some(score) })
    };
    let candidates = ranking.entries.iter().filter_map(|entry| candidate(&entry.id, entry.score)).collect();
    (RankRequest { query: request.query.clone(), candidates }, ranking.trace)
}

/// The order in which candidates came. Without scores of their own they are numbered down, so that the order stands.
fn as_given(request: &RankRequest, trace: Trace) -> Ranking {
    let count = request.candidates.len();
    let scored = request.candidates.iter().enumerate().map(|(place, candidate)| {
        (candidate.document.id.clone(), candidate.score.unwrap_or((count - place) as f64))
    });
    Ranking::from_scores(request.query.id.clone(), scored, trace)
}

fn candidates(
    ranking: &Ranking,
    collection: &dyn Collection,
    stages: &[Stage],
    texts: &mut HashMap<String, Document>,
) -> Result<Vec<Candidate>, QueryError> {
    let failed = |source| QueryError::Search { query: ranking.query_id.clone(), source };
    let mut candidates = Vec::with_capacity(ranking.entries.len());
    for entry in &ranking.entries {
        if !texts.contains_key(&entry.id) {
            let missing = || format!("document `{}` was found but its text is not there", entry.id).into();
            let document =
                collection.document(&entry.id).map_err(failed)?.ok_or_else(missing).map_err(failed)?;
            for stage in stages.iter().filter(|stage| stage.vectors) {
                if let Some(vector) = collection.vector(&entry.id).map_err(failed)? {
                    stage.ranker.know_vector(&document, vector);
                }
            }
            texts.insert(entry.id.clone(), document);
        }
        if let Some(document) = texts.get(&entry.id) {
            candidates.push(Candidate { document: document.clone(), score: Some(entry.score) });
        }
    }
    Ok(candidates)
}

/// Joins the orders of each query. A query that failed in one input fails as a whole: a fusion with a part missing would
/// look like a result.
fn join(name: &str, fuse: &Fuse, inputs: Vec<Answers>, keep: Option<usize>, queries: &[Query]) -> Answers {
    let mut columns: Vec<_> = inputs.into_iter().map(Vec::into_iter).collect();
    let mut one = |query: &Query| {
        let parts: Answers = columns.iter_mut().filter_map(Iterator::next).collect();
        let parts: Vec<Ranking> = parts.into_iter().collect::<Result<_, _>>()?;
        let failed = |source| QueryError::Search { query: query.id.clone(), source };
        let mut fused = fuse(&query.id, &parts).map_err(failed)?;
        fused.trace.facts.push((format!("depth:{name}"), fused.entries.len().to_string()));
        if let Some(keep) = keep {
            fused.keep_best(keep);
        }
        Ok(fused)
    };
    queries.iter().map(&mut one).collect()
}
