//! Each candidate with its own label.

use super::{Group, Input, ObjectiveSpec, on_lists};
use plackett_core::declaration::{OptionKind, OptionSpec};

/// Binary cross-entropy.
pub const BINARY_CROSS_ENTROPY: ObjectiveSpec = ObjectiveSpec {
    name: "binary-cross-entropy",
    aliases: &["bce"],
    group: Group::Pointwise,
    summary: "Makes the sigmoid of a score the probability that the candidate is relevant.",
    formula: "mean of −y ln σ(s) − (1 − y) ln(1 − σ(s))",
    source: "Nogueira and Cho, Passage Re-ranking with BERT, 2019",
    takes: &[Input::Scores, Input::Labels],
    options: &[OptionSpec {
        name: "positive",
        kind: OptionKind::Positive,
        default: Some("1"),
        help: "weight of relevant candidates, where they are few",
    }],
    build: |options| {
        let positive = options.number("positive") as f32;
        Ok(on_lists(move |tape, list| {
            list.check_labels(
                |y| (0.0..=1.0).contains(&y),
                "probabilities from 0 to 1 are needed: divide grades by the greatest",
            )?;
            let y = tape.constant((list.count(), 1), list.labels);
            let relevant =
                tape.times(&tape.scale(&y, positive), &tape.softplus(&tape.scale(&list.scores, -1.0)));
            let other = tape.times(&tape.shift(&tape.scale(&y, -1.0), 1.0), &tape.softplus(&list.scores));
            Ok(Some(tape.mean(&tape.plus(&relevant, &other))))
        }))
    },
};

/// Mean squared error.
pub const MEAN_SQUARED_ERROR: ObjectiveSpec = ObjectiveSpec {
    name: "mean-squared-error",
    aliases: &["mse"],
    group: Group::Pointwise,
    summary: "Makes scores the labels themselves, or the scores of a teacher.",
    formula: "mean of (s − y)²",
    source: "Cossock and Zhang, Subset Ranking Using Regression, 2006",
    takes: &[Input::Scores, Input::Labels],
    options: &[OptionSpec {
        name: "target",
        kind: OptionKind::Choice(&["labels", "teacher"]),
        default: Some("labels"),
        help: "what scores are compared with",
    }],
    build: |options| {
        let teacher = options.choice("target") == "teacher";
        Ok(on_lists(move |tape, list| {
            let target = if teacher { list.teacher()? } else { list.labels };
            let target = tape.constant((list.count(), 1), target);
            Ok(Some(tape.mean(&tape.square(&tape.minus(&list.scores, &target)))))
        }))
    },
};

#[cfg(test)]
mod tests {
    use super::super::testing::Case;

    #[test]
    fn cross_entropy_by_hand() {
        // s = 0, y = 1: ln 2 = 0.693147; s = 2, y = 0: ln(1 + e²) = 2.126928; the mean is 1.410038.
        let case = |text| Case::new(text, &[&[0.0, 2.0]], &[&[1.0, 0.0]]);
        case("bce").assert_value(1.410038);
        // Relevant ones thrice: (3 · 0.693147 + 2.126928) / 2 = 2.103185.
        case("bce(positive=3)").assert_value(2.103185);
        case("bce(positive=3)").assert_gradients();
        Case::new("bce", &[&[0.3, -0.8, 1.2]], &[&[0.2, 0.9, 0.5]]).assert_gradients();
        let message = Case::new("bce", &[&[0.0, 2.0]], &[&[1.0, 3.0]]).loss().unwrap_err().to_string();
        assert!(message.contains("label 1 of list 0 is 3; probabilities from 0 to 1"), "{message}");
    }

    #[test]
    fn squared_error_by_hand() {
        // (1 − 3)² = 4 and (2 − 2)² = 0: 2. From the teacher (0, 5): 1 and 9: 5.
        let case = |text| Case::new(text, &[&[1.0, 2.0]], &[&[3.0, 2.0]]);
        case("mse").assert_value(2.0);
        case("mse(target=teacher)").teacher(&[0.0, 5.0]).assert_value(5.0);
        case("mse").assert_gradients();
        let message = case("mse(target=teacher)").loss().unwrap_err().to_string();
        assert!(
            message.contains("mean-squared-error(target=teacher): needs the scores of a teacher"),
            "{message}"
        );
        Case::new("mse", &[&[3.0, 2.0]], &[&[3.0, 2.0]]).assert_value(0.0);
    }
}
