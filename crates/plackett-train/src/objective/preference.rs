//! Chosen answers before rejected ones: the family of direct preference optimisation.

use super::error::{DIVERGED, REPAIR, check_finite, check_length};
use super::{Batch, Group, Input, Loss, Objective, ObjectiveSpec, Preferences, Problem, on_lists};
use crate::tape::{Tape, Var};
use plackett_core::declaration::{OptionKind, OptionSpec};

const BETA: OptionSpec = OptionSpec {
    name: "beta",
    kind: OptionKind::Positive,
    default: Some("0.1"),
    help: "slope of the loss: the smaller, the further the model may go from the reference",
};

/// DPO, with its conservative and robust forms.
pub const DPO: ObjectiveSpec = ObjectiveSpec {
    name: "dpo",
    aliases: &["ddro"],
    group: Group::Preference,
    summary: "Makes the chosen sequence likelier than the rejected one, compared with a reference model.",
    formula: "−ln σ(β Δ), Δ = ln(π/π_ref)(chosen) − ln(π/π_ref)(rejected); conservative (1−ε) l(Δ) + ε l(−Δ), robust ((1−ε) l(Δ) − ε l(−Δ)) / (1−2ε)",
    source: "Rafailov and others, Direct Preference Optimization, 2023, equation 7; DDRO, 2025 (docids, β 0.4); OneRec, 2025; Chowdhury and others, Provably Robust DPO, 2024",
    takes: &[Input::SequenceLogProbabilities, Input::Reference],
    options: &[
        BETA,
        OptionSpec {
            name: "label_smoothing",
            kind: OptionKind::Number(0.0, 0.49),
            default: Some("0"),
            help: "ε, the share of pairs that are believed to be the wrong way round",
        },
        OptionSpec {
            name: "smoothing",
            kind: OptionKind::Choice(&["conservative", "robust"]),
            default: Some("conservative"),
            help: "what is done with ε",
        },
    ],
    build: |options| {
        let (beta, epsilon) = (options.number("beta") as f32, options.number("label_smoothing") as f32);
        let robust = options.choice("smoothing") == "robust";
        let (right, wrong) = match robust {
            true => ((1.0 - epsilon) / (1.0 - 2.0 * epsilon), -epsilon / (1.0 - 2.0 * epsilon)),
            false => (1.0 - epsilon, epsilon),
        };
        Ok(on_preferences(move |tape, pairs| {
            let margin = tape.scale(&reference_margin(tape, pairs)?, beta);
            let kept = tape.scale(&tape.softplus(&tape.scale(&margin, -1.0)), right);
            Ok(tape.plus(&kept, &tape.scale(&tape.softplus(&margin), wrong)))
        }))
    },
};

/// IPO.
pub const IPO: ObjectiveSpec = ObjectiveSpec {
    name: "ipo",
    aliases: &[],
    group: Group::Preference,
    summary: "Makes the difference of log-ratios of chosen and rejected a fixed number, so that it does not grow without end.",
    formula: "(Δ − 1/(2β))²",
    source: "Azar and others, A General Theoretical Paradigm to Understand Learning from Human Preferences, 2023, equation 17",
    takes: &[Input::SequenceLogProbabilities, Input::Reference],
    options: &[BETA],
    build: |options| {
        let wanted = 0.5 / options.number("beta") as f32;
        Ok(on_preferences(move |tape, pairs| {
            Ok(tape.square(&tape.shift(&reference_margin(tape, pairs)?, -wanted)))
        }))
    },
};

/// SLiC's hinge.
pub const SLIC_HINGE: ObjectiveSpec = ObjectiveSpec {
    name: "slic-hinge",
    aliases: &["slic"],
    group: Group::Preference,
    summary: "Asks that the chosen sequence is likelier by a margin, and for no more.",
    formula: "max(0, δ − β (ln π(chosen) − ln π(rejected))); with reference=true of log-ratios",
    source: "Zhao and others, SLiC-HF, 2023 (there beside a language loss on the chosen one)",
    takes: &[Input::SequenceLogProbabilities],
    options: &[
        OptionSpec {
            name: "beta",
            kind: OptionKind::Positive,
            default: Some("1"),
            help: "slope of the loss",
        },
        OptionSpec {
            name: "delta",
            kind: OptionKind::Positive,
            default: Some("1"),
            help: "margin from which a pair asks for nothing",
        },
        OptionSpec {
            name: "reference",
            kind: OptionKind::Switch,
            default: Some("false"),
            help: "compares with a reference model, as DPO does",
        },
    ],
    build: |options| {
        let (beta, delta, reference) =
            (options.number("beta") as f32, options.number("delta") as f32, options.switch("reference"));
        Ok(on_preferences(move |tape, pairs| {
            let margin = if reference {
                reference_margin(tape, pairs)?
            } else {
                tape.minus(pairs.chosen, pairs.rejected)
            };
            Ok(tape.relu(&tape.shift(&tape.scale(&margin, -beta), delta)))
        }))
    },
};

