//! Pipelines: a first stage, or a fusion of several, and rerankers behind it, written as one expression and resolved in
//! this one place for the command line and the library alike.
//!
//! `rrf(bm25:1000, dense:1000):100 >> late-interaction:20` reads: take the 1000 best of both first stages, fuse them by
//! reciprocal rank, pass on the 100 best, rerank all of those, pass on the 20 best. A number behind a stage is how many
//! documents it *passes on*; a reranker reranks everything it gets. A first stage without a number gives
//! [`DEFAULT_DEPTH`] documents to a fusion or reranker, or more where a longer answer is asked for, and alone as many as
//! are asked for; a fusion or reranker without one passes on all it has. The length of the answer is a third number, given
//! when searching. All three are named in every trace (`depth:…`).
//!
//! `dense:100 >> first >> feedback:100` searches twice: `feedback` stands behind a reranker, moves the query's vector to what
//! this said, and finds documents by the moved vector. What stands behind it gets those.

mod build;
mod collection;
mod description;
mod error;
mod feedback;
mod fit;
mod generator;
mod grouping;
mod local;
mod models;
mod ngrams;
mod options;
mod run;
mod specs;
#[cfg(test)]
mod tests;

pub use collection::wordless;
pub use description::{PromptHash, StageDescription};
pub use error::{PipelineError, QueryError};
pub(crate) use feedback::lacks_scores;
pub use feedback::{
    FEEDBACK, FeedbackStage, OPTIONS as FEEDBACK_OPTIONS, SUMMARY as FEEDBACK_SUMMARY, Target,
};
pub use fit::{FitError, Fitted, fit};
pub use generator::{DocidForm, Generator};
pub use grouping::{GROUPINGS, Grouping, GroupingError, GroupingSpec};
pub use local::LocalModel;
pub use local::{is_decoder, is_encoder_decoder};
pub use models::{ModelError, Models};
pub use ngrams::{NgramSearch, NgramSettings};
pub use options::ModelOptions;
pub use run::{Answers, BoxError, Chain, Collection, FirstStage, Source, Stage};
pub use specs::{FIRST_STAGES, FUSIONS, FirstStageSpec, FusionSpec, beginnings};

use collection::IndexCollection;
use plackett_core::pipeline as syntax;
use plackett_core::{Query, RankRequest, Ranking, Trace};
use plackett_lm::store::BUNDLED;
use plackett_rank::{Depth, Fallback, InputOrder, MethodSpec, Ranker, Settings};
use plackett_search::{Analyzer, Filter, Index};
use run::cascade;
use std::fmt;
use std::sync::Arc;

/// Documents that a first stage without a depth of its own gives to a fusion or reranker, unless longer answers are asked
/// for.
pub const DEFAULT_DEPTH: usize = 1000;

pub use plackett_rank::REMARK;

/// How many times deeper a search goes whose passages are of too few documents.
const DEEPER: usize = 4;
/// The fact that it went, with the number of passages that were asked for in the end.
const DEEPER_FACT: &str = "group:passages";

/// Documents whose texts are held in memory at once while queries are answered together.
const TEXTS_HELD: usize = 50_000;

/// Documents whose ids and scores are held in memory at once.
const ENTRIES_HELD: usize = 1_000_000;

/// A pipeline whose stages are known to exist, with their models opened.
pub struct Pipeline {
    expression: syntax::Pipeline,
    /// `None` when the expression has rerankers only and the candidates come with the request.
    source: Option<Source>,
    stages: Vec<Stage>,
    /// What embeds queries for `dense`.
    embedder: Option<LocalModel>,
    /// What its rerankers are, those of fall-backs too.
    descriptions: Vec<StageDescription>,
    /// What is answered with where documents are cut into passages.
    grouping: Grouping,
}

