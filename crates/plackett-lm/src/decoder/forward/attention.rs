//! Attention in a layer: keys and values of new tokens are stored, and queries walk over what they see.

use crate::decoder::chunk::Chunk;
use crate::decoder::collect::{AttentionSums, attention_sums};
use crate::decoder::forward::pass::{AttentionBuffers, BatchBuffers, Pass};
use crate::decoder::kv::format::KvDims;
use crate::decoder::kv::layout::HeadBuffer;
use crate::decoder::kv::segment::KvSegment;
use crate::decoder::query_blocks::{KeySource, PackedSequence, QueryBlock};
use plackett_kernel::{CachedQueries, Run, for_each};
use rayon::prelude::*;
use std::sync::Mutex;

impl Pass<'_> {
    /// Room for the keys and values of the new tokens: of all layers where a cache is wanted, else of one.
    pub(super) fn new_segments(
        &self,
        sequences: &[PackedSequence],
        scratch_kv: &mut Vec<KvSegment>,
    ) -> Vec<KvSegment> {
        let shape = &self.decoder.shape;
        let all = KvDims { layers: self.layers.len(), heads: shape.kv_heads, size: shape.size };
        let one = KvDims { layers: 1, ..all };
        let segment = |sequence: &PackedSequence| {
            if sequence.request.outputs.cache {
                return KvSegment::new(all, sequence.tokens, self.format);
            }
            let mut segment = scratch_kv.pop().unwrap_or_else(|| KvSegment::new(one, 0, self.format));
            segment.reset(one, sequence.tokens, self.format);
            segment
        };
        sequences.iter().map(segment).collect()
    }

    /// Writes keys and values of the new tokens where attention reads them.
    pub(super) fn store_kv(
        &self,
        chunk: &Chunk,
        sequences: &[PackedSequence],
        qkv: &[f32],
        new: &mut [KvSegment],
    ) {
        let shape = &self.decoder.shape;
        let layer = chunk.layer - self.layers.start;
        let (stride, size) = (shape.qkv(), shape.size);
        let dims = KvDims { layers: 1, heads: shape.kv_heads, size };
        let mut tasks: Vec<(HeadBuffer, &[f32], usize, usize)> = Vec::new();
        for (sequence, segment) in sequences.iter().zip(new) {
            let (rows, tokens) = chunk.rows_of(sequence);
            let (rows, at) = (&qkv[rows.start * stride..rows.end * stride], tokens.start);
            let slot = if segment.layers() == 1 { 0 } else { layer };
            let heads = segment.heads_mut(slot).into_iter().enumerate();
            tasks.extend(heads.filter(|_| !rows.is_empty()).map(|(head, buffer)| (buffer, rows, at, head)));
        }
        for_each(chunk.workers, tasks.into_par_iter(), |(mut buffer, rows, at, head)| {
            let key = (shape.heads + head) * size;
            buffer.write(self.isa, (dims, at), rows, stride, (key, key + shape.kv_heads * size));
        });
    }

    pub(super) fn attend(
        &self,
        chunk: &Chunk,
        sequences: &[PackedSequence],
        new: &[KvSegment],
        buffers: &mut BatchBuffers,
    ) -> Vec<AttentionSums> {
        let shape = &self.decoder.shape;
        let (layer, plan) = (chunk.layer, chunk.plan);
        let width = shape.group() * shape.size;
        let BatchBuffers { qkv, context, .. } = buffers;
        let mut tasks: Vec<(usize, &QueryBlock, &mut [f32])> =
            Vec::with_capacity(plan.len() * shape.kv_heads);
        let mut rest = &mut context[..];
        for head in 0..shape.kv_heads {
            for block in plan {
                let (own, after) = std::mem::take(&mut rest).split_at_mut(block.tokens.len() * width);
                if chunk.last_layer.is_none_or(|last_layer| last_layer.attend(&block.tokens)) {
                    tasks.push((head, block, own));
                }
                rest = after;
            }
        }
        let all: Mutex<Vec<AttentionSums>> = Mutex::default();
        for_each(chunk.workers, tasks.into_par_iter(), |(head, block, out)| {
            self.buffers.attention.with(|scratch| {
                let first = block.tokens.start - chunk.rows.start;
                let rows = &qkv[first * shape.qkv()..][..block.tokens.len() * shape.qkv()];
                self.attend_block(layer, head, sequences, block, new, rows, out, scratch);
                let found = attention_sums(shape, layer, head, sequences, block, &scratch.kernel);
                if let (false, Ok(mut all)) = (found.is_empty(), all.lock()) {
                    all.extend(found);
                }
            });
        });
        all.into_inner().unwrap_or_default()
    }

    fn attend_block(
        &self,
        layer: usize,
        head: usize,
        sequences: &[PackedSequence],
        block: &QueryBlock,
        new: &[KvSegment],
        qkv: &[f32],
        out: &mut [f32],
        scratch: &mut AttentionBuffers,
    ) {
        let shape = &self.decoder.shape;
        let (group, width) = (shape.group(), shape.group() * shape.size);
        let own_layer = layer - self.layers.start;
        let AttentionBuffers { kernel, queries } = scratch;
        let keys =
            block.parts.iter().map(|(sequence, _)| sequences[*sequence].before + sequences[*sequence].tokens);
        kernel.reserve(block.tokens.len() * group, keys.max().unwrap_or(0));
        queries.clear();
        queries.reserve_exact(block.tokens.len() * width);
        for row in qkv.chunks_exact(shape.qkv()) {
            queries.extend_from_slice(&row[head * width..][..width]);
        }
        let window = shape.layers[layer].window;
        let tokens =
            block.parts.iter().flat_map(|(sequence, own)| own.clone().map(|token| (*sequence, token)));
        let seen: Vec<_> = tokens
            .flat_map(|(sequence, token)| std::iter::repeat_n(sequences[sequence].seen(token, window), group))
            .collect();
        let segment = |(sequence, piece): &(usize, KeySource)| match piece {
            KeySource::Cached(index) => sequences[*sequence].segments[*index].segment(own_layer, head),
            KeySource::New => {
                let own = &new[*sequence];
                own.segment(if own.layers() == 1 { 0 } else { own_layer }, head)
            }
        };
        let runs: Vec<Run> = block
            .runs
            .iter()
            .map(|run| Run {
                rows: run.tokens.start * group..run.tokens.end * group,
                offset: run.offset,
                segments: run.segments.iter().map(segment).collect(),
            })
            .collect();
        let queries = CachedQueries {
            isa: self.isa,
            size: shape.size,
            scale: shape.scale,
            integers: self.decoder.integers,
            queries,
            seen: &seen,
        };
        queries.attend(&runs, out, kernel);
    }
}
