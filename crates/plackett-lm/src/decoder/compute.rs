//! On what a product runs.

use plackett_kernel::{Activation, Isa, Linear, LinearScratch};

/// How a product is done: by this thread, or with its columns split over workers of the pool.
#[derive(Clone, Copy)]
pub(crate) struct Compute {
    pub isa: Isa,
    pub workers: usize,
}

impl Compute {
    pub(crate) fn apply(
        self,
        linear: &Linear,
        (x, stride): (&[f32], usize),
        rows: usize,
        y: &mut [f32],
        scratch: &mut LinearScratch,
    ) {
        let out = (y, linear.outputs());
        linear.apply_wide(self.isa, (x, stride), rows, out, Activation::None, self.workers, scratch);
    }
}
