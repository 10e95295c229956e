//! The structured forward pass: a ragged batch of token sequences goes through all layers, and a reader takes from each
//! sequence's hidden states what its method wants.
//!
//! Sequences are packed end to end, without padding. A worker carries a group of whole sequences through all layers, so
//! that activations stay in its cache. When there are fewer groups than workers, the work inside a group is split: by
//! blocks of rows for the dense layers and by tiles of queries for attention. Both ways compute the same numbers.

use crate::LmError;
use crate::kernel::Isa;
use crate::kernel::{
    AttentionScratch, Heads, Linear, LinearScratch, MOST_BLOCK_ROWS, ROUNDED_BYTES, Relative, TILE_ROWS,
    Window, attend, fit,
};
use rayon::prelude::*;
use std::sync::Mutex;

/// Rows after which a group of sequences is full.
const GROUP_ROWS: usize = 11 * TILE_ROWS;

/// The tokens of one text (or pair of texts), special tokens included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// Token ids.
    pub ids: Vec<u32>,
    /// 0 for the first text, 1 for the second of a pair.
    pub types: Vec<u32>,
    /// How many of the leading tokens can be attended to; all, except for query expansion in late interaction.
    pub visible: usize,
}

impl Sequence {
    /// One text.
    pub fn single(ids: Vec<u32>) -> Sequence {
        Sequence { types: vec![0; ids.len()], visible: ids.len(), ids }
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

/// Sizes of a model.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
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
    fn shape(&self) -> &Shape;
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
    /// Input vectors of a sequence.
    fn embed(&self, isa: Isa, sequence: &Sequence, out: &mut [f32]);
    /// Queries, keys and values of some rows; `positions` are their places in their sequences.
    fn project(&self, at: At, x: &[f32], positions: &[u32], qkv: &mut [f32], scratch: &mut RowScratch);
    /// Which keys a query sees in a layer.
    fn window(&self, layer: usize) -> Window;
    /// Biases by distance; scores are then not scaled.
    fn relative(&self) -> Option<&Relative> {
        None
    }
    /// From the contexts of some rows to the layer's output, in place of its input.
    fn finish(&self, at: At, context: &[f32], x: &mut [f32], scratch: &mut RowScratch);
    /// After the last layer.
    fn end(&self, isa: Isa, x: &mut [f32]);
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
    attention: AttentionScratch,
}

/// Buffers for a group of sequences.
#[derive(Default)]
struct GroupScratch {
    x: Vec<f32>,
    qkv: Vec<f32>,
    context: Vec<f32>,
    positions: Vec<u32>,
}

/// Buffers that outlive a call, so that they are not mapped and cleared again for each.
#[derive(Default)]
pub(crate) struct Buffers {
    rows: Mutex<Vec<RowScratch>>,
    groups: Mutex<Vec<GroupScratch>>,
}

impl Buffers {
    /// Lets go of what groups left that are done, so that a budget need not count it: the next group needs more of one
    /// buffer and less of another.
    fn clear(&self) {
        self.rows.lock().map(|mut rows| rows.clear()).ok();
        self.groups.lock().map(|mut groups| groups.clear()).ok();
    }
}

pub(crate) fn borrow<T: Default, R>(shelf: &Mutex<Vec<T>>, work: impl FnOnce(&mut T) -> R) -> R {
    let taken = shelf.lock().map(|mut shelf| shelf.pop()).ok().flatten();
    let mut buffer = taken.unwrap_or_default();
    let result = work(&mut buffer);
    if let Ok(mut shelf) = shelf.lock() {
        shelf.push(buffer);
    }
    result
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
        let (groups, workers) = self.affordable(sequences)?;
        let together =
            if workers < self.pool.current_num_threads() { 0 } else { groups.len() / workers * workers };
        let (spread, split) = groups.split_at(together);
        let outputs: Mutex<Vec<Option<R>>> = Mutex::new(sequences.iter().map(|_| None).collect());
        let keep = |results: Vec<(usize, R)>| {
            if let Ok(mut outputs) = outputs.lock() {
                results.into_iter().for_each(|(index, result)| outputs[index] = Some(result));
            }
        };
        self.pool.install(|| {
            spread
                .par_iter()
                .with_max_len(1)
                .for_each(|group| keep(self.run_group(sequences, group, 1, &read)));
            for group in split {
                keep(self.run_group(sequences, group, workers, &read));
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
                borrow(&self.buffers.rows, |buffer| {
                    for matrix in &matrices {
                        matrix.products_alone(self.isa, rows, (0, 1), &mut buffer.inner, &mut buffer.linear);
                    }
                });
            });
        });
    }

    /// Groups of sequences, and how many of them can be in flight within the memory budget. A group that does not fit
    /// is run as its sequences, each of which must fit.
    fn affordable(&self, sequences: &[Sequence]) -> Result<(Vec<Vec<usize>>, usize), LmError> {
        let groups = group(sequences);
        let threads = self.pool.current_num_threads();
        let Some(budget) = self.memory_budget else { return Ok((groups, threads)) };
        let weights = self.family.weight_bytes();
        let room = budget.saturating_sub(weights);
        let mut fitting = Vec::with_capacity(groups.len());
        for group in groups {
            if self.group_bytes(sequences, &group) <= room {
                fitting.push(group);
                continue;
            }
            for index in group {
                let needed = self.group_bytes(sequences, &[index]);
                if needed > room {
                    let tokens = sequences[index].len();
                    return Err(LmError::MemoryBudget { tokens, needed: weights + needed, budget });
                }
                fitting.push(vec![index]);
            }
        }
        let shared = fitting.iter().map(|group| self.shared_bytes(sequences, group)).max().unwrap_or(0);
        let own = fitting.iter().map(|group| self.own_bytes(sequences, group)).max().unwrap_or(0);
        let workers = room.checked_div(shared + own).map_or(threads, |groups| groups.clamp(1, threads));
        Ok((fitting, workers))
    }

    /// Bytes of the buffers of one worker that carries a group.
    fn group_bytes(&self, sequences: &[Sequence], group: &[usize]) -> usize {
        self.own_bytes(sequences, group) + self.shared_bytes(sequences, group)
    }

    /// Bytes of the buffers that a group has for itself.
    fn own_bytes(&self, sequences: &[Sequence], group: &[usize]) -> usize {
        let shape = self.family.shape();
        let tokens: usize = group.iter().map(|i| sequences[*i].len()).sum();
        let width = shape.heads.count * shape.heads.size;
        tokens * (4 * (shape.hidden + width + shape.heads.stride) + 4)
    }

    /// Bytes of the buffers that workers take from a shelf for a moment, and so from each other.
    fn shared_bytes(&self, sequences: &[Sequence], group: &[usize]) -> usize {
        let shape = self.family.shape();
        let longest = group.iter().map(|i| sequences[*i].len()).max().unwrap_or(0);
        block_bytes(shape) + AttentionScratch::bytes(&shape.heads, longest)
    }

    fn run_group<R>(
        &self,
        sequences: &[Sequence],
        group: &[usize],
        workers: usize,
        read: &(impl Fn(usize, &[f32]) -> R + Sync),
    ) -> Vec<(usize, R)> {
        let results = borrow(&self.buffers.groups, |scratch| {
            let members: Vec<&Sequence> = group.iter().map(|index| &sequences[*index]).collect();
            self.carry(&members, workers, scratch);
            let hidden = self.family.shape().hidden;
            let mut start = 0;
            let mut results = Vec::with_capacity(group.len());
            for (index, sequence) in group.iter().zip(&members) {
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
    fn carry(&self, sequences: &[&Sequence], workers: usize, scratch: &mut GroupScratch) {
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
            each(workers, blocks, |((x, qkv), positions)| {
                borrow(&self.buffers.rows, |buffer| self.family.project(at, x, positions, qkv, buffer));
            });
            // The room of queries, keys and values takes the rows that are read, when it is enough.
            let some = sequences.len() * (hidden + width) <= tokens * stride;
            if self.tokens == Read::First && layer + 1 == layers && some {
                self.attention(layer, sequences, workers, 1, &scratch.qkv, &mut scratch.context);
                self.finish_first(at, sequences, workers, scratch);
                break;
            }
            self.attention(layer, sequences, workers, usize::MAX, &scratch.qkv, &mut scratch.context);
            let blocks =
                scratch.context.par_chunks(rows * width).zip(scratch.x.par_chunks_mut(rows * hidden));
            each(workers, blocks, |(context, x)| {
                borrow(&self.buffers.rows, |buffer| self.family.finish(at, context, x, buffer));
            });
        }
        self.family.end(self.isa, &mut scratch.x);
    }

    /// From the contexts of the first token of each sequence to its states after the layer.
    fn finish_first(&self, at: At, sequences: &[&Sequence], workers: usize, scratch: &mut GroupScratch) {
        let shape = self.family.shape();
        let (hidden, width) = (shape.hidden, shape.heads.count * shape.heads.size);
        let GroupScratch { x, qkv, context, .. } = scratch;
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
        each(workers, blocks, |(context, x)| {
            borrow(&self.buffers.rows, |buffer| self.family.finish(at, context, x, buffer));
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
            each(workers, out.par_chunks_mut(rows * width).enumerate(), |(part, out)| {
                let first = part * rows;
                let queries = first..first + out.len() / width;
                borrow(&self.buffers.rows, |buffer| {
                    let visible = sequence.visible;
                    let buffer = &mut buffer.attention;
                    attend(self.isa, own, heads, visible, queries, window, relative, out, buffer);
                });
            });
            (qkv, context) = (rest, after);
        }
    }
}

/// One item after another, or in parallel when there is more than one worker.
pub(crate) fn each<I: IndexedParallelIterator>(
    workers: usize,
    items: I,
    work: impl Fn(I::Item) + Sync + Send,
) {
    if workers == 1 {
        // A chunk as long as the whole keeps everything on this thread.
        let length = items.len().max(1);
        items.with_min_len(length).for_each(work);
    } else {
        items.with_max_len(1).for_each(work);
    }
}

/// Bytes of the buffers of one block of rows.
fn block_bytes(shape: &Shape) -> usize {
    let rounded = ROUNDED_BYTES * shape.intermediate.max(shape.hidden);
    MOST_BLOCK_ROWS * (4 * (shape.intermediate + shape.hidden) + rounded + 8)
}

/// Rows of a block such that all blocks are about equal and enough for all workers. One worker gets whole tiles; for
/// several, equal shares are worth more than that.
pub(crate) fn block_rows(tokens: usize, workers: usize) -> usize {
    let blocks = tokens.div_ceil(MOST_BLOCK_ROWS).next_multiple_of(workers.max(1));
    let rows = tokens.div_ceil(blocks.max(1)).max(1);
    if workers > 1 { rows } else { rows.next_multiple_of(TILE_ROWS) }
}

/// Indices of sequences in groups of about [`GROUP_ROWS`] rows, longest first. Short sequences share a group.
fn group(sequences: &[Sequence]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..sequences.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(sequences[*index].len()));
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut room = 0;
    for index in order {
        let tokens = sequences[index].len();
        match groups.last_mut() {
            Some(group) if tokens <= room => {
                group.push(index);
                room -= tokens;
            }
            _ => {
                groups.push(vec![index]);
                room = GROUP_ROWS.saturating_sub(tokens);
            }
        }
    }
    groups
}
