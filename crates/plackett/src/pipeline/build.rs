//! From an expression to stages that exist, with their models opened.

use super::generator::Generator;
use super::run::{BoxError, Chain, FirstStage, Source, Stage};
use super::{DEFAULT_DEPTH, Grouping, LocalModel, Models, Pipeline, PipelineError, StageDescription};
use crate::blocks;
use plackett_core::declaration::suggestion;
use plackett_core::fusion::{self, Normalisation};
use plackett_core::pipeline as syntax;
use plackett_rank::method::{METHODS, OptionValues, nearest};
use plackett_rank::{Abilities, LongText, MethodSpec, Settings};
use plackett_search::{DenseMethod, DenseSearch, Filter, Index, Lengths, ModelIdentity, Rm3};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

/// Names of first stages.
pub const FIRST_STAGES: [&str; 3] = ["bm25", "dense", "generate"];
/// The most beams of a query that writes docids.
const MOST_BEAMS: usize = 10_000;
/// Most category paths of a query, below each of which beams write docids.
const MOST_PATHS: usize = 1000;
/// Names of fusions.
pub const FUSIONS: [&str; 4] = ["rrf", "combsum", "combmnz", "borda"];

/// What the stages of one expression share.
struct Builder<'a> {
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
            let chain = builder.chain(&parsed)?;
            (Some(chain.source), chain.stages)
        }
        None => (None, parsed.stages.iter().map(|stage| builder.reranker(stage)).collect::<Result<_, _>>()?),
    };
    let Builder { embedder, descriptions, .. } = builder;
    let (expression, grouping) = (parsed.to_string(), Grouping::default());
    Ok(Pipeline { expression, source, stages, embedder, descriptions, grouping })
}

