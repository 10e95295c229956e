//! Where and how operations compute: instruction set, threads, buffers.

use super::buffer::Buffers;
use plackett_kernel::{BufferPool, Isa, Panels, for_each};
use rayon::prelude::*;
use std::sync::Arc;

/// Numbers that one worker takes at a time in operations element by element.
const PIECE: usize = 16 * 1024;

/// The instruction set, the number of workers, and buffers that outlive a step.
pub struct Compute {
    /// The instruction set.
    pub isa: Isa,
    /// Threads that work together.
    pub workers: usize,
    pub(super) buffers: Arc<Buffers>,
    /// Right-hand sides of products.
    pub(crate) panels: BufferPool<Panels>,
}

impl Compute {
    /// For `workers` threads of the current pool, on the best instruction set of this machine.
    pub fn new(workers: usize) -> Arc<Compute> {
        Arc::new(Compute {
            isa: Isa::detect(),
            workers: workers.max(1),
            buffers: Arc::default(),
            panels: BufferPool::default(),
        })
    }

    /// The most bytes that values and gradients of its tapes took at once; parameters, their gradients and the state of an
    /// optimiser come on top.
    pub fn peak_bytes(&self) -> usize {
        self.buffers.peak_bytes()
    }

    /// Calls `work` with each number of `out` and that of `input` in the same place.
    pub fn zip(&self, out: &mut [f32], input: &[f32], work: impl Fn(&mut f32, f32) + Sync + Send) {
        assert_eq!(out.len(), input.len());
        self.pieces(out, PIECE, |at, out| {
            let input = &input[at..at + out.len()];
            out.iter_mut().zip(input).for_each(|(out, input)| work(out, *input));
        });
    }

    /// Calls `work` with the first index and the numbers of each piece of `size` numbers.
    pub fn pieces(&self, out: &mut [f32], size: usize, work: impl Fn(usize, &mut [f32]) + Sync + Send) {
        let size = size.max(1);
        for_each(self.workers, out.par_chunks_mut(size).enumerate(), |(piece, out)| work(piece * size, out));
    }

    /// Calls `work` with the index and the numbers of each row of `columns` numbers.
    pub fn rows(&self, out: &mut [f32], columns: usize, work: impl Fn(usize, &mut [f32]) + Sync + Send) {
        let columns = columns.max(1);
        let rows = (PIECE / columns).max(1);
        self.pieces(out, rows * columns, |at, out| {
            for (row, out) in out.chunks_mut(columns).enumerate() {
                work(at / columns + row, out);
            }
        });
    }
}
