//! How models are opened: what a user says once for all of them.

use plackett_lm::decoder::DecoderOptions;
use plackett_lm::seq2seq::EncoderDecoderOptions;
use plackett_lm::{EncoderOptions, Precision};

/// How models are opened, whatever their architecture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelOptions {
    /// Whether servers are out of bounds too. (Nothing is ever downloaded when a model is opened.)
    pub offline: bool,
    /// Worker threads of a model; all cores when absent.
    pub threads: Option<usize>,
    /// Bytes that a model's weights and the buffers of a call may take together; unlimited when absent. Work is split to
    /// keep it, with the same results.
    pub memory_budget: Option<usize>,
    /// In which numbers decoders multiply their matrices.
    pub decoder_precision: Precision,
}

impl ModelOptions {
    /// For an encoder.
    pub fn encoder(&self) -> EncoderOptions {
        let (threads, memory_budget) = (self.threads, self.memory_budget);
        EncoderOptions { threads, memory_budget, ..EncoderOptions::default() }
    }

    /// For a decoder.
    pub fn decoder(&self) -> DecoderOptions {
        let (threads, memory_budget) = (self.threads, self.memory_budget);
        let precision = self.decoder_precision;
        DecoderOptions { precision, threads, memory_budget, ..DecoderOptions::default() }
    }

    /// For an encoder–decoder.
    pub fn encoder_decoder(&self) -> EncoderDecoderOptions {
        let (threads, memory_budget) = (self.threads, self.memory_budget);
        EncoderDecoderOptions { threads, memory_budget, ..EncoderDecoderOptions::default() }
    }
}
