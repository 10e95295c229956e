//! Pointwise attention within each sequence, on the tape. Weights are computed again on the way back instead of being kept.

use super::config::Weighting;
use super::time_bucket::{TIME_BUCKETS, TimeBuckets};
use crate::head_tasks::{HeadTask, HeadTasks};
use plackett_kernel::{
    Activation, Isa, Panels, Start, fit, for_each, multiply_panels, multiply_transposed, softmax_row,
};
use plackett_train::tape::{Buffer, VarRef};
use plackett_train::{Compute, Tape, Var};
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// How rows attend.
#[derive(Clone, Debug)]
pub struct PointwiseAttention {
    /// The rows of each sequence.
    pub sequences: Arc<[Range<usize>]>,
    /// Heads; queries, keys and values have equally many numbers of each.
    pub heads: usize,
    /// What products are multiplied with before the biases are added.
    pub scale: f32,
    /// How scores become weights.
    pub weighting: Weighting,
    /// N, by which SiLU weights are divided.
    pub padded_length: usize,
}

/// Biases that are added to scores, shared by all heads.
#[derive(Clone)]
pub struct RelativeBias<'v> {
    /// 1 × N: p\[N − 1 + j − i\] for row i and key j ≤ i.
    pub positions: Option<&'v Var>,
    /// 1 × 129, and the bucket of each pair.
    pub times: Option<(&'v Var, Arc<TimeBuckets>)>,
}

/// A·V with A = SiLU(scale · Q Kᵀ + bias) / N below and on the diagonal (or its softmax) for each head of each sequence: events ×
/// (heads · head size).
///
/// # Panics
/// Shapes do not go together: an error of the model's code.
pub fn pointwise_attention(
    tape: &Tape,
    [query, key, value]: [&Var; 3],
    bias: &RelativeBias<'_>,
    attention: &PointwiseAttention,
) -> Var {
    let columns = query.columns;
    let size = columns / attention.heads.max(1);
    assert_eq!(columns, attention.heads * size, "whole heads");
    for side in [key, value] {
        assert_eq!(
            (side.rows, side.columns),
            (query.rows, columns),
            "queries, keys and values have one shape"
        );
    }
    let work = Attend {
        attention: attention.clone(),
        tasks: HeadTasks { sequences: attention.sequences.clone(), heads: attention.heads, size },
        positions: bias.positions.map(|positions| positions.value.clone()),
        times: bias.times.as_ref().map(|(times, buckets)| (times.value.clone(), buckets.clone())),
    };
    let values = [query, key, value].map(|var| var.value.clone());
    let mut blocks = tape.buffer(query.value.len());
    work.forward(tape.compute(), &values, &mut blocks);
    let mut y = tape.buffer(query.value.len());
    work.tasks.to_rows(&blocks, &mut y);
    drop(blocks);
    let tables = [bias.positions, bias.times.as_ref().map(|(times, _)| *times)];
    let of_tables = tables.map(|table| table.map(VarRef::from));
    let refs = [query, key, value].map(VarRef::from);
    let inputs: Vec<&Var> =
        [Some(query), Some(key), Some(value)].into_iter().chain(tables).flatten().collect();
    tape.record(&inputs, (query.rows, columns), y, move |flow, gradient| {
        let compute = flow.compute.clone();
        let mut blocks = [0; 3].map(|_| flow.buffer(gradient.len()));
        let by_bias = work.backward(&compute, &values, &gradient, &mut blocks);
        for (var, blocks) in refs.iter().zip(&blocks) {
            if flow.is_needed(var) {
                let mut rows = flow.buffer(blocks.len());
                work.tasks.to_rows(blocks, &mut rows);
                flow.add(var, rows);
            }
        }
        let (positions, width) = (work.position_count(), work.bias_count());
        for (table, range) in of_tables.iter().zip([0..positions, positions..width]) {
            let Some(table) = table else { continue };
            // In the order of the tasks, whatever the number of threads.
            flow.accumulate(table, |sum| {
                for own in by_bias.chunks(width.max(1)) {
                    sum.iter_mut().zip(&own[range.clone()]).for_each(|(sum, own)| *sum += own);
                }
            });
        }
    })
}

