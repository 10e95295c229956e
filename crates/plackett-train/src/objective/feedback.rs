//! Answers that are liked or disliked, without pairs.

use super::error::{DIVERGED, REPAIR, check_finite, check_length};
use super::{Batch, Feedback, Group, Input, Loss, ObjectiveSpec, Problem};
use crate::tape::Tape;
use plackett_core::declaration::{OptionKind, OptionSpec};

/// KTO.
pub const KTO: ObjectiveSpec = ObjectiveSpec {
    name: "kto",
    aliases: &[],
    group: Group::Preference,
    summary: "Makes wanted sequences likelier and unwanted ones less likely than a reference point that lies at the model's distance from the reference model.",
    formula: "mean of λ_D (1 − σ(β (r − z))) for wanted and λ_U (1 − σ(β (z − r))) for unwanted ones, r = ln(π/π_ref), z = max(0, estimate of KL(π ‖ π_ref)), which has no gradient",
    source: "Ethayarajh and others, KTO: Model Alignment as Prospect Theoretic Optimization, 2024",
    takes: &[Input::SequenceLogProbabilities, Input::Reference, Input::Desirable],
    options: &[
        OptionSpec {
            name: "beta",
            kind: OptionKind::Positive,
            default: Some("0.1"),
            help: "slope of the loss",
        },
        OptionSpec {
            name: "desirable",
            kind: OptionKind::Positive,
            default: Some("1"),
            help: "λ_D, the weight of wanted sequences",
        },
        OptionSpec {
            name: "undesirable",
            kind: OptionKind::Positive,
            default: Some("1"),
            help: "λ_U, the weight of unwanted sequences",
        },
    ],
    build: |options| {
        let beta = options.number("beta") as f32;
        let (wanted, unwanted) = (options.number("desirable") as f32, options.number("undesirable") as f32);
        Ok(Box::new(move |tape: &Tape, batch: &Batch| {
            let Batch::Feedback(batch) = batch else {
                return Err(Problem::Batch {
                    expected: "wanted and unwanted sequences",
                    given: batch.name(),
                });
            };
            check(batch)?;
            let count = batch.desirable.len();
            let column = |of: &dyn Fn(bool) -> f32| {
                tape.constant(
                    (count, 1),
                    &batch.desirable.iter().map(|wanted| of(*wanted)).collect::<Vec<_>>(),
                )
            };
            let ratios = tape.minus(batch.log_probabilities, &tape.constant((count, 1), batch.reference));
            // 1 − σ(x) is σ(−x): wanted ones lose by z − r, unwanted ones by r − z.
            let sides = column(&|wanted| if wanted { -beta } else { beta });
            let distance = tape.times(&tape.shift(&ratios, -batch.divergence.max(0.0)), &sides);
            let weights = column(&|is_wanted| if is_wanted { wanted } else { unwanted });
            Ok(Loss::mean_of_column(tape, &tape.times(&tape.sigmoid(&distance), &weights)))
        }))
    },
};

fn check(batch: &Feedback) -> Result<(), Problem> {
    let (rows, columns) = (batch.log_probabilities.rows, batch.log_probabilities.columns);
    if columns != 1 {
        let expected = "one for each sequence is needed".to_string();
        return Err(Problem::Shape { what: "log-probabilities", rows, columns, expected });
    }
    check_length("reference log-probabilities", batch.reference.len(), "sequences", rows)?;
    check_length("judgments", batch.desirable.len(), "sequences", rows)?;
    let place = ("batch", 0);
    check_finite("log-probability", &batch.log_probabilities.value, place, DIVERGED)?;
    check_finite("reference log-probability", batch.reference, place, REPAIR)?;
    check_finite(
        "divergence",
        &[batch.divergence],
        place,
        "estimate it from the log-ratios of mismatched answers",
    )
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::super::testing::{assert_close, on_tape};
    use super::*;
    use crate::tape::{Var, assert_gradients};

    fn feedback<'a>(log_probabilities: &'a Var, divergence: f32) -> Batch<'a> {
        Batch::Feedback(Feedback {
            log_probabilities,
            reference: &[-5.0, -6.0],
            desirable: &[true, false],
            divergence,
        })
    }

    fn value(text: &str, divergence: f32) -> f32 {
        on_tape(|tape| {
            let sums = tape.constant((2, 1), &[-4.0, -5.5]);
            parse(text).unwrap().loss(tape, &feedback(&sums, divergence)).unwrap().value.item()
        })
    }

    #[test]
    fn wanted_and_unwanted_by_hand() {
        // r = 1 and 0.5, z = 0.5, β = 1: 1 − σ(0.5) = 0.377541 and 1 − σ(0) = 0.5; with λ_U = 2: 0.377541 and 1.
        assert_close("kto", value("kto(beta=1)", 0.5), (0.377541 + 0.5) / 2.0);
        assert_close("λ_U", value("kto(beta=1, undesirable=2)", 0.5), (0.377541 + 1.0) / 2.0);
        // A negative estimate counts as 0: 1 − σ(1) = 0.268941 and 1 − σ(−0.5) = 0.622459.
        assert_close("z = 0", value("kto(beta=1)", -3.0), (0.268941 + 0.622459) / 2.0);
    }

    #[test]
    fn gradients_are_differences() {
        assert_gradients(&[((2, 1), vec![-4.0, -5.5])], |tape, inputs| {
            parse("kto(beta=0.7, desirable=1.5)")
                .unwrap()
                .loss(tape, &feedback(&inputs[0], 0.2))
                .unwrap()
                .value
        });
    }

    #[test]
    fn bad_input_is_refused() {
        on_tape(|tape| {
            let kto = parse("kto").unwrap();
            let sums = tape.constant((3, 1), &[-4.0, -5.5, -1.0]);
            let message = kto.loss(tape, &feedback(&sums, 0.0)).unwrap_err().to_string();
            assert!(message.contains("2 reference log-probabilities for 3 sequences"), "{message}");
            let sums = tape.constant((2, 1), &[-4.0, -5.5]);
            let message = kto.loss(tape, &feedback(&sums, f32::NAN)).unwrap_err().to_string();
            assert!(message.contains("divergence 0 of batch 0 is NaN"), "{message}");
        });
    }
}
