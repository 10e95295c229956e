//! Softmax attention within each sequence. Probabilities are computed again on the way back instead of being kept.

use super::distance::DistanceBias;
use crate::engine::{Attention, DistanceBuckets};
use crate::tape::{Buffer, Compute, Tape, Var, VarRef};
use plackett_kernel::{Isa, Panels, Start, fit, for_each, multiply_panels, multiply_transposed, softmax_row};
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

thread_local! {
    // Stays from call to call: buffers of long sequences would be mapped anew each time. A task does not wait for others.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// softmax(scale · q · kᵀ + bias) · v for each head of each sequence: tokens × (heads · head size).
///
/// # Panics
/// Sequences do not follow each other over all rows, heads do not go together, or a row is hidden from itself.
pub fn attention(
    tape: &Tape,
    [query, key, value]: [&Var; 3],
    bias: Option<(&Var, DistanceBuckets)>,
    attention: &Attention,
) -> Var {
    let distance = bias.map(|(table, buckets)| DistanceBias::new(table, attention.heads, buckets));
    let heads = Heads::new(query, key, value, distance, attention);
    let values = [query, key, value].map(|var| var.value.clone());
    let mut y = tape.buffer(query.value.len());
    let mut blocks = tape.buffer(query.value.len());
    heads.forward(tape.compute(), &values.each_ref().map(|value| &value[..]), &mut blocks);
    heads.to_rows(tape.compute(), &blocks, Side::Queries, &mut y);
    let refs = [query, key, value].map(VarRef::from);
    let table = bias.map(|(table, _)| table);
    let of_bias = table.map(VarRef::from);
    let inputs: Vec<&Var> = [Some(query), Some(key), Some(value), table].into_iter().flatten().collect();
    tape.record(&inputs, (query.rows, query.columns), y, move |flow, gradient| {
        let compute = flow.compute.clone();
        let inputs = values.each_ref().map(|value| &value[..]);
        let mut blocks = inputs.map(|input| flow.buffer(input.len()));
        let by_bias = heads.backward(&compute, &inputs, &gradient, &mut blocks);
        let sides = [Side::Queries, Side::Keys, Side::Keys];
        for ((var, blocks), side) in refs.iter().zip(&blocks).zip(sides) {
            if flow.is_needed(var) {
                let mut rows = flow.buffer(blocks.len());
                heads.to_rows(&compute, blocks, side, &mut rows);
                flow.add(var, rows);
            }
        }
        if let Some(of_bias) = &of_bias {
            flow.accumulate(of_bias, |sum| heads.add_bias_gradients(&by_bias, sum));
        }
    })
}

/// What rows are of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Queries,
    /// Keys, and values.
    Keys,
}

/// How queries, keys and values lie. One task is a sequence with one head of keys and all heads of queries that share it;
/// its results lie together, head after head, in the order of the tasks.
struct Heads {
    queries: Arc<[Range<usize>]>,
    keys: Arc<[Range<usize>]>,
    key_heads: usize,
    /// Heads of queries to one of keys.
    group: usize,
    size: usize,
    causal: bool,
    hidden: Option<Arc<[Range<usize>]>>,
    scale: f32,
    bias: Option<DistanceBias>,
}

/// A sequence and a head of keys.
struct Task {
    queries: Range<usize>,
    keys: Range<usize>,
    head: usize,
}

/// Where a task puts its gradients: heads after each other, rows of a head after each other.
struct TaskGradients<'a> {
    query: &'a mut [f32],
    key: &'a mut [f32],
    value: &'a mut [f32],
    /// One number a bucket, head after head.
    bias: &'a mut [f32],
}

/// Buffers of one worker.
#[derive(Default)]
struct Scratch {
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    out: Vec<f32>,
    scores: Vec<f32>,
    slopes: Vec<f32>,
    panels: [Panels; 4],
}

