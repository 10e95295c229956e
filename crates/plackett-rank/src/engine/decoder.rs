//! The engine's decoders as models of this crate: one open model for everything it can be used as.

use super::encoder::{pair_scores, prompt_name, text_vectors};
use super::language::DecoderLanguage;
use super::language::stored::StoredBlocks;
use crate::model::{
    Abilities, BoxError, CallError, LanguageModel, ListAnswer, ListScorer, PairPrompting, PairScore,
    PairScorer, Prompt, Role, TextEmbedder, TextLength, TextModel, TextVector, TokenEmbedder,
};
use plackett_lm::decoder::{
    DecoderEmbedder, DecoderModel, DecoderOptions, ListScorer as LmListScorer, PairPrompt, PromptedScorer,
    ReadLength,
};
use plackett_lm::{EmbedOptions, LmError, ModelInfo};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// A decoder: it reads prompts, and embeds texts or scores pairs where its files say how.
pub struct Decoder {
    model: Arc<DecoderModel>,
    info: ModelInfo,
    embedder: Option<Arc<DecoderEmbedder>>,
    /// The prompt that its files name for scoring pairs.
    prompting: PairPrompting,
    language: Arc<DecoderLanguage>,
}

impl Decoder {
    /// Opens a directory or a GGUF file. A directory with `modules.json` embeds texts too.
    ///
    /// # Errors
    /// Names the file, tensor or field that is missing or wrong.
    pub fn open(path: &Path, options: &DecoderOptions) -> Result<Decoder, LmError> {
        let embedder = match DecoderEmbedder::is_one(path)? {
            true => Some(Arc::new(DecoderEmbedder::open(path, options)?)),
            false => None,
        };
        let model = match &embedder {
            Some(embedder) => embedder.model().clone(),
            None => Arc::new(DecoderModel::open(path, options)?),
        };
        let prompting = match PairPrompt::recognize(&model) {
            Ok(Some(prompt)) => PairPrompting::Known(prompt.name),
            Ok(None) => PairPrompting::Unknown,
            Err(error) => PairPrompting::Wrong(error.to_string()),
        };
        let info = match &embedder {
            Some(embedder) => embedder.info().clone(),
            None => info(&model, &prompting),
        };
        let language = Arc::new(DecoderLanguage::new(model.clone()));
        Ok(Decoder { model, info, embedder, prompting, language })
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
        self.with_language(language)
    }

    /// The tokens of a prompt, behind which the model goes on: with its chat template, where the prompt is a conversation and the model has one.
    ///
    /// # Errors
    /// A prompt without tokens, and what the tokenizer or the chat template refuses.
    pub fn prompt_tokens(&self, prompt: &Prompt) -> Result<Vec<u32>, CallError> {
        self.language.prompt_tokens(prompt)
    }

    /// The model as a reader of prompts.
    pub(crate) fn language(&self) -> &DecoderLanguage {
        &self.language
    }

    /// The model as an embedder of texts, where `modules.json` says how.
    pub fn embedder(&self) -> Option<&Arc<DecoderEmbedder>> {
        self.embedder.as_ref()
    }

    fn with_language(&self, language: Arc<DecoderLanguage>) -> Decoder {
        let (model, info, embedder) = (self.model.clone(), self.info.clone(), self.embedder.clone());
        Decoder { model, info, embedder, prompting: self.prompting.clone(), language }
    }

    /// The model as a scorer of pairs with the prompt of a name, else with the one that its files name.
    ///
    /// # Errors
    /// The reason why it is none.
    pub fn scorer(&self, prompt: Option<&str>) -> Result<Arc<PromptedScorer>, String> {
        if self.embedder.is_some() {
            return Err("it is a decoder that gives one vector per text; use bi-encoder, or give a reranker with --model"
                .into());
        }
        let known = match &self.prompting {
            PairPrompting::Known(name) => Some(*name),
            PairPrompting::Unknown => None,
            PairPrompting::Wrong(problem) => return Err(problem.clone()),
        };
        let prompt = prompt.or(known).and_then(PairPrompt::find);
        let prompt = prompt.ok_or("it does not say with which prompt it scores pairs")?;
        PromptedScorer::new(self.model.clone(), prompt).map(Arc::new).map_err(|error| error.to_string())
    }
}

