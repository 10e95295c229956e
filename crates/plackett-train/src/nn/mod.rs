//! Model families, with the parameter names of Hugging Face, so that weights go both ways.

pub mod init;

mod bert;
mod blocks;
mod layers;
mod linformer;
mod llama;
mod low_rank;
mod noise;
mod prefix_head;
mod t5;
#[cfg(test)]
mod tests_of_recomputing;
mod weights;

pub use bert::{Bert, BertConfig, BertLayer};
pub use blocks::{BlockBatch, BlockPrompt, BlockReading, QUERY_POSITION};
pub use init::Initializer;
pub use layers::{EmbeddingAdapter, LayerNorm, Linear, LinearAdapter, SublayerAdapter, is_added, merged};
pub use linformer::PositionMix;
pub use llama::{Llama, LlamaConfig, LlamaLayer};
pub use low_rank::LowRankInitializer;
pub use noise::embedding_noise;
pub use prefix_head::{PREFIX_HEAD, PlaceLogits, PrefixHead, PrefixHeadConfig};
pub use t5::{T5, T5Attention, T5Block, T5Config, T5Stack};
pub use weights::{GgufSource, ParameterSource, SafetensorsSource, WeightSource, save};

use crate::TrainError;
use crate::engine::Attention;
use std::ops::Range;
use std::sync::Arc;

/// Checks that each head of attention has as many numbers as the others, and some.
fn check_heads(width: usize, heads: usize) -> Result<(), TrainError> {
    match heads > 0 && width > 0 && width.is_multiple_of(heads) {
        true => Ok(()),
        false => Err(TrainError::Model(format!(
            "config.json asks for {heads} heads of attention in a width of {width}, which has to be a multiple of them"
        ))),
    }
}

/// Sequences of token ids, one after another.
#[derive(Clone, Debug)]
pub struct TokenBatch {
    /// The tokens of all sequences.
    pub tokens: Vec<u32>,
    /// Segments of the tokens (0 for the first text of a pair, 1 for the second), where the model has them.
    pub segments: Vec<u32>,
    /// Where each sequence lies.
    pub sequences: Arc<[Range<usize>]>,
}

impl TokenBatch {
    /// A batch of sequences in one segment.
    pub fn new<'a>(sequences: impl IntoIterator<Item = &'a [u32]>) -> TokenBatch {
        let empty: &[u32] = &[];
        TokenBatch::pairs(sequences.into_iter().map(|tokens| (tokens, empty)))
    }

    /// A batch of sequences, each in two parts: the first in segment 0, the second in segment 1.
    pub fn pairs<'a>(parts: impl IntoIterator<Item = (&'a [u32], &'a [u32])>) -> TokenBatch {
        let (mut tokens, mut segments, mut sequences) = (Vec::new(), Vec::new(), Vec::new());
        for (first, second) in parts {
            let start = tokens.len();
            tokens.extend_from_slice(first);
            tokens.extend_from_slice(second);
            segments.resize(start + first.len(), 0);
            segments.resize(tokens.len(), 1);
            sequences.push(start..tokens.len());
        }
        TokenBatch { tokens, segments, sequences: sequences.into() }
    }

    /// The same tokens, with the two parts of each sequence as sequences of their own.
    pub fn separated(&self) -> TokenBatch {
        let mut sequences = Vec::with_capacity(2 * self.sequences.len());
        for sequence in self.sequences.iter() {
            let first = self.segments[sequence.clone()].iter().take_while(|segment| **segment == 0).count();
            let border = sequence.start + first;
            sequences.extend(
                [sequence.start..border, border..sequence.end].into_iter().filter(|part| !part.is_empty()),
            );
        }
        TokenBatch { sequences: sequences.into(), ..self.clone() }
    }

    /// The position of each token in its sequence.
    pub fn positions(&self) -> Vec<u32> {
        self.sequences.iter().flat_map(|sequence| 0..sequence.len() as u32).collect()
    }

    fn attention(&self, heads: usize, key_heads: usize, size: usize, causal: bool) -> Attention {
        let scale = 1.0 / (size as f32).sqrt();
        let sequences = self.sequences.clone();
        Attention { sequences, key_sequences: None, heads, key_heads, causal, hidden: None, scale }
    }
}

/// How a model is run while it is trained.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mode {
    /// Share of numbers that dropout sets to zero; 0 for evaluation.
    pub dropout: f32,
    /// From which it follows which ones; another one for each step.
    pub key: u64,
    /// Whether a step is taken, so that noise may be added; not for evaluation.
    pub is_training: bool,
}

impl Mode {
    /// The key of one place in the model.
    pub(crate) fn place(&self, layer: usize, place: u64) -> u64 {
        self.key.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(layer as u64 * 16 + place)
    }
}