impl Heads {
    fn new(query: &Var, key: &Var, value: &Var, bias: Option<DistanceBias>, attention: &Attention) -> Heads {
        let size = query.columns / attention.heads.max(1);
        let group = attention.heads / attention.key_heads.max(1);
        assert_eq!(query.columns, attention.heads * size, "whole heads of queries");
        assert_eq!(attention.heads, group * attention.key_heads, "whole groups of heads");
        let queries = attention.sequences.clone();
        let keys = attention.key_sequences.clone().unwrap_or_else(|| queries.clone());
        assert!(
            !attention.causal || attention.key_sequences.is_none(),
            "another sequence has no order with it"
        );
        assert_eq!(keys.len(), queries.len(), "keys for each sequence");
        for side in [key, value] {
            let expected = (key.rows, attention.key_heads * size);
            assert_eq!((side.rows, side.columns), expected, "keys and values");
        }
        for (sequences, rows) in [(&queries, query.rows), (&keys, key.rows)] {
            let mut at = 0;
            for sequence in sequences.iter() {
                assert_eq!(sequence.start, at, "sequences follow each other");
                at = sequence.end;
            }
            assert_eq!(at, rows, "sequences have all rows");
        }
        let hidden = attention.hidden.clone();
        if let Some(hidden) = &hidden {
            assert!(attention.causal, "rows before a row can be hidden, and others are not seen");
            assert_eq!(hidden.len(), query.rows, "what is hidden from each row");
            let rows = queries.iter().flat_map(|sequence| 0..sequence.len()).zip(hidden.iter());
            for (row, hidden) in rows {
                assert!(hidden.is_empty() || hidden.end <= row, "a row sees itself");
            }
        }
        let Attention { key_heads, causal, scale, .. } = *attention;
        Heads { queries, keys, key_heads, group, size, causal, hidden, scale, bias }
    }

    /// Every sequence with every head of keys.
    fn tasks(&self) -> Vec<Task> {
        let sequences = self.queries.iter().zip(self.keys.iter());
        let tasks = sequences.flat_map(|(queries, keys)| {
            (0..self.key_heads).map(move |head| Task { queries: queries.clone(), keys: keys.clone(), head })
        });
        tasks.collect()
    }

    /// The sequences of a side, and how many heads a token has in a task.
    fn side(&self, side: Side) -> (&[Range<usize>], usize) {
        match side {
            Side::Queries => (&self.queries, self.group),
            Side::Keys => (&self.keys, 1),
        }
    }

