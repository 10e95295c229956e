//! Log-probabilities of tokens under a large vocabulary, in blocks of rows: the logits of all rows never exist at once.

use crate::tape::{Buffer, Compute, Flow, Tape, Var, VarRef};
use plackett_kernel::{Panels, Start, log_sum_exp, multiply_panels, multiply_transposed, softmax_row};
use std::sync::Arc;

/// Most numbers of a block of logits: 32 MiB. No bit of a result depends on it.
const BLOCK: usize = 8 << 20;

/// Rows of a block.
fn block_rows(vocabulary: usize) -> usize {
    (BLOCK / vocabulary.max(1)).clamp(12, 4096)
}

/// For each (row of x, token) the log-probability of the token under the softmax of row · weightᵀ, as a column.
///
/// # Panics
/// A row or a token is beyond the end.
pub fn token_log_probabilities(tape: &Tape, x: &Var, weight: &Var, targets: &[(usize, u32)]) -> Var {
    let (inputs, vocabulary) = (weight.columns, weight.rows);
    assert_eq!(x.columns, inputs, "inputs of the output matrix");
    let compute = tape.compute();
    let mut rows = tape.buffer(targets.len() * inputs);
    for (to, (row, token)) in rows.chunks_mut(inputs).zip(targets) {
        assert!((*token as usize) < vocabulary, "token {token} of a vocabulary of {vocabulary}");
        to.copy_from_slice(&x.value[row * inputs..][..inputs]);
    }
    let mut y = tape.buffer(targets.len());
    let mut totals = vec![0f32; targets.len()];
    let size = block_rows(vocabulary);
    let mut logits = tape.buffer(size.min(targets.len()) * vocabulary);
    // Packed once for all blocks: packing a vocabulary costs as much as multiplying some dozen rows by it.
    compute.panels.with(|panels| {
        panels.pack(compute.workers, &weight.value, inputs, vocabulary, true);
        for first in (0..targets.len()).step_by(size) {
            let count = size.min(targets.len() - first);
            let logits = &mut logits[..count * vocabulary];
            multiply(compute, &rows[first * inputs..][..count * inputs], panels, logits);
            totals_of(compute, logits, vocabulary, &mut totals[first..first + count]);
            for at in 0..count {
                let token = targets[first + at].1 as usize;
                y[first + at] = logits[at * vocabulary + token] - totals[first + at];
            }
        }
    });
    drop(logits);
    let head = Head {
        x: x.into(),
        weight: weight.into(),
        weight_value: weight.value.clone(),
        rows,
        targets: targets.into(),
    };
    tape.record(&[x, weight], (targets.len(), 1), y, move |flow, gradient| head.backward(flow, &gradient))
}

/// y = rows · panels.
fn multiply(compute: &Compute, rows: &[f32], panels: &Panels, y: &mut [f32]) {
    let sizes = (y.len() / panels.columns(), panels.depth());
    multiply_panels(compute.isa, compute.workers, rows, sizes, panels, y, Start::Zero, None);
}

/// What the way back needs: the logits are computed again.
struct Head {
    x: VarRef,
    weight: VarRef,
    weight_value: Arc<Buffer>,
    /// The rows of x that are asked, `[targets][inputs]`.
    rows: Buffer,
    targets: Arc<[(usize, u32)]>,
}

impl Head {
    fn backward(&self, flow: &mut Flow, gradient: &[f32]) {
        let compute = flow.compute.clone();
        let (count, inputs, vocabulary) = (self.targets.len(), self.weight.columns, self.weight.rows);
        let size = block_rows(vocabulary);
        let mut logits = flow.buffer(size.min(count) * vocabulary);
        let (mut by_token, mut by_input) = (Panels::default(), Panels::default());
        by_token.pack(compute.workers, &self.weight_value, inputs, vocabulary, true);
        if flow.is_needed(&self.x) {
            by_input.pack(compute.workers, &self.weight_value, vocabulary, inputs, false);
        }
        for first in (0..count).step_by(size) {
            let own = size.min(count - first);
            let logits = &mut logits[..own * vocabulary];
            let rows = &self.rows[first * inputs..][..own * inputs];
            multiply(&compute, rows, &by_token, logits);
            self.gradient_of_logits(&compute, first, gradient, logits);
            if flow.is_needed(&self.x) {
                self.add_gradient_of_rows(flow, first, logits, &by_input);
            }
            flow.accumulate(&self.weight, |sum| {
                let sizes = (own, vocabulary, inputs);
                multiply_transposed(compute.isa, compute.workers, logits, rows, sizes, sum, None);
            });
        }
    }

    /// Adds what the gradient of some logits, those from target `first` on, says of the rows of x.
    fn add_gradient_of_rows(&self, flow: &mut Flow, first: usize, logits: &[f32], by_input: &Panels) {
        let (compute, inputs) = (flow.compute.clone(), self.weight.columns);
        let count = logits.len() / self.weight.rows;
        let mut back = flow.buffer(count * inputs);
        multiply(&compute, logits, by_input, &mut back);
        flow.accumulate(&self.x, |sum| {
            for (back, (row, _)) in back.chunks(inputs).zip(&self.targets[first..first + count]) {
                let to = &mut sum[row * inputs..][..inputs];
                to.iter_mut().zip(back).for_each(|(sum, back)| *sum += back);
            }
        });
    }

    /// Turns logits of some rows into the gradient by them: g · (\[token\] − probability).
    fn gradient_of_logits(&self, compute: &Compute, first: usize, gradient: &[f32], logits: &mut [f32]) {
        compute.rows(logits, self.weight.rows, |at, logits| {
            let at = first + at;
            let gradient = gradient[at];
            if gradient == 0.0 {
                logits.fill(0.0);
                return;
            }
            softmax_row(compute.isa, logits);
            logits.iter_mut().for_each(|share| *share *= -gradient);
            logits[self.targets[at].1 as usize] += gradient;
        });
    }
}

/// The logarithm of the sum of exponentials of each row.
fn totals_of(compute: &Compute, logits: &[f32], vocabulary: usize, totals: &mut [f32]) {
    compute.pieces(totals, 1, |at, total| {
        total[0] = log_sum_exp(compute.isa, &logits[at * vocabulary..][..vocabulary]) as f32;
    });
}