/// SimPO.
pub const SIMPO: ObjectiveSpec = ObjectiveSpec {
    name: "simpo",
    aliases: &[],
    group: Group::Preference,
    summary: "Makes the mean log-probability of the chosen sequence's tokens greater than that of the rejected one's by a margin, without a reference model.",
    formula: "−ln σ(β (ln π(chosen)/|chosen| − ln π(rejected)/|rejected|) − γ)",
    source: "Meng, Xia and Chen, SimPO, 2024, equation 6",
    takes: &[Input::SequenceLogProbabilities, Input::Lengths],
    options: &[
        OptionSpec {
            name: "beta",
            kind: OptionKind::Positive,
            default: Some("2"),
            help: "slope of the loss",
        },
        OptionSpec {
            name: "gamma",
            kind: OptionKind::Number(0.0, f64::MAX),
            default: Some("1"),
            help: "margin that is wanted",
        },
    ],
    build: |options| {
        let (beta, gamma) = (options.number("beta") as f32, options.number("gamma") as f32);
        Ok(on_preferences(move |tape, pairs| {
            let remedy = "say how many tokens each sequence has";
            let (chosen, rejected) =
                pairs.lengths.ok_or(Problem::Missing { input: "lengths of sequences", remedy })?;
            let chosen = per_token(tape, pairs.chosen, chosen, "chosen sequence")?;
            let rejected = per_token(tape, pairs.rejected, rejected, "rejected sequence")?;
            let margin = tape.shift(&tape.scale(&tape.minus(&chosen, &rejected), beta), -gamma);
            Ok(tape.softplus(&tape.scale(&margin, -1.0)))
        }))
    },
};

/// CPO.
pub const CPO: ObjectiveSpec = ObjectiveSpec {
    name: "cpo",
    aliases: &[],
    group: Group::Preference,
    summary: "Makes the chosen sequence likelier than the rejected one without a reference model, and keeps it likely by its negative log-likelihood.",
    formula: "−ln σ(β (ln π(chosen) − ln π(rejected))) − nll · ln π(chosen)",
    source: "Xu and others, Contrastive Preference Optimization, 2024",
    takes: &[Input::SequenceLogProbabilities],
    options: &[
        BETA,
        OptionSpec {
            name: "nll",
            kind: OptionKind::Number(0.0, f64::MAX),
            default: Some("1"),
            help: "weight of the negative log-likelihood of the chosen sequence",
        },
    ],
    build: |options| {
        let (beta, nll) = (options.number("beta") as f32, options.number("nll") as f32);
        Ok(on_preferences(move |tape, pairs| {
            let margin = tape.scale(&tape.minus(pairs.chosen, pairs.rejected), -beta);
            Ok(tape.minus(&tape.softplus(&margin), &tape.scale(pairs.chosen, nll)))
        }))
    },
};

/// Softmax-DPO.
pub const SOFTMAX_DPO: ObjectiveSpec = ObjectiveSpec {
    name: "softmax-dpo",
    aliases: &["s-dpo"],
    group: Group::Preference,
    summary: "Makes each sequence with a label above 0 likelier than all of the others of its list together, compared with a reference model.",
    formula: "ln(1 + Σ_{l: y_l ≤ 0} e^(β (Δ_l − Δ_w))), Δ = ln(π/π_ref), mean over w with y_w > 0",
    source: "Chen and others, On Softmax Direct Preference Optimization for Recommendation, 2024",
    takes: &[Input::Scores, Input::Labels, Input::Reference],
    options: &[BETA],
    build: |options| {
        let beta = options.number("beta") as f32;
        Ok(on_lists(move |tape, list| {
            let reference = tape.constant((list.count(), 1), list.reference()?);
            let ratios = tape.scale(&tape.minus(&list.scores, &reference), beta);
            let (chosen, rejected): (Vec<usize>, Vec<usize>) =
                (0..list.count()).partition(|at| list.labels[*at] > 0.0);
            if chosen.is_empty() || rejected.is_empty() {
                return Ok(None);
            }
            let rows = chosen.iter().flat_map(|w| std::iter::once(*w).chain(rejected.iter().copied()));
            let (rows, width) = (rows.collect::<Vec<_>>(), rejected.len() + 1);
            let logs = tape.log_softmax(&tape.gather(&ratios, &rows, (chosen.len(), width)));
            let firsts: Vec<usize> = (0..chosen.len()).map(|row| row * width).collect();
            Ok(Some(tape.scale(&tape.mean(&tape.gather(&logs, &firsts, (chosen.len(), 1))), -1.0)))
        }))
    },
};

