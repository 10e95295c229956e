//! What a family of encoders is to the pass that runs it.

use crate::text::sequence::Sequence;
use plackett_kernel::{AttentionScratch, Heads, Isa, Linear, LinearScratch, Relative, Window};

/// Sizes of a model.
#[derive(Clone, Debug)]
pub(crate) struct EncoderShape {
    /// Numbers per token between layers.
    pub hidden: usize,
    /// Numbers per token inside the feed-forward part (both halves of a gated one).
    pub intermediate: usize,
    /// Layers.
    pub layers: usize,
    /// Where a packed row keeps queries, keys and values.
    pub heads: Heads,
}

/// What a family of models computes, token by token; attention between tokens is the engine's.
pub(crate) trait Family: Send + Sync {
    /// Sizes.
    fn shape(&self) -> &EncoderShape;
    /// Rows of the word embedding matrix.
    fn vocabulary(&self) -> usize;
    /// Longest sequence.
    fn positions(&self) -> usize;
    /// The matrices that every token goes through, in order.
    fn matrices(&self) -> Vec<&Linear>;
    /// Bytes of their weights in memory.
    fn weight_bytes(&self) -> usize {
        self.matrices().iter().map(|matrix| matrix.bytes()).sum()
    }
    /// Most numbers of a row between the two factors of a matrix; 0 where all are whole.
    fn widest_middle(&self) -> usize {
        0
    }
    /// Input vectors of a sequence.
    fn embed(&self, isa: Isa, sequence: &Sequence, out: &mut [f32]);
    /// Queries, keys and values of some rows; `positions` are their places in their sequences.
    fn qkv(&self, at: At, x: &[f32], positions: &[u32], qkv: &mut [f32], scratch: &mut RowScratch);
    /// Which keys a query sees in a layer.
    fn window(&self, layer: usize) -> Window;
    /// Biases by distance; scores are then not scaled.
    fn relative(&self) -> Option<&Relative> {
        None
    }
    /// From the contexts of some rows to the layer's output, in place of its input.
    fn after_attention(&self, at: At, context: &[f32], x: &mut [f32], scratch: &mut RowScratch);
    /// After the last layer.
    fn final_norm(&self, isa: Isa, x: &mut [f32]);
}

/// Where in the model.
#[derive(Clone, Copy)]
pub(crate) struct At {
    pub isa: Isa,
    pub layer: usize,
}

/// Buffers for a block of rows.
#[derive(Default)]
pub(crate) struct RowScratch {
    pub linear: LinearScratch,
    pub inner: Vec<f32>,
    pub outer: Vec<f32>,
    /// Between the two factors of a matrix.
    pub middle: Vec<f32>,
    pub attention: AttentionScratch,
}
