//! The structured forward pass: a ragged batch of token sequences goes through all layers, and a reader takes from each
//! sequence's hidden states what its method wants.
//!
//! Sequences are packed end to end, without padding. A worker carries a batch of whole sequences through all layers, so
//! that activations stay in its cache. When there are fewer batches than workers, the work inside a batch is split: by
//! blocks of rows for the dense layers and by tiles of queries for attention. Both ways compute the same numbers.

use crate::error::LmError;
use crate::family::encoder::{At, EncoderShape, Family, RowScratch};
use crate::text::sequence::Sequence;
use plackett_kernel::Isa;
use plackett_kernel::{
    AttentionScratch, BufferPool, MOST_BLOCK_ROWS, ROUNDED_BYTES, TILE_ROWS, Window, attend, block_rows, fit,
    for_each,
};
use rayon::prelude::*;
use std::sync::Mutex;

/// Rows after which a batch of sequences is full.
const BATCH_ROWS: usize = 11 * TILE_ROWS;

/// Buffers for a batch of sequences.
#[derive(Default)]
struct BatchScratch {
    x: Vec<f32>,
    qkv: Vec<f32>,
    context: Vec<f32>,
    positions: Vec<u32>,
}

/// Buffers that outlive a call, so that they are not mapped and cleared again for each.
#[derive(Default)]
pub(crate) struct Buffers {
    rows: BufferPool<RowScratch>,
    batches: BufferPool<BatchScratch>,
}

impl Buffers {
    /// Lets go of what batches left that are done, so that a budget need not count it: the next batch needs more of one
    /// buffer and less of another.
    fn clear(&self) {
        self.rows.clear();
        self.batches.clear();
    }
}

/// One forward pass over a batch.
pub(crate) struct Pass<'a> {
    pub family: &'a dyn Family,
    pub isa: Isa,
    pub pool: &'a rayon::ThreadPool,
    pub buffers: &'a Buffers,
    /// Bytes that weights and buffers may take together.
    pub memory_budget: Option<usize>,
    /// Layers to run (all, when larger).
    pub layers: usize,
    /// Tokens whose states are read.
    pub tokens: Read,
}

/// Which states of a sequence are read; the others have those of an earlier layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// Of all tokens.
    All,
    /// Of the first token: the last layer does not work for the others.
    First,
}

