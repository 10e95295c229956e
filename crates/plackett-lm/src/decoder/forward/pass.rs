//! A pass: the model, how far it goes, and the buffers that it borrows.

use crate::decoder::compute::Compute;
use crate::decoder::kv::format::CacheFormat;
use crate::decoder::kv::segment::KvSegment;
use crate::decoder::weights::{DecoderWeights, LayerScratch};
use plackett_kernel::{BufferPool, CachedScratch, Isa, TILE_ROWS, block_rows};
use std::ops::Range;

/// Buffers that outlive a call.
#[derive(Default)]
pub(crate) struct Buffers {
    pub(super) layer: BufferPool<LayerScratch>,
    pub(super) attention: BufferPool<AttentionBuffers>,
    pub(super) batches: BufferPool<BatchBuffers>,
}

#[derive(Default)]
pub(super) struct AttentionBuffers {
    pub(super) kernel: CachedScratch,
    pub(super) queries: Vec<f32>,
}

#[derive(Default)]
pub(super) struct BatchBuffers {
    pub(super) x: Vec<f32>,
    pub(super) qkv: Vec<f32>,
    /// Contexts, head of keys by head of keys.
    pub(super) context: Vec<f32>,
    /// Cosines and sines of each token, kind by kind.
    pub(super) angles: Vec<Vec<f32>>,
    /// Keys and values of one layer, for sequences that leave no cache.
    pub(super) scratch_kv: Vec<KvSegment>,
}

impl Buffers {
    /// Lets go of what batches left that are done, so that a budget need not count it: the next batch needs more of one
    /// buffer and less of another.
    pub(crate) fn clear(&self) {
        self.layer.clear();
        self.attention.clear();
        self.batches.clear();
    }
}

/// A decoder at work.
pub(crate) struct Pass<'a> {
    pub decoder: &'a DecoderWeights,
    pub isa: Isa,
    pub buffers: &'a Buffers,
    pub format: CacheFormat,
    /// Layers to run: keys and values of a segment are those of these layers.
    pub layers: Range<usize>,
    /// What goes into the first of them, row by row; `None` for the input vectors of the tokens.
    pub states: Option<&'a [f32]>,
    /// Whether only keys and values are computed, all layers from the same states, which no layer changes.
    pub keys_only: bool,
}

impl Pass<'_> {
    /// Rows of a block, and how products of a block are done.
    pub(super) fn split(&self, tokens: usize, workers: usize) -> (usize, usize, Compute) {
        let compute = |workers| Compute { isa: self.isa, workers };
        if workers > 1 && tokens < TILE_ROWS * workers {
            return (tokens, 1, compute(workers));
        }
        (block_rows(tokens, workers), workers, compute(1))
    }
}