/// Attention with its biases. One task is a head of a sequence; results of a task lie together, in the order of the tasks.
struct Attend {
    attention: PointwiseAttention,
    tasks: HeadTasks,
    positions: Option<Arc<Buffer>>,
    times: Option<(Arc<Buffer>, Arc<TimeBuckets>)>,
}

/// Buffers of one worker.
#[derive(Default)]
struct Scratch {
    inputs: [Vec<f32>; 4],
    /// Scores before they become weights, and weights.
    scores: Vec<f32>,
    weights: Vec<f32>,
    slopes: Vec<f32>,
    panels: Panels,
}

impl Attend {
    fn position_count(&self) -> usize {
        self.positions.as_ref().map_or(0, |positions| positions.len())
    }

    /// Numbers of both bias tables.
    fn bias_count(&self) -> usize {
        self.position_count() + if self.times.is_some() { TIME_BUCKETS } else { 0 }
    }

    fn add_bias(&self, task: &HeadTask, row: usize, scores: &mut [f32]) {
        if let Some(positions) = &self.positions {
            // Key j of row i has distance j − i; the last number of the table is that of the row itself.
            let own = &positions[positions.len() - 1 - row..];
            scores.iter_mut().zip(own).for_each(|(score, bias)| *score += bias);
        }
        if let Some((times, buckets)) = &self.times {
            let own = buckets.row(task.sequence, row);
            scores.iter_mut().zip(own).for_each(|(score, bucket)| *score += times[usize::from(*bucket)]);
        }
    }

    /// Scores and weights of a task, whose queries and keys are gathered.
    fn weights(&self, isa: Isa, task: &HeadTask, scratch: &mut Scratch) {
        let (rows, size) = (task.rows.len(), self.tasks.size);
        let Scratch { inputs: [query, key, ..], scores, weights, panels, .. } = scratch;
        panels.pack(1, &key[..rows * size], size, rows, true);
        fit(scores, rows * rows);
        let scores = &mut scores[..rows * rows];
        multiply_panels(isa, 1, &query[..rows * size], (rows, size), panels, scores, Start::Zero, None);
        fit(weights, rows * rows);
        let weights = &mut weights[..rows * rows];
        weights.fill(0.0);
        let by = 1.0 / self.attention.padded_length as f32;
        for (row, scores) in scores.chunks_mut(rows.max(1)).enumerate() {
            let seen = &mut scores[..row + 1];
            seen.iter_mut().for_each(|score| *score *= self.attention.scale);
            self.add_bias(task, row, seen);
            let weights = &mut weights[row * rows..][..row + 1];
            weights.copy_from_slice(seen);
            match self.attention.weighting {
                Weighting::Softmax => softmax_row(isa, weights),
                Weighting::Silu => {
                    Activation::Silu.apply(isa, weights);
                    weights.iter_mut().for_each(|weight| *weight *= by);
                }
            }
        }
    }

    fn forward(&self, compute: &Compute, inputs: &[Arc<Buffer>; 3], blocks: &mut [f32]) {
        let tasks: Vec<_> = self.tasks.all().into_iter().zip(self.tasks.parts(blocks)).collect();
        for_each(compute.workers, tasks.into_par_iter(), |(task, out)| {
            SCRATCH.with_borrow_mut(|scratch| {
                let rows = task.rows.len();
                for (to, from) in scratch.inputs.iter_mut().zip(inputs) {
                    self.tasks.gather(from, &task, to);
                }
                self.weights(compute.isa, &task, scratch);
                let Scratch { inputs: [_, _, value, _], weights, panels, .. } = scratch;
                panels.pack(1, &value[..rows * self.tasks.size], rows, self.tasks.size, false);
                let weights = &weights[..rows * rows];
                multiply_panels(compute.isa, 1, weights, (rows, rows), panels, out, Start::Zero, None);
            });
        });
    }

