//! Dense layers on the current thread pool.

use plackett_kernel::{Activation, Isa, Linear, LinearScratch, TILE_ROWS};
use rayon::prelude::*;

/// Rows of one task through a dense layer, when there are many.
pub(crate) const BLOCK_ROWS: usize = 4 * TILE_ROWS;

/// A dense layer on rows that are `stride` apart: split by rows when there are many, else by columns. Both give the
/// same numbers.
pub(crate) fn dense(isa: Isa, linear: &Linear, x: &[f32], stride: usize, rows: usize) -> Vec<f32> {
    let outputs = linear.outputs();
    let mut y = vec![0.0; rows * outputs];
    if rows < 2 * BLOCK_ROWS {
        let workers = rayon::current_num_threads();
        let scratch = &mut LinearScratch::default();
        linear.apply_wide(isa, (x, stride), rows, (&mut y, outputs), Activation::None, workers, scratch);
        return y;
    }
    let blocks = x.par_chunks(BLOCK_ROWS * stride).zip(y.par_chunks_mut(BLOCK_ROWS * outputs));
    blocks.for_each_init(LinearScratch::default, |scratch, (x, y)| {
        let rows = y.len() / outputs;
        linear.apply(isa, (x, stride), rows, (y, outputs), Activation::None, scratch);
    });
    y
}
