//! A's copies, each scaled by λ and γ, and the change of a weight that they make. The copies are made when they are needed;
//! for the way back only A, λ and γ are kept.

use super::bases::Bases;
use crate::adapter::Generator;
use crate::engine::product;
use crate::tape::{Buffer, Compute};
use plackett_kernel::{Start, multiply_transposed};
use std::sync::Arc;

/// Â: row (j, k) is scale · λ\[k, j\] · A\[k\] · γ\[j\], with short numbers; transposed where there are fewer outputs than inputs.
#[derive(Debug)]
pub(super) struct ScaledA {
    a: Arc<Buffer>,
    b: Arc<Buffer>,
    rank: usize,
    count: usize,
    pub(super) long: usize,
    short: usize,
    scale: f32,
    /// Whether there are as many outputs as inputs or more.
    pub(super) is_tall: bool,
}

impl ScaledA {
    pub(super) fn new(
        bases: &mut Bases,
        (outputs, inputs): (usize, usize),
        count: usize,
        scale: f32,
    ) -> ScaledA {
        let (long, short, is_tall) = (outputs.max(inputs), outputs.min(inputs), outputs >= inputs);
        let (a, b) = (bases.a(short), bases.b(long, short, is_tall));
        ScaledA { a, b, rank: bases.rank(), count, long, short, scale, is_tall }
    }

    fn width(&self) -> usize {
        self.count * self.rank
    }

    /// All B beside each other, as the weight of a linear layer: outputs × inputs.
    pub(super) fn basis(&self) -> ((usize, usize), &Arc<Buffer>) {
        match self.is_tall {
            true => ((self.long, self.width()), &self.b),
            false => ((self.width(), self.long), &self.b),
        }
    }

    /// Where the number of product j, component k and column c lies in Â.
    fn place(&self, j: usize, k: usize, c: usize) -> usize {
        let row = j * self.rank + k;
        if self.is_tall { row * self.short + c } else { c * self.width() + row }
    }
}

impl Generator for ScaledA {
    fn shape(&self) -> (usize, usize) {
        if self.is_tall { (self.width(), self.short) } else { (self.short, self.width()) }
    }

    fn generate(&self, compute: &Compute, coefficients: &[&[f32]], weight: &mut [f32]) {
        let (lambda, gamma) = (coefficients[0], coefficients[1]);
        let (short, rank, count) = (self.short, self.rank, self.count);
        match self.is_tall {
            true => compute.rows(weight, short, |row, out| {
                let (j, k) = (row / rank, row % rank);
                let by = self.scale * lambda[k * count + j];
                let factors = self.a[k * short..][..short].iter().zip(&gamma[j * short..][..short]);
                out.iter_mut().zip(factors).for_each(|(out, (a, gamma))| *out = by * a * gamma);
            }),
            false => compute.rows(weight, self.width(), |c, out| {
                for (row, out) in out.iter_mut().enumerate() {
                    let (j, k) = (row / rank, row % rank);
                    let by = self.scale * lambda[k * count + j];
                    *out = by * self.a[k * short + c] * gamma[j * short + c];
                }
            }),
        }
    }

    /// ∂λ\[k, j\] = Σ_c G A γ and ∂γ\[j, c\] = Σ_k G A λ, each times the scale.
    fn pull_back(
        &self,
        compute: &Compute,
        coefficients: &[&[f32]],
        gradient: &[f32],
        sums: &mut [&mut [f32]],
    ) {
        let (lambda, gamma) = (coefficients[0], coefficients[1]);
        let (short, rank, count) = (self.short, self.rank, self.count);
        let [of_lambda, of_gamma] = sums else { return };
        compute.rows(of_lambda, count, |k, out| {
            for (j, out) in out.iter_mut().enumerate() {
                let term = |c: usize| {
                    let factor = self.a[k * short + c] * gamma[j * short + c];
                    f64::from(gradient[self.place(j, k, c)]) * f64::from(factor)
                };
                *out += (f64::from(self.scale) * (0..short).map(term).sum::<f64>()) as f32;
            }
        });
        compute.rows(of_gamma, short, |j, out| {
            for k in 0..rank {
                let by = self.scale * lambda[k * count + j];
                for (c, out) in out.iter_mut().enumerate() {
                    *out += by * self.a[k * short + c] * gradient[self.place(j, k, c)];
                }
            }
        });
    }
}

/// What is added to the weight: all B times Â, outputs × inputs.
#[derive(Debug)]
pub(super) struct Change(pub(super) Arc<ScaledA>);

impl Generator for Change {
    fn shape(&self) -> (usize, usize) {
        if self.0.is_tall { (self.0.long, self.0.short) } else { (self.0.short, self.0.long) }
    }

    fn generate(&self, compute: &Compute, coefficients: &[&[f32]], weight: &mut [f32]) {
        let scaled = &self.0;
        let (long, short, width) = (scaled.long, scaled.short, scaled.width());
        let mut a = vec![0.0; width * short];
        scaled.generate(compute, coefficients, &mut a);
        match scaled.is_tall {
            true => product(compute, (&scaled.b, long), (&a, width, short, false), weight, Start::Zero),
            false => product(compute, (&a, short), (&scaled.b, width, long, false), weight, Start::Zero),
        }
    }

    fn pull_back(
        &self,
        compute: &Compute,
        coefficients: &[&[f32]],
        gradient: &[f32],
        sums: &mut [&mut [f32]],
    ) {
        let scaled = &self.0;
        let (long, short, width) = (scaled.long, scaled.short, scaled.width());
        let mut of_a = vec![0.0; width * short];
        match scaled.is_tall {
            true => {
                let sizes = (long, width, short);
                multiply_transposed(
                    compute.isa,
                    compute.workers,
                    &scaled.b,
                    gradient,
                    sizes,
                    &mut of_a,
                    None,
                );
            }
            false => {
                let basis = (&scaled.b[..], long, width, true);
                product(compute, (gradient, short), basis, &mut of_a, Start::Zero);
            }
        }
        scaled.pull_back(compute, coefficients, &of_a, sums);
    }
}
