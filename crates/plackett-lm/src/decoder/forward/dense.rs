//! The dense layers of a chunk: from states to queries, keys and values, and from contexts to states.

use crate::decoder::chunk::Chunk;
use crate::decoder::forward::pass::{BatchBuffers, Pass};
use crate::decoder::kv::cache::KvCache;
use crate::decoder::lora::LoraBatch;
use crate::decoder::query_blocks::PackedSequence;
use crate::decoder::weights::LayerScratch;
use plackett_kernel::{fit, for_each};
use rayon::prelude::*;

impl Pass<'_> {
    /// What goes into the first layer: given states, or input vectors.
    pub(super) fn embed(&self, sequences: &[PackedSequence], buffers: &mut BatchBuffers) {
        let shape = &self.decoder.shape;
        let tokens: usize = sequences.iter().map(|sequence| sequence.tokens).sum();
        fit(&mut buffers.x, tokens * shape.hidden);
        if let Some(states) = self.states {
            buffers.x.copy_from_slice(states);
            return;
        }
        for sequence in sequences {
            let rows = &mut buffers.x[sequence.start * shape.hidden..][..sequence.tokens * shape.hidden];
            self.decoder.embed(self.isa, sequence.request.tokens, rows);
        }
    }

    /// Angles of a chunk.
    pub(super) fn rope_angles(
        &self,
        chunk: &Chunk,
        sequences: &[PackedSequence],
        buffers: &mut BatchBuffers,
    ) {
        let shape = &self.decoder.shape;
        buffers.angles.resize(shape.ropes.len(), Vec::new());
        for (angles, rope) in buffers.angles.iter_mut().zip(&shape.ropes) {
            fit(angles, chunk.rows.len() * shape.size);
            let mut rows = angles.chunks_exact_mut(shape.size);
            for sequence in sequences {
                let first = sequence.request.cache.map_or(0, KvCache::position);
                let (_, tokens) = chunk.rows_of(sequence);
                for (token, row) in tokens.clone().zip(rows.by_ref().take(tokens.len())) {
                    let (cosines, sines) = row.split_at_mut(shape.size / 2);
                    rope.at(first + token as u32, cosines, sines);
                }
            }
        }
    }

    pub(super) fn qkv(&self, chunk: &Chunk, buffers: &mut BatchBuffers) {
        let shape = &self.decoder.shape;
        let (layer, tokens) = (chunk.layer, chunk.rows.len());
        let (rows, workers, compute) = self.split(tokens, chunk.workers);
        let angles = &buffers.angles[shape.layers[layer].rope];
        let x = &buffers.x[chunk.rows.start * shape.hidden..][..tokens * shape.hidden];
        let qkv = &mut buffers.qkv[..tokens * shape.qkv()];
        let blocks = x.par_chunks(rows * shape.hidden).zip(qkv.par_chunks_mut(rows * shape.qkv()));
        let blocks = blocks.zip(angles.par_chunks(rows * shape.size)).enumerate();
        for_each(workers, blocks, |(block, ((x, qkv), angles))| {
            let lora = chunk.lora.at(layer, chunk.rows.start + block * rows);
            self.buffers.layer.with(|scratch| {
                self.decoder.qkv(compute, layer, x, angles, lora, qkv, scratch);
            });
        });
    }

    /// From contexts to the layer's output: of the tokens that are read after the last layer, else of all.
    pub(super) fn after_attention(&self, chunk: &Chunk, buffers: &mut BatchBuffers) {
        let (hidden, qkv) = (self.decoder.shape.hidden, self.decoder.shape.qkv());
        let (first, tokens) = (chunk.rows.start, chunk.rows.len());
        let BatchBuffers { x, qkv: done, context, .. } = buffers;
        let last_layer = chunk.last_layer.map(|last_layer| (last_layer, last_layer.states(&chunk.rows)));
        // The room of queries, keys and values, which are done with, takes the states of some rows.
        if let Some((last_layer, (rows, before))) = last_layer
            && 2 * rows.len() <= tokens
            && rows.len() * hidden <= tokens * qkv
        {
            if rows.is_empty() {
                return;
            }
            let some = &mut done[..rows.len() * hidden];
            for (row, out) in rows.iter().zip(some.chunks_exact_mut(hidden)) {
                out.copy_from_slice(&x[row * hidden..][..hidden]);
            }
            self.after_attention_rows(
                chunk,
                |index| rows[index] - first,
                (&last_layer.lora, before),
                context,
                some,
            );
            for (row, out) in rows.iter().zip(some.chunks_exact(hidden)) {
                x[row * hidden..][..hidden].copy_from_slice(out);
            }
            return;
        }
        let x = &mut x[first * hidden..][..tokens * hidden];
        self.after_attention_rows(chunk, |index| index, (chunk.lora, first), context, x);
    }

    /// The same of the rows whose states are `x`; `place` says which of the chunk each is. Adapters are those of the rows from
    /// `before` on.
    fn after_attention_rows(
        &self,
        chunk: &Chunk,
        place: impl Fn(usize) -> usize + Sync,
        (lora, before): (&LoraBatch, usize),
        context: &[f32],
        x: &mut [f32],
    ) {
        let shape = &self.decoder.shape;
        let width = shape.group() * shape.size;
        let tokens = chunk.rows.len();
        let (rows, workers, compute) = self.split(x.len() / shape.hidden, chunk.workers);
        for_each(workers, x.par_chunks_mut(rows * shape.hidden).enumerate(), |(block, x)| {
            self.buffers.layer.with(|scratch| {
                let first = block * rows;
                scratch.context.clear();
                scratch.context.reserve_exact(x.len() / shape.hidden * shape.contexts());
                for row in (first..first + x.len() / shape.hidden).map(&place) {
                    for head in 0..shape.kv_heads {
                        let own = &context[(head * tokens + row) * width..][..width];
                        scratch.context.extend_from_slice(own);
                    }
                }
                let lora = lora.at(chunk.layer, before + first);
                self.decoder.after_attention(compute, chunk.layer, lora, x, scratch);
            });
        });
    }

    /// Does nothing but the matrix products of the layers for `tokens` tokens, cut as a pass cuts them.
    pub(crate) fn products_alone(&self, tokens: usize, workers: usize) {
        let (rows, spread, compute) = self.split(tokens, workers);
        let tasks = (0..tokens.div_ceil(rows) * compute.workers).into_par_iter();
        for_each(spread.max(compute.workers), tasks, |task| {
            let (block, part) = (task / compute.workers, task % compute.workers);
            let rows = rows.min(tokens - block * rows);
            self.buffers.layer.with(|scratch| {
                for matrix in self.decoder.matrices() {
                    let LayerScratch { linear, context, .. } = scratch;
                    matrix.products_alone(self.isa, rows, (part, compute.workers), context, linear);
                }
            });
        });
    }
}
