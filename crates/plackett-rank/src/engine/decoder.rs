//! The engine's decoders as models of this crate: one open model for everything it can be used as.

use super::encoder::{pair_scores, prompt_name, text_vectors};
use super::language::DecoderLanguage;
use super::language::stored::StoredBlocks;
use crate::model::{
    Abilities, BoxError, LanguageModel, PairScore, PairScorer, Role, TextEmbedder, TextModel, TextVector,
    TokenEmbedder,
};
use plackett_lm::decoder::{DecoderEmbedder, DecoderModel, DecoderOptions, YesNo};
use plackett_lm::{EmbedOptions, LmError, ModelInfo};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// A decoder: it reads prompts, and embeds texts or scores pairs where its files say how.
pub struct Decoder {
    model: Arc<DecoderModel>,
    info: ModelInfo,
    embedder: Option<Arc<DecoderEmbedder>>,
    /// As a scorer of pairs, once somebody asks for one.
    scorer: OnceLock<Result<Arc<YesNo>, String>>,
    language: Arc<DecoderLanguage>,
}

impl Decoder {
    /// Opens a directory or a GGUF file. A directory with `modules.json` embeds texts too.
    ///
    /// # Errors
    /// Names the file, tensor or field that is missing or wrong.
    pub fn open(path: &Path, options: &DecoderOptions) -> Result<Decoder, LmError> {
        let embedder = match path.join("modules.json").exists() {
            true => Some(Arc::new(DecoderEmbedder::open(path, options)?)),
            false => None,
        };
        let model = match &embedder {
            Some(embedder) => embedder.model().clone(),
            None => Arc::new(DecoderModel::open(path, options)?),
        };
        let info = match &embedder {
            Some(embedder) => embedder.info().clone(),
            None => info(&model),
        };
        let language = Arc::new(DecoderLanguage::new(model.clone()));
        Ok(Decoder { model, info, embedder, scorer: OnceLock::new(), language })
    }

    /// Facts about the model.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// The decoder itself.
    pub fn model(&self) -> &Arc<DecoderModel> {
        &self.model
    }

    /// The same model that computes the whole of every prompt, also what others of the call begin with: what sharing is
    /// measured against. Answers are the same.
    pub fn without_prefix_sharing(&self) -> Decoder {
        let language = Arc::new(DecoderLanguage::without_sharing(self.model.clone()));
        let (model, info, embedder) = (self.model.clone(), self.info.clone(), self.embedder.clone());
        Decoder { model, info, embedder, scorer: OnceLock::new(), language }
    }

    /// The model as a reader of prompts.
    pub(crate) fn language(&self) -> &DecoderLanguage {
        &self.language
    }

    /// The model as an embedder of texts, where `modules.json` says how.
    pub fn embedder(&self) -> Option<&Arc<DecoderEmbedder>> {
        self.embedder.as_ref()
    }

    /// The model as a scorer of pairs by the probability of "yes".
    ///
    /// # Errors
    /// The reason why it is none.
    pub fn scorer(&self) -> Result<Arc<YesNo>, String> {
        if self.embedder.is_some() {
            return Err("it is a decoder that gives one vector per text; use bi-encoder, or give a reranker with --model"
                .into());
        }
        let open = || YesNo::new(self.model.clone()).map(Arc::new).map_err(|error| error.to_string());
        self.scorer.get_or_init(open).clone()
    }
}

/// What a decoder is as a model of texts.
fn info(model: &DecoderModel) -> ModelInfo {
    let info = model.info();
    ModelInfo {
        name: info.name.clone(),
        family: info.family.clone(),
        layers: info.layers,
        hidden: info.hidden,
        dim: info.hidden,
        max_tokens: info.positions,
        pooling: None,
        cross_encoder: YesNo::answers(model).is_ok(),
        precision: info.precision,
        weight_bytes: info.weight_bytes,
        isa: info.isa,
        threads: info.threads,
    }
}

impl Abilities for Decoder {
    fn model_name(&self) -> String {
        self.model.path().display().to_string()
    }

