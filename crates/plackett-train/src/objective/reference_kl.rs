//! Staying where a reference model is, over the whole vocabulary.

use super::inverted_hinge::{logits_of, row_of};
use super::listwise::softmax;
use super::{Batch, Group, Input, Loss, ObjectiveSpec, Problem};
use crate::tape::{Tape, VarRef};
use plackett_core::plackett_luce::log_sum_exp;

/// KL divergence from a reference model.
pub const REFERENCE_KL: ObjectiveSpec = ObjectiveSpec {
    name: "reference-kl",
    aliases: &["kl-reference"],
    group: Group::Language,
    summary: "Keeps the distributions of tokens what they are in a reference model; beside gradient-ascent on what is to be forgotten it is the KL baseline of unlearning.",
    formula: "mean over rows (those that are retained, where there are marks) of Σ_v q_v (ln q_v − ln p_v), q of the reference model, p of the model",
    source: "Maini and others, TOFU, 2024 (baseline KL); LoKU, 2024",
    takes: &[Input::Logits, Input::Reference, Input::Retained],
    options: &[],
    build: |_| {
        Ok(Box::new(|tape: &Tape, batch: &Batch| {
            let batch = logits_of(batch)?;
            let remedy = "compute them once with the model before training";
            let reference =
                batch.reference.ok_or(Problem::Missing { input: "logits of a reference model", remedy })?;
            let (logits, rows, columns) = (batch.logits, batch.logits.rows, batch.logits.columns);
            let of = VarRef::from(logits);
            let both = |row: usize| [&logits.value, reference].map(|matrix| row_of(matrix, columns, row));
            let counts = |row: usize| batch.retained.is_none_or(|retained| retained[row]);
            let used = (0..rows).filter(|row| counts(*row)).count();
            let mut total = tape.buffer(1);
            let mut divergences = vec![0.0; rows];
            let compute = tape.compute();
            compute.pieces(&mut divergences, 1, |row, loss| {
                loss[0] = if counts(row) { divergence(both(row)) } else { 0.0 };
            });
            let sum: f64 = divergences.iter().map(|loss| f64::from(*loss)).sum();
            total[0] = (sum / used.max(1) as f64) as f32;
            // The gradient by logits is p − q, which is kept instead of both.
            let mut slopes = tape.buffer(rows * columns);
            compute.rows(&mut slopes, columns, |row, slopes| {
                if !counts(row) {
                    slopes.fill(0.0);
                    return;
                }
                let [p, q] = both(row).map(|logits| softmax(logits.iter().copied(), 1.0));
                slopes
                    .iter_mut()
                    .zip(p.iter().zip(&q))
                    .for_each(|(slope, (p, q))| *slope = (p - q) / used as f32);
            });
            let value = tape.record(&[logits], (1, 1), total, move |flow, gradient| {
                flow.accumulate(&of, |sum| {
                    sum.iter_mut().zip(slopes.iter()).for_each(|(sum, slope)| *sum += gradient[0] * slope);
                });
            });
            Ok(Loss { value, used, skipped: 0 })
        }))
    },
};

/// Σ q (ln q − ln p) of two rows of logits, p's first.
fn divergence([p, q]: [&[f32]; 2]) -> f32 {
    let [log_p, log_q] = [p, q].map(|x| log_sum_exp(x.iter().copied().map(f64::from)));
    let terms = p.iter().zip(q).map(|(p, q)| {
        let (p, q) = (f64::from(*p) - log_p, f64::from(*q) - log_q);
        q.exp() * (q - p)
    });
    terms.sum::<f64>() as f32
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, on_tape};
    use super::super::{Logits, parse};
    use super::*;
    use crate::tape::{Var, assert_gradients};

    fn logits_with<'a>(logits: &'a Var, reference: Option<&'a [f32]>) -> Logits<'a> {
        Logits { logits, targets: &[0, 0], reference, retained: None }
    }

    fn batch<'a>(logits: &'a Var, reference: Option<&'a [f32]>) -> Batch<'a> {
        Batch::Logits(logits_with(logits, reference))
    }

    #[test]
    fn divergence_by_hand() {
        // q = (3/4, 1/4), p = (1/2, 1/2): 0.130812; the second row is the same in both: half of it. Levels do not
        // matter.
        let value = on_tape(|tape| {
            let logits = tape.constant((2, 2), &[5.0, 5.0, 0.3, 0.4]);
            let reference = [3f32.ln(), 0.0, 1.3, 1.4];
            parse("reference-kl").unwrap().loss(tape, &batch(&logits, Some(&reference))).unwrap().value.item()
        });
        assert_close("kl", value, 0.130812 / 2.0);
    }

    #[test]
    fn rows_to_be_forgotten_do_not_count() {
        let reference = [3f32.ln(), 0.0, 1.3, 1.4];
        let value = on_tape(|tape| {
            let logits = tape.constant((2, 2), &[5.0, 5.0, 0.3, 0.4]);
            let batch = Logits { retained: Some(&[true, false]), ..logits_with(&logits, Some(&reference)) };
            parse("reference-kl").unwrap().loss(tape, &Batch::Logits(batch)).unwrap().value.item()
        });
        assert_close("kl", value, 0.130812);
        assert_gradients(&[((2, 2), vec![0.5, -0.3, 1.2, 0.1])], |tape, inputs| {
            let batch =
                Logits { retained: Some(&[true, false]), ..logits_with(&inputs[0], Some(&reference)) };
            parse("reference-kl").unwrap().loss(tape, &Batch::Logits(batch)).unwrap().value
        });
    }

    #[test]
    fn gradients_are_differences() {
        let reference = [0.3, -0.6, 1.1, 0.2, 0.8, -1.0];
        assert_gradients(&[((2, 3), vec![0.5, -0.3, 1.2, 0.1, 0.9, 0.2])], |tape, inputs| {
            parse("reference-kl").unwrap().loss(tape, &batch(&inputs[0], Some(&reference))).unwrap().value
        });
    }

    #[test]
    fn a_reference_is_needed_for_every_logit() {
        on_tape(|tape| {
            let logits = tape.constant((2, 2), &[5.0, 5.0, 0.3, 0.4]);
            let message = |reference| {
                parse("reference-kl").unwrap().loss(tape, &batch(&logits, reference)).unwrap_err().to_string()
            };
            assert!(message(None).contains("needs logits of a reference model"));
            assert!(message(Some(&[0.0])).contains("1 reference logits for 4 logits"));
        });
    }
}