    /// The part of `blocks` of each task.
    fn parts<'a>(&self, mut blocks: &'a mut [f32], side: Side) -> Vec<&'a mut [f32]> {
        let (sequences, heads) = self.side(side);
        let mut parts = Vec::new();
        for sequence in sequences {
            for _ in 0..self.key_heads {
                let (part, rest) = blocks.split_at_mut(sequence.len() * heads * self.size);
                parts.push(part);
                blocks = rest;
            }
        }
        parts
    }

    fn forward(&self, compute: &Compute, [query, key, value]: &[&[f32]; 3], blocks: &mut [f32]) {
        let tasks: Vec<_> = self.tasks().into_iter().zip(self.parts(blocks, Side::Queries)).collect();
        for_each(compute.workers, tasks.into_par_iter(), |(task, out)| {
            SCRATCH.with_borrow_mut(|scratch| {
                let (rows, keys) = (task.queries.len(), task.keys.len());
                scratch.take_keys(self, key, value, &task);
                let Scratch { key, value, panels: [packed_keys, values, ..], .. } = scratch;
                packed_keys.pack(1, &key[..keys * self.size], self.size, keys, true);
                values.pack(1, &value[..keys * self.size], keys, self.size, false);
                for (member, out) in out.chunks_mut((rows * self.size).max(1)).enumerate() {
                    let head = task.head * self.group + member;
                    scratch.probabilities(self, compute.isa, query, &task, head);
                    let scores = &scratch.scores[..rows * keys];
                    let values = &scratch.panels[1];
                    multiply_panels(compute.isa, 1, scores, (rows, keys), values, out, Start::Zero, None);
                }
            });
        });
    }

    /// The gradients by queries, keys and values, and those by the biases of each task: heads of queries × buckets.
    fn backward(
        &self,
        compute: &Compute,
        inputs: &[&[f32]; 3],
        gradient: &[f32],
        [by_query, by_key, by_value]: &mut [Buffer; 3],
    ) -> Vec<f32> {
        let tasks = self.tasks();
        let biases = self.group * self.bias.as_ref().map_or(0, DistanceBias::count);
        let mut by_bias = vec![0.0; tasks.len() * biases];
        let mut rest = &mut by_bias[..];
        let parts = self.parts(by_query, Side::Queries).into_iter();
        let parts = parts.zip(self.parts(by_key, Side::Keys)).zip(self.parts(by_value, Side::Keys));
        let parts = parts.map(|((query, key), value)| {
            let (bias, after) = std::mem::take(&mut rest).split_at_mut(biases);
            rest = after;
            TaskGradients { query, key, value, bias }
        });
        let tasks: Vec<(Task, TaskGradients)> = tasks.into_iter().zip(parts).collect();
        for_each(compute.workers, tasks.into_par_iter(), |(task, gradients)| {
            SCRATCH.with_borrow_mut(|scratch| {
                scratch.backward(self, compute.isa, &task, inputs, gradient, gradients)
            });
        });
        by_bias
    }

    /// Adds what [`Heads::backward`] gave to the gradient of the table, buckets × heads, in the order of the tasks.
    fn add_bias_gradients(&self, by_bias: &[f32], sum: &mut [f32]) {
        let Some(bias) = &self.bias else { return };
        let heads = self.key_heads * self.group;
        for (at, own) in by_bias.chunks(bias.count()).enumerate() {
            let head = at % heads;
            own.iter().enumerate().for_each(|(bucket, own)| sum[bucket * heads + head] += own);
        }
    }

    /// Numbers of a row of queries.
    fn columns(&self) -> usize {
        self.key_heads * self.group * self.size
    }

    /// From the order of the tasks to rows of tokens.
    fn to_rows(&self, compute: &Compute, blocks: &[f32], side: Side, rows: &mut [f32]) {
        let (sequences, heads) = self.side(side);
        let columns = self.key_heads * heads * self.size;
        let mut starts = vec![(0, 0); rows.len() / columns.max(1)];
        for sequence in sequences {
            starts[sequence.clone()].fill((sequence.start, sequence.len()));
        }
        compute.rows(rows, columns, |row, to| {
            let (start, length) = starts[row];
            for (head, to) in to.chunks_mut(self.size).enumerate() {
                let (key_head, member) = (head / heads, head % heads);
                let block = start * columns + (key_head * heads + member) * length * self.size;
                to.copy_from_slice(&blocks[block + (row - start) * self.size..][..self.size]);
            }
        });
    }
}

impl Scratch {
    /// Keys and values of a task, row after row.
    fn take_keys(&mut self, heads: &Heads, key: &[f32], value: &[f32], task: &Task) {
        let columns = heads.key_heads * heads.size;
        gather(key, columns, &task.keys, task.head * heads.size, heads.size, &mut self.key);
        gather(value, columns, &task.keys, task.head * heads.size, heads.size, &mut self.value);
    }

    /// softmax(scale · q · kᵀ + bias) of a head, whose keys are in the first panels.
    fn probabilities(&mut self, heads: &Heads, isa: Isa, query: &[f32], task: &Task, head: usize) {
        let (rows, keys) = (task.queries.len(), task.keys.len());
        gather(query, heads.columns(), &task.queries, head * heads.size, heads.size, &mut self.query);
        fit(&mut self.scores, rows * keys);
        let scores = &mut self.scores[..rows * keys];
        let query = &self.query[..rows * heads.size];
        multiply_panels(isa, 1, query, (rows, heads.size), &self.panels[0], scores, Start::Zero, None);
        for (row, scores) in scores.chunks_mut(keys.max(1)).enumerate() {
            let (seen, unseen) = scores.split_at_mut(if heads.causal { row + 1 } else { keys });
            seen.iter_mut().for_each(|score| *score *= heads.scale);
            if let Some(bias) = &heads.bias {
                bias.add(head, row, seen);
            }
            if let Some(hidden) = &heads.hidden {
                seen[hidden[task.queries.start + row].clone()].fill(f32::NEG_INFINITY);
            }
            softmax_row(isa, seen);
            unseen.fill(0.0);
        }
    }

