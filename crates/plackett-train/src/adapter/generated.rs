//! Linear layers whose weight is made of a few coefficients when it is needed, and not kept.

use crate::engine::product;
use crate::tape::{Buffer, Compute, Tape, Var, VarRef};
use plackett_kernel::{Start, multiply_transposed};
use std::fmt::Debug;
use std::sync::Arc;

/// Makes a weight from coefficients.
pub trait Generator: Debug + Send + Sync {
    /// Outputs × inputs.
    fn shape(&self) -> (usize, usize);

    /// Writes the weight of some coefficients, row-major.
    fn generate(&self, compute: &Compute, coefficients: &[&[f32]], weight: &mut [f32]);

    /// Adds to the gradients of the coefficients, in `sums`, what follows from the gradient of the weight.
    fn pull_back(
        &self,
        compute: &Compute,
        coefficients: &[&[f32]],
        gradient: &[f32],
        sums: &mut [&mut [f32]],
    );
}

/// x · weightᵀ + residual for a generated weight: tokens × outputs. The weight is made anew on the way back.
///
/// # Panics
/// Shapes do not go together.
pub fn generated_linear(
    tape: &Tape,
    x: &Var,
    generator: &Arc<dyn Generator>,
    coefficients: &[&Var],
    residual: Option<&Var>,
) -> Var {
    let (outputs, inputs) = generator.shape();
    let tokens = x.rows;
    assert_eq!(x.columns, inputs, "inputs of a generated layer");
    let mut y = tape.buffer(tokens * outputs);
    let start = match residual {
        Some(residual) => {
            assert_eq!((residual.rows, residual.columns), (tokens, outputs), "what is added");
            y.copy_from_slice(&residual.value);
            Start::Output
        }
        None => Start::Zero,
    };
    let mut weight = tape.buffer(outputs * inputs);
    let values: Vec<&[f32]> = coefficients.iter().map(|var| &var.value[..]).collect();
    generator.generate(tape.compute(), &values, &mut weight);
    product(tape.compute(), (&x.value, tokens), (&weight, inputs, outputs, true), &mut y, start);
    drop(weight);
    let inputs_of: Vec<&Var> = [x].into_iter().chain(coefficients.iter().copied()).chain(residual).collect();
    let layer = Kept {
        generator: generator.clone(),
        x: (VarRef::from(x), x.value.clone()),
        coefficients: coefficients.iter().map(|var| (VarRef::from(*var), var.value.clone())).collect(),
    };
    let residual = residual.map(VarRef::from);
    tape.record(&inputs_of, (tokens, outputs), y, move |flow, gradient| {
        layer.pull_back(flow, &gradient);
        if let Some(residual) = &residual {
            flow.add(residual, gradient);
        }
    })
}

/// What the way back needs.
struct Kept {
    generator: Arc<dyn Generator>,
    x: (VarRef, Arc<Buffer>),
    coefficients: Vec<(VarRef, Arc<Buffer>)>,
}

impl Kept {
    fn pull_back(&self, flow: &mut crate::tape::Flow, gradient: &[f32]) {
        let compute = flow.compute.clone();
        let (outputs, inputs) = self.generator.shape();
        let tokens = self.x.0.rows;
        let values: Vec<&[f32]> = self.coefficients.iter().map(|(_, value)| &value[..]).collect();
        let mut weight = flow.buffer(outputs * inputs);
        if flow.is_needed(&self.x.0) {
            self.generator.generate(&compute, &values, &mut weight);
            flow.accumulate(&self.x.0, |sum| {
                let weight = (&weight[..], outputs, inputs, false);
                product(&compute, (gradient, tokens), weight, sum, Start::Output);
            });
        }
        if !self.coefficients.iter().any(|(var, _)| flow.is_needed(var)) {
            return;
        }
        weight.fill(0.0);
        let sizes = (tokens, outputs, inputs);
        multiply_transposed(compute.isa, compute.workers, gradient, &self.x.1, sizes, &mut weight, None);
        let mut sums: Vec<Vec<f32>> = values.iter().map(|value| vec![0.0; value.len()]).collect();
        let mut slices: Vec<&mut [f32]> = sums.iter_mut().map(Vec::as_mut_slice).collect();
        self.generator.pull_back(&compute, &values, &weight, &mut slices);
        for ((var, _), sum) in self.coefficients.iter().zip(sums) {
            flow.add(var, Buffer::from(sum));
        }
    }
}
