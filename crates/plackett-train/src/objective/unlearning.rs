//! Making answers less likely that a model is to forget.

use super::language::{tokens_of, weighted_sum};
use super::{Batch, Group, Input, Loss, ObjectiveSpec, Problem, Tokens};
use crate::tape::{Tape, Var};
use plackett_core::declaration::{OptionKind, OptionSpec};

/// The weight of what is retained, of several objectives.
pub(super) const RETAIN: OptionSpec = OptionSpec {
    name: "retain",
    kind: OptionKind::Number(0.0, f64::MAX),
    default: Some("1"),
    help: "weight of the mean negative log-likelihood of what is retained",
};

/// GA.
pub const GRADIENT_ASCENT: ObjectiveSpec = ObjectiveSpec {
    name: "gradient-ascent",
    aliases: &["ga"],
    group: Group::Language,
    summary: "Makes the answers less likely, without bound: the baseline of unlearning.",
    formula: "mean over tokens of ln p",
    source: "Jang and others, Knowledge Unlearning for Mitigating Privacy Risks, 2023; baseline of LoKU, 2024",
    takes: &[Input::TokenLogProbabilities],
    options: &[],
    build: |_| {
        Ok(Box::new(|tape: &Tape, batch: &Batch| {
            let tokens = unweighted(batch)?;
            let (forgotten, retained) = parts(tokens);
            if !retained.is_empty() {
                return Err(Problem::Unused {
                    input: "what is retained",
                    remedy: "choose gradient-difference",
                });
            }
            let value = tape.scale(&nll(tape, tokens, &forgotten), -1.0);
            let used = forgotten.iter().map(|at| tokens.sequences[*at].len()).sum();
            Ok(Loss { value, used, skipped: 0 })
        }))
    },
};

/// GD.
pub const GRADIENT_DIFFERENCE: ObjectiveSpec = ObjectiveSpec {
    name: "gradient-difference",
    aliases: &["gd", "grad-diff"],
    group: Group::Language,
    summary: "Makes the answers that are to be forgotten less likely, without bound, and keeps those that are retained likely.",
    formula: "mean over tokens that are forgotten of ln p − retain · mean over tokens that are retained of ln p",
    source: "Liu, Liu and Stone, Continual Learning and Private Unlearning, 2022; baseline of LoKU, 2024",
    takes: &[Input::TokenLogProbabilities, Input::Retained],
    options: &[RETAIN],
    build: |options| {
        let retain = options.number("retain") as f32;
        Ok(Box::new(move |tape: &Tape, batch: &Batch| {
            let tokens = unweighted(batch)?;
            let (forgotten, retained) = parts(tokens);
            if forgotten.is_empty() || retained.is_empty() {
                let remedy = "give both kinds in each batch, or choose gradient-ascent";
                return Err(Problem::Missing { input: "sequences to forget and such to retain", remedy });
            }
            let kept = tape.scale(&nll(tape, tokens, &retained), retain);
            let value = tape.minus(&kept, &nll(tape, tokens, &forgotten));
            Ok(Loss { value, used: tokens.sequences.len(), skipped: 0 })
        }))
    },
};

/// NPO.
pub const NPO: ObjectiveSpec = ObjectiveSpec {
    name: "npo",
    aliases: &["negative-preference"],
    group: Group::Language,
    summary: "Makes the answers less likely than a reference model has them, with a push that fades as they become so.",
    formula: "mean over sequences of −(2/β) ln σ(−β ln(π/π_ref)), plus retain · mean over tokens that are retained of −ln p",
    source: "Zhang and others, Negative Preference Optimization, 2024; baseline of LoKU, 2024 (β 0.1, retain 1)",
    takes: &[Input::TokenLogProbabilities, Input::Reference, Input::Retained],
    options: &[
        OptionSpec {
            name: "beta",
            kind: OptionKind::Positive,
            default: Some("0.1"),
            help: "how soon the push fades; near 0 it is gradient ascent",
        },
        RETAIN,
    ],
    build: |options| {
        let (beta, retain) = (options.number("beta") as f32, options.number("retain") as f32);
        Ok(Box::new(move |tape: &Tape, batch: &Batch| {
            let tokens = unweighted(batch)?;
            let (forgotten, retained) = parts(tokens);
            let ratios = log_ratios(tape, tokens, &forgotten)?;
            let forget = tape.scale(&tape.mean(&tape.softplus(&tape.scale(&ratios, beta))), 2.0 / beta);
            let value = match retained.is_empty() {
                true => forget,
                false => tape.plus(&forget, &tape.scale(&nll(tape, tokens, &retained), retain)),
            };
            Ok(Loss { value, used: tokens.sequences.len(), skipped: 0 })
        }))
    },
};

/// IDK.
pub const REFUSAL: ObjectiveSpec = ObjectiveSpec {
    name: "refusal",
    aliases: &["idk"],
    group: Group::Language,
    summary: "Makes answers that refuse likely in place of those that are to be forgotten, and keeps those that are retained likely.",
    formula: "mean over tokens of refusals of −ln p, plus retain · mean over tokens that are retained of −ln p",
    source: "Maini and others, TOFU, 2024 (baseline IDK); LoKU, 2024",
    takes: &[Input::TokenLogProbabilities, Input::Refusals, Input::Retained],
    options: &[RETAIN],
    build: |options| {
        let retain = options.number("retain") as f32;
        Ok(Box::new(move |tape: &Tape, batch: &Batch| {
            let tokens = unweighted(batch)?;
            let (refusals, retained) = parts(tokens);
            let kept = tape.scale(&nll(tape, tokens, &retained), retain);
            let value = tape.plus(&nll(tape, tokens, &refusals), &kept);
            Ok(Loss { value, used: tokens.sequences.len(), skipped: 0 })
        }))
    },
};