/// An objective that is the mean over pairs; `loss` gives one number a pair, as a column.
fn on_preferences(
    loss: impl Fn(&Tape, &Preferences) -> Result<Var, Problem> + Send + Sync + 'static,
) -> Box<dyn Objective> {
    Box::new(move |tape: &Tape, batch: &Batch| {
        let Batch::Preferences(pairs) = batch else {
            return Err(Problem::Batch {
                expected: "pairs of a chosen and a rejected sequence",
                given: batch.name(),
            });
        };
        check(pairs)?;
        Ok(Loss::mean_of_column(tape, &loss(tape, pairs)?))
    })
}

fn check(pairs: &Preferences) -> Result<(), Problem> {
    let count = pairs.chosen.rows;
    for (side, what) in
        [(pairs.chosen, "chosen log-probability"), (pairs.rejected, "rejected log-probability")]
    {
        if side.columns != 1 {
            let expected = "one log-probability for each pair is needed".to_string();
            return Err(Problem::Shape {
                what: "log-probabilities",
                rows: side.rows,
                columns: side.columns,
                expected,
            });
        }
        check_length("log-probabilities of one side", side.rows, "pairs", count)?;
        check_finite(what, &side.value, ("batch", 0), DIVERGED)?;
    }
    for reference in [pairs.reference_chosen, pairs.reference_rejected].into_iter().flatten() {
        check_length("reference log-probabilities", reference.len(), "pairs", count)?;
        check_finite("reference log-probability", reference, ("batch", 0), REPAIR)?;
    }
    if let Some((chosen, rejected)) = pairs.lengths {
        check_length("lengths", chosen.len(), "pairs", count)?;
        check_length("lengths", rejected.len(), "pairs", count)?;
    }
    Ok(())
}

/// Log-ratio of the chosen minus that of the rejected sequence, as a column.
fn reference_margin(tape: &Tape, pairs: &Preferences) -> Result<Var, Problem> {
    let remedy = "compute them once with the model before training, or choose simpo, cpo or slic-hinge";
    let missing = Problem::Missing { input: "log-probabilities of a reference model", remedy };
    let (Some(chosen), Some(rejected)) = (pairs.reference_chosen, pairs.reference_rejected) else {
        return Err(missing);
    };
    let reference: Vec<f32> =
        chosen.iter().zip(rejected).map(|(chosen, rejected)| chosen - rejected).collect();
    let reference = tape.constant((reference.len(), 1), &reference);
    Ok(tape.minus(&tape.minus(pairs.chosen, pairs.rejected), &reference))
}

