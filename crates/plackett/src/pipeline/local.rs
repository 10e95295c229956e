//! Models on this machine, whatever their architecture.

use super::ModelOptions;
use plackett_lm::decoder::DecoderEmbedder;
use plackett_lm::{
    EmbedOptions, Embeddings, EncoderModel, LmError, ModelInfo, PairScores, SUPPORTED_DECODERS, seq2seq,
};
use plackett_rank::engine::{Decoder, EncoderDecoderLanguage};
use plackett_rank::model::{Role, TextEmbedder, TextModel, TextVector};
use plackett_rank::{Abilities, has_words};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// A model of the engine; cheap to clone.
#[derive(Clone)]
pub enum LocalModel {
    /// An encoder.
    Encoder(Arc<EncoderModel>),
    /// A decoder: it reads prompts, embeds texts where it has `modules.json`, and scores pairs where it is a reranker.
    Decoder(Arc<Decoder>),
}

impl LocalModel {
    /// Opens a directory or a GGUF file as what it is.
    ///
    /// # Errors
    /// Names the file, tensor or field that is missing or wrong.
    pub fn open(directory: &Path, options: &ModelOptions) -> Result<LocalModel, LmError> {
        match is_decoder(directory) {
            true => Ok(LocalModel::Decoder(Arc::new(Decoder::open(directory, &options.decoder())?))),
            false => Ok(LocalModel::Encoder(Arc::new(EncoderModel::open(directory, &options.encoder())?))),
        }
    }

    /// Refuses a directory or a GGUF file whose model writes text and says nothing of vectors, without opening it.
    ///
    /// # Errors
    /// [`LmError::Unsupported`] with what it is and what would do.
    pub fn can_embed(path: &Path) -> Result<(), LmError> {
        if DecoderEmbedder::is_one(path)? {
            return Ok(());
        }
        let what = match () {
            () if is_decoder(path) => "a decoder",
            () if seq2seq::is_directory(path) => "an encoder–decoder",
            () => return Ok(()),
        };
        Err(no_vectors(&path.display().to_string(), what))
    }

    /// Facts about the model.
    pub fn info(&self) -> &ModelInfo {
        match self {
            LocalModel::Encoder(model) => model.info(),
            LocalModel::Decoder(model) => model.info(),
        }
    }

    /// The prompt stored under a name, or the model's default prompt.
    pub fn prompt(&self, name: &str) -> &str {
        match self {
            LocalModel::Encoder(model) => model.prompt(name),
            LocalModel::Decoder(model) => model.embedder().map_or("", |embedder| embedder.prompt(name)),
        }
    }

    /// The names of the prompts that the model comes with.
    pub fn prompt_names(&self) -> Vec<&str> {
        match self {
            LocalModel::Encoder(model) => model.prompt_names(),
            LocalModel::Decoder(model) => model.embedder().map_or_else(Vec::new, |own| own.prompt_names()),
        }
    }

    /// What whoever uses its vectors has to know: that files do not say how they are made.
    pub fn remark(&self) -> Option<String> {
        let LocalModel::Encoder(model) = self else { return None };
        let facts = TextModel::facts(model.as_ref()).into_iter();
        facts.map(|(what, remark)| format!("{}: {what}: {remark}", model.info().name)).next()
    }

    /// Whether there is anything in a text that the model reads.
    ///
    /// # Errors
    /// A text that its tokenizer refuses.
    pub fn has_words(&self, text: &str) -> Result<bool, LmError> {
        match self {
            LocalModel::Encoder(model) => has_words(model.as_ref(), text),
            LocalModel::Decoder(model) => match model.embedder() {
                Some(embedder) => has_words(embedder.as_ref(), text),
                None => Err(no_vectors(&model.info().name, "a decoder")),
            },
        }
    }

    /// Special tokens around a text that is embedded.
    pub fn special_tokens(&self) -> usize {
        match self {
            LocalModel::Encoder(model) => model.special_tokens(false),
            LocalModel::Decoder(model) => model.embedder().map_or(0, |own| own.special_tokens()),
        }
    }