impl Pipeline {
    /// Models that first stages name in the expression, which have no description.
    pub fn first_stage_models(&self) -> Vec<&str> {
        fn collect<'p>(of: &'p syntax::Pipeline, named: &mut Vec<&'p str>) {
            for stage in &of.stages {
                if FIRST_STAGES.iter().any(|spec| spec.name == stage.name) {
                    named.extend(stage.option("model"));
                }
                stage.inputs.iter().for_each(|input| collect(input, named));
            }
        }
        let mut named = Vec::new();
        collect(&self.expression, &mut named);
        named
    }

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

    /// Lets other methods stand in, in turn, for each reranker of a request that it cannot rank: names with options, as in
    /// an expression, or [`InputOrder::NAME`](plackett_rank::InputOrder::NAME) for the order in which candidates came.
    ///
    /// # Errors
    /// As [`Pipeline::resolve`].
    pub fn fall_back(
        &mut self,
        names: &[String],
        models: &Models,
        settings: &Settings,
    ) -> Result<(), PipelineError> {
        if names.is_empty() {
            return Ok(());
        }
        let mut others: Vec<(String, Arc<dyn Ranker>)> = Vec::new();
        for name in names {
            if name == InputOrder::NAME {
                others.push((name.clone(), Arc::new(InputOrder)));
                continue;
            }
            let other = Pipeline::resolve(name, None, models, settings)?;
            self.descriptions.extend(other.descriptions);
            match <[Stage; 1]>::try_from(other.stages) {
                Ok([stage]) if stage.keep.is_none() => others.push((name.clone(), stage.ranker)),
                _ => {
                    let problem =
                        "a fall-back is one method that passes on all documents, without `>>` and `:`";
                    return Err(PipelineError::Stage { stage: name.clone(), problem: problem.into() });
                }
            }
        }
        for stage in &mut self.stages {
            stage.ranker = Arc::new(Fallback::new(stage.ranker.clone(), others.clone()));
        }
        Ok(())
    }

    /// Lets every first stage find only what a filter lets through, besides the filters that they have.
    ///
    /// # Errors
    /// There is no first stage, or one that cannot filter; the filter does not fit the fields of the index.
    pub fn filter(&mut self, filter: &Filter, index: &Index) -> Result<(), PipelineError> {
        let problem = |problem: String| PipelineError::Stage { stage: self.expression.to_string(), problem };
        index.select(Some(filter)).map_err(|error| problem(error.to_string()))?;
        let none = || "it has no first stage that a filter could be for".to_string();
        let filtered = self.source.as_mut().ok_or_else(none).and_then(|source| source.filter(filter));
        let expression = &self.expression;
        filtered.map_err(|problem| PipelineError::Stage { stage: expression.to_string(), problem })
    }

    /// A pipeline that leaves candidates in the order in which they came: what others are compared with.
    pub fn input_order() -> Pipeline {
        let stage = Stage { ranker: Arc::new(InputOrder), keep: None, vectors: false };
        let named = syntax::Stage {
            name: InputOrder::NAME.to_string(),
            options: Vec::new(),
            inputs: Vec::new(),
            depth: None,
        };
        Pipeline {
            expression: syntax::Pipeline { stages: vec![named] },
            source: None,
            stages: vec![stage],
            embedder: None,
            descriptions: Vec::new(),
            grouping: Grouping::default(),
        }
    }

    /// Chooses what is answered with where documents are cut into passages; without a choice documents are, with the score
    /// of their best passage.
    pub fn group(&mut self, grouping: Grouping) {
        self.grouping = grouping;
    }

    /// What its rerankers are, in the order of the expression, and behind them those that stand in.
    pub fn descriptions(&self) -> &[StageDescription] {
        &self.descriptions
    }

    /// Lets its first reranker have only so many of the candidates, in the order in which they came; the others follow
    /// behind.
    pub fn limit_depth(&mut self, depth: usize) {
        if let Some(stage) = self.stages.first_mut() {
            stage.ranker = Arc::new(Depth::new(stage.ranker.clone(), depth));
        }
    }

    /// Whether any of its rerankers asks a model with prompts.
    pub fn asks_prompts(&self) -> bool {
        self.stages.iter().any(|stage| stage.ranker.asks_prompts())
    }

    /// What is searched with unless told otherwise: BM25 and vectors fused, or BM25 alone in an index without vectors, and
    /// in one of a language that the bundled model was not made for. `docs/default-pipeline.md` has the comparison that
    /// chose it.
    pub fn default_for(index: &Index) -> &'static str {
        let both = index.has_vectors() && !Pipeline::is_foreign(index);
        if both { "combsum(bm25,dense,norm=z-score)" } else { "bm25" }
    }

    /// What there is to say of [`Pipeline::default_for`]: that it leaves an index's vectors aside.
    pub fn default_remark(index: &Index) -> Option<String> {
        let analyzer = &index.settings().analyzer;
        let remark = format!(
            "searched with bm25, since the index has words in {analyzer} and vectors of `{BUNDLED}`, an English model; \
             --pipeline 'combsum(bm25,dense)' takes the vectors too"
        );
        (index.has_vectors() && Pipeline::is_foreign(index)).then_some(remark)
    }

    /// Whether an index is in a language for which its model, the bundled one, was not made.
    fn is_foreign(index: &Index) -> bool {
        let settings = index.settings();
        matches!(Analyzer::named(&settings.analyzer), Ok(Analyzer::Of(_)))
            && settings.model.as_ref().is_some_and(|model| model.name == BUNDLED)
    }

    /// One ranking of at most `k` documents per query, in order. Queries are answered in groups, so that memory stays
    /// bounded whatever their number.
    pub fn search(&self, index: &Index, queries: &[Query], k: usize) -> Answers {
        let collection = IndexCollection::new(index, self.embedder.as_ref());
        // More than there are is not found; what is held at once is reckoned by `k`.
        let most = if self.grouping.score().is_some() { index.len() } else { index.passages() };
        self.search_in(&collection, queries, k.min(most.max(1)))
    }

    /// As [`Pipeline::search`], over any collection.
    pub fn search_in(&self, collection: &dyn Collection, queries: &[Query], k: usize) -> Answers {
        let mut answers = match (collection.passages(), self.grouping.score()) {
            (Some(passages), Some(score)) => {
                let answers = self.with_documents(collection, queries, k, passages);
                let group = |ranking| self.grouping.group(ranking, score);
                answers.into_iter().map(|answer| answer.map(group)).collect()
            }
            _ => self.ranked(collection, queries, k),
        };
        for ranking in answers.iter_mut().flatten() {
            ranking.keep_best(k);
            ranking.trace.facts.push(("depth:answer".into(), ranking.entries.len().to_string()));
        }
        answers
    }

    /// Rankings of at least `k` passages or documents, where there are so many, in groups of queries.
    fn ranked(&self, collection: &dyn Collection, queries: &[Query], k: usize) -> Answers {
        let mut answers = Vec::with_capacity(queries.len());
        for group in queries.chunks(self.queries_at_once(k)) {
            answers.extend(self.answer(collection, group, k));
        }
        answers
    }

    /// Rankings of passages of at least `k` documents: stages without a written depth go deeper until they are there, or
    /// until nothing more comes.
    fn with_documents(
        &self,
        collection: &dyn Collection,
        queries: &[Query],
        k: usize,
        passages: usize,
    ) -> Answers {
        // As deep for every `k`, where no reranker has to pay for it: a longer answer begins with a shorter one, also where scores
        // depend on what else was found.
        let depth = if self.has_rerankers() { k } else { k.max(DEFAULT_DEPTH) };
        let mut answers = self.ranked(collection, queries, depth);
        let lacks = |ranking: &Ranking| grouping::count(ranking) < k;
        let mut length = depth;
        let mut asking: Vec<usize> = (0..queries.len()).collect();
        while length < passages {
            // Where fewer passages came than the least that a stage without a depth gives, there are no others.
            let least = length.max(DEFAULT_DEPTH);
            let goes_on = |ranking: &Ranking| lacks(ranking) && ranking.entries.len() >= least;
            asking.retain(|at| answers[*at].as_ref().is_ok_and(goes_on));
            if asking.is_empty() {
                break;
            }
            length = least.saturating_mul(DEEPER).min(passages);
            let again: Vec<Query> = asking.iter().map(|at| queries[*at].clone()).collect();
            let found = self.ranked(collection, &again, length);
            let places = std::mem::take(&mut asking);
            for (at, deeper) in places.into_iter().zip(found) {
                if grown(&mut answers[at], deeper, length) {
                    asking.push(at);
                }
            }
        }
        if let Some(least) = &least_depth(&self.expression) {
            for ranking in answers.iter_mut().flatten() {
                // A depth below `k` is told by `Pipeline::shortened` before anything is searched.
                if least.0 >= k && ranking.entries.len() >= least.0 && lacks(ranking) {
                    grouping::remark_on_depth(ranking, k, least);
                }
            }
        }
        answers
    }

    fn answer(&self, collection: &dyn Collection, queries: &[Query], k: usize) -> Answers {
        let refuse = |query: &Query| {
            let source = "the pipeline has no first stage; begin it with bm25 or dense".into();
            Err(QueryError::Search { query: query.id.clone(), source })
        };
        match &self.source {
            Some(source) => run::run(source, &self.stages, collection, queries, k),
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

    /// How many queries are answered together when answers of `k` documents are asked for: as many as keep the documents
    /// held at once below fixed numbers. More is faster, since a text that several queries share is read once.
    pub fn queries_at_once(&self, k: usize) -> usize {
        let Some(source) = &self.source else { return 1024 };
        let texts = TEXTS_HELD / run::reranked(source, &self.stages, k).max(1);
        let entries = ENTRIES_HELD / run::widest(source, &self.stages, k).max(1);
        texts.min(entries).clamp(1, 1024)
    }

    /// Whether any stage reranks: those have models of their own.
    pub fn has_rerankers(&self) -> bool {
        has_rerankers(&self.expression)
    }

    /// Why an answer can be shorter than `k` documents although there are more: the stage that is written with the least
    /// depth below that.
    pub fn shortened(&self, k: usize) -> Option<String> {
        let (depth, stage) = least_depth(&self.expression).filter(|(depth, _)| *depth < k)?;
        let many = if depth == 1 { "1 document".into() } else { format!("{depth} documents") };
        Some(format!(
            "{k} documents are asked for, and `{stage}` passes on at most {many}; write a larger depth behind it for \
             longer answers"
        ))
    }
}

/// Puts a deeper ranking in the place of one, with the cost of both, and says whether it has more. A query that fails when
/// it is asked again has failed.
fn grown(
    answer: &mut Result<Ranking, QueryError>,
    deeper: Result<Ranking, QueryError>,
    length: usize,
) -> bool {
    let mut found = match deeper {
        Ok(found) => found,
        Err(error) => {
            *answer = Err(error);
            return false;
        }
    };
    let Ok(known) = answer.as_ref() else { return false };
    let more = found.entries.len() > known.entries.len();
    let before = &known.trace;
    found.trace.passes += before.passes;
    found.trace.prompt_tokens += before.prompt_tokens;
    found.trace.generated_tokens += before.generated_tokens;
    found.trace.cache_hits += before.cache_hits;
    found.trace.seconds += before.seconds;
    found.trace.facts.push((DEEPER_FACT.into(), length.to_string()));
    *answer = Ok(found);
    more
}

fn has_rerankers(parsed: &syntax::Pipeline) -> bool {
    let of = |stage: &syntax::Stage| {
        MethodSpec::find(&stage.name).is_ok() || stage.inputs.iter().any(has_rerankers)
    };
    parsed.stages.iter().any(of)
}

/// The least depth that is written in an expression, and the stage that has it. What stands before a `feedback` does not
/// shorten what that finds.
fn least_depth(parsed: &syntax::Pipeline) -> Option<(usize, String)> {
    let of = |stage: &syntax::Stage| {
        let own = stage.depth.map(|depth| (depth, stage.to_string()));
        own.into_iter().chain(stage.inputs.iter().filter_map(least_depth)).min()
    };
    let fed = parsed.stages.iter().rposition(|stage| stage.name == FEEDBACK).unwrap_or(0);
    parsed.stages.iter().skip(fed).filter_map(of).min()
}

impl fmt::Display for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.expression, f)
    }
}
