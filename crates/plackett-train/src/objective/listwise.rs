//! Cross-entropies between distributions over the candidates of a list.

use super::pairwise::TEMPERATURE;
use super::{Group, Input, List, ObjectiveSpec, on_lists};
use crate::tape::{Tape, Var};
use plackett_core::declaration::{OptionKind, OptionSpec};

/// The softmax of numbers divided by a temperature.
pub(super) fn softmax(values: impl Iterator<Item = f32> + Clone, temperature: f32) -> Vec<f32> {
    let most = values.clone().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = values.map(|x| f64::from((x - most) / temperature).exp()).collect();
    let total: f64 = powers.iter().sum();
    powers.iter().map(|power| (power / total) as f32).collect()
}

/// −Σ p ln softmax(row / τ), for a row of logits.
pub(super) fn cross_entropy(tape: &Tape, row: &Var, temperature: f32, p: &[f32]) -> Var {
    let logs = tape.log_softmax(&tape.scale(row, 1.0 / temperature));
    tape.scale(&tape.sum(&tape.times(&logs, &tape.constant((1, p.len()), p))), -1.0)
}

/// Softmax cross-entropy.
pub const SOFTMAX_CROSS_ENTROPY: ObjectiveSpec = ObjectiveSpec {
    name: "softmax-cross-entropy",
    aliases: &["softmax-ce", "localized-contrastive"],
    group: Group::Listwise,
    summary: "Makes the softmax of the scores the shares of the relevant candidates in the labels of the list.",
    formula: "−Σ_i (y_i / Σ y) ln softmax(s/τ)_i",
    source: "Bruch and others, An Analysis of the Softmax Cross Entropy Loss for Learning-to-Rank, 2019",
    takes: &[Input::Scores, Input::Labels],
    options: &[TEMPERATURE],
    build: |options| {
        let temperature = options.number("temperature") as f32;
        Ok(on_lists(move |tape, list| {
            list.check_labels(|y| y >= 0.0, "labels from 0 are needed: shares cannot be negative")?;
            let total: f32 = list.labels.iter().sum();
            if total <= 0.0 || list.count() < 2 {
                return Ok(None);
            }
            let shares: Vec<f32> = list.labels.iter().map(|y| y / total).collect();
            Ok(Some(cross_entropy(tape, &list.row(tape), temperature, &shares)))
        }))
    },
};

/// ListNet.
pub const LISTNET: ObjectiveSpec = ObjectiveSpec {
    name: "listnet",
    aliases: &[],
    group: Group::Listwise,
    summary: "Makes the top-one probabilities of the scores those of the labels, of a teacher or of reciprocal ranks.",
    formula: "−Σ_i softmax(t/τ_t)_i ln softmax(s/τ)_i, t = labels, teacher scores or 1/rank by label",
    source: "Cao and others, Learning to Rank: From Pairwise Approach to Listwise Approach, 2007; MVP, 2025 (target=reciprocal-rank, both temperatures 0.8)",
    takes: &[Input::Scores, Input::Labels],
    options: &[
        TEMPERATURE,
        OptionSpec {
            name: "target",
            kind: OptionKind::Choice(&["labels", "teacher", "reciprocal-rank"]),
            default: Some("labels"),
            help: "what the wanted distribution is made from",
        },
        OptionSpec {
            name: "target_temperature",
            kind: OptionKind::Positive,
            default: Some("1"),
            help: "number that the target is divided by",
        },
        OptionSpec {
            name: "double_softmax",
            kind: OptionKind::Switch,
            default: Some("false"),
            help: "takes the softmax of the softmax of the scores, as the published training of MVP does",
        },
    ],
    build: |options| {
        let (temperature, target) = (options.number("temperature") as f32, options.choice("target"));
        let (sharpness, double) =
            (options.number("target_temperature") as f32, options.switch("double_softmax"));
        Ok(on_lists(move |tape, list| {
            if list.count() < 2 {
                return Ok(None);
            }
            let wanted = match target {
                "teacher" => softmax(list.teacher()?.iter().copied(), sharpness),
                "reciprocal-rank" => reciprocal_rank_target(list, sharpness),
                _ => softmax(list.labels.iter().copied(), sharpness),
            };
            let row = list.row(tape);
            if double {
                let shares = tape.exp(&tape.log_softmax(&tape.scale(&row, 1.0 / temperature)));
                return Ok(Some(cross_entropy(tape, &shares, 1.0, &wanted)));
            }
            Ok(Some(cross_entropy(tape, &row, temperature, &wanted)))
        }))
    },
};