    /// One vector per text.
    ///
    /// # Errors
    /// The model gives none; a text that its tokenizer refuses; the memory budget.
    pub fn embed(&self, texts: &[&str], options: &EmbedOptions) -> Result<Embeddings, LmError> {
        match self {
            LocalModel::Encoder(model) => model.embed(texts, options),
            LocalModel::Decoder(model) => match model.embedder() {
                Some(embedder) => embedder.embed(texts, options),
                None => Err(no_vectors(&model.info().name, "a decoder")),
            },
        }
    }

    /// The model as one that embeds texts.
    ///
    /// # Errors
    /// It gives no vectors.
    pub fn text_embedder(&self) -> Result<&dyn TextEmbedder, LmError> {
        match self {
            LocalModel::Encoder(model) => Ok(&**model),
            LocalModel::Decoder(model) => match model.embedder() {
                Some(embedder) => Ok(&**embedder),
                None => Err(no_vectors(&model.info().name, "a decoder")),
            },
        }
    }

    /// One vector per text, with the prompt of a role.
    ///
    /// # Errors
    /// As [`LocalModel::embed`].
    pub fn embed_texts(&self, role: Role, texts: &[&str]) -> Result<Vec<TextVector>, LmError> {
        self.text_embedder()?.embed_texts(role, texts)
    }

    /// Special tokens and tokens of the prompt around a text of a role: a text with no more has none of its own.
    ///
    /// # Errors
    /// A prompt that the tokenizer refuses.
    pub fn overhead(&self, role: Role) -> Result<usize, LmError> {
        match self {
            LocalModel::Encoder(model) => model.overhead(role),
            LocalModel::Decoder(model) => match model.embedder() {
                Some(embedder) => TextModel::overhead(embedder.as_ref(), role),
                None => Ok(0),
            },
        }
    }

    /// The byte ranges of a text's tokens, without those that the model adds.
    ///
    /// # Errors
    /// The model gives no vectors; a text that its tokenizer refuses.
    pub fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, LmError> {
        match self {
            LocalModel::Encoder(model) => model.token_spans(text),
            LocalModel::Decoder(model) => match model.embedder() {
                Some(embedder) => embedder.token_spans(text),
                None => Err(no_vectors(&model.info().name, "a decoder")),
            },
        }
    }

    /// How well each pair of (query, document) fits.
    ///
    /// # Errors
    /// The model scores no pairs; a text that its tokenizer refuses; the memory budget.
    pub fn score_pairs(&self, pairs: &[(&str, &str)]) -> Result<PairScores, LmError> {
        match self {
            LocalModel::Encoder(model) => model.score_pairs(pairs, None),
            LocalModel::Decoder(model) => match model.scorer(None) {
                Ok(scorer) => scorer.score_pairs(pairs, None),
                Err(reason) => Err(LmError::Unsupported {
                    model: model.info().name.clone(),
                    wanted: "score pairs".into(),
                    reason,
                }),
            },
        }
    }

    /// What a reranker may use it as.
    pub fn abilities(&self) -> Arc<dyn Abilities> {
        match self {
            LocalModel::Encoder(model) => model.clone(),
            LocalModel::Decoder(model) => model.clone(),
        }
    }
}

fn no_vectors(model: &str, what: &str) -> LmError {
    LmError::Unsupported {
        model: model.to_string(),
        wanted: "give one vector per text".into(),
        reason: format!(
            "it is {what} without modules.json, which would say how its states become a vector; give an embedding model"
        ),
    }
}

/// An encoder–decoder that a reranker may use, when the directory holds one that is not the encoder of a
/// sentence-transformers model.
pub(crate) fn encoder_decoder(
    directory: &Path,
    options: &ModelOptions,
) -> Option<Result<Arc<dyn Abilities>, LmError>> {
    if !is_encoder_decoder(directory) {
        return None;
    }
    let open = EncoderDecoderLanguage::open(directory, &options.encoder_decoder());
    Some(open.map(|model| Arc::new(model) as Arc<dyn Abilities>))
}

/// Whether a directory holds an encoder–decoder that is not the encoder of a sentence-transformers model.
pub fn is_encoder_decoder(directory: &Path) -> bool {
    !directory.join("modules.json").exists() && seq2seq::is_directory(directory)
}

/// Whether it is a GGUF file, its config.json names a family of decoders, or there is a GGUF file in its place. What is wrong with the files is
/// left to those who read them whole.
pub fn is_decoder(directory: &Path) -> bool {
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
