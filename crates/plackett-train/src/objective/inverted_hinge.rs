//! LoKU's bounded loss of forgetting.

use super::error::{DIVERGED, check_finite, check_length};
use super::listwise::softmax;
use super::unlearning::RETAIN;
use super::{Batch, Group, Input, Logits, Loss, ObjectiveSpec, Problem};
use crate::tape::{Tape, Var, VarRef};

/// The inverted hinge loss.
pub const INVERTED_HINGE: ObjectiveSpec = ObjectiveSpec {
    name: "inverted-hinge",
    aliases: &["ihl", "loku"],
    group: Group::Language,
    summary: "Lowers the probability of a token that is to be forgotten to that of the runner-up, and pushes no further; what is retained stays likely.",
    formula: "mean over rows that are forgotten of 1 + p_t − max_{v≠t} p_v, plus retain · mean over rows that are retained of −ln p_t",
    source: "Cha and others, Towards Robust and Parameter-Efficient Knowledge Unlearning (LoKU), 2024",
    takes: &[Input::Logits, Input::Targets, Input::Retained],
    options: &[RETAIN],
    build: |options| {
        let retain = options.number("retain") as f32;
        Ok(Box::new(move |tape: &Tape, batch: &Batch| {
            let logits = logits_of(batch)?;
            let (forgotten, retained): (Vec<usize>, Vec<usize>) = (0..logits.targets.len())
                .partition(|row| !logits.retained.is_some_and(|retained| retained[*row]));
            let forget = forgotten.iter().map(|row| (*row, 1.0 / forgotten.len() as f32)).collect();
            let keep = retained.iter().map(|row| (*row, retain / retained.len() as f32)).collect();
            let value = tape.plus(&hinges(tape, logits, forget), &negative_logs(tape, logits, keep));
            Ok(Loss { value, used: logits.targets.len(), skipped: 0 })
        }))
    },
};

/// The logits of a batch, checked.
pub(super) fn logits_of<'b, 'a>(batch: &'b Batch<'a>) -> Result<&'b Logits<'a>, Problem> {
    let Batch::Logits(logits) = batch else {
        return Err(Problem::Batch { expected: "logits over a vocabulary", given: batch.name() });
    };
    let (rows, columns) = (logits.logits.rows, logits.logits.columns);
    if columns < 2 {
        let expected = "a vocabulary of at least two tokens is needed".to_string();
        return Err(Problem::Shape { what: "logits", rows, columns, expected });
    }
    check_length("target tokens", logits.targets.len(), "rows of logits", rows)?;
    check_length(
        "marks of what is retained",
        logits.retained.map_or(rows, <[_]>::len),
        "rows of logits",
        rows,
    )?;
    let count = rows * columns;
    check_length("reference logits", logits.reference.map_or(count, <[f32]>::len), "logits", count)?;
    for (row, target) in logits.targets.iter().enumerate() {
        if *target >= columns {
            return Err(Problem::Place { what: "target", place: *target, row, count: columns, of: "tokens" });
        }
        check_finite("logit", row_of(&logits.logits.value, columns, row), ("row", row), DIVERGED)?;
        if let Some(reference) = logits.reference {
            check_finite(
                "reference logit",
                row_of(reference, columns, row),
                ("row", row),
                "compute them anew",
            )?;
        }
    }
    Ok(logits)
}

pub(super) fn row_of(matrix: &[f32], columns: usize, row: usize) -> &[f32] {
    &matrix[row * columns..][..columns]
}

/// The probabilities of a row, and the likeliest token other than the target: of equal ones the first.
fn probabilities(logits: &[f32], target: usize) -> (Vec<f32>, usize) {
    let p = softmax(logits.iter().copied(), 1.0);
    // Logits and not probabilities are compared: far ones have the same probability of 0.
    let first = usize::from(target == 0);
    let others = (0..p.len()).filter(|other| *other != target);
    (p, others.fold(first, |best, other| if logits[other] > logits[best] { other } else { best }))
}

/// Σ w (1 + p_t − p_v*) over rows with weights. The gradient by logits, of which v* is the index that it is, is
/// p_t (1 − p_t + p_v*) for the target, −p_v* (1 − p_v* + p_t) for v* and p_k (p_v* − p_t) for any other.
fn hinges(tape: &Tape, logits: &Logits, rows: Vec<(usize, f32)>) -> Var {
    let (columns, of) = (logits.logits.columns, VarRef::from(logits.logits));
    let (values, targets) = (logits.logits.value.clone(), logits.targets.to_vec());
    let mut weights = vec![0.0; targets.len()];
    rows.iter().for_each(|(row, weight)| weights[*row] = *weight);
    let mut losses = vec![0.0; rows.len()];
    // Rows are shared out among workers, and summed in their order.
    tape.compute().pieces(&mut losses, 1, |at, loss| {
        let (row, weight) = rows[at];
        let (p, best) = probabilities(row_of(&values, columns, row), targets[row]);
        loss[0] = weight * (1.0 + p[targets[row]] - p[best]);
    });
    let mut total = tape.buffer(1);
    total[0] = losses.iter().map(|loss| f64::from(*loss)).sum::<f64>() as f32;
    tape.record(&[logits.logits], (1, 1), total, move |flow, gradient| {
        let compute = flow.compute.clone();
        flow.accumulate(&of, |sum| {
            compute.rows(sum, columns, |row, sum| {
                if weights[row] != 0.0 {
                    let logits = row_of(&values, columns, row);
                    add_slopes(sum, logits, targets[row], gradient[0] * weights[row]);
                }
            });
        });
    })
}