/// The tokens of a batch, which have no weights.
fn unweighted<'b, 'a>(batch: &'b Batch<'a>) -> Result<&'b Tokens<'a>, Problem> {
    let tokens = tokens_of(batch)?;
    match tokens.weights {
        None => Ok(tokens),
        Some(_) => {
            Err(Problem::Unused { input: "weights of tokens", remedy: "leave out the tokens instead" })
        }
    }
}

/// Sequences to forget, and those to retain.
fn parts(tokens: &Tokens) -> (Vec<usize>, Vec<usize>) {
    (0..tokens.sequences.len()).partition(|at| !tokens.retained.is_some_and(|retained| retained[*at]))
}

/// The mean of −ln p over the tokens of some sequences; of none it is 0.
fn nll(tape: &Tape, tokens: &Tokens, sequences: &[usize]) -> Var {
    let places: Vec<usize> = sequences.iter().flat_map(|at| tokens.sequences[*at].clone()).collect();
    let share = -1.0 / places.len().max(1) as f32;
    weighted_sum(tape, tokens.log_probabilities, places.into_iter().map(|at| (at, share)))
}

/// ln(π/π_ref) of some sequences, as a column.
fn log_ratios(tape: &Tape, tokens: &Tokens, sequences: &[usize]) -> Result<Var, Problem> {
    let remedy = "compute them once with the model before training";
    let reference = tokens
        .reference
        .ok_or(Problem::Missing { input: "log-probabilities of a reference model", remedy })?;
    let sums: Vec<Var> = sequences
        .iter()
        .map(|at| {
            let range = tokens.sequences[*at].clone();
            let before: f32 = reference[range.clone()].iter().sum();
            tape.shift(&weighted_sum(tape, tokens.log_probabilities, range.map(|at| (at, 1.0))), -before)
        })
        .collect();
    match sums.is_empty() {
        true => Err(Problem::Missing { input: "sequences to forget", remedy: "give some in each batch" }),
        false => Ok(tape.stack(&sums.iter().collect::<Vec<_>>())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, on_tape};
    use super::super::{ObjectiveError, parse};
    use super::*;
    use crate::tape::assert_gradients;

    const LOGS: [f32; 5] = [-1.0, -2.0, -0.5, -0.1, -0.4];
    const REFERENCE: &[f32] = &[-0.5, -1.5, -0.4, -0.1, -0.4];

    fn tokens<'a>(logs: &'a Var, retained: Option<&'a [bool]>) -> Tokens<'a> {
        Tokens { retained, reference: Some(REFERENCE), ..Tokens::new(logs, &[0..2, 2..5]) }
    }

    fn loss_of(text: &str, retained: Option<&[bool]>) -> Result<f32, ObjectiveError> {
        on_tape(|tape| {
            let logs = tape.constant((5, 1), &LOGS);
            Ok(parse(text).unwrap().loss(tape, &Batch::Tokens(tokens(&logs, retained)))?.value.item())
        })
    }

    const SECOND: Option<&[bool]> = Some(&[false, true]);

    #[test]
    fn losses_by_hand() {
        assert_close("ga", loss_of("ga", None).unwrap(), -0.8);
        // −3/2 + 1/3, and with twice the second.
        assert_close("gd", loss_of("gd", SECOND).unwrap(), -1.5 + 1.0 / 3.0);
        assert_close("gd", loss_of("gd(retain=2)", SECOND).unwrap(), -1.5 + 2.0 / 3.0);
        // 3/2 + 1/3.
        assert_close("idk", loss_of("idk", SECOND).unwrap(), 1.5 + 1.0 / 3.0);
        // Log-ratio −3 + 2 = −1, β = 1: 2 ln(1 + e⁻¹) = 0.626523; the second is retained: 1/3.
        assert_close("npo", loss_of("npo(beta=1)", SECOND).unwrap(), 0.626523 + 1.0 / 3.0);
        // Both forgotten: log-ratios −1 and −0.1: (0.313262 + 0.644397) · 2 / 2.
        assert_close("npo", loss_of("npo(beta=1)", None).unwrap(), 0.957659);
    }

    #[test]
    fn a_model_that_is_its_own_reference_has_ln_2() {
        let value = on_tape(|tape| {
            let logs = tape.constant((5, 1), REFERENCE);
            parse("npo").unwrap().loss(tape, &Batch::Tokens(tokens(&logs, None))).unwrap().value.item()
        });
        assert_close("npo", value, 20.0 * std::f64::consts::LN_2);
    }

    #[test]
    fn gradients_are_differences() {
        for (text, retained) in [
            ("ga", None),
            ("gd(retain=2)", SECOND),
            ("idk", SECOND),
            ("npo", SECOND),
            ("npo(beta=0.7)", None),
        ] {
            assert_gradients(&[((5, 1), LOGS.to_vec())], |tape, inputs| {
                parse(text).unwrap().loss(tape, &Batch::Tokens(tokens(&inputs[0], retained))).unwrap().value
            });
        }
    }

    #[test]
    fn what_would_have_no_effect_is_refused() {
        let message = |text: &str, retained| loss_of(text, retained).unwrap_err().to_string();
        assert!(message("ga", SECOND).contains("no use for what is retained; choose gradient-difference"));
        assert!(message("gd", None).contains("give both kinds in each batch"));
        assert!(message("npo", Some(&[true, true])).contains("needs sequences to forget"));
        assert!(message("npo", Some(&[true])).contains("1 marks of what is retained for 2 sequences"));
    }
}
