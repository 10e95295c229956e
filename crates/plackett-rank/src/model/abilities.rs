//! What methods may need, and what a model can be used as.

use super::{LanguageModel, ListScorer, PairScorer, SuccessorScorer, TextEmbedder, TokenEmbedder};
use crate::method::MethodSpec;
use crate::{Ranker, Settings};
use std::error::Error;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Any error of a neighbour, with its causes.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Something that a method asks of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Need {
    /// One vector per text.
    TextVectors,
    /// One vector per token of a text.
    TokenVectors,
    /// A score for a query and a document that are read together.
    PairScores,
    /// Scores of documents that are read together with the query, in one prompt.
    ListScores,
    /// Logits of labels as the next token of a prompt.
    LabelLogits,
    /// The log-probability of a given continuation of a prompt.
    Likelihoods,
    /// Text written after a prompt.
    Generation,
    /// Text in a prescribed form: an ordering, one of several answers, a sheet of scores.
    ConstrainedGeneration,
    /// The model's own tokens: counting and cutting texts.
    Tokenizer,
    /// Attention from tokens of the query to ranges of the prompt.
    Attention,
    /// Hidden states at places of a prompt.
    HiddenStates,
    /// One vector for a whole prompt.
    PromptVectors,
    /// The states of view tokens before a prompt.
    ViewVectors,
    /// A decoder of its own that makes an anchor of vectors.
    Anchors,
}

impl Need {
    /// All of them.
    pub const ALL: &'static [Need] = &[
        Need::TextVectors,
        Need::TokenVectors,
        Need::PairScores,
        Need::ListScores,
        Need::LabelLogits,
        Need::Likelihoods,
        Need::Generation,
        Need::ConstrainedGeneration,
        Need::Tokenizer,
        Need::Attention,
        Need::HiddenStates,
        Need::PromptVectors,
        Need::ViewVectors,
        Need::Anchors,
    ];

    /// The name for scripts.
    pub fn name(self) -> &'static str {
        match self {
            Need::TextVectors => "text-vectors",
            Need::TokenVectors => "token-vectors",
            Need::PairScores => "pair-scores",
            Need::ListScores => "list-scores",
            Need::LabelLogits => "label-logits",
            Need::Likelihoods => "likelihoods",
            Need::Generation => "generation",
            Need::ConstrainedGeneration => "constrained-generation",
            Need::Tokenizer => "tokenizer",
            Need::Attention => "attention",
            Need::HiddenStates => "hidden-states",
            Need::PromptVectors => "prompt-vectors",
            Need::ViewVectors => "view-vectors",
            Need::Anchors => "anchors",
        }
    }

    /// Whether it is asked of a model that reads prompts ([`LanguageModel::can`]).
    pub fn of_prompts(self) -> bool {
        !matches!(self, Need::TextVectors | Need::TokenVectors | Need::PairScores | Need::ListScores)
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Need::TextVectors => "one vector per text",
            Need::TokenVectors => "one vector per token",
            Need::PairScores => "scores of pairs",
            Need::ListScores => "scores of whole lists",
            Need::LabelLogits => "logits of labels",
            Need::Likelihoods => "log-probabilities of given texts",
            Need::Generation => "generated text",
            Need::ConstrainedGeneration => "text in a prescribed form",
            Need::Tokenizer => "its tokens",
            Need::Attention => "attention weights",
            Need::HiddenStates => "hidden states",
            Need::PromptVectors => "vectors of whole prompts",
            Need::ViewVectors => "states of view tokens",
            Need::Anchors => "anchors by a decoder of its own",
        })
    }
}

/// Whether a decoder says in its files which prompt it was trained to score pairs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PairPrompting {
    /// It was trained with the prompt of this name.
    Known(&'static str),
    /// It does not say.
    Unknown,
    /// Its files cannot be understood, and why.
    Wrong(String),
}

/// What a model can be used as. Each answer is the model in that role or the reason why it cannot play it.
pub trait Abilities: Send + Sync {
    /// The model's name or directory, for messages.
    fn model_name(&self) -> String;

    /// As an embedder of texts.
    fn text_embedder(self: Arc<Self>) -> Result<Arc<dyn TextEmbedder>, String> {
        Err("it gives no vectors of texts; give an embedding model with --model".into())
    }

    /// As an embedder of tokens.
    fn token_embedder(self: Arc<Self>) -> Result<Arc<dyn TokenEmbedder>, String> {
        Err("it gives no vectors of tokens; give a ColBERT-like or embedding model with --model".into())
    }

    /// As a scorer of pairs; a model that was made to write text, with the prompt of this name.
    fn pair_scorer(self: Arc<Self>, _prompt: Option<&str>) -> Result<Arc<dyn PairScorer>, String> {
        Err("it does not score pairs; give a cross-encoder with --model".into())
    }

    /// How a model that was made to write text is asked to score pairs; `None` for one that was made to score them, or
    /// cannot.
    fn pair_prompt(&self) -> Option<PairPrompting> {
        None
    }

    /// As a scorer of lists.
    fn list_scorer(self: Arc<Self>) -> Result<Arc<dyn ListScorer>, String> {
        Err("it does not score lists of documents; give a model like jina-reranker-v3 with --model".into())
    }

    /// As a scorer of successions; `None` for models that were not trained for them.
    fn successor_scorer(self: Arc<Self>) -> Option<Arc<dyn SuccessorScorer>> {
        None
    }

    /// As a model that reads prompts.
    fn language_model(self: Arc<Self>) -> Result<Arc<dyn LanguageModel>, String> {
        Err("it reads no prompts; give a decoder with --model, such as SmolLM2-135M-Instruct".into())
    }

    /// The same model with the block index of a folder, whose documents it then need not compute; `None` for models that
    /// read no stored blocks.
    ///
    /// # Errors
    /// The index is damaged or of another model, with what to do.
    fn with_stored_blocks(self: Arc<Self>, _: &Path) -> Option<Result<Arc<dyn Abilities>, BoxError>> {
        None
    }

    /// As a ranker that carries a method out by itself, out of our sight; `None` for models that are read here. The reason
    /// when it cannot, or not with these settings.
    fn own_ranker(self: Arc<Self>, _: &MethodSpec, _: &Settings) -> Option<Result<Arc<dyn Ranker>, String>> {
        None
    }
}
