//! Grades as levels of a scale, from which a candidate gets one.

use super::{Group, Input, List, ObjectiveSpec, Problem, on_graded_lists};
use crate::tape::{Tape, Var};
use plackett_core::declaration::{OptionKind, OptionSpec};

/// Cumulative link, as in CORAL.
pub const ORDINAL: ObjectiveSpec = ObjectiveSpec {
    name: "ordinal",
    aliases: &["coral", "cumulative-link"],
    group: Group::Pointwise,
    summary: "Asks at each threshold between neighbouring grades whether the candidate lies above it; one score with thresholds at even distances, or a logit a threshold from a model that learns them.",
    formula: "mean over candidates of Σ_k [ softplus(s − θ_k) − [y > k] (s − θ_k) ], k = 0 … levels − 2",
    source: "Cao, Mirjalili and Raschka, Rank Consistent Ordinal Regression (CORAL), 2020; McCullagh, Regression Models for Ordinal Data, 1980",
    takes: &[Input::Scores, Input::Labels],
    options: &[
        OptionSpec {
            name: "levels",
            kind: OptionKind::Integer(2, 1000),
            default: Some("4"),
            help: "how many grades there are: 0 … levels − 1",
        },
        OptionSpec {
            name: "spacing",
            kind: OptionKind::Positive,
            default: Some("1"),
            help: "distance of neighbouring thresholds, around 0, where there is one score a candidate",
        },
    ],
    build: |options| {
        let (levels, spacing) = (options.count("levels"), options.number("spacing") as f32);
        Ok(on_graded_lists(move |tape, list| {
            check_grades(list, levels)?;
            let logits = threshold_logits(tape, list, levels - 1, spacing)?;
            let thresholds = (0..levels - 1).map(|k| k as f32);
            let above: Vec<f32> =
                list.labels.iter().flat_map(|y| thresholds.clone().map(|k| f32::from(*y > k))).collect();
            let above = tape.constant((logits.rows, logits.columns), &above);
            let losses = tape.minus(&tape.softplus(&logits), &tape.times(&above, &logits));
            Ok(Some(tape.scale(&tape.sum(&losses), 1.0 / list.count() as f32)))
        }))
    },
};

/// The logit of "above" at each threshold, candidates × thresholds.
fn threshold_logits(tape: &Tape, list: &List, thresholds: usize, spacing: f32) -> Result<Var, Problem> {
    let (rows, columns) = (list.scores.rows, list.scores.columns);
    match columns {
        1 => {
            let middle = (thresholds - 1) as f32 / 2.0;
            let places: Vec<f32> = (0..thresholds).map(|k| (k as f32 - middle) * spacing).collect();
            Ok(tape.minus(&list.scores, &tape.constant((1, thresholds), &places)))
        }
        _ if columns == thresholds => Ok(list.scores.clone()),
        _ => {
            let expected = format!("one score a candidate, or {thresholds} (levels − 1), is needed");
            Err(Problem::Shape { what: "scores", rows, columns, expected })
        }
    }
}

fn check_grades(list: &List, levels: usize) -> Result<(), Problem> {
    let fits = |y: f32| y.fract() == 0.0 && (0.0..levels as f32).contains(&y);
    list.check_labels(fits, &format!("whole grades from 0 to {} are needed: set levels=", levels - 1))
}

