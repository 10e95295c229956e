//! The coarse operations that model code is written in.
//!
//! They are few, so that another engine, of a graphics processor say, can take the place of the one here without touching a
//! model or an objective. Matrices are row-major; activations have one row a token, the sequences of a batch one after
//! another without padding.

mod cpu;

pub(crate) use cpu::linear::product;

pub use plackett_kernel::Activation;

use crate::tape::{ParameterId, Tape, Var};
use std::ops::Range;
use std::sync::Arc;

/// Attention of the tokens of each sequence to each other, or to those of another one.
#[derive(Clone, Debug)]
pub struct Attention {
    /// The rows of each sequence.
    pub sequences: Arc<[Range<usize>]>,
    /// The rows of the keys and values of each sequence, where they are others than those of its queries (cross attention).
    pub key_sequences: Option<Arc<[Range<usize>]>>,
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and values; a divisor of `heads`. Queries of neighbouring heads share one.
    pub key_heads: usize,
    /// Whether a token sees those after it.
    pub causal: bool,
    /// With `causal`, for each row the rows of its sequence, counted from the first one of that, which it does not see although
    /// they come before it; none of them is hidden without.
    pub hidden: Option<Arc<[Range<usize>]>>,
    /// What scores are multiplied with before the softmax.
    pub scale: f32,
}

/// How distances (place of the key − place of the query) share biases: short ones have a bucket each, longer ones wider and
/// wider ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DistanceBuckets {
    /// How many there are; at least 4.
    pub count: usize,
    /// From which distance on all are in one; greater than `count`.
    pub reach: usize,
    /// Whether half of them are for keys after the query; else those are in the bucket of distance 0.
    pub both: bool,
}

/// Rotary position embedding: pairs of numbers of a head, half a head apart, are turned by position · base^(−2i/size).
#[derive(Clone, Debug)]
pub struct Rotary {
    /// The position of each row.
    pub positions: Arc<[u32]>,
    /// Numbers of a head.
    pub head_size: usize,
    /// The base of the angles.
    pub base: f32,
}

/// What one row becomes of the rows of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// Their mean.
    Mean,
    /// The first of them.
    First,
    /// The last of them.
    Last,
}

/// Coarse operations on matrices, each with its gradient. Weights of linear layers are outputs × inputs, as Hugging Face
/// has them.
pub trait Engine {
    /// A matrix.
    type Tensor: Clone;

    /// A matrix without a gradient.
    fn constant(&self, shape: (usize, usize), data: &[f32]) -> Self::Tensor;

    /// A parameter.
    fn parameter(&self, id: ParameterId) -> Self::Tensor;

    /// For each row the sum of one row of each table: tokens × width.
    fn embedding(&self, tables: &[(Self::Tensor, &[u32])]) -> Self::Tensor;

    /// x · weightᵀ + bias + residual.
    fn linear(
        &self,
        x: &Self::Tensor,
        weight: &Self::Tensor,
        bias: Option<&Self::Tensor>,
        residual: Option<&Self::Tensor>,
    ) -> Self::Tensor;

    /// Each row with mean 0 and variance 1, times weight, plus bias.
    fn layer_norm(
        &self,
        x: &Self::Tensor,
        weight: &Self::Tensor,
        bias: &Self::Tensor,
        epsilon: f32,
    ) -> Self::Tensor;

    /// Each row over its root mean square, times weight.
    fn rms_norm(&self, x: &Self::Tensor, weight: &Self::Tensor, epsilon: f32) -> Self::Tensor;

    /// The activation of each number.
    fn activation(&self, x: &Self::Tensor, activation: Activation) -> Self::Tensor;

    /// activation(gate) · up, number by number.
    fn gated(&self, gate: &Self::Tensor, up: &Self::Tensor, activation: Activation) -> Self::Tensor;

    /// Heads turned by their positions.
    fn rotary(&self, x: &Self::Tensor, rotary: &Rotary) -> Self::Tensor;

