//! A linear layer: products of all tokens with its weight.

use crate::tape::{Compute, Tape, Var, VarRef};
use plackett_kernel::{Start, multiply_panels, multiply_transposed};

/// x · weightᵀ + bias + residual, tokens × outputs.
///
/// # Panics
/// Shapes do not go together.
pub fn linear(tape: &Tape, x: &Var, weight: &Var, bias: Option<&Var>, residual: Option<&Var>) -> Var {
    let (tokens, inputs, outputs) = (x.rows, x.columns, weight.rows);
    assert_eq!(weight.columns, inputs, "inputs of a linear layer");
    let mut y = tape.buffer(tokens * outputs);
    let start = match (residual, bias) {
        (Some(residual), _) => {
            let shape = (residual.rows, residual.columns);
            assert_eq!(shape, (tokens, outputs), "what is added to a linear layer");
            tape.compute().rows(&mut y, outputs, |row, y| {
                y.copy_from_slice(&residual.value[row * outputs..][..outputs]);
                if let Some(bias) = bias {
                    y.iter_mut().zip(bias.value.iter()).for_each(|(y, bias)| *y += bias);
                }
            });
            Start::Output
        }
        (None, Some(bias)) => Start::Bias(&bias.value),
        (None, None) => Start::Zero,
    };
    product(tape.compute(), (&x.value, tokens), (&weight.value, inputs, outputs, true), &mut y, start);
    let inputs_of: Vec<&Var> = [Some(x), Some(weight), bias, residual].into_iter().flatten().collect();
    let layer = Layer {
        x: x.into(),
        weight: weight.into(),
        bias: bias.filter(|bias| tape.is_needed(bias)).map(VarRef::from),
        residual: residual.map(VarRef::from),
    };
    // What is not needed for a gradient is not kept: a frozen weight has no use for the layer's inputs.
    let kept_x = tape.is_needed(weight).then(|| x.value.clone());
    let kept_weight = tape.is_needed(x).then(|| weight.value.clone());
    tape.record(&inputs_of, (tokens, outputs), y, move |flow, gradient| {
        let compute = flow.compute.clone();
        if let Some(weight) = kept_weight {
            flow.write_or_accumulate(&layer.x, |sum, is_new| {
                let start = if is_new { Start::Zero } else { Start::Output };
                product(&compute, (&gradient, tokens), (&weight, outputs, inputs, false), sum, start);
            });
        }
        let mut sums = vec![0.0; if layer.bias.is_some() { outputs } else { 0 }];
        match kept_x {
            // The product by which the weight's gradient comes gives the sums as it reads.
            Some(x) => flow.accumulate(&layer.weight, |sum| {
                let sizes = (tokens, outputs, inputs);
                let sums = layer.bias.is_some().then_some(&mut sums[..]);
                multiply_transposed(compute.isa, compute.workers, &gradient, &x, sizes, sum, sums);
            }),
            None => column_sums(&gradient, &mut sums),
        }
        if let Some(bias) = &layer.bias {
            flow.accumulate(bias, |sum| sum.iter_mut().zip(&sums).for_each(|(sum, own)| *sum += own));
        }
        if let Some(residual) = &layer.residual {
            flow.add(residual, gradient);
        }
    })
}

/// The values that went into a layer.
struct Layer {
    x: VarRef,
    weight: VarRef,
    bias: Option<VarRef>,
    residual: Option<VarRef>,
}

/// y\[m\]\[n\] = start + a\[m\]\[k\] · b, for b stored as k × n or, `transposed`, as n × k.
pub(crate) fn product(
    compute: &Compute,
    (a, m): (&[f32], usize),
    (b, k, n, transposed): (&[f32], usize, usize, bool),
    y: &mut [f32],
    start: Start,
) {
    compute.panels.with(|panels| {
        panels.pack(compute.workers, b, k, n, transposed);
        multiply_panels(compute.isa, compute.workers, a, (m, k), panels, y, start, None);
    });
}

/// Adds the sums of the columns, in the order of the rows; of no columns where no sums are wanted.
fn column_sums(rows: &[f32], sums: &mut [f32]) {
    if sums.is_empty() {
        return;
    }
    for row in rows.chunks(sums.len()) {
        sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
}