fn reciprocal_rank_target(list: &List, temperature: f32) -> Vec<f32> {
    softmax(list.ranks().iter().map(|rank| 1.0 / *rank as f32), temperature)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;

    #[test]
    fn softmax_cross_entropy_by_hand() {
        // Scores (1, 0, −0.5): Σ e^s = 2.718282 + 1 + 0.606531 = 4.324813, ln = 1.464369.
        // Labels (3, 1, 0): −(0.75 (1 − 1.464369) + 0.25 (0 − 1.464369)) = 0.348277 + 0.366092 = 0.714369.
        let case = |labels| Case::new("softmax-cross-entropy", &[&[1.0, 0.0, -0.5]], &[labels]);
        case(&[3.0, 1.0, 0.0]).assert_value(0.714369);
        case(&[3.0, 1.0, 0.0]).assert_gradients();
        assert_eq!(case(&[0.0, 0.0, 0.0]).loss().unwrap().2, 1);
        assert!(case(&[1.0, -1.0, 0.0]).loss().unwrap_err().to_string().contains("label 1 of list 0 is -1"));
    }

    #[test]
    fn listnet_by_hand() {
        // Target: softmax(ln 3, ln 1) = (3/4, 1/4). Scores (1, 0): ln(1 + e¹) = 1.313262;
        // −0.75 (1 − 1.313262) − 0.25 (0 − 1.313262) = 0.234947 + 0.328316 = 0.563262.
        let case = Case::new("listnet", &[&[1.0, 0.0]], &[&[3f32.ln(), 0.0]]);
        case.assert_value(0.563262);
        case.assert_gradients();
        let teacher =
            Case::new("listnet(target=teacher)", &[&[1.0, 0.0]], &[&[0.0, 0.0]]).teacher(&[3f32.ln(), 0.0]);
        teacher.assert_value(0.563262);
        // Of softmax(1, 0) = (0.731059, 0.268941) again the softmax: differences 0.462117,
        // ln(1 + e⁰·⁴⁶²¹¹⁷) = 0.950666; −0.75 (0.462117 − 0.950666) + 0.25 · 0.950666 = 0.604078.
        let double = Case::new("listnet(double_softmax=true)", &[&[1.0, 0.0]], &[&[3f32.ln(), 0.0]]);
        double.assert_value(0.604078);
        double.assert_gradients();
    }

    #[test]
    fn targets_of_mvp_for_five() {
        let labels: &[f32] = &[-1.0, -2.0, -3.0, -4.0, -5.0];
        let y = softmax([1.0, 1.0 / 2.0, 1.0 / 3.0, 1.0 / 4.0, 1.0 / 5.0].into_iter(), 0.8);
        for (y, expected) in y.iter().zip([0.366, 0.196, 0.159, 0.143, 0.135]) {
            assert!((y - expected).abs() < 1e-3, "{y} is not {expected}");
        }
        let text = "listnet(target=reciprocal-rank, temperature=0.8, target_temperature=0.8)";
        let case = Case::new(text, &[&[0.3, -0.2, 0.1, 0.8, -0.6]], &[labels]);
        case.assert_gradients();
        // Where s are the inputs of that softmax the loss is its entropy: −Σ y ln y = 1.535.
        let entropy: f64 = y.iter().map(|y| -f64::from(*y) * f64::from(*y).ln()).sum();
        Case::new(text, &[&[1.0, 0.5, 1.0 / 3.0, 0.25, 0.2]], &[labels]).assert_value(entropy);
    }
}