    /// The gradients by queries, keys and values, and those by the biases of each task: places, then times.
    fn backward(
        &self,
        compute: &Compute,
        inputs: &[Arc<Buffer>; 3],
        gradient: &[f32],
        [by_query, by_key, by_value]: &mut [Buffer; 3],
    ) -> Vec<f32> {
        let tasks = self.tasks.all();
        let width = self.bias_count();
        let mut by_bias = vec![0.0; tasks.len() * width];
        let mut rest = &mut by_bias[..];
        let parts = self
            .tasks
            .parts(by_query)
            .into_iter()
            .zip(self.tasks.parts(by_key))
            .zip(self.tasks.parts(by_value));
        let mut all = Vec::new();
        for (task, ((query, key), value)) in tasks.into_iter().zip(parts) {
            let (bias, after) = std::mem::take(&mut rest).split_at_mut(width);
            rest = after;
            all.push((task, [query, key, value], bias));
        }
        for_each(compute.workers, all.into_par_iter(), |(task, parts, bias)| {
            SCRATCH.with_borrow_mut(|scratch| {
                for (to, from) in scratch.inputs.iter_mut().zip(inputs) {
                    self.tasks.gather(from, &task, to);
                }
                self.tasks.gather(gradient, &task, &mut scratch.inputs[3]);
                self.task_backward(compute.isa, &task, scratch, parts, bias);
            });
        });
        by_bias
    }

    fn task_backward(
        &self,
        isa: Isa,
        task: &HeadTask,
        scratch: &mut Scratch,
        [by_query, by_key, by_value]: [&mut [f32]; 3],
        by_bias: &mut [f32],
    ) {
        self.weights(isa, task, scratch);
        let (rows, size) = (task.rows.len(), self.tasks.size);
        let Scratch { inputs: [query, key, value, out], scores, weights, slopes, panels } = scratch;
        let (weights, out) = (&weights[..rows * rows], &out[..rows * size]);
        by_value.fill(0.0);
        multiply_transposed(isa, 1, weights, out, (rows, rows, size), by_value, None);
        panels.pack(1, &value[..rows * size], size, rows, true);
        fit(slopes, rows * rows);
        let slopes = &mut slopes[..rows * rows];
        multiply_panels(isa, 1, out, (rows, size), panels, slopes, Start::Zero, None);
        for (row, slopes) in slopes.chunks_mut(rows.max(1)).enumerate() {
            let (seen, unseen) = slopes.split_at_mut(row + 1);
            unseen.fill(0.0);
            self.through_weighting(
                isa,
                &scores[row * rows..][..row + 1],
                &weights[row * rows..][..row + 1],
                seen,
            );
            self.add_bias_gradients(task, row, seen, by_bias);
            seen.iter_mut().for_each(|slope| *slope *= self.attention.scale);
        }
        panels.pack(1, &key[..rows * size], rows, size, false);
        multiply_panels(isa, 1, slopes, (rows, rows), panels, by_query, Start::Zero, None);
        by_key.fill(0.0);
        multiply_transposed(isa, 1, slopes, &query[..rows * size], (rows, rows, size), by_key, None);
    }

    /// From the gradient by weights to that by scores.
    fn through_weighting(&self, isa: Isa, scores: &[f32], weights: &[f32], gradient: &mut [f32]) {
        match self.attention.weighting {
            Weighting::Silu => {
                Activation::Silu.backward(isa, scores, gradient);
                let by = 1.0 / self.attention.padded_length as f32;
                gradient.iter_mut().for_each(|slope| *slope *= by);
            }
            Weighting::Softmax => {
                let along: f32 = gradient.iter().zip(weights).map(|(g, p)| g * p).sum();
                gradient.iter_mut().zip(weights).for_each(|(g, p)| *g = p * (*g - along));
            }
        }
    }

    fn add_bias_gradients(&self, task: &HeadTask, row: usize, slopes: &[f32], sums: &mut [f32]) {
        let (positions, times) = sums.split_at_mut(self.position_count());
        if let Some(first) = positions.len().checked_sub(1 + row) {
            positions[first..].iter_mut().zip(slopes).for_each(|(sum, slope)| *sum += slope);
        }
        if let Some((_, buckets)) = &self.times {
            let own = buckets.row(task.sequence, row);
            slopes.iter().zip(own).for_each(|(slope, bucket)| times[usize::from(*bucket)] += slope);
        }
    }
}