impl Builder<'_> {
    fn chain(&mut self, parsed: &syntax::Pipeline) -> Result<Chain, PipelineError> {
        let Some((first, later)) = parsed.stages.split_first() else {
            return Err(wrong(&parsed.to_string(), "it has no stage"));
        };
        // Cheap mistakes first: names and options of all stages are read before any model is opened.
        for stage in later {
            reranking_method(stage)?;
        }
        let source = self.source(first)?;
        let stages = later.iter().map(|stage| self.reranker(stage)).collect::<Result<_, _>>()?;
        Ok(Chain { source, stages })
    }

    fn source(&mut self, stage: &syntax::Stage) -> Result<Source, PipelineError> {
        if FUSIONS.contains(&stage.name.as_str()) {
            return self.fusion(stage);
        }
        if !stage.inputs.is_empty() {
            return Err(wrong(&stage.to_string(), "only a fusion has inputs in parentheses"));
        }
        let first = match stage.name.as_str() {
            "bm25" => {
                only(
                    stage,
                    &["k1", "b", "weights", "lengths", "rm3", "fb_docs", "fb_terms", "fb_weight", "filter"],
                )?;
                let lengths = stage.option("lengths").map(Lengths::from_str).transpose();
                FirstStage::Bm25 {
                    k1: number(stage, "k1", 0.0..=1e6)?,
                    b: number(stage, "b", 0.0..=1.0)?,
                    weights: match self.index {
                        Some(index) => field_weights(stage, &index.settings().fields)?,
                        None => Vec::new(),
                    },
                    lengths: lengths.map_err(|e| wrong(&stage.to_string(), e))?.unwrap_or_default(),
                    rm3: rm3(stage)?,
                    filter: self.filter(stage)?,
                }
            }
            "dense" => {
                only(stage, &["search", "ef", "from", "filter"])?;
                let search = dense(stage)?;
                let filter = self.filter(stage)?;
                self.check_dense(stage, &search, stage.depth.unwrap_or(DEFAULT_DEPTH))?;
                self.open_embedder(stage)?;
                FirstStage::Dense { search, filter }
            }
            "generate" => {
                only(stage, &["model", "beams", "decoding", "seed", "paths"])?;
                FirstStage::Generate { generator: Arc::new(self.generator(stage)?) }
            }
            name if MethodSpec::find(name).is_ok() => {
                return Err(wrong(name, "a reranker needs a first stage before it, as in `bm25:100 >> …`"));
            }
            name => return Err(unknown(name)),
        };
        Ok(Source::Retrieve { stage: first, depth: stage.depth })
    }

    /// The filter of a first stage, checked against the fields of the index.
    fn filter(&self, stage: &syntax::Stage) -> Result<Option<Filter>, PipelineError> {
        let Some(text) = stage.option("filter") else { return Ok(None) };
        let filter: Filter = text.parse().map_err(|e| wrong(&stage.to_string(), format!("filter, {e}")))?;
        if let Some(index) = self.index {
            index.select(Some(&filter)).map_err(|e| wrong(&stage.to_string(), e))?;
        }
        Ok(Some(filter))
    }

    /// A retriever that writes docids, of the documents of this index.
    fn generator(&self, stage: &syntax::Stage) -> Result<Generator, PipelineError> {
        let said = |problem: String| wrong(&stage.to_string(), problem);
        let Some(folder) = stage.option("model") else {
            return Err(said(
                "name the folder of a retriever, as in generate(model=DIR); `plackett ids learn` makes one"
                    .into(),
            ));
        };
        let seed = match stage.option("seed").map(str::parse::<u64>) {
            None => None,
            Some(Ok(seed)) => Some(seed),
            Some(Err(_)) => return Err(said("seed is no whole number from 0".into())),
        };
        let draws = match stage.option("decoding") {
            None | Some("beams") if seed.is_some() => {
                return Err(said(
                    "`seed` is a setting of decoding=draws; a beam search draws nothing".into(),
                ));
            }
            None | Some("beams") => None,
            Some("draws") => Some(seed.unwrap_or(1)),
            Some(other) => return Err(said(format!("decoding is `{other}`; use beams or draws"))),
        };
        let beams = count(stage, "beams")?;
        if beams.is_some_and(|beams| beams > MOST_BEAMS) {
            return Err(said(format!("beams are {MOST_BEAMS} at most")));
        }
        let paths = count(stage, "paths")?;
        if paths.is_some() && draws.is_some() {
            return Err(said(
                "`paths` is a setting of decoding=beams; docids below paths are not drawn".into(),
            ));
        }
        if paths.is_some_and(|paths| paths > MOST_PATHS) {
            return Err(said(format!("paths are {MOST_PATHS} at most")));
        }
        let Some(index) = self.index else { return Err(said("it needs an index".into())) };
        if index.has_passages() {
            return Err(said(
                "the index is cut into passages, and docids are of whole documents; search an index that was made without \
                 --chunk"
                    .into(),
            ));
        }
        Generator::open(Path::new(folder), index, (beams, draws, paths))
            .map_err(|source| PipelineError::Model { stage: stage.to_string(), source })
    }

    fn fusion(&mut self, stage: &syntax::Stage) -> Result<Source, PipelineError> {
        match stage.name.as_str() {
            "rrf" => only(stage, &["k", "weights"])?,
            "borda" => only(stage, &["weights"])?,
            _ => only(stage, &["norm", "weights"])?,
        }
        if stage.inputs.len() < 2 {
            return Err(wrong(
                &stage.to_string(),
                "a fusion joins at least two stages, as in `rrf(bm25, dense)`",
            ));
        }
        let method = method(stage)?;
        let weights = weights(stage)?;
        if !weights.is_empty() && weights.len() != stage.inputs.len() {
            let problem =
                format!("{} weights for {} inputs; give one per input", weights.len(), stage.inputs.len());
            return Err(wrong(&stage.to_string(), problem));
        }
        let inputs = stage.inputs.iter().map(|input| self.chain(input)).collect::<Result<_, _>>()?;
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
    fn check_dense(
        &self,
        stage: &syntax::Stage,
        search: &DenseSearch,
        depth: usize,
    ) -> Result<(), PipelineError> {
        match self.index.filter(|index| index.has_vectors()) {
            Some(index) => {
                index.uses_graph(search, depth).map(|_| ()).map_err(|e| wrong(&stage.to_string(), e))
            }
            None => Ok(()),
        }
    }

    /// The model with which the index was made embeds the queries too: vectors of different models do not compare.
    fn open_embedder(&mut self, stage: &syntax::Stage) -> Result<(), PipelineError> {
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
        if FIRST_STAGES.contains(&name) || FUSIONS.contains(&name) {
            return Err(wrong(name, "a first stage can only stand first; here a reranker is expected"));
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

fn wrong(stage: &str, problem: impl ToString) -> PipelineError {
    PipelineError::Stage { stage: stage.to_string(), problem: problem.to_string() }
}

fn unknown(name: &str) -> PipelineError {
    let rerankers =
        METHODS.iter().flat_map(|method| std::iter::once(method.name).chain(method.aliases.iter().copied()));
    let known = FIRST_STAGES.into_iter().chain(FUSIONS).chain(rerankers);
    PipelineError::UnknownStage {
        name: name.to_string(),
        nearest: nearest(name, known)
            .map(|nearest| format!("; did you mean `{nearest}`?"))
            .unwrap_or_default(),
        first: FIRST_STAGES.join(", "),
        fusions: FUSIONS.join(", "),
    }
}

/// Refuses options that the stage does not have, so that a misspelt one is not silently without effect.
fn only(stage: &syntax::Stage, known: &[&str]) -> Result<(), PipelineError> {
    match stage.options.iter().find(|(key, _)| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some((key, _)) if known.is_empty() => {
            Err(wrong(&stage.to_string(), format!("`{key}`: it has no options")))
        }
        Some((key, _)) => Err(wrong(
            &stage.to_string(),
            format!("`{key}` is not one of its options ({})", known.join(", ")),
        )),
    }
}

fn number(
    stage: &syntax::Stage,
    key: &str,
    range: std::ops::RangeInclusive<f64>,
) -> Result<Option<f64>, PipelineError> {
    let Some(text) = stage.option(key) else { return Ok(None) };
    match text.parse::<f64>() {
        Ok(value) if range.contains(&value) => Ok(Some(value)),
        _ => {
            let problem =
                format!("{key} is `{text}`; a number from {} to {} is expected", range.start(), range.end());
            Err(wrong(&stage.to_string(), problem))
        }
    }
}

/// Query expansion, when it is asked for.
fn rm3(stage: &syntax::Stage) -> Result<Option<Rm3>, PipelineError> {
    let on = match stage.option("rm3") {
        Some("true") => true,
        None | Some("false") => false,
        Some(other) => {
            return Err(wrong(&stage.to_string(), format!("rm3 is `{other}`; use true or false")));
        }
    };
    let usual = Rm3::default();
    let expansion = Rm3 {
        documents: count(stage, "fb_docs")?.unwrap_or(usual.documents),
        terms: count(stage, "fb_terms")?.unwrap_or(usual.terms),
        original_weight: number(stage, "fb_weight", 0.0..=1.0)?.unwrap_or(usual.original_weight),
        ..usual
    };
    match stage.options.iter().find(|(key, _)| key.starts_with("fb_")) {
        Some((key, _)) if !on => {
            Err(wrong(&stage.to_string(), format!("`{key}` is a setting of RM3; write rm3=true with it")))
        }
        _ => Ok(on.then_some(expansion)),
    }
}

/// How vectors are searched: `search=auto|exact|hnsw`, `ef=` for searches through the graph, `from=` for auto.
fn dense(stage: &syntax::Stage) -> Result<DenseSearch, PipelineError> {
    let usual = DenseSearch::default();
    let method = stage.option("search").map(DenseMethod::from_str).transpose();
    let method = method.map_err(|e| wrong(&stage.to_string(), e))?.unwrap_or_default();
    let (ef, from) = (count(stage, "ef")?, count(stage, "from")?);
    if ef.is_some() && method == DenseMethod::Exact {
        return Err(wrong(&stage.to_string(), "`ef` is a setting of hnsw; an exact search has none"));
    }
    if from.is_some() && method != DenseMethod::Auto {
        return Err(wrong(
            &stage.to_string(),
            "`from` says when search=auto uses hnsw; leave it out, or search=…",
        ));
    }
    Ok(DenseSearch { method, ef, from: from.unwrap_or(usual.from) })
}

/// Weights of fields as `weights=title:2/text:1` or `weights="title:2,text:1"`, in the order of the index's `fields`; a
/// field that is not named weighs 1. None at all when nothing was written.
fn field_weights(stage: &syntax::Stage, fields: &[String]) -> Result<Vec<f64>, PipelineError> {
    let Some(text) = stage.option("weights") else { return Ok(Vec::new()) };
    let failed = |problem: String| wrong(&stage.to_string(), problem);
    let mut weights: Vec<Option<f64>> = vec![None; fields.len()];
    for part in text.split([',', '/']) {
        let written = part.rsplit_once(':').and_then(|(field, number)| {
            let weight = number.trim().parse::<f64>().ok().filter(|weight| (0.0..=1e6).contains(weight));
            Some((field.trim(), weight?))
        });
        let Some((field, weight)) = written else {
            let part = part.trim();
            return Err(failed(format!(
                "the weight `{part}` is not written as a field and a number from 0, as in weights=title:2/text:1"
            )));
        };
        let Some(place) = fields.iter().position(|known| known == field) else {
            let meant = suggestion(&nearest(field, fields.iter().map(String::as_str)));
            let known = fields.join(", ");
            return Err(failed(format!("the index has no searched field `{field}`{meant}; it has {known}")));
        };
        if weights[place].replace(weight).is_some() {
            return Err(failed(format!("`{field}` has two weights; give one")));
        }
    }
    if weights.iter().all(|weight| *weight == Some(0.0)) {
        return Err(failed("all fields weigh 0, so nothing can be found; give one a weight".into()));
    }
    Ok(weights.into_iter().map(|weight| weight.unwrap_or(1.0)).collect())
}

/// A whole number from 1.
fn count(stage: &syntax::Stage, key: &str) -> Result<Option<usize>, PipelineError> {
    let Some(text) = stage.option(key) else { return Ok(None) };
    match text.parse::<usize>() {
        Ok(value) if value > 0 => Ok(Some(value)),
        _ => Err(wrong(&stage.to_string(), format!("{key} is `{text}`; a whole number from 1 is expected"))),
    }
}

fn method(stage: &syntax::Stage) -> Result<fusion::Method, PipelineError> {
    let norm = match stage.option("norm") {
        None | Some("min-max") => Normalisation::MinMax,
        Some("z-score") => Normalisation::ZScore,
        Some("none") => Normalisation::None,
        Some(other) => {
            let problem = format!("norm is `{other}`; use min-max, z-score or none");
            return Err(wrong(&stage.to_string(), problem));
        }
    };
    Ok(match stage.name.as_str() {
        "combsum" => fusion::Method::Sum(norm),
        "combmnz" => fusion::Method::Mnz(norm),
        "borda" => fusion::Method::Borda,
        _ => fusion::Method::ReciprocalRank { k: number(stage, "k", 0.0..=1e6)?.unwrap_or(60.0) },
    })
}

/// Weights as `weights="2,1"` or `weights=2/1`.
fn weights(stage: &syntax::Stage) -> Result<Vec<f64>, PipelineError> {
    let Some(text) = stage.option("weights") else { return Ok(Vec::new()) };
    let parsed = text.split([',', '/']).map(|part| part.trim().parse::<f64>().ok().filter(|w| w.is_finite()));
    parsed.collect::<Option<Vec<f64>>>().ok_or_else(|| {
        wrong(
            &stage.to_string(),
            format!("weights are `{text}`; write one number per input, as in weights=2/1"),
        )
    })
}