impl Pass<'_> {
    /// Runs all sequences and gives each one's hidden states (`tokens × hidden`) to `read`; results in batch order.
    pub(crate) fn run<R: Send>(
        &self,
        sequences: &[Sequence],
        read: impl Fn(usize, &[f32]) -> R + Sync,
    ) -> Result<Vec<R>, LmError> {
        let (batches, workers) = self.affordable(sequences)?;
        let together =
            if workers < self.pool.current_num_threads() { 0 } else { batches.len() / workers * workers };
        let (spread, split) = batches.split_at(together);
        let outputs: Mutex<Vec<Option<R>>> = Mutex::new(sequences.iter().map(|_| None).collect());
        let store = |results: Vec<(usize, R)>| {
            if let Ok(mut outputs) = outputs.lock() {
                results.into_iter().for_each(|(index, result)| outputs[index] = Some(result));
            }
        };
        self.pool.install(|| {
            spread
                .par_iter()
                .with_max_len(1)
                .for_each(|batch| store(self.run_batch(sequences, batch, 1, &read)));
            for batch in split {
                store(self.run_batch(sequences, batch, workers, &read));
            }
        });
        let outputs = outputs.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        Ok(outputs.into_iter().flatten().collect())
    }

    /// Does nothing but the matrix products of `tokens` tokens, in the blocks of a pass: no rounding, attention,
    /// normalisation or activation. What a pass can at best be compared with.
    pub(crate) fn products_alone(&self, tokens: usize) {
        let matrices = self.family.matrices();
        let rows = block_rows(tokens, self.pool.current_num_threads());
        self.pool.install(|| {
            (0..tokens.div_ceil(rows)).into_par_iter().with_max_len(1).for_each(|block| {
                let rows = rows.min(tokens - block * rows);
                self.buffers.rows.with(|buffer| {
                    for matrix in &matrices {
                        matrix.products_alone(self.isa, rows, (0, 1), &mut buffer.inner, &mut buffer.linear);
                    }
                });
            });
        });
    }

    /// Batches of sequences, and how many of them can be in flight within the memory budget. A batch that does not fit
    /// is run as its sequences, each of which must fit.
    fn affordable(&self, sequences: &[Sequence]) -> Result<(Vec<Vec<usize>>, usize), LmError> {
        let batches = batch(sequences);
        let threads = self.pool.current_num_threads();
        let Some(budget) = self.memory_budget else { return Ok((batches, threads)) };
        let weights = self.family.weight_bytes();
        let room = budget.saturating_sub(weights);
        let mut fitting = Vec::with_capacity(batches.len());
        for batch in batches {
            if self.batch_bytes(sequences, &batch) <= room {
                fitting.push(batch);
                continue;
            }
            for index in batch {
                let needed = self.batch_bytes(sequences, &[index]);
                if needed > room {
                    let tokens = sequences[index].len();
                    return Err(LmError::MemoryBudget { tokens, needed: weights + needed, budget });
                }
                fitting.push(vec![index]);
            }
        }
        let shared = fitting.iter().map(|batch| self.shared_bytes(sequences, batch)).max().unwrap_or(0);
        let own = fitting.iter().map(|batch| self.own_bytes(sequences, batch)).max().unwrap_or(0);
        let workers = room.checked_div(shared + own).map_or(threads, |batches| batches.clamp(1, threads));
        Ok((fitting, workers))
    }

    /// Bytes of the buffers of one worker that carries a batch.
    fn batch_bytes(&self, sequences: &[Sequence], batch: &[usize]) -> usize {
        self.own_bytes(sequences, batch) + self.shared_bytes(sequences, batch)
    }

    /// Bytes of the buffers that a batch has for itself.
    fn own_bytes(&self, sequences: &[Sequence], batch: &[usize]) -> usize {
        let shape = self.family.shape();
        let tokens: usize = batch.iter().map(|i| sequences[*i].len()).sum();
        let width = shape.heads.count * shape.heads.size;
        tokens * (4 * (shape.hidden + width + shape.heads.stride) + 4)
    }

    /// Bytes of the buffers that workers take from a pool for a moment, and so from each other.
    fn shared_bytes(&self, sequences: &[Sequence], batch: &[usize]) -> usize {
        let shape = self.family.shape();
        let longest = batch.iter().map(|i| sequences[*i].len()).max().unwrap_or(0);
        let middle = 4 * MOST_BLOCK_ROWS * self.family.widest_middle();
        block_bytes(shape) + middle + AttentionScratch::bytes(&shape.heads, longest)
    }

    fn run_batch<R>(
        &self,
        sequences: &[Sequence],
        batch: &[usize],
        workers: usize,
        read: &(impl Fn(usize, &[f32]) -> R + Sync),
    ) -> Vec<(usize, R)> {
        let results = self.buffers.batches.with(|scratch| {
            let members: Vec<&Sequence> = batch.iter().map(|index| &sequences[*index]).collect();
            self.forward(&members, workers, scratch);
            let hidden = self.family.shape().hidden;
            let mut start = 0;
            let mut results = Vec::with_capacity(batch.len());
            for (index, sequence) in batch.iter().zip(&members) {
                let end = start + sequence.len() * hidden;
                results.push((*index, read(*index, &scratch.x[start..end])));
                start = end;
            }
            results
        });
        if self.memory_budget.is_some() {
            self.buffers.clear();
        }
        results
    }

    /// Carries some sequences through all layers; `scratch.x` is the result.
    fn forward(&self, sequences: &[&Sequence], workers: usize, scratch: &mut BatchScratch) {
        let shape = self.family.shape();
        let (hidden, stride) = (shape.hidden, shape.heads.stride);
        let width = shape.heads.count * shape.heads.size;
        let tokens: usize = sequences.iter().map(|s| s.len()).sum();
        fit(&mut scratch.x, tokens * hidden);
        fit(&mut scratch.qkv, tokens * stride);
        fit(&mut scratch.context, tokens * width);
        scratch.positions.clear();
        let mut start = 0;
        for sequence in sequences {
            self.family.embed(
                self.isa,
                sequence,
                &mut scratch.x[start * hidden..][..sequence.len() * hidden],
            );
            scratch.positions.extend(0..sequence.len() as u32);
            start += sequence.len();
        }
        let rows = block_rows(tokens, workers);
        let layers = shape.layers.min(self.layers);
        for layer in 0..layers {
            let at = At { isa: self.isa, layer };
            let blocks = scratch.x.par_chunks(rows * hidden).zip(scratch.qkv.par_chunks_mut(rows * stride));
            let blocks = blocks.zip(scratch.positions.par_chunks(rows));
            for_each(workers, blocks, |((x, qkv), positions)| {
                self.buffers.rows.with(|buffer| self.family.qkv(at, x, positions, qkv, buffer));
            });
            // The room of queries, keys and values takes the rows that are read, when it is enough.
            let some = sequences.len() * (hidden + width) <= tokens * stride;
            if self.tokens == Read::First && layer + 1 == layers && some {
                self.attention(layer, sequences, workers, 1, &scratch.qkv, &mut scratch.context);
                self.after_attention_first(at, sequences, workers, scratch);
                break;
            }
            self.attention(layer, sequences, workers, usize::MAX, &scratch.qkv, &mut scratch.context);
            let blocks =
                scratch.context.par_chunks(rows * width).zip(scratch.x.par_chunks_mut(rows * hidden));
            for_each(workers, blocks, |(context, x)| {
                self.buffers.rows.with(|buffer| self.family.after_attention(at, context, x, buffer));
            });
        }
        self.family.final_norm(self.isa, &mut scratch.x);
    }

    /// From the contexts of the first token of each sequence to its states after the layer.
    fn after_attention_first(
        &self,
        at: At,
        sequences: &[&Sequence],
        workers: usize,
        scratch: &mut BatchScratch,
    ) {
        let shape = self.family.shape();
        let (hidden, width) = (shape.hidden, shape.heads.count * shape.heads.size);
        let BatchScratch { x, qkv, context, .. } = scratch;
        let first = sequences.iter().scan(0, |start, sequence| {
            let first = *start;
            *start += sequence.len();
            Some(first)
        });
        let (states, contexts) = qkv.split_at_mut(sequences.len() * hidden);
        let contexts = &mut contexts[..sequences.len() * width];
        let rows = states.chunks_exact_mut(hidden).zip(contexts.chunks_exact_mut(width));
        for (first, (state, own)) in first.clone().zip(rows) {
            state.copy_from_slice(&x[first * hidden..][..hidden]);
            own.copy_from_slice(&context[first * width..][..width]);
        }
        let rows = block_rows(sequences.len(), workers);
        let blocks = contexts.par_chunks(rows * width).zip(states.par_chunks_mut(rows * hidden));
        for_each(workers, blocks, |(context, x)| {
            self.buffers.rows.with(|buffer| self.family.after_attention(at, context, x, buffer));
        });
        for (first, state) in first.zip(states.chunks_exact(hidden)) {
            x[first * hidden..][..hidden].copy_from_slice(state);
        }
    }

    /// Contexts of the first `queries` tokens of each sequence.
    fn attention(
        &self,
        layer: usize,
        sequences: &[&Sequence],
        workers: usize,
        queries: usize,
        qkv: &[f32],
        context: &mut [f32],
    ) {
        let heads = &self.family.shape().heads;
        let width = heads.count * heads.size;
        let (window, relative) = (self.family.window(layer), self.family.relative());
        let (mut qkv, mut context) = (qkv, context);
        for sequence in sequences {
            let tokens = sequence.len();
            let (own, rest) = qkv.split_at(tokens * heads.stride);
            let (out, after) = std::mem::take(&mut context).split_at_mut(tokens * width);
            let out = &mut out[..tokens.min(queries) * width];
            let mut rows = tokens.div_ceil(workers).max(1);
            if window != Window::All {
                rows = rows.next_multiple_of(TILE_ROWS);
            }
            for_each(workers, out.par_chunks_mut(rows * width).enumerate(), |(part, out)| {
                let first = part * rows;
                let queries = first..first + out.len() / width;
                self.buffers.rows.with(|buffer| {
                    let visible = sequence.visible;
                    let buffer = &mut buffer.attention;
                    attend(self.isa, own, heads, visible, queries, window, relative, out, buffer);
                });
            });
            (qkv, context) = (rest, after);
        }
    }
}

/// Bytes of the buffers of one block of rows.
fn block_bytes(shape: &EncoderShape) -> usize {
    let rounded = ROUNDED_BYTES * shape.intermediate.max(shape.hidden);
    MOST_BLOCK_ROWS * (4 * (shape.intermediate + shape.hidden) + rounded + 8)
}

/// Indices of sequences in batches of about [`BATCH_ROWS`] rows, longest first. Short sequences share a batch.
fn batch(sequences: &[Sequence]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..sequences.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(sequences[*index].len()));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut room = 0;
    for index in order {
        let tokens = sequences[index].len();
        match batches.last_mut() {
            Some(batch) if tokens <= room => {
                batch.push(index);
                room -= tokens;
            }
            _ => {
                batches.push(vec![index]);
                room = BATCH_ROWS.saturating_sub(tokens);
            }
        }
    }
    batches
}
