//! RichRAG: the next document of a list, after the best ones and after random ones.

use super::error::check_length;
use super::lists::split;
use super::{Batch, Group, Input, List, Loss, ObjectiveSpec, Problem};
use crate::tape::{Tape, Var};
use plackett_core::declaration::{OptionKind, OptionSpec};

/// RichRAG's losses of a pointer network.
pub const RICH_RAG: ObjectiveSpec = ObjectiveSpec {
    name: "richrag",
    aliases: &["pointer"],
    group: Group::Listwise,
    summary: "Makes a pointer network choose the document of the greatest utility next, before those of less by a margin, after the documents of the wanted list and, with a weight, after documents drawn at random.",
    formula: "hinge + likelihood of the wanted list + disturb · (hinge + likelihood after random documents); hinge: Σ max(0, margin − (z_i − z_j)/τ) over pairs with u_i > u_j of all steps, over the number of terms above 0; likelihood: mean over steps of −ln softmax(z/τ) at the greatest u, of equal ones the first",
    source: "Wang and others, RichRAG, 2024 (generative list-wise ranker)",
    takes: &[Input::Scores, Input::Labels, Input::Disturbed],
    options: &[
        OptionSpec {
            name: "temperature",
            kind: OptionKind::Positive,
            default: Some("0.1"),
            help: "number that logits are divided by",
        },
        OptionSpec {
            name: "margin",
            kind: OptionKind::Positive,
            default: Some("1"),
            help: "margin between documents, in logits divided by the temperature",
        },
        OptionSpec {
            name: "disturb",
            kind: OptionKind::Number(0.0, f64::MAX),
            default: Some("0.5"),
            help: "weight of steps after random documents",
        },
        OptionSpec {
            name: "normaliser",
            kind: OptionKind::Choice(&["violated", "pairs"]),
            default: Some("violated"),
            help: "whether the hinge is divided by the number of pairs that miss the margin, as published, or of all",
        },
    ],
    build: |options| {
        let pointer = Pointer {
            temperature: options.number("temperature") as f32,
            margin: options.number("margin") as f32,
            violated: options.choice("normaliser") == "violated",
        };
        let disturb = options.number("disturb") as f32;
        Ok(Box::new(move |tape: &Tape, batch: &Batch| {
            let Batch::Steps(steps) = batch else {
                return Err(Problem::Batch { expected: "steps of a pointer network", given: batch.name() });
            };
            check_length(
                "marks of disturbed steps",
                steps.disturbed.len(),
                "lists",
                steps.lists.lists.len(),
            )?;
            if steps.lists.weights.is_some() {
                let remedy = "its sums run over the pairs of all steps; leave them out";
                return Err(Problem::Unused { input: "weights of lists", remedy });
            }
            if steps.lists.scores.columns != 1 {
                let (rows, columns) = (steps.lists.scores.rows, steps.lists.scores.columns);
                let expected = "one logit for each candidate is needed".to_string();
                return Err(Problem::Shape { what: "scores", rows, columns, expected });
            }
            let lists = split(tape, &steps.lists)?.into_iter().map(|(_, list)| list);
            let all = lists.len();
            let teaching: Vec<List> = lists.filter(|list| !list.ordered_pairs().is_empty()).collect();
            let used = teaching.len();
            let (disturbed, ideal): (Vec<List>, Vec<List>) =
                teaching.into_iter().partition(|list| steps.disturbed[list.index]);
            let disturbed = tape.scale(&pointer.loss(tape, &disturbed), disturb);
            Ok(Loss { value: tape.plus(&pointer.loss(tape, &ideal), &disturbed), used, skipped: all - used })
        }))
    },
};

struct Pointer {
    temperature: f32,
    margin: f32,
    violated: bool,
}

impl Pointer {
    /// Hinge and likelihood of some steps; of none it is 0.
    fn loss(&self, tape: &Tape, steps: &[List]) -> Var {
        if steps.is_empty() {
            return tape.constant((1, 1), &[0.0]);
        }
        let missing: Vec<Var> = steps.iter().map(|step| self.missing_margins(tape, step)).collect();
        let missing = tape.stack(&missing.iter().collect::<Vec<_>>());
        let count = match self.violated {
            true => missing.value.iter().filter(|x| **x > 0.0).count(),
            false => missing.rows,
        };
        // Where no pair misses the margin the sum is 0, and so is its share.
        let hinge = tape.scale(&tape.sum(&missing), 1.0 / count.max(1) as f32);
        let likelihoods: Vec<Var> = steps.iter().map(|step| self.likelihood(tape, step)).collect();
        tape.plus(&hinge, &tape.mean(&tape.stack(&likelihoods.iter().collect::<Vec<_>>())))
    }

