//! What a forward pass is asked and what it answers.

use crate::adapter::lora::Adapter;
use crate::decode::model::LogitIds;
use crate::decoder::kv::cache::KvCache;
use std::ops::Range;

/// One sequence of a forward pass.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// New tokens, at least one.
    pub tokens: &'a [u32],
    /// What comes before them; they see all of it.
    pub cache: Option<&'a KvCache>,
    /// Which new tokens a new token sees.
    pub pattern: AttentionPattern,
    /// What is added to the model's matrices for this sequence alone. A cache is continued with the adapter it was made
    /// with.
    pub adapter: Option<&'a Adapter>,
    /// What is read.
    pub outputs: OutputRequest<'a>,
}

/// Which new tokens a new token sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttentionPattern {
    /// Those before it and itself.
    #[default]
    Causal,
    /// All.
    Bidirectional,
}

/// What is read from a sequence. By default nothing.
#[derive(Clone, Debug)]
pub struct OutputRequest<'a> {
    /// New tokens after which logits are wanted.
    pub logits_at: Positions<'a>,
    /// Of which ids.
    pub logit_ids: LogitIds<'a>,
    /// Also ln Σ exp(logit) over the whole vocabulary, for each of these tokens.
    pub normalizer: bool,
    /// New tokens whose hidden states are wanted.
    pub hidden: Positions<'a>,
    /// Hidden states after so many layers (0 is the input), without the last normalisation. Empty: those at the end of
    /// the pass, normalised, which is what embeddings are made of.
    pub hidden_after: &'a [usize],
    /// Attention weights.
    pub attention: Option<AttentionRequest<'a>>,
    /// Keys and values of all tokens, to continue from.
    pub cache: bool,
}

impl Default for OutputRequest<'_> {
    fn default() -> Self {
        OutputRequest {
            logits_at: Positions::None,
            logit_ids: LogitIds::None,
            normalizer: false,
            hidden: Positions::None,
            hidden_after: &[],
            attention: None,
            cache: false,
        }
    }
}

/// Some of the new tokens, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Positions<'a> {
    /// None.
    #[default]
    None,
    /// The last.
    Last,
    /// All.
    All,
    /// These, in this order.
    At(&'a [usize]),
}

impl Positions<'_> {
    /// How many, of a sequence of `tokens` tokens.
    pub(super) fn count(&self, tokens: usize) -> usize {
        match self {
            Positions::None => 0,
            Positions::Last => 1,
            Positions::All => tokens,
            Positions::At(list) => list.len(),
        }
    }

    /// As numbers, for a sequence of `tokens` tokens.
    pub(super) fn list(&self, tokens: usize) -> Vec<usize> {
        match self {
            Positions::None => Vec::new(),
            Positions::Last => vec![tokens - 1],
            Positions::All => (0..tokens).collect(),
            Positions::At(list) => list.to_vec(),
        }
    }
}

/// Sums of attention weights: from queries to ranges of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionRequest<'a> {
    /// Layers, from 0.
    pub layers: &'a [usize],
    /// New tokens.
    pub queries: &'a [usize],
    /// Ranges of tokens, counted from the first of the cache.
    pub keys: &'a [Range<usize>],
    /// Only the sum over heads of the mean over queries, for each layer and range.
    pub summed: bool,
}

/// What a pass gives for one sequence.
#[derive(Clone, Debug, Default)]
pub struct SequenceOutput {
    /// A row for each of [`OutputRequest::logits_at`].
    pub logits: Vec<Vec<f32>>,
    /// One for each of [`OutputRequest::logits_at`], when they were wanted.
    pub normalizers: Vec<f64>,
    /// Hidden states, `layers × places × hidden` (one layer when none was named).
    pub hidden: Vec<f32>,
    /// Attention, `layers × heads × queries × ranges`, or `layers × ranges` when summed.
    pub attention: Vec<f32>,
    /// The cache of all tokens.
    pub cache: Option<KvCache>,
}
