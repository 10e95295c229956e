//! From an expression to stages that exist, with their models opened.

use super::feedback::{self, FEEDBACK};
use super::generator::{DocidForm, Generator};
use super::ngrams::{NgramSearch, NgramSettings};
use super::run::{BoxError, Chain, FirstStage, Source, Stage};
use super::specs::{FIRST_STAGES, FUSIONS, FirstStageSpec, FusionSpec, beginnings, read, weights};
use super::{Grouping, LocalModel, Models, Pipeline, PipelineError, StageDescription};
use crate::blocks;
use plackett_core::fusion;
use plackett_core::pipeline as syntax;
use plackett_rank::method::{METHODS, OptionValues, nearest};
use plackett_rank::{Abilities, LongText, MethodSpec, Settings};
use plackett_search::{DenseSearch, Filter, Index, ModelIdentity};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

/// How many stages `feedback` may stand behind one another: each lies around the one before it, when they are built and when
/// they run.
const FEEDBACKS: usize = 32;

/// What the stages of one expression share.
pub(super) struct Builder<'a> {
    index: Option<&'a Index>,
    models: &'a Models,
    settings: &'a Settings,
    embedder: Option<LocalModel>,
    descriptions: Vec<StageDescription>,
}

/// Resolves an expression; see [`Pipeline::resolve`].
pub fn build(
    expression: &str,
    index: Option<&Index>,
    models: &Models,
    settings: &Settings,
) -> Result<Pipeline, PipelineError> {
    let parsed: syntax::Pipeline = expression.parse()?;
    let mut builder = Builder { index, models, settings, embedder: None, descriptions: Vec::new() };
    let (source, stages) = match index {
        Some(_) => {
            let chain = builder.chain(&parsed.stages)?;
            (Some(chain.source), chain.stages)
        }
        None => (None, parsed.stages.iter().map(|stage| builder.reranker(stage)).collect::<Result<_, _>>()?),
    };
    let Builder { embedder, descriptions, .. } = builder;
    let (expression, grouping) = (parsed, Grouping::default());
    Ok(Pipeline { expression, source, stages, embedder, descriptions, grouping })
}