/// Adds the gradient of a row by its logits, times a number.
fn add_slopes(sum: &mut [f32], logits: &[f32], target: usize, by: f32) {
    let (p, best) = probabilities(logits, target);
    let ahead = p[best] - p[target];
    for (k, (sum, p)) in sum.iter_mut().zip(&p).enumerate() {
        let own = f32::from(k == target) - f32::from(k == best);
        *sum += by * p * (own + ahead);
    }
}

/// Σ −w ln p_t over rows with weights.
fn negative_logs(tape: &Tape, logits: &Logits, rows: Vec<(usize, f32)>) -> Var {
    let columns = logits.logits.columns;
    let places: Vec<usize> = rows.iter().flat_map(|(row, _)| row * columns..(row + 1) * columns).collect();
    let logs = tape.log_softmax(&tape.gather(logits.logits, &places, (rows.len(), columns)));
    let targets: Vec<usize> =
        rows.iter().enumerate().map(|(at, (row, _))| at * columns + logits.targets[*row]).collect();
    let weights: Vec<f32> = rows.iter().map(|(_, weight)| -weight).collect();
    let logs = tape.gather(&logs, &targets, (rows.len(), 1));
    tape.sum(&tape.times(&logs, &tape.constant((rows.len(), 1), &weights)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, on_tape};
    use super::super::{ObjectiveError, parse};
    use super::*;
    use crate::tape::{Compute, Gradients, Parameters, assert_gradients};
    use std::f64::consts::LN_2;

    fn batch<'a>(logits: &'a Var, targets: &'a [usize], retained: Option<&'a [bool]>) -> Batch<'a> {
        Batch::Logits(Logits { logits, targets, reference: None, retained })
    }

    fn loss_of(rows: &[f32], targets: &[usize], retained: Option<&[bool]>) -> Result<f32, ObjectiveError> {
        on_tape(|tape| {
            let logits = tape.constant((targets.len(), rows.len() / targets.len()), rows);
            let objective = parse("inverted-hinge").unwrap();
            Ok(objective.loss(tape, &batch(&logits, targets, retained))?.value.item())
        })
    }

    #[test]
    fn hinges_by_hand() {
        // p = (1/2, 1/4, 1/4) from logits (ln 2, 0, 0), target 0: 1 + 1/2 − 1/4; target 1: 1 + 1/4 − 1/2.
        let row = [2f32.ln(), 0.0, 0.0];
        assert_close("target", loss_of(&row, &[0], None).unwrap(), 1.25);
        assert_close("runner-up", loss_of(&row, &[1], None).unwrap(), 0.75);
        // A tie of target and runner-up is 1; all bounds are 0 and 2, however far the logits are.
        assert_close("tie", loss_of(&[3.0, 3.0, -1.0], &[0], None).unwrap(), 1.0);
        assert_close("most", loss_of(&[1e4, 0.0, -1e4], &[0], None).unwrap(), 2.0);
        assert_close("least", loss_of(&[-1e4, 0.0, 1e4], &[0], None).unwrap(), 0.0);
        // The first row forgotten, the second retained: 1.25 + ln 2.
        let both = [row, row].concat();
        assert_close("retain", loss_of(&both, &[0, 0], Some(&[false, true])).unwrap(), 1.25 + LN_2);
    }

    #[test]
    fn the_gradient_is_the_formula() {
        // p = (1/2, 1/4, 1/8, 1/8), target 1, v* = 0: target 1/4 (1 − 1/4 + 1/2) = 5/16; v*: −1/2 (1 − 1/2 + 1/4)
        // = −3/8; others 1/8 (1/2 − 1/4) = 1/32 each. They sum to 0.
        let mut parameters = Parameters::default();
        let id = parameters.add("logits", (1, 4), [4f32, 2.0, 1.0, 1.0].map(f32::ln).to_vec());
        let tape = Tape::new(&parameters, &Compute::new(1));
        let loss = parse("ihl").unwrap().loss(&tape, &batch(&tape.parameter(id), &[1], None)).unwrap();
        let mut gradients = Gradients::default();
        tape.backward(&loss.value, &mut gradients);
        for (gradient, expected) in gradients.get(id).unwrap().iter().zip([-0.375, 0.3125, 0.03125, 0.03125])
        {
            assert!((gradient - expected).abs() < 1e-6, "{gradient} is not {expected}");
        }
    }

    #[test]
    fn gradients_are_differences() {
        let logits = vec![0.5, -0.3, 1.2, 0.1, 0.9, 0.2, -0.7, 1.1, -0.4, 0.6, 1.5, 0.0];
        assert_gradients(&[((3, 4), logits)], |tape, inputs| {
            let batch = batch(&inputs[0], &[2, 0, 3], Some(&[false, false, true]));
            parse("inverted-hinge(retain=0.7)").unwrap().loss(tape, &batch).unwrap().value
        });
    }

    #[test]
    fn bad_input_is_refused() {
        let message = |rows: &[f32], targets: &[usize], retained| {
            loss_of(rows, targets, retained).unwrap_err().to_string()
        };
        assert!(
            message(&[0.0, 1.0], &[2], None).contains("target 2 of row 0 does not exist: there are 2 tokens")
        );
        assert!(message(&[0.0, f32::NAN], &[0], None).contains("logit 1 of row 0 is NaN"));
        assert!(message(&[0.0, 1.0], &[0], Some(&[])).contains("0 marks of what is retained for 1"));
        assert!(message(&[0.0], &[0], None).contains("at least two tokens"));
    }
}
