//! Order by pairs, and values that stay where human grades anchor them, so that scores of models trained anew stay comparable.

use super::{Group, Input, ObjectiveSpec, on_lists};
use crate::tape::Var;
use plackett_core::declaration::{OptionKind, OptionSpec};

/// Human-anchored pairs.
pub const HUMAN_ANCHORED: ObjectiveSpec = ObjectiveSpec {
    name: "human-anchored",
    aliases: &["anchored"],
    group: Group::Pairwise,
    summary: "Asks that the better of a pair is ahead by a margin in probability, and that each probability lies in the band of its grade: no retraining moves scores from one band to another.",
    formula: "f = σ(s); mean over pairs with y_i > y_j of max(0, margin − (f_i − f_j)) + weight (δ_i + δ_j), δ = max(0, (f − (y + ½) / levels)² − 1 / (2 levels)²); without a pair 2 weight · mean δ",
    source: "Zou and others, Pre-trained Language Model based Ranking in Baidu Search, 2021, human-anchored fine-tuning (five levels: anchors y/5 + 0.1, ε = 0.01)",
    takes: &[Input::Scores, Input::Labels],
    options: &[
        OptionSpec {
            name: "margin",
            kind: OptionKind::Number(0.0, 1.0),
            default: Some("0.1"),
            help: "difference of probabilities from which a pair asks for nothing; wider than a band it fights the anchors",
        },
        OptionSpec {
            name: "weight",
            kind: OptionKind::Number(0.0, f64::MAX),
            default: Some("0.7"),
            help: "of the anchors; 0 leaves the margin alone",
        },
        OptionSpec {
            name: "levels",
            kind: OptionKind::Integer(2, 1000),
            default: Some("5"),
            help: "grades there are: 0 … levels − 1",
        },
    ],
    build: |options| {
        let (margin, weight) = (options.number("margin") as f32, options.number("weight") as f32);
        let levels = options.count("levels");
        Ok(on_lists(move |tape, list| {
            let most = (levels - 1) as f32;
            if weight > 0.0 {
                let remedy = format!("grades from 0 to {most} are needed: set levels=");
                list.check_labels(|y| (0.0..=most).contains(&y), &remedy)?;
            }
            let f = tape.sigmoid(&list.scores);
            let pairs = list.ordered_pairs();
            if pairs.is_empty() && weight == 0.0 {
                return Ok(None);
            }
            let levels = levels as f32;
            let half = 0.5 / levels;
            let anchors: Vec<f32> = list.labels.iter().map(|y| (y + 0.5) / levels).collect();
            let off = tape.square(&tape.minus(&f, &tape.constant((anchors.len(), 1), &anchors)));
            let outside = tape.relu(&tape.shift(&off, -half * half));
            if pairs.is_empty() {
                // Both ends of a pair that is none: the candidates alone.
                return Ok(Some(tape.scale(&tape.mean(&outside), 2.0 * weight)));
            }
            let side = |of: &Var, at: fn(&(usize, usize)) -> usize| {
                let places: Vec<usize> = pairs.iter().map(at).collect();
                tape.gather(of, &places, (places.len(), 1))
            };
            let ahead = tape.minus(&side(&f, |pair| pair.0), &side(&f, |pair| pair.1));
            let mut loss = tape.mean(&tape.relu(&tape.shift(&tape.scale(&ahead, -1.0), margin)));
            if weight > 0.0 {
                let both = tape.plus(&side(&outside, |pair| pair.0), &side(&outside, |pair| pair.1));
                loss = tape.plus(&loss, &tape.scale(&tape.mean(&both), weight));
            }
            Ok(Some(loss))
        }))
    },
};

#[cfg(test)]
mod tests {
    use super::super::testing::Case;

    fn logit(f: f32) -> f32 {
        (f / (1.0 - f)).ln()
    }

    #[test]
    fn anchors_by_hand() {
        // Grade 3 of 5: anchor 0.7, band 0.6 to 0.8. f = 0.75 costs nothing, 0.9 costs 0.03, 0.4 costs 0.08.
        for (f, expected) in [(0.75, 0.0), (0.9, 0.03), (0.4, 0.08)] {
            Case::new("human-anchored(weight=0.5)", &[&[logit(f)]], &[&[3.0]]).assert_value(expected);
        }
        Case::new("human-anchored", &[&[logit(0.9)]], &[&[3.0]]).assert_value(1.4 * 0.03);
        // Of the five grades exactly one has no penalty within a band.
        let free = |f: f32| {
            let cost =
                |y: usize| Case::new("human-anchored(weight=1)", &[&[logit(f)]], &[&[y as f32]]).value();
            (0..5).filter(|y| cost(*y) < 1e-9).collect::<Vec<_>>()
        };
        assert_eq!((free(0.13), free(0.5), free(0.95)), (vec![0], vec![2], vec![4]));
    }

    #[test]
    fn pairs_by_hand() {
        // f = 0.5, 0.45, 0.7 with grades 2, 1, 0 and margin 0.1: 0.05, 0.3, 0.35; mean 0.233333.
        let scores = [logit(0.5), logit(0.45), logit(0.7)];
        let case = |text| Case::new(text, &[&scores], &[&[2.0, 1.0, 0.0]]);
        case("human-anchored(weight=0)").assert_value(0.7 / 3.0);
        // Anchors 0.5, 0.3, 0.1: δ = 0, 0.0125, 0.35, each in two of the three pairs.
        case("human-anchored").assert_value(0.7 / 3.0 + 0.7 * 2.0 * 0.3625 / 3.0);
        case("human-anchored").assert_gradients();
        let error =
            Case::new("human-anchored(levels=2)", &[&scores], &[&[2.0, 1.0, 0.0]]).loss().unwrap_err();
        assert!(error.to_string().contains("levels="), "{error}");
    }
}