impl Builder<'_> {
    /// Stages from first to last. What stands before the last `feedback` is what that learns from, and what comes behind
    /// it gets what it finds.
    fn chain(&mut self, stages: &[syntax::Stage]) -> Result<Chain, PipelineError> {
        let fed = stages.iter().rposition(|stage| stage.name == FEEDBACK).unwrap_or(0);
        let (before, from) = stages.split_at(fed);
        let Some((first, later)) = from.split_first() else {
            return Err(wrong("", "it has no stage"));
        };
        // Cheap mistakes first: names and options of all stages are read before any model is opened.
        for stage in later {
            reranking_method(stage)?;
        }
        let source = if before.is_empty() { self.source(first)? } else { self.feedback(first, before)? };
        let stages = later.iter().map(|stage| self.reranker(stage)).collect::<Result<_, _>>()?;
        Ok(Chain { source, stages })
    }

    fn source(&mut self, stage: &syntax::Stage) -> Result<Source, PipelineError> {
        let name = stage.name.as_str();
        if let Some(spec) = FusionSpec::find(name) {
            return self.fusion(stage, spec);
        }
        if !stage.inputs.is_empty() {
            return Err(wrong(&stage.to_string(), "only a fusion has inputs in parentheses"));
        }
        let Some(spec) = FirstStageSpec::find(name) else {
            return Err(match MethodSpec::find(name) {
                _ if name == FEEDBACK => unlearned(stage),
                Ok(_) => wrong(name, "a reranker needs a first stage before it, as in `bm25:100 >> …`"),
                Err(_) => unknown(name),
            });
        };
        let options = read(spec.name, spec.options, stage)?;
        Ok(Source::Retrieve { stage: (spec.open)(self, stage, &options)?, depth: stage.depth })
    }

    /// The searched fields of the index.
    pub(super) fn fields(&self) -> Option<&[String]> {
        self.index.map(|index| index.settings().fields.as_slice())
    }

    /// A second search behind a reranker, by the vector that this moves.
    fn feedback(&mut self, stage: &syntax::Stage, before: &[syntax::Stage]) -> Result<Source, PipelineError> {
        if !stage.inputs.is_empty() {
            return Err(wrong(&stage.to_string(), "it has options (`target=…`, `search=…`), not inputs"));
        }
        if before.iter().filter(|earlier| earlier.name == FEEDBACK).count() >= FEEDBACKS {
            let problem = format!(
                "at most {FEEDBACKS} stages `{FEEDBACK}` can stand behind one another; leave some out"
            );
            return Err(wrong(&stage.to_string(), problem));
        }
        let finds = |name: &str| beginnings().contains(&name) || name == FEEDBACK;
        let Some(reranker) = before.last().filter(|last| !finds(&last.name)) else {
            return Err(unlearned(stage));
        };
        let options = read(FEEDBACK, feedback::OPTIONS, stage)?;
        let settings = feedback::settings(stage, &options, self.filter(stage, &options)?)?;
        if settings.filter.is_none() && before.iter().any(feedback::filters) {
            let problem = "a stage before it has a filter, and without one it would find what that leaves out; write the \
                           filter here too, or take --filter for all";
            return Err(wrong(&stage.to_string(), problem));
        }
        if let Some(problem) = feedback::lacks_scores(stage, reranker) {
            return Err(wrong(&stage.to_string(), problem));
        }
        self.check_dense(stage, &settings.search)?;
        let input = Box::new(self.chain(before)?);
        self.open_embedder(stage)?;
        Ok(Source::Feedback { stage: settings, input, depth: stage.depth })
    }

    /// The filter of a first stage, checked against the fields of the index.
    pub(super) fn filter(
        &self,
        stage: &syntax::Stage,
        options: &OptionValues,
    ) -> Result<Option<Filter>, PipelineError> {
        let Some(text) = options.get_text("filter") else { return Ok(None) };
        let filter: Filter = text.parse().map_err(|e| wrong(&stage.to_string(), format!("filter, {e}")))?;
        if let Some(index) = self.index {
            index.select(Some(&filter)).map_err(|e| wrong(&stage.to_string(), e))?;
        }
        Ok(Some(filter))
    }

    /// A retriever that writes docids, of the documents of this index: with so many beams, or draws of a seed, in a form.
    pub(super) fn generator(
        &self,
        stage: &syntax::Stage,
        folder: &str,
        writing: (Option<usize>, Option<u64>, DocidForm),
    ) -> Result<FirstStage, PipelineError> {
        let said = |problem: &str| wrong(&stage.to_string(), problem);
        let Some(index) = self.index else { return Err(said("it needs an index")) };
        if index.has_passages() {
            return Err(said(
                "the index is cut into passages, and docids are of whole documents; search an index that was made without \
                 --chunk",
            ));
        }
        let generator = Generator::open(Path::new(folder), index, writing)
            .map_err(|source| PipelineError::Model { stage: stage.to_string(), source })?;
        Ok(FirstStage::Generate { generator: Arc::new(generator) })
    }

    /// A language model and the n-grams of the documents (or passages) of this index.
    pub(super) fn ngrams(
        &self,
        stage: &syntax::Stage,
        model: &str,
        settings: NgramSettings,
    ) -> Result<FirstStage, PipelineError> {
        let Some(index) = self.index else { return Err(wrong(&stage.to_string(), "it needs an index")) };
        let search = NgramSearch::open(model, self.models, index, settings)
            .map_err(|source| PipelineError::Model { stage: stage.to_string(), source })?;
        Ok(FirstStage::Ngrams { search: Arc::new(search) })
    }

    fn fusion(&mut self, stage: &syntax::Stage, spec: &FusionSpec) -> Result<Source, PipelineError> {
        let options = read(spec.name, spec.options, stage)?;
        if stage.inputs.len() < 2 {
            return Err(wrong(
                &stage.to_string(),
                "a fusion joins at least two stages, as in `rrf(bm25, dense)`",
            ));
        }
        let method = (spec.method)(&options);
        let weights = weights(stage, &options)?;
        if !weights.is_empty() && weights.len() != stage.inputs.len() {
            let problem =
                format!("{} weights for {} inputs; give one per input", weights.len(), stage.inputs.len());
            return Err(wrong(&stage.to_string(), problem));
        }
        let inputs = stage.inputs.iter().map(|input| self.chain(&input.stages)).collect::<Result<_, _>>()?;
        let fuse = move |query: &str, parts: &[plackett_core::Ranking]| {
            fusion::fuse(query, parts, method, &weights).map_err(Into::into)
        };
        Ok(Source::Fuse { name: stage.name.clone(), fuse: Box::new(fuse), inputs, keep: stage.depth })
    }

    fn reranker(&mut self, stage: &syntax::Stage) -> Result<Stage, PipelineError> {
        let (method, options) = reranking_method(stage)?;
        let mut settings = self.settings.clone();
        if let Some(policy) = options.get_text("long") {
            settings.long_text = LongText::from_str(policy).map_err(|e| wrong(&stage.to_string(), e))?;
        }
        let failed = |source| PipelineError::Model { stage: stage.to_string(), source };
        let described = StageDescription::new(stage, method, &options, self.models);
        self.descriptions.push(described.map_err(|e| failed(e.into()))?);
        let asked = options.get_text("model").map(str::to_string);
        let model = self.models.reranker(asked.as_deref()).map_err(|e| failed(e.into()))?;
        let model = self.with_blocks(model, &options).map_err(failed)?;
        let ranker = method.ranker(model, options, settings).map_err(|e| failed(e.into()))?;
        let vectors = ranker.knows_vectors() && self.is_the_index_s(asked.as_deref());
        Ok(Stage { ranker, keep: stage.depth, vectors })
    }

    /// Whether a model is the one that made the index's vectors, as far as that is known for sure.
    fn is_the_index_s(&self, asked: Option<&str>) -> bool {
        let Some((index, own)) = self.index.and_then(|index| Some((index, index.settings().model.as_ref()?)))
        else {
            return false;
        };
        let name = self.models.name(asked);
        let whole = std::fs::canonicalize(name).map(|path| path.display().to_string());
        // Names first: other models are not read to be told from this one.
        (name == own.name || whole.is_ok_and(|whole| whole == own.name))
            && self.models.identity(asked).is_ok_and(|found| index.check_model(&found).is_ok())
    }

    /// The model with the index's blocks, where the method reads such and they are wanted.
    fn with_blocks(
        &self,
        model: Arc<dyn Abilities>,
        options: &OptionValues,
    ) -> Result<Arc<dyn Abilities>, BoxError> {
        let wanted = options.get_choice("blocks").is_some_and(|choice| choice != "never");
        let Some(index) = self.index.filter(|_| wanted) else { return Ok(model) };
        model.clone().with_stored_blocks(&blocks::folder(index.directory())).unwrap_or(Ok(model))
    }

    /// Refuses a way of searching that the program or the index does not have, before any model is opened.
    pub(super) fn check_dense(
        &self,
        stage: &syntax::Stage,
        search: &DenseSearch,
    ) -> Result<(), PipelineError> {
        // Refused or not at any depth; the graph may still be passed over at the one that is searched with.
        let depth = stage.depth.unwrap_or(1);
        match self.index.filter(|index| index.has_vectors()) {
            Some(index) => {
                index.uses_graph(search, depth).map(|_| ()).map_err(|e| wrong(&stage.to_string(), e))
            }
            None => Ok(()),
        }
    }

    /// The model with which the index was made embeds the queries too: vectors of different models do not compare.
    pub(super) fn open_embedder(&mut self, stage: &syntax::Stage) -> Result<(), PipelineError> {
        let Some(index) = self.index else { return Ok(()) };
        let Some(model) = &index.settings().model else {
            let problem = "the index has no vectors; make it again without --no-vectors, or search with bm25";
            return Err(wrong(&stage.to_string(), problem));
        };
        if self.embedder.is_none() {
            let failed = |source| PipelineError::Model { stage: stage.to_string(), source };
            let opened = self.models.open(Some(&model.name)).map_err(|e| failed(e.into()))?;
            // The name may lead to other weights today; hashing them is left out where there is nothing to compare with.
            let found = match model.fingerprint {
                Some(_) => self.models.identity(Some(&model.name)).map_err(|e| failed(e.into()))?,
                None => ModelIdentity { name: model.name.clone(), dim: opened.info().dim, fingerprint: None },
            };
            index.check_model(&found).map_err(|e| failed(e.into()))?;
            self.embedder = Some(opened);
        }
        Ok(())
    }
}

