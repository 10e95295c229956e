//! On what a product runs.

use crate::family::projection::Projection;
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

    /// The same for layers whose weights may be two factors; `room` is as [`Projection::apply`] needs it.
    pub(crate) fn project(
        self,
        projection: &Projection,
        x: (&[f32], usize),
        rows: usize,
        y: &mut [f32],
        room: (&mut LinearScratch, &mut Vec<f32>),
    ) {
        let out = (y, projection.outputs());
        projection.apply((self.isa, self.workers), x, rows, out, Activation::None, room);
    }
}