    /// The gradients of a task.
    fn backward(
        &mut self,
        heads: &Heads,
        isa: Isa,
        task: &Task,
        [query, key, value]: &[&[f32]; 3],
        gradient: &[f32],
        by: TaskGradients,
    ) {
        let (rows, keys, size) = (task.queries.len(), task.keys.len(), heads.size);
        let sizes = (rows, keys, size);
        self.take_keys(heads, key, value, task);
        let [packed_keys, _, values_back, keys_back] = &mut self.panels;
        packed_keys.pack(1, &self.key[..keys * size], size, keys, true);
        values_back.pack(1, &self.value[..keys * size], size, keys, true);
        keys_back.pack(1, &self.key[..keys * size], keys, size, false);
        by.key.fill(0.0);
        by.value.fill(0.0);
        for (member, by_query) in by.query.chunks_mut((rows * size).max(1)).enumerate() {
            let head = task.head * heads.group + member;
            self.probabilities(heads, isa, query, task, head);
            gather(gradient, heads.columns(), &task.queries, head * size, size, &mut self.out);
            let (scores, out) = (&self.scores[..rows * keys], &self.out[..rows * size]);
            multiply_transposed(isa, 1, scores, out, sizes, by.value, None);
            fit(&mut self.slopes, rows * keys);
            let slopes = &mut self.slopes[..rows * keys];
            multiply_panels(isa, 1, out, (rows, size), &self.panels[2], slopes, Start::Zero, None);
            match &heads.bias {
                None => through_softmax(scores, slopes, keys, heads.scale),
                Some(bias) => {
                    through_softmax(scores, slopes, keys, 1.0);
                    let sums = &mut by.bias[member * bias.count()..][..bias.count()];
                    let of_rows = slopes.chunks(keys.max(1)).enumerate();
                    of_rows.for_each(|(row, slopes)| bias.add_gradients(row, slopes, sums));
                    slopes.iter_mut().for_each(|slope| *slope *= heads.scale);
                }
            }
            multiply_panels(isa, 1, slopes, (rows, keys), &self.panels[3], by_query, Start::Zero, None);
            multiply_transposed(isa, 1, slopes, &self.query[..rows * size], sizes, by.key, None);
        }
    }
}

/// Some columns of some rows, row after row.
fn gather(from: &[f32], columns: usize, rows: &Range<usize>, first: usize, width: usize, to: &mut Vec<f32>) {
    fit(to, rows.len() * width);
    for (to, row) in to.chunks_mut(width.max(1)).zip(rows.clone()) {
        to.copy_from_slice(&from[row * columns + first..][..width]);
    }
}

/// From the gradient by probabilities to that by scores before the scale: scale · p · (g − Σ p·g), row by row.
fn through_softmax(probabilities: &[f32], gradient: &mut [f32], columns: usize, scale: f32) {
    let rows = gradient.chunks_mut(columns.max(1)).zip(probabilities.chunks(columns.max(1)));
    for (gradient, probabilities) in rows {
        let total = sum_of_products(gradient, probabilities);
        gradient.iter_mut().zip(probabilities).for_each(|(g, p)| *g = scale * p * (*g - total));
    }
}

/// In sixteen chains, which processors add side by side.
fn sum_of_products(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    let mut sums = [0f32; 16];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    for ((sum, a), b) in sums.iter_mut().zip(a_rest).zip(b_rest) {
        *sum += a * b;
    }
    sums.iter().sum()
}