/// A reranker and its options, both read off the registry.
pub(super) fn reranking_method(
    stage: &syntax::Stage,
) -> Result<(&'static MethodSpec, OptionValues), PipelineError> {
    let name = stage.name.as_str();
    let Ok(method) = MethodSpec::find(name) else {
        if beginnings().contains(&name) {
            return Err(wrong(name, "a first stage can only stand first; here a reranker is expected"));
        }
        if name == FEEDBACK {
            let problem =
                "it searches an index again; use `plackett search`, as in `dense:100 >> first >> feedback`";
            return Err(wrong(name, problem));
        }
        return Err(unknown(name));
    };
    if !stage.inputs.is_empty() {
        return Err(wrong(&stage.to_string(), "a reranker has options (`model=…`, `long=…`), not inputs"));
    }
    let written = stage.options.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let options = method.values(written).map_err(|e| wrong(&stage.to_string(), e))?;
    Ok((method, options))
}

/// Why a `feedback` has nothing to learn from.
fn unlearned(stage: &syntax::Stage) -> PipelineError {
    let problem =
        "it learns from a reranker; write one right before it, as in `dense:100 >> first >> feedback`";
    wrong(&stage.to_string(), problem)
}

pub(super) fn wrong(stage: &str, problem: impl ToString) -> PipelineError {
    PipelineError::Stage { stage: stage.to_string(), problem: problem.to_string() }
}

fn unknown(name: &str) -> PipelineError {
    let rerankers =
        METHODS.iter().flat_map(|method| std::iter::once(method.name).chain(method.aliases.iter().copied()));
    let known = beginnings().into_iter().chain([FEEDBACK]).chain(rerankers);
    let names = |names: Vec<&str>| names.join(", ");
    PipelineError::UnknownStage {
        name: name.to_string(),
        nearest: nearest(name, known)
            .map(|nearest| format!("; did you mean `{nearest}`?"))
            .unwrap_or_default(),
        first: names(FIRST_STAGES.iter().map(|spec| spec.name).collect()),
        fusions: names(FUSIONS.iter().map(|spec| spec.name).collect()),
    }
}
