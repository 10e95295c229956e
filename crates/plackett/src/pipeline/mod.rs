//! Pipelines: a first stage, or a fusion of several, and rerankers behind it, written as one expression and resolved in
//! this one place for the command line and the library alike.
//!
//! `rrf(bm25:1000, dense:1000):100 >> late-interaction:20` reads: take the 1000 best of both first stages, fuse them by
//! reciprocal rank, pass on the 100 best, rerank all of those, pass on the 20 best. A number behind a stage is how many
//! documents it *passes on*; a reranker reranks everything it gets. A first stage without a number gives
//! [`DEFAULT_DEPTH`] documents; a fusion or reranker without one passes on all it has. The length of the answer is a
//! third number, given when searching. All three are named in every trace (`depth:…`).

mod build;
mod collection;
mod error;
mod local;
mod models;
mod options;
mod run;
#[cfg(test)]
mod tests;

pub use build::{FIRST_STAGES, FUSIONS};
pub use error::{PipelineError, QueryError};
pub use local::LocalModel;
pub(crate) use local::is_decoder;
pub use models::{ModelError, Models};
pub use options::ModelOptions;
pub use run::{Answers, BoxError, Chain, Collection, FirstStage, Source, Stage};

use collection::IndexCollection;
use plackett_core::{Query, RankRequest, Trace};
use plackett_rank::Settings;
use plackett_search::Index;
use run::cascade;
use std::fmt;

/// Documents of a first stage that has no depth of its own.
pub const DEFAULT_DEPTH: usize = 1000;

/// Documents whose texts are held in memory at once while queries are answered together.
const TEXTS_HELD: usize = 50_000;

/// Documents whose ids and scores are held in memory at once.
const ENTRIES_HELD: usize = 1_000_000;

/// A pipeline whose stages are known to exist, with their models opened.
pub struct Pipeline {
    expression: String,
    /// `None` when the expression has rerankers only and the candidates come with the request.
    source: Option<Source>,
    stages: Vec<Stage>,
    /// What embeds queries for `dense`.
    embedder: Option<LocalModel>,
}

impl Pipeline {
    /// Reads an expression, checks every stage and opens the models it needs. With an index the expression must begin
    /// with a first stage; without one it must have rerankers only.
    pub fn resolve(
        expression: &str,
        index: Option<&Index>,
        models: &Models,
        settings: &Settings,
    ) -> Result<Pipeline, PipelineError> {
        build::build(expression, index, models, settings)
    }

    /// What is searched with unless told otherwise: BM25 and vectors fused, or BM25 alone in an index without vectors.
    pub fn default_for(index: &Index) -> &'static str {
        if index.has_vectors() { "rrf(bm25,dense)" } else { "bm25" }
    }

    /// One ranking of at most `k` documents per query, in order. Queries are answered in groups, so that memory stays
    /// bounded whatever their number.
    pub fn search(&self, index: &Index, queries: &[Query], k: usize) -> Answers {
        let collection = IndexCollection::new(index, self.embedder.as_ref());
        self.search_in(&collection, queries, k)
    }

    /// As [`Pipeline::search`], over any collection.
    pub fn search_in(&self, collection: &dyn Collection, queries: &[Query], k: usize) -> Answers {
        let mut answers = Vec::with_capacity(queries.len());
        for group in queries.chunks(self.queries_at_once()) {
            answers.extend(self.answer(collection, group));
        }
        for ranking in answers.iter_mut().flatten() {
            ranking.keep_best(k);
            ranking.trace.facts.push(("depth:answer".into(), ranking.entries.len().to_string()));
        }
        answers
    }

    fn answer(&self, collection: &dyn Collection, queries: &[Query]) -> Answers {
        let refuse = |query: &Query| {
            let source = "the pipeline has no first stage; begin it with bm25 or dense".into();
            Err(QueryError::Search { query: query.id.clone(), source })
        };
        match &self.source {
            Some(source) => run::run(source, &self.stages, collection, queries),
            None => queries.iter().map(refuse).collect(),
        }
    }

    /// Sends requests, whose candidates came with them, through the rerankers. One ranking per request, in order.
    pub fn rerank(&self, requests: &[RankRequest]) -> Answers {
        cascade(
            &self.stages,
            requests.iter().map(|request| Ok((request.clone(), Trace::default()))).collect(),
        )
    }

    /// How many queries are answered together: as many as keep the documents held at once below fixed numbers. More is
    /// faster, since a text that several queries share is read once.
    pub fn queries_at_once(&self) -> usize {
        let Some(source) = &self.source else { return 1024 };
        let texts = TEXTS_HELD / run::reranked(source, &self.stages).max(1);
        let entries = ENTRIES_HELD / source.widest().max(1);
        texts.min(entries).clamp(1, 1024)
    }
}

impl fmt::Display for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.expression)
    }
}
