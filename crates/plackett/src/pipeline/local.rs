//! Models on this machine, whatever their architecture.

use super::ModelOptions;
use plackett_lm::decoder::{DecoderEmbedder, YesNo};
use plackett_lm::{
    EmbedOptions, Embeddings, EncoderModel, LmError, ModelInfo, PairScores, SUPPORTED_DECODERS,
};
use plackett_rank::Abilities;
use plackett_rank::model::{Role, TextEmbedder, TextVector};
use std::path::Path;
use std::sync::Arc;

/// A model of the engine; cheap to clone.
#[derive(Clone)]
pub enum LocalModel {
    /// An encoder.
    Encoder(Arc<EncoderModel>),
    /// A decoder with `modules.json`: one vector per text.
    Embedder(Arc<DecoderEmbedder>),
    /// Another decoder: it scores pairs by the probability of "yes".
    YesNo(Arc<YesNo>),
}

impl LocalModel {
    /// Opens a directory or a GGUF file as what it is.
    ///
    /// # Errors
    /// Names the file, tensor or field that is missing or wrong.
    pub fn open(directory: &Path, options: &ModelOptions) -> Result<LocalModel, LmError> {
        if !is_decoder(directory) {
            return Ok(LocalModel::Encoder(Arc::new(EncoderModel::open(directory, &options.encoder())?)));
        }
        if directory.join("modules.json").exists() {
            let model = DecoderEmbedder::open(directory, &options.decoder())?;
            return Ok(LocalModel::Embedder(Arc::new(model)));
        }
        Ok(LocalModel::YesNo(Arc::new(YesNo::open(directory, &options.decoder())?)))
    }

    /// Facts about the model.
    pub fn info(&self) -> &ModelInfo {
        match self {
            LocalModel::Encoder(model) => model.info(),
            LocalModel::Embedder(model) => model.info(),
            LocalModel::YesNo(model) => model.info(),
        }
    }

    /// The prompt stored under a name, or the model's default prompt.
    pub fn prompt(&self, name: &str) -> &str {
        match self {
            LocalModel::Encoder(model) => model.prompt(name),
            LocalModel::Embedder(model) => model.prompt(name),
            LocalModel::YesNo(_) => "",
        }
    }

    /// One vector per text.
    ///
    /// # Errors
    /// The model gives none; a text that its tokenizer refuses; the memory budget.
    pub fn embed(&self, texts: &[&str], options: &EmbedOptions) -> Result<Embeddings, LmError> {
        match self {
            LocalModel::Encoder(model) => model.embed(texts, options),
            LocalModel::Embedder(model) => model.embed(texts, options),
            LocalModel::YesNo(model) => Err(no_vectors(model)),
        }
    }

    /// One vector per text, with the prompt of a role.
    ///
    /// # Errors
    /// As [`LocalModel::embed`].
    pub fn embed_texts(&self, role: Role, texts: &[&str]) -> Result<Vec<TextVector>, LmError> {
        match self {
            LocalModel::Encoder(model) => model.embed_texts(role, texts),
            LocalModel::Embedder(model) => model.embed_texts(role, texts),
            LocalModel::YesNo(model) => Err(no_vectors(model)),
        }
    }

    /// How well each pair of (query, document) fits.
    ///
    /// # Errors
    /// The model scores no pairs; a text that its tokenizer refuses; the memory budget.
    pub fn score_pairs(&self, pairs: &[(&str, &str)]) -> Result<PairScores, LmError> {
        match self {
            LocalModel::Encoder(model) => model.score_pairs(pairs, None),
            LocalModel::Embedder(model) => Err(LmError::Unsupported {
                model: model.info().name.clone(),
                wanted: "score pairs".into(),
                reason: "it gives one vector per text".into(),
            }),
            LocalModel::YesNo(model) => model.score_pairs(pairs, None),
        }
    }

    /// What a reranker may use it as.
    pub fn abilities(&self) -> Arc<dyn Abilities> {
        match self {
            LocalModel::Encoder(model) => model.clone(),
            LocalModel::Embedder(model) => model.clone(),
            LocalModel::YesNo(model) => model.clone(),
        }
    }
}

fn no_vectors(model: &Arc<YesNo>) -> LmError {
    LmError::Unsupported {
        model: model.info().name.clone(),
        wanted: "give one vector per text".into(),
        reason: "it is a decoder without modules.json, which would say how its states become a vector".into(),
    }
}

/// Whether it is a GGUF file, its config.json names a family of decoders, or there is a GGUF file in its place. What is wrong with the files is
/// left to those who read them whole.
pub(crate) fn is_decoder(directory: &Path) -> bool {
    if directory.is_file() {
        return true;
    }
    let Ok(config) = std::fs::read(directory.join("config.json")) else {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        return entries.map(|entry| entry.path()).any(|path| path.extension().is_some_and(|e| e == "gguf"));
    };
    let config = serde_json::from_slice::<serde_json::Value>(&config).unwrap_or_default();
    config["model_type"].as_str().is_some_and(|name| SUPPORTED_DECODERS.contains(&name))
}