    fn missing_margins(&self, tape: &Tape, step: &List) -> Var {
        let differences = step.differences(tape, &step.ordered_pairs());
        tape.relu(&tape.shift(&tape.scale(&differences, -1.0 / self.temperature), self.margin))
    }

    fn likelihood(&self, tape: &Tape, step: &List) -> Var {
        let better = |best: usize, at: usize| if step.labels[at] > step.labels[best] { at } else { best };
        let best = (1..step.count()).fold(0, better);
        let logs = tape.log_softmax(&tape.scale(&step.row(tape), 1.0 / self.temperature));
        tape.scale(&tape.gather(&logs, &[best], (1, 1)), -1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, on_tape};
    use super::super::{Lists, ObjectiveError, Steps, parse};
    use super::*;
    use crate::tape::assert_gradients;

    // Two steps of the wanted list, one after random documents, one without a difference.
    const LOGITS: [f32; 9] = [1.0, 0.5, 0.0, 0.2, 0.6, 0.0, 1.5, 3.0, 3.0];
    const UTILITIES: [f32; 9] = [0.9, 0.4, 0.1, 0.8, 0.3, 0.2, 0.7, 0.5, 0.5];
    const DISTURBED: [bool; 4] = [false, false, true, true];

    fn steps(scores: &Var) -> Batch<'_> {
        let lists = Lists::new(scores, &[0..3, 3..5, 5..7, 7..9], &UTILITIES);
        Batch::Steps(Steps { lists, disturbed: &DISTURBED })
    }

    fn loss_of(text: &str) -> (f32, usize, usize) {
        on_tape(|tape| {
            let scores = tape.constant((9, 1), &LOGITS);
            let loss = parse(text).unwrap().loss(tape, &steps(&scores)).unwrap();
            (loss.value.item(), loss.used, loss.skipped)
        })
    }

    #[test]
    fn steps_by_hand() {
        // τ = 1. Hinges of step 0: 1 − 0.5, 1 − 1 = 0, 1 − 0.5; of step 1: 1 + 0.4; 2.4 over three above 0 = 0.8.
        // Likelihoods: 1 + ln(1 + e⁻⁰·⁵ + e⁻¹) − 1 = ln 1.974410 = 0.680270 and ln(1 + e⁰·⁴) = 0.913015: mean 0.796643.
        let ideal = 0.8 + 0.796643;
        // After random documents: 1.5 for 0.7 against 0: no hinge, ln(1 + e⁻¹·⁵) = 0.201413.
        assert_eq!((loss_of("richrag").1, loss_of("richrag").2), (3, 1));
        assert_close("ideal", loss_of("richrag(temperature=1, disturb=0)").0, ideal);
        assert_close("both", loss_of("richrag(temperature=1)").0, ideal + 0.5 * 0.201413);
        // Over all four pairs: 0.6.
        assert_close(
            "pairs",
            loss_of("richrag(temperature=1, normaliser=pairs, disturb=0)").0,
            0.6 + 0.796643,
        );
    }

    #[test]
    fn gradients_are_differences() {
        for text in ["richrag(temperature=0.7)", "richrag(temperature=2, normaliser=pairs, margin=0.4)"] {
            assert_gradients(&[((9, 1), LOGITS.to_vec())], |tape, inputs| {
                parse(text).unwrap().loss(tape, &steps(&inputs[0])).unwrap().value
            });
        }
    }

    #[test]
    fn bad_input_is_refused() {
        on_tape(|tape| {
            let scores = tape.constant((9, 1), &LOGITS);
            let richrag = parse("richrag").unwrap();
            let lists = Lists::new(&scores, std::slice::from_ref(&(0..3)), &UTILITIES);
            let message = |result: Result<Loss, ObjectiveError>| result.unwrap_err().to_string();
            let few = Batch::Steps(Steps { lists, disturbed: &[] });
            assert!(message(richrag.loss(tape, &few)).contains("0 marks of disturbed steps for 1 lists"));
            assert!(
                message(richrag.loss(tape, &Batch::Lists(lists)))
                    .contains("needs steps of a pointer network")
            );
            let weighted = Lists { weights: Some(&[1.0]), ..lists };
            let weighted = Batch::Steps(Steps { lists: weighted, disturbed: &[true] });
            assert!(message(richrag.loss(tape, &weighted)).contains("no use for weights of lists"));
        });
    }
}