/// What a decoder is as a model of texts.
fn info(model: &DecoderModel, prompting: &PairPrompting) -> ModelInfo {
    let info = model.info();
    ModelInfo {
        name: info.name.clone(),
        family: info.family.clone(),
        layers: info.layers,
        hidden: info.hidden,
        dim: info.hidden,
        max_tokens: info.positions,
        pooling: None,
        cross_encoder: matches!(prompting, PairPrompting::Known(_)),
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

    fn pair_scorer(self: Arc<Self>, prompt: Option<&str>) -> Result<Arc<dyn PairScorer>, String> {
        Ok(self.scorer(prompt)?)
    }

    fn pair_prompt(&self) -> Option<PairPrompting> {
        self.embedder.is_none().then(|| self.prompting.clone())
    }

    fn list_scorer(self: Arc<Self>) -> Result<Arc<dyn ListScorer>, String> {
        match LmListScorer::is_one(self.model.path()) {
            Ok(true) => {}
            Ok(false) => {
                return Err("it is a decoder without the projector that turns states into vectors to compare; give a model like \
                            jina-reranker-v3 with --model"
                    .into());
            }
            Err(error) => return Err(error.to_string()),
        }
        let scorer = LmListScorer::new(self.model.clone()).map_err(|error| error.to_string())?;
        Ok(Arc::new(scorer))
    }

    fn language_model(self: Arc<Self>) -> Result<Arc<dyn LanguageModel>, String> {
        match self.model.has_score_head() {
            true => Err("it has a score head in place of an output matrix and writes no text; use cross-encoder, or give the decoder \
                         that it was made from with --model"
                .into()),
            false => Ok(self.language.clone()),
        }
    }

    fn with_stored_blocks(self: Arc<Self>, folder: &Path) -> Option<Result<Arc<dyn Abilities>, BoxError>> {
        let with = |stored| {
            let language = Arc::new(DecoderLanguage::with_stored(self.model.clone(), stored));
            Arc::new(self.with_language(language)) as Arc<dyn Abilities>
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

impl TextModel for PromptedScorer {
    fn name(&self) -> &str {
        &self.info().name
    }

    fn max_tokens(&self) -> usize {
        self.info().max_tokens
    }

    fn overhead(&self, _: Role) -> Result<usize, LmError> {
        Ok(PromptedScorer::pair_overhead(self))
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, LmError> {
        PromptedScorer::token_spans(self, text)
    }

    fn facts(&self) -> Vec<(String, String)> {
        let mut facts: Vec<(String, String)> = vec![("prompt".into(), self.prompt().name.into())];
        let labels = self.labels().map(|labels| match labels {
            (relevant, Some(not)) => format!("{relevant}, {not}"),
            (relevant, None) => relevant.to_string(),
        });
        facts.extend(labels.map(|labels| ("labels".into(), labels)));
        facts.extend(self.instruction().map(|instruction| ("instruction".into(), instruction.into())));
        facts
    }
}

impl PairScorer for PromptedScorer {
    fn pair_overhead(&self) -> usize {
        PromptedScorer::pair_overhead(self)
    }

    fn score_text_pairs(&self, pairs: &[(&str, &str)]) -> Result<Vec<PairScore>, LmError> {
        Ok(pair_scores(&self.score_pairs(pairs, None)?))
    }
}

impl TextModel for LmListScorer {
    fn name(&self) -> &str {
        &self.info().name
    }

    fn max_tokens(&self) -> usize {
        self.info().max_tokens
    }

    fn overhead(&self, _: Role) -> Result<usize, LmError> {
        Ok(0)
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, LmError> {
        LmListScorer::token_spans(self, text)
    }
}

impl ListScorer for LmListScorer {
    fn query_tokens(&self) -> usize {
        LmListScorer::query_tokens(self)
    }

    fn document_tokens(&self) -> usize {
        LmListScorer::document_tokens(self)
    }

    fn score_list(&self, query: &str, documents: &[&str], block: usize) -> Result<ListAnswer, LmError> {
        let length =
            |read: ReadLength| TextLength { tokens: read.tokens, kept: read.kept, estimated: read.estimated };
        let found = self.score(query, documents, block)?;
        Ok(ListAnswer {
            scores: found.scores,
            documents: found.documents.into_iter().map(length).collect(),
            query: found.query.map(length),
            passes: found.passes,
            tokens: found.tokens,
        })
    }
}