    /// Softmax attention within each sequence: tokens × (heads · head size). `bias`, buckets × heads, is added to scores after
    /// the scale.
    fn attention(
        &self,
        query: &Self::Tensor,
        key: &Self::Tensor,
        value: &Self::Tensor,
        bias: Option<(&Self::Tensor, DistanceBuckets)>,
        attention: &Attention,
    ) -> Self::Tensor;

    /// One row a sequence.
    fn pool(&self, x: &Self::Tensor, sequences: &[Range<usize>], pooling: Pooling) -> Self::Tensor;

    /// Some rows, in this order.
    fn select_rows(&self, x: &Self::Tensor, rows: &[usize]) -> Self::Tensor;

    /// For each (row, token) the log-probability of the token under the softmax of row · weightᵀ, as a column. The logits of
    /// all rows never exist at once.
    fn token_log_probabilities(
        &self,
        x: &Self::Tensor,
        weight: &Self::Tensor,
        targets: &[(usize, u32)],
    ) -> Self::Tensor;

    /// Numbers set to zero with a probability, and the others divided by what is left; which ones follows from `key` and
    /// their places alone.
    fn dropout(&self, x: &Self::Tensor, rate: f32, key: u64) -> Self::Tensor;

    /// a + b.
    fn add(&self, a: &Self::Tensor, b: &Self::Tensor) -> Self::Tensor;
}

impl Engine for Tape<'_> {
    type Tensor = Var;

    fn constant(&self, shape: (usize, usize), data: &[f32]) -> Var {
        Tape::constant(self, shape, data)
    }

    fn parameter(&self, id: ParameterId) -> Var {
        Tape::parameter(self, id)
    }

    fn embedding(&self, tables: &[(Var, &[u32])]) -> Var {
        cpu::rows::embedding(self, tables)
    }

    fn linear(&self, x: &Var, weight: &Var, bias: Option<&Var>, residual: Option<&Var>) -> Var {
        cpu::linear::linear(self, x, weight, bias, residual)
    }

    fn layer_norm(&self, x: &Var, weight: &Var, bias: &Var, epsilon: f32) -> Var {
        cpu::norm::layer_norm(self, x, weight, bias, epsilon)
    }

    fn rms_norm(&self, x: &Var, weight: &Var, epsilon: f32) -> Var {
        cpu::norm::rms_norm(self, x, weight, epsilon)
    }

    fn activation(&self, x: &Var, activation: Activation) -> Var {
        cpu::activation::activation(self, x, activation)
    }

    fn gated(&self, gate: &Var, up: &Var, activation: Activation) -> Var {
        cpu::activation::gated(self, gate, up, activation)
    }

    fn rotary(&self, x: &Var, rotary: &Rotary) -> Var {
        cpu::rotary::rotary(self, x, rotary)
    }

    fn attention(
        &self,
        query: &Var,
        key: &Var,
        value: &Var,
        bias: Option<(&Var, DistanceBuckets)>,
        attention: &Attention,
    ) -> Var {
        cpu::attention::attention(self, [query, key, value], bias, attention)
    }

    fn pool(&self, x: &Var, sequences: &[Range<usize>], pooling: Pooling) -> Var {
        cpu::rows::pool(self, x, sequences, pooling)
    }

    fn select_rows(&self, x: &Var, rows: &[usize]) -> Var {
        cpu::rows::select(self, x, rows)
    }

    fn token_log_probabilities(&self, x: &Var, weight: &Var, targets: &[(usize, u32)]) -> Var {
        cpu::log_probabilities::token_log_probabilities(self, x, weight, targets)
    }

    fn dropout(&self, x: &Var, rate: f32, key: u64) -> Var {
        cpu::activation::dropout(self, x, rate, key)
    }

    fn add(&self, a: &Var, b: &Var) -> Var {
        cpu::rows::add(self, a, b)
    }
}
