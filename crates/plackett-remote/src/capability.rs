//! What an interface of a remote model can give. What it cannot is refused by name before anything is sent.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// An interface of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Api {
    /// OpenAI-compatible `/v1/chat/completions`.
    Chat,
    /// OpenAI-compatible `/v1/completions`.
    Completions,
    /// OpenAI-compatible `/v1/embeddings`.
    Embeddings,
    /// text-embeddings-inference `/embed`.
    TeiEmbed,
    /// text-embeddings-inference `/rerank`.
    TeiRerank,
    /// text-embeddings-inference `/predict`.
    TeiPredict,
    /// Cohere `/v2/rerank`.
    Rerank,
    /// Jina `/v1/rerank`, also that of vLLM, llama.cpp and infinity.
    RerankV1,
}

/// Something that a method may want from a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Capability {
    /// Text written after a prompt or conversation.
    Generation,
    /// This many most probable tokens per position, with log-probabilities.
    TopLogprobs(usize),
    /// Log-probabilities of the tokens of a given text.
    EchoLogprobs,
    /// One vector per text.
    Embeddings,
    /// Scores of texts for a query.
    Scores,
    /// Labels with scores.
    Labels,
    /// Logits of chosen token ids, whatever their rank.
    ChosenLogits,
    /// Hidden states at chosen positions and layers.
    HiddenStates,
    /// Attention from chosen positions to chosen blocks.
    AttentionMass,
    /// Attention in blocks.
    BlockAttention,
    /// One vector per token.
    TokenEmbeddings,
    /// Keys and values to continue from.
    Cache,
    /// Decoding under a constraint of ours.
    ConstrainedDecoding,
    /// Stopping after a layer.
    EarlyExit,
    /// The tokens of a text and where they are in it.
    Tokenizer,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Capability::TopLogprobs(count) => {
                return write!(f, "the {count} most probable tokens of a position");
            }
            Capability::Generation => "generated text",
            Capability::EchoLogprobs => "log-probabilities of a given text",
            Capability::Embeddings => "embeddings",
            Capability::Scores => "scores of texts for a query",
            Capability::Labels => "labels with scores",
            Capability::ChosenLogits => "logits of chosen tokens",
            Capability::HiddenStates => "hidden states",
            Capability::AttentionMass => "attention mass",
            Capability::BlockAttention => "attention in blocks",
            Capability::TokenEmbeddings => "one vector per token",
            Capability::Cache => "a cache of keys and values",
            Capability::ConstrainedDecoding => "decoding under a constraint",
            Capability::EarlyExit => "results of an inner layer",
            Capability::Tokenizer => "its tokenizer",
        };
        f.write_str(name)
    }
}

impl Api {
    /// All of them.
    pub const ALL: &'static [Api] = &[
        Api::Chat,
        Api::Completions,
        Api::Embeddings,
        Api::TeiEmbed,
        Api::TeiRerank,
        Api::TeiPredict,
        Api::Rerank,
        Api::RerankV1,
    ];

    /// The name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Api::Chat => "chat",
            Api::Completions => "completions",
            Api::Embeddings => "embeddings",
            Api::TeiEmbed => "tei-embed",
            Api::TeiRerank => "tei-rerank",
            Api::TeiPredict => "tei-predict",
            Api::Rerank => "rerank",
            Api::RerankV1 => "rerank-v1",
        }
    }

    /// Its path on the server.
    pub fn path(self) -> &'static str {
        match self {
            Api::Chat => "/v1/chat/completions",
            Api::Completions => "/v1/completions",
            Api::Embeddings => "/v1/embeddings",
            Api::TeiEmbed => "/embed",
            Api::TeiRerank => "/rerank",
            Api::TeiPredict => "/predict",
            Api::Rerank => "/v2/rerank",
            Api::RerankV1 => "/v1/rerank",
        }
    }

    /// Most alternatives per position where nothing else is known.
    pub(crate) fn usual_top_logprobs(self) -> usize {
        if self == Api::Chat { 20 } else { 5 }
    }

    /// Most texts of a request where nothing else is known.
    pub(crate) fn usual_batch(self) -> usize {
        match self {
            Api::TeiEmbed | Api::TeiRerank | Api::TeiPredict => 32,
            _ => 256,
        }
    }

    /// Whether this interface has a form for something, or the reason why not.
    pub fn can(self, wanted: Capability) -> Result<(), &'static str> {
        let (has, reason) = match wanted {
            Capability::Generation => (
                matches!(self, Api::Chat | Api::Completions),
                "it does not generate; use `chat` or `completions`",
            ),
            Capability::TopLogprobs(_) => (
                matches!(self, Api::Chat | Api::Completions),
                "it has no log-probabilities; use `chat` or `completions`",
            ),
            Capability::EchoLogprobs => {
                (self == Api::Completions, "only `completions` can repeat a text with its log-probabilities")
            }
            Capability::Embeddings => (
                matches!(self, Api::Embeddings | Api::TeiEmbed),
                "it has no vectors; use `embeddings` or `tei-embed`",
            ),
            Capability::Scores => (
                matches!(self, Api::TeiRerank | Api::Rerank | Api::RerankV1),
                "it does not score texts; use `rerank`, `rerank-v1` or `tei-rerank`",
            ),
            Capability::Labels => (self == Api::TeiPredict, "it has no labels; use `tei-predict`"),
            Capability::ChosenLogits => (
                false,
                "a server tells only the log-probabilities of its most probable tokens; use them (chosen_logprobs) or \
                 a local model",
            ),
            Capability::HiddenStates => (false, "they do not leave the server; use a local model"),
            Capability::AttentionMass => (false, "it does not leave the server; use a local model"),
            Capability::BlockAttention => (false, "no server has a form for it; use a local model"),
            Capability::TokenEmbeddings => (false, "it gives one vector per text; use a local model"),
            Capability::Cache => (false, "it stays on the server; use a local model"),
            Capability::ConstrainedDecoding => {
                (false, "the server chooses each token without our constraint; use a local model")
            }
            Capability::EarlyExit => {
                (false, "only the last layer's results leave the server; use a local model")
            }
            Capability::Tokenizer => {
                (false, "it counts and cuts texts itself; send shorter texts or use a local model")
            }
        };
        if has { Ok(()) } else { Err(reason) }
    }
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An interface that does not exist.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{given}` is not an interface of remote models; use one of: {known}")]
pub struct UnknownApi {
    given: String,
    known: String,
}

impl FromStr for Api {
    type Err = UnknownApi;

    fn from_str(text: &str) -> Result<Api, UnknownApi> {
        Api::ALL.iter().copied().find(|api| api.name() == text).ok_or_else(|| UnknownApi {
            given: text.to_string(),
            known: Api::ALL.iter().map(|api| api.name()).collect::<Vec<_>>().join(", "),
        })
    }
}