    fn text_embedder(self: Arc<Self>) -> Result<Arc<dyn TextEmbedder>, String> {
        match &self.embedder {
            Some(embedder) => Ok(embedder.clone()),
            None => Err(
                "it is a decoder without modules.json, which would say how its states become a vector; use \
                         cross-encoder, or give an embedding model with --model"
                    .into(),
            ),
        }
    }

    fn token_embedder(self: Arc<Self>) -> Result<Arc<dyn TokenEmbedder>, String> {
        Err(match self.embedder {
            Some(_) => "it is a decoder that gives one vector per text; use bi-encoder".into(),
            None => "it is a decoder, whose tokens see only what is before them; give a ColBERT-like or embedding model with \
                     --model"
                .into(),
        })
    }

    fn pair_scorer(self: Arc<Self>) -> Result<Arc<dyn PairScorer>, String> {
        Ok(self.scorer()?)
    }

    fn pair_prompt(&self) -> Option<&'static str> {
        self.embedder.is_none().then_some(YES_NO)
    }

    fn language_model(self: Arc<Self>) -> Result<Arc<dyn LanguageModel>, String> {
        Ok(self.language.clone())
    }

    fn with_stored_blocks(self: Arc<Self>, folder: &Path) -> Option<Result<Arc<dyn Abilities>, BoxError>> {
        let with = |stored| {
            let language = Arc::new(DecoderLanguage::with_stored(self.model.clone(), stored));
            let (model, info, embedder) = (self.model.clone(), self.info.clone(), self.embedder.clone());
            Arc::new(Decoder { model, info, embedder, scorer: OnceLock::new(), language })
                as Arc<dyn Abilities>
        };
        match StoredBlocks::open(folder, &self) {
            Ok(stored) => stored.map(|stored| Ok(with(stored))),
            Err(error) => Some(Err(error.into())),
        }
    }
}

impl TextModel for DecoderEmbedder {
    fn name(&self) -> &str {
        &self.info().name
    }

    fn max_tokens(&self) -> usize {
        self.info().max_tokens
    }

    fn overhead(&self, role: Role) -> Result<usize, LmError> {
        let prompt = self.prompt(prompt_name(role));
        let words = if prompt.is_empty() { 0 } else { DecoderEmbedder::token_spans(self, prompt)?.len() };
        Ok(words + self.special_tokens())
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, LmError> {
        DecoderEmbedder::token_spans(self, text)
    }
}

impl TextEmbedder for DecoderEmbedder {
    fn embed_texts(&self, role: Role, texts: &[&str]) -> Result<Vec<TextVector>, LmError> {
        let prompt = self.prompt(prompt_name(role)).to_string();
        let options = EmbedOptions { prompt, ..EmbedOptions::default() };
        Ok(text_vectors(&self.embed(texts, &options)?))
    }
}

/// The name of the prompt with which a decoder scores pairs: that of Qwen3-Reranker.
pub const YES_NO: &str = "yes-no";

impl TextModel for YesNo {
    fn name(&self) -> &str {
        &self.info().name
    }

    fn max_tokens(&self) -> usize {
        self.info().max_tokens
    }

    fn overhead(&self, _: Role) -> Result<usize, LmError> {
        Ok(YesNo::pair_overhead(self))
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, LmError> {
        YesNo::token_spans(self, text)
    }

    fn facts(&self) -> Vec<(String, String)> {
        let facts = [("prompt", YES_NO), ("labels", "yes, no"), ("instruction", self.instruction())];
        facts.map(|(name, value)| (name.to_string(), value.to_string())).into()
    }
}

impl PairScorer for YesNo {
    fn pair_overhead(&self) -> usize {
        YesNo::pair_overhead(self)
    }

    fn score_text_pairs(&self, pairs: &[(&str, &str)]) -> Result<Vec<PairScore>, LmError> {
        Ok(pair_scores(&self.score_pairs(pairs, None)?))
    }
}