/// Integer scores of a judging model.
pub const INTEGER_SCORE: ObjectiveSpec = ObjectiveSpec {
    name: "integer-score",
    aliases: &["expected-score"],
    group: Group::Pointwise,
    summary: "Makes the expected integer score of a judging model, from its logits of the scores 0, 1, …, the label.",
    formula: "mean of ((Σ_k k p_k − y) / (levels − 1))², p = softmax of the logits; with loss=cross-entropy mean of −ln p_y",
    source: "Cai and others, ERank, 2025 (scores 0 to 10); expectation as Zhuang and others, Fine-Grained Relevance Labels, 2024",
    takes: &[Input::GradeLogits, Input::Labels],
    options: &[
        OptionSpec {
            name: "loss",
            kind: OptionKind::Choice(&["expected", "cross-entropy"]),
            default: Some("expected"),
            help: "whether the expectation or the likeliest score is trained",
        },
        OptionSpec {
            name: "levels",
            kind: OptionKind::Integer(2, 1000),
            default: Some("11"),
            help: "how many scores there are: 0 … levels − 1",
        },
    ],
    build: |options| {
        let (levels, expected) = (options.count("levels"), options.choice("loss") == "expected");
        Ok(on_graded_lists(move |tape, list| {
            let (rows, columns) = (list.scores.rows, list.scores.columns);
            if columns != levels {
                let expected = format!("{levels} logits for each candidate are needed: set levels=");
                return Err(Problem::Shape { what: "scores", rows, columns, expected });
            }
            let logs = tape.log_softmax(&list.scores);
            if expected {
                let most = (levels - 1) as f32;
                list.check_labels(
                    |y| (0.0..=most).contains(&y),
                    &format!("scores from 0 to {most} are needed"),
                )?;
                return Ok(Some(expectation_error(tape, list, &logs)));
            }
            check_grades(list, levels)?;
            let places = list.labels.iter().enumerate();
            let places: Vec<usize> = places.map(|(row, y)| row * levels + *y as usize).collect();
            Ok(Some(tape.scale(&tape.mean(&tape.gather(&logs, &places, (rows, 1))), -1.0)))
        }))
    },
};

fn expectation_error(tape: &Tape, list: &List, logs: &Var) -> Var {
    let levels: Vec<f32> = (0..logs.columns).map(|k| k as f32).collect();
    let levels = tape.constant((1, logs.columns), &levels);
    let mean = tape.sum_rows(&tape.times(&tape.exp(logs), &levels));
    let error = tape.minus(&mean, &tape.constant((list.count(), 1), list.labels));
    tape.mean(&tape.square(&tape.scale(&error, 1.0 / (logs.columns - 1) as f32)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use std::f64::consts::LN_2;

    #[test]
    fn thresholds_by_hand() {
        // Three levels: thresholds −0.5 and 0.5. Score 0.5, grade 1: logits 1 (above) and 0 (not above):
        // ln(1 + e¹) − 1 = 0.313262 and ln 2 = 0.693147, together 1.006409.
        let case = Case::new("ordinal(levels=3)", &[&[0.5]], &[&[1.0]]);
        case.assert_value(1.006409);
        case.assert_gradients();
        // The same from a model with thresholds of its own.
        let own = Case::wide("ordinal(levels=3)", &[&[1.0, 0.0], &[2.0, -2.0]], &[1.0, 0.0]);
        // Second candidate, grade 0: ln(1 + e²) + ln(1 + e⁻²) = 2.126928 + 0.126928 = 2.253856; mean 1.630132.
        own.assert_value(1.630132);
        own.assert_gradients();
        let message = Case::new("ordinal(levels=3)", &[&[0.5]], &[&[3.0]]).loss().unwrap_err().to_string();
        assert!(message.contains("label 0 of list 0 is 3; whole grades from 0 to 2"), "{message}");
        let message = Case::wide("ordinal", &[&[0.5, 1.0]], &[3.0]).loss().unwrap_err().to_string();
        assert!(message.contains("scores are 1 × 2") && message.contains("or 3 (levels − 1)"), "{message}");
    }

    #[test]
    fn expected_scores_by_hand() {
        // Logits (0, 0, ln 2): p = (1/4, 1/4, 1/2), expectation 0/4 + 1/4 + 2/2 = 1.25; label 2: (0.75 / 2)² =
        // 0.140625.
        let logits: &[f32] = &[0.0, 0.0, std::f32::consts::LN_2];
        let case = |text: &str| Case::wide(text, &[logits], &[2.0]);
        case("integer-score(levels=3)").assert_value(0.140625);
        case("integer-score(levels=3)").assert_gradients();
        // −ln 1/2.
        case("integer-score(levels=3, loss=cross-entropy)").assert_value(LN_2);
        case("integer-score(levels=3, loss=cross-entropy)").assert_gradients();
        assert!(case("integer-score").loss().unwrap_err().to_string().contains("11 logits"));
    }
}
