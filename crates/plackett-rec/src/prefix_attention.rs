//! Softmax attention to a prefix and to oneself: rows that ask behind a prefix do not see each other (the vectors of an item and the slots of
//! SETRec, the task tokens of SynerGen).

use crate::head_tasks::{HeadTask, HeadTasks};
use plackett_kernel::{
    Isa, Panels, Start, axpy, dot, fit, for_each, multiply_panels, multiply_transposed, softmax_row,
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

/// Who sees whom.
#[derive(Clone, Debug)]
pub struct PrefixAttention {
    /// The rows of each sequence.
    pub sequences: Arc<[Range<usize>]>,
    /// How many rows from the start of its sequence each row sees, beside itself: none of them is the row itself.
    pub visible: Arc<[usize]>,
    /// Heads.
    pub heads: usize,
}

/// For each row softmax over the keys of its prefix and its own, times the values: rows × width.
///
/// # Panics
/// Shapes do not go together: an error of the model's code.
pub fn prefix_attention(tape: &Tape, [query, key, value]: [&Var; 3], attention: &PrefixAttention) -> Var {
    let columns = query.columns;
    let size = columns / attention.heads.max(1);
    assert_eq!(columns, attention.heads * size, "whole heads");
    assert_eq!(attention.visible.len(), query.rows, "a prefix for each row");
    for side in [key, value] {
        assert_eq!(
            (side.rows, side.columns),
            (query.rows, columns),
            "queries, keys and values have one shape"
        );
    }
    let tasks = HeadTasks { sequences: attention.sequences.clone(), heads: attention.heads, size };
    let work = Attend { attention: attention.clone(), tasks };
    let values = [query, key, value].map(|var| var.value.clone());
    let mut blocks = tape.buffer(query.value.len());
    work.forward(tape.compute(), &values, &mut blocks);
    let mut y = tape.buffer(query.value.len());
    work.tasks.to_rows(&blocks, &mut y);
    drop(blocks);
    let refs = [query, key, value].map(VarRef::from);
    tape.record(&[query, key, value], (query.rows, columns), y, move |flow, gradient| {
        let compute = flow.compute.clone();
        let mut blocks = [0; 3].map(|_| flow.buffer(gradient.len()));
        work.backward(&compute, &values, &gradient, &mut blocks);
        for (var, blocks) in refs.iter().zip(&blocks) {
            if flow.is_needed(var) {
                let mut rows = flow.buffer(blocks.len());
                work.tasks.to_rows(blocks, &mut rows);
                flow.add(var, rows);
            }
        }
    })
}

/// Attention of heads of sequences; results of a task lie together, in the order of the tasks.
struct Attend {
    attention: PrefixAttention,
    tasks: HeadTasks,
}

/// Buffers of one worker.
#[derive(Default)]
struct Scratch {
    inputs: [Vec<f32>; 4],
    /// Weights of the prefix, rows × longest prefix, and of each row for itself.
    weights: Vec<f32>,
    own: Vec<f32>,
    row: Vec<f32>,
    slopes: Vec<f32>,
    own_slopes: Vec<f32>,
    panels: Panels,
}

impl Attend {
    fn scale(&self) -> f32 {
        1.0 / (self.tasks.size as f32).sqrt()
    }

    fn visible(&self, task: &HeadTask) -> &[usize] {
        &self.attention.visible[task.rows.clone()]
    }

    /// The longest prefix of a task's rows: only so many keys are in products.
    fn longest(&self, task: &HeadTask) -> usize {
        self.visible(task).iter().copied().max().unwrap_or(0)
    }

    fn weights(&self, isa: Isa, task: &HeadTask, scratch: &mut Scratch) {
        let (rows, size, keys) = (task.rows.len(), self.tasks.size, self.longest(task));
        let Scratch { inputs: [query, key, ..], weights, own, row: buffer, panels, .. } = scratch;
        fit(weights, rows * keys);
        fit(own, rows);
        fit(buffer, keys + 1);
        let weights = &mut weights[..rows * keys];
        panels.pack(1, &key[..keys * size], size, keys, true);
        multiply_panels(isa, 1, &query[..rows * size], (rows, size), panels, weights, Start::Zero, None);
        for (at, visible) in self.visible(task).iter().enumerate() {
            let row = &mut buffer[..visible + 1];
            let seen = &mut weights[at * keys..][..keys];
            row[..*visible].copy_from_slice(&seen[..*visible]);
            row[*visible] = dot(isa, &query[at * size..][..size], &key[at * size..][..size]);
            row.iter_mut().for_each(|score| *score *= self.scale());
            softmax_row(isa, row);
            seen[..*visible].copy_from_slice(&row[..*visible]);
            seen[*visible..].fill(0.0);
            own[at] = row[*visible];
        }
    }

    fn forward(&self, compute: &Compute, inputs: &[Arc<Buffer>; 3], blocks: &mut [f32]) {
        let tasks: Vec<_> = self.tasks.all().into_iter().zip(self.tasks.parts(blocks)).collect();
        for_each(compute.workers, tasks.into_par_iter(), |(task, out)| {
            SCRATCH.with_borrow_mut(|scratch| {
                for (to, from) in scratch.inputs.iter_mut().zip(inputs) {
                    self.tasks.gather(from, &task, to);
                }
                self.weights(compute.isa, &task, scratch);
                let (rows, size, keys) = (task.rows.len(), self.tasks.size, self.longest(&task));
                let Scratch { inputs: [_, _, value, _], weights, own, panels, .. } = scratch;
                panels.pack(1, &value[..keys * size], keys, size, false);
                let weights = &weights[..rows * keys];
                multiply_panels(compute.isa, 1, weights, (rows, keys), panels, out, Start::Zero, None);
                for (at, out) in out.chunks_mut(size).enumerate() {
                    axpy(compute.isa, own[at], &value[at * size..][..size], out);
                }
            });
        });
    }

    fn backward(
        &self,
        compute: &Compute,
        inputs: &[Arc<Buffer>; 3],
        gradient: &[f32],
        [by_query, by_key, by_value]: &mut [Buffer; 3],
    ) {
        let parts = self
            .tasks
            .parts(by_query)
            .into_iter()
            .zip(self.tasks.parts(by_key))
            .zip(self.tasks.parts(by_value));
        let all: Vec<_> = self.tasks.all().into_iter().zip(parts).collect();
        for_each(compute.workers, all.into_par_iter(), |(task, ((query, key), value))| {
            SCRATCH.with_borrow_mut(|scratch| {
                for (to, from) in scratch.inputs.iter_mut().zip(inputs) {
                    self.tasks.gather(from, &task, to);
                }
                self.tasks.gather(gradient, &task, &mut scratch.inputs[3]);
                self.task_backward(compute.isa, &task, scratch, [query, key, value]);
            });
        });
    }

    fn task_backward(
        &self,
        isa: Isa,
        task: &HeadTask,
        scratch: &mut Scratch,
        [by_query, by_key, by_value]: [&mut [f32]; 3],
    ) {
        self.weights(isa, task, scratch);
        let (rows, size, keys) = (task.rows.len(), self.tasks.size, self.longest(task));
        let Scratch { inputs: [query, key, value, out], weights, own, slopes, own_slopes, panels, .. } =
            scratch;
        let (weights, out) = (&weights[..rows * keys], &out[..rows * size]);
        fit(slopes, rows * keys);
        fit(own_slopes, rows);
        let slopes = &mut slopes[..rows * keys];
        panels.pack(1, &value[..keys * size], size, keys, true);
        multiply_panels(isa, 1, out, (rows, size), panels, slopes, Start::Zero, None);
        for at in 0..rows {
            let (slopes, weights) = (&mut slopes[at * keys..][..keys], &weights[at * keys..][..keys]);
            let of_own = dot(isa, &out[at * size..][..size], &value[at * size..][..size]);
            let along = own[at] * of_own + slopes.iter().zip(weights).map(|(g, p)| g * p).sum::<f32>();
            slopes.iter_mut().zip(weights).for_each(|(g, p)| *g = self.scale() * p * (*g - along));
            own_slopes[at] = self.scale() * own[at] * (of_own - along);
        }
        panels.pack(1, &key[..keys * size], keys, size, false);
        multiply_panels(isa, 1, slopes, (rows, keys), panels, by_query, Start::Zero, None);
        by_key.fill(0.0);
        by_value.fill(0.0);
        let sizes = (rows, keys, size);
        if keys > 0 {
            multiply_transposed(
                isa,
                1,
                slopes,
                &query[..rows * size],
                sizes,
                &mut by_key[..keys * size],
                None,
            );
            multiply_transposed(isa, 1, weights, out, sizes, &mut by_value[..keys * size], None);
        }
        for at in 0..rows {
            let row = at * size..(at + 1) * size;
            axpy(isa, own_slopes[at], &key[row.clone()], &mut by_query[row.clone()]);
            axpy(isa, own_slopes[at], &query[row.clone()], &mut by_key[row.clone()]);
            axpy(isa, own[at], &out[row.clone()], &mut by_value[row]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_train::tape::assert_gradients;

    #[test]
    fn gradients_are_differences_and_only_the_prefix_is_seen() {
        let numbers = |from: usize, count: usize| -> Vec<f32> {
            (from..from + count).map(|at| ((at * 37 + 11) % 29) as f32 / 13.0 - 1.1).collect()
        };
        let inputs = [0, 40, 90].map(|from| ((6, 4), numbers(from, 24)));
        let attention = PrefixAttention {
            sequences: vec![0..4, 4..6].into(),
            visible: vec![0, 0, 2, 2, 0, 1].into(),
            heads: 2,
        };
        let weights = numbers(7, 24);
        assert_gradients(&inputs, |tape, x| {
            let y = prefix_attention(tape, [&x[0], &x[1], &x[2]], &attention);
            // Rows without a prefix are their own value.
            for row in [0, 1, 4] {
                assert!(
                    y.value[row * 4..][..4]
                        .iter()
                        .zip(&x[2].value[row * 4..])
                        .all(|(a, b)| (a - b).abs() < 1e-6)
                );
            }
            tape.sum(&tape.times(&y, &tape.constant((6, 4), &weights)))
        });
    }
}
