//! Normalisation of each row.

use crate::tape::{Tape, Var, VarRef};
use plackett_kernel::{BufferPool, for_each};
use rayon::prelude::*;
use std::sync::Mutex;

/// Rows whose sums over rows (the gradients of weight and bias) one task makes; the sums of the tasks are added in order.
const TASK_ROWS: usize = 256;

/// Mean and inverse deviation of a row.
fn moments(row: &[f32], epsilon: f32) -> (f32, f32) {
    let count = row.len().max(1) as f32;
    let mean = sum(row, |x| x) / count;
    let variance = sum(row, |x| (x - mean) * (x - mean)) / count;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

/// The sum of something of each number, in sixteen chains, which processors add side by side.
fn sum(row: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let (whole, rest) = row.as_chunks::<16>();
    let mut sums = [0f32; 16];
    for numbers in whole {
        sums.iter_mut().zip(numbers).for_each(|(sum, x)| *sum += of(*x));
    }
    sums.iter_mut().zip(rest).for_each(|(sum, x)| *sum += of(*x));
    sums.iter().sum()
}

/// (x − mean) / √(variance + ε) · weight + bias, row by row.
///
/// # Panics
/// Weight or bias is not one row of as many columns.
pub fn layer_norm(tape: &Tape, x: &Var, weight: &Var, bias: &Var, epsilon: f32) -> Var {
    let columns = x.columns;
    assert_eq!((weight.value.len(), bias.value.len()), (columns, columns), "weight and bias of a norm");
    let mut y = tape.buffer(x.value.len());
    tape.compute().rows(&mut y, columns, |at, y| {
        let x = &x.value[at * columns..][..columns];
        let (mean, scale) = moments(x, epsilon);
        for (column, y) in y.iter_mut().enumerate() {
            *y = (x[column] - mean) * scale * weight.value[column] + bias.value[column];
        }
    });
    let [of, of_weight, of_bias] = [x, weight, bias].map(VarRef::from);
    let (x_value, weight_value) = (x.value.clone(), weight.value.clone());
    tape.record(&[x, weight, bias], (x.rows, columns), y, move |flow, gradient| {
        let mut back = flow.buffer(gradient.len());
        let work = |row: usize, gradient: &[f32], back: &mut [f32], sums: &mut [f32]| {
            let x = &x_value[row * columns..][..columns];
            let (mean, scale) = moments(x, epsilon);
            let (of_weight, of_bias) = sums.split_at_mut(columns);
            let (mut total, mut along) = (0f32, 0f32);
            for column in 0..columns {
                let normal = (x[column] - mean) * scale;
                let inner = gradient[column] * weight_value[column];
                total += inner;
                along += inner * normal;
                of_weight[column] += gradient[column] * normal;
                of_bias[column] += gradient[column];
            }
            let (total, along) = (total / columns as f32, along / columns as f32);
            for column in 0..columns {
                let normal = (x[column] - mean) * scale;
                back[column] = scale * (gradient[column] * weight_value[column] - total - normal * along);
            }
        };
        let sums = backward_rows(flow.compute.workers, columns, &gradient, &mut back, 2 * columns, &work);
        flow.accumulate(&of_weight, |sum| add_to(sum, &sums[..columns]));
        flow.accumulate(&of_bias, |sum| add_to(sum, &sums[columns..]));
        flow.add(&of, back);
    })
}

/// x / √(mean of squares + ε) · weight, row by row.
///
/// # Panics
/// The weight is not one row of as many columns.
pub fn rms_norm(tape: &Tape, x: &Var, weight: &Var, epsilon: f32) -> Var {
    let columns = x.columns;
    assert_eq!(weight.value.len(), columns, "weight of a norm");
    let scale_of = move |row: &[f32]| {
        let square = sum(row, |x| x * x) / columns.max(1) as f32;
        1.0 / (square + epsilon).sqrt()
    };
    let mut y = tape.buffer(x.value.len());
    tape.compute().rows(&mut y, columns, |at, y| {
        let x = &x.value[at * columns..][..columns];
        let scale = scale_of(x);
        for (column, y) in y.iter_mut().enumerate() {
            *y = x[column] * scale * weight.value[column];
        }
    });
    let [of, of_weight] = [x, weight].map(VarRef::from);
    let (x_value, weight_value) = (x.value.clone(), weight.value.clone());
    tape.record(&[x, weight], (x.rows, columns), y, move |flow, gradient| {
        let mut back = flow.buffer(gradient.len());
        let work = |row: usize, gradient: &[f32], back: &mut [f32], sums: &mut [f32]| {
            let x = &x_value[row * columns..][..columns];
            let scale = scale_of(x);
            let mut along = 0f32;
            for column in 0..columns {
                let normal = x[column] * scale;
                along += gradient[column] * weight_value[column] * normal;
                sums[column] += gradient[column] * normal;
            }
            let along = along / columns as f32;
            for column in 0..columns {
                let normal = x[column] * scale;
                back[column] = scale * (gradient[column] * weight_value[column] - normal * along);
            }
        };
        let sums = backward_rows(flow.compute.workers, columns, &gradient, &mut back, columns, &work);
        flow.accumulate(&of_weight, |sum| add_to(sum, &sums));
        flow.add(&of, back);
    })
}

fn add_to(sums: &mut [f32], more: &[f32]) {
    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

/// Calls `work` with the index, the gradient, the gradient to be written and the sums over rows of each row; gives the sums
/// of all rows, tasks of equally many rows added in their order, so that they do not depend on the number of workers.
fn backward_rows(
    workers: usize,
    columns: usize,
    gradient: &[f32],
    back: &mut [f32],
    sums: usize,
    work: &(impl Fn(usize, &[f32], &mut [f32], &mut [f32]) + Sync),
) -> Vec<f32> {
    let size = TASK_ROWS * columns.max(1);
    let parts: Vec<Mutex<Vec<f32>>> = (0..gradient.len().div_ceil(size)).map(|_| Mutex::default()).collect();
    let buffers: BufferPool<Vec<f32>> = BufferPool::default();
    let tasks = gradient.par_chunks(size).zip(back.par_chunks_mut(size)).enumerate();
    for_each(workers, tasks, |(task, (gradient, back))| {
        buffers.with(|own| {
            own.clear();
            own.resize(sums, 0.0);
            let rows = gradient.chunks(columns.max(1)).zip(back.chunks_mut(columns.max(1)));
            for (row, (gradient, back)) in rows.enumerate() {
                work(task * TASK_ROWS + row, gradient, back, own);
            }
            if let Ok(mut part) = parts[task].lock() {
                part.clone_from(own);
            }
        });
    });
    let mut totals = vec![0.0; sums];
    for part in parts {
        add_to(&mut totals, &part.into_inner().unwrap_or_default());
    }
    totals
}