/// Mean log-probability of the tokens of each sequence.
fn per_token(tape: &Tape, sums: &Var, lengths: &[usize], what: &'static str) -> Result<Var, Problem> {
    if let Some(at) = lengths.iter().position(|length| *length == 0) {
        return Err(Problem::Empty { what, at });
    }
    let shares: Vec<f32> = lengths.iter().map(|length| 1.0 / *length as f32).collect();
    Ok(tape.times(sums, &tape.constant((shares.len(), 1), &shares)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, assert_close, on_tape};
    use super::super::{ObjectiveError, parse};
    use super::*;
    use crate::tape::assert_gradients;
    use std::f64::consts::LN_2;

    // Log-probabilities (−4, −6) and (−5, −5); of the reference (−5, −6) and (−4, −5): Δ = 1 and −1... by hand:
    // (−4 + 5) − (−5 + 4) = 1 + 1 = 2; (−6 + 6) − (−5 + 5) = 0.
    fn pairs<'a>(chosen: &'a Var, rejected: &'a Var) -> Preferences<'a> {
        Preferences {
            chosen,
            rejected,
            reference_chosen: Some(&[-5.0, -6.0]),
            reference_rejected: Some(&[-4.0, -5.0]),
            lengths: Some((&[2, 3], &[5, 1])),
        }
    }

    fn loss_of(text: &str, change: impl Fn(&mut Preferences)) -> Result<f32, ObjectiveError> {
        on_tape(|tape| {
            let (chosen, rejected) =
                (tape.constant((2, 1), &[-4.0, -6.0]), tape.constant((2, 1), &[-5.0, -5.0]));
            let mut pairs = pairs(&chosen, &rejected);
            change(&mut pairs);
            Ok(parse(text).unwrap().loss(tape, &Batch::Preferences(pairs))?.value.item())
        })
    }

    #[test]
    fn losses_by_hand() {
        for (text, expected) in [
            // β = 0.5: −ln σ(1) = 0.313262, −ln σ(0) = 0.693147.
            ("dpo(beta=0.5)", (0.313262 + LN_2) / 2.0),
            // ε = 0.1: 0.9 · 0.313262 + 0.1 · 1.313262 = 0.413262, and 0.693147.
            ("dpo(beta=0.5, label_smoothing=0.1)", (0.413262 + LN_2) / 2.0),
            // (0.9 · 0.313262 − 0.1 · 1.313262) / 0.8 = 0.188262, and 0.693147.
            ("dpo(beta=0.5, label_smoothing=0.1, smoothing=robust)", (0.188262 + LN_2) / 2.0),
            // 1/(2 · 0.5) = 1: (2 − 1)² and (0 − 1)².
            ("ipo(beta=0.5)", 1.0),
            // Without a reference: differences 1 and −1: max(0, 1 − 1) and 1 + 1.
            ("slic-hinge", 1.0),
            // With it: 2 and 0: 0 and 1.
            ("slic-hinge(reference=true)", 0.5),
            // −4/2 + 5/5 = −1 and −6/3 + 5/1 = 3; 2 · −1 − 1 = −3: ln(1 + e³) = 3.048587; 2 · 3 − 1 = 5: 0.006715.
            ("simpo", (3.048587 + 0.006715) / 2.0),
            // β = 0.5: ln(1 + e⁻⁰·⁵) + 4 = 4.474077 and ln(1 + e⁰·⁵) + 6 = 6.974077.
            ("cpo(beta=0.5)", (4.474077 + 6.974077) / 2.0),
        ] {
            assert_close(text, loss_of(text, |_| ()).unwrap(), expected);
        }
    }

    #[test]
    fn the_first_step_of_dpo_is_ln_2() {
        // A model that is its own reference has Δ = 0 for every pair (DDRO, check a).
        let value = loss_of("dpo(beta=0.4)", |pairs| {
            pairs.reference_chosen = Some(&[-4.0, -6.0]);
            pairs.reference_rejected = Some(&[-5.0, -5.0]);
        });
        assert_close("first step", value.unwrap(), std::f64::consts::LN_2);
    }

    #[test]
    fn gradients_are_differences() {
        let texts = [
            "dpo",
            "dpo(label_smoothing=0.2, smoothing=robust)",
            "ipo(beta=0.5)",
            "slic-hinge(delta=3)",
            "slic-hinge(delta=3, reference=true)",
            "simpo",
            "cpo",
        ];
        for text in texts {
            let inputs = [((2, 1), vec![-4.0, -6.0]), ((2, 1), vec![-5.0, -5.0])];
            assert_gradients(&inputs, |tape, inputs| {
                let pairs = pairs(&inputs[0], &inputs[1]);
                parse(text).unwrap().loss(tape, &Batch::Preferences(pairs)).unwrap().value
            });
        }
    }

    #[test]
    fn many_rejected_by_hand() {
        // β = 1, Δ = (1, 0, −0.5): ln(1 + e⁻¹ + e⁻¹·⁵) = ln 1.591009 = 0.464369. With a single rejected one it is DPO.
        let case = |text: &str, scores: &[f32], labels: &[f32], reference: &[f32]| {
            Case::new(text, &[scores], &[labels]).reference(reference)
        };
        let many = case("s-dpo(beta=1)", &[-4.0, -6.0, -5.5], &[1.0, 0.0, 0.0], &[-5.0, -6.0, -5.0]);
        many.assert_value(0.464369);
        many.assert_gradients();
        case("s-dpo(beta=0.5)", &[-4.0, -5.0], &[1.0, 0.0], &[-5.0, -4.0]).assert_value(0.313262);
        let message = Case::new("s-dpo", &[&[1.0, 0.0]], &[&[1.0, 0.0]]).loss().unwrap_err().to_string();
        assert!(message.contains("needs log-probabilities of a reference model"), "{message}");
    }

    #[test]
    fn bad_input_is_refused() {
        let message =
            |text: &str, change: fn(&mut Preferences)| loss_of(text, change).unwrap_err().to_string();
        assert!(message("dpo", |pairs| pairs.reference_chosen = None).contains("simpo, cpo or slic-hinge"));
        assert!(
            message("dpo", |pairs| pairs.reference_chosen = Some(&[0.0]))
                .contains("1 reference log-probabilities for 2")
        );
        assert!(
            message("dpo", |pairs| pairs.reference_chosen = Some(&[0.0, f32::NAN]))
                .contains("reference log-probability 1 of batch 0 is NaN")
        );
        assert!(message("simpo", |pairs| pairs.lengths = None).contains("needs lengths of sequences"));
        assert!(
            message("simpo", |pairs| pairs.lengths = Some((&[1, 0], &[1, 1])))
                .contains("chosen sequence 1 is empty")
        );
        let lists = Case::new("dpo", &[&[1.0, 0.0]], &[&[1.0, 0.0]]).loss().unwrap_err().to_string();
        assert!(
            lists.contains("needs pairs of a chosen and a rejected sequence, and was given lists"),
            "{lists}"
        );
    }
}
