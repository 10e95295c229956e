//! What a model of texts is asked, gives and tells about itself.

use crate::files::config::Pooling;
use crate::text::sequence::Sequence;
use crate::text::tokenizer::{Encoded, Truncated};
use plackett_kernel::Isa;

/// Which side of a comparison a text is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The question.
    Query,
    /// The text that may answer it.
    Document,
}

/// How texts are embedded.
#[derive(Clone, Debug, Default)]
pub struct EmbedOptions {
    /// Text put before each text: see [`EncoderModel::prompt`](crate::EncoderModel::prompt).
    pub prompt: String,
    /// Cut texts to this many tokens, when that is less than the model's own limit.
    pub max_tokens: Option<usize>,
}

/// One vector per text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Embeddings {
    /// Numbers per vector.
    pub dim: usize,
    /// `texts × dim`, row-major.
    pub data: Vec<f32>,
    /// Tokens of each text that the model saw.
    pub tokens: Vec<usize>,
    /// Texts that were cut.
    pub truncated: Vec<Truncated>,
}

/// One score per pair.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PairScores {
    /// Raw outputs: these decide an order.
    pub logits: Vec<f32>,
    /// After the model's activation.
    pub scores: Vec<f64>,
    /// Tokens of each pair that the model saw.
    pub tokens: Vec<usize>,
    /// Pairs that were cut.
    pub truncated: Vec<Truncated>,
}

/// One vector per token of each text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenEmbeddings {
    /// Numbers per vector.
    pub dim: usize,
    /// Per text `vectors × dim`, row-major; each vector has length 1.
    pub data: Vec<Vec<f32>>,
    /// Tokens of each text that the model saw.
    pub tokens: Vec<usize>,
    /// Texts that were cut.
    pub truncated: Vec<Truncated>,
}

/// Facts about an open model.
#[derive(Clone, Debug)]
pub struct ModelInfo {
    /// The directory's name.
    pub name: String,
    /// `model_type` of config.json.
    pub family: String,
    /// Layers.
    pub layers: usize,
    /// Numbers per token between layers.
    pub hidden: usize,
    /// Numbers per text vector.
    pub dim: usize,
    /// Longest input in tokens.
    pub max_tokens: usize,
    /// How token vectors are pooled; `None` for a late-interaction model.
    pub pooling: Option<Pooling>,
    /// Whether it scores pairs.
    pub cross_encoder: bool,
    /// Numbers of the matrices: `f32`, or `int8` or `packed`, where inputs are rounded too.
    pub precision: &'static str,
    /// Bytes of weights: of an encoder its files', of a decoder those in memory.
    pub weight_bytes: usize,
    /// Instruction set of the kernels.
    pub isa: Isa,
    /// Worker threads.
    pub threads: usize,
}

/// What is wrong with a text that is empty for a model.
pub(crate) const NO_TOKENS: &str = "it has no tokens, and the tokenizer adds none; leave it out";

pub(crate) fn split(encoded: Vec<Encoded>) -> (Vec<Sequence>, Vec<usize>, Vec<Truncated>) {
    let tokens = encoded.iter().map(|e| e.sequence.len()).collect();
    let cut = encoded.iter().enumerate().filter(|(_, e)| e.whole > e.sequence.len());
    let cut = cut.map(|(index, e)| Truncated {
        index,
        tokens: e.whole,
        kept: e.sequence.len(),
        estimated: e.estimated,
    });
    let truncated = cut.collect();
    (encoded.into_iter().map(|e| e.sequence).collect(), tokens, truncated)
}
