//! The scores of a teacher as what is wanted.

use super::lists::all_pairs;
use super::listwise::{cross_entropy, softmax};
use super::{Group, Input, ObjectiveSpec, on_lists};
use plackett_core::declaration::{OptionKind, OptionSpec};

/// MarginMSE.
pub const MARGIN_MSE: ObjectiveSpec = ObjectiveSpec {
    name: "margin-mse",
    aliases: &[],
    group: Group::Distillation,
    summary: "Makes differences of scores those of the teacher, and leaves their level free.",
    formula: "mean over pairs of ((s_i − s_j) − (t_i − t_j))²",
    source: "Hofstätter and others, Improving Efficient Neural Ranking Models with Cross-Architecture Knowledge Distillation, 2020",
    takes: &[Input::Scores, Input::Labels, Input::Teacher],
    options: &[OptionSpec {
        name: "pairs",
        kind: OptionKind::Choice(&["labels", "all"]),
        default: Some("labels"),
        help: "pairs whose first candidate has the greater label, or all",
    }],
    build: |options| {
        let all = options.choice("pairs") == "all";
        Ok(on_lists(move |tape, list| {
            let teacher = list.teacher()?;
            let pairs = match all {
                true => all_pairs(list.count()).filter(|(i, j)| i < j).collect(),
                false => list.ordered_pairs(),
            };
            if pairs.is_empty() {
                return Ok(None);
            }
            let wanted: Vec<f32> = pairs.iter().map(|(i, j)| teacher[*i] - teacher[*j]).collect();
            let wanted = tape.constant((pairs.len(), 1), &wanted);
            Ok(Some(tape.mean(&tape.square(&tape.minus(&list.differences(tape, &pairs), &wanted)))))
        }))
    },
};

/// KL distillation.
pub const KL_DISTILLATION: ObjectiveSpec = ObjectiveSpec {
    name: "kl-distillation",
    aliases: &["kl", "dear"],
    group: Group::Distillation,
    summary: "Makes the softmax of the scores that of the teacher's scores.",
    formula: "T² Σ_i p_i (ln p_i − ln q_i), p = softmax(t/T), q = softmax(s/T)",
    source: "Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, 2015; Abdallah and others, DeAR, 2025 (T = 2, weight 0.1, beside 0.9 of another objective)",
    takes: &[Input::Scores, Input::Teacher],
    options: &[OptionSpec {
        name: "temperature",
        kind: OptionKind::Positive,
        default: Some("2"),
        help: "T, that scores of both are divided by",
    }],
    build: |options| {
        let temperature = options.number("temperature") as f32;
        Ok(on_lists(move |tape, list| {
            let teacher = list.teacher()?;
            if list.count() < 2 {
                return Ok(None);
            }
            let p = softmax(teacher.iter().copied(), temperature);
            // What has no share adds nothing: p ln p goes to 0.
            let shares = p.iter().filter(|p| **p > 0.0).map(|p| f64::from(*p));
            let entropy = -shares.map(|p| p * p.ln()).sum::<f64>() as f32;
            let cross = cross_entropy(tape, &list.row(tape), temperature, &p);
            Ok(Some(tape.scale(&tape.shift(&cross, -entropy), temperature * temperature)))
        }))
    },
};

/// Logarithms are taken of probabilities and this, as the authors do, so that no probability of 0 makes a loss endless.
const FLOOR: f32 = 1e-8;

/// The symmetric divergence of UniME-V2.
pub const SYMMETRIC_KL: ObjectiveSpec = ObjectiveSpec {
    name: "symmetric-kl",
    aliases: &["jeffreys", "unime-v2"],
    group: Group::Distillation,
    summary: "Makes the softmax of the scores that of the teacher's scores, counting both Kullback–Leibler divergences between them.",
    formula: "½ (Σ_i p_i ln(p_i/q_i) + Σ_i q_i ln(q_i/p_i)), p = softmax(s/τ), q = softmax(t/τ), logarithms of p + 1e-8 and q + 1e-8",
    source: "Gu and others, UniME-V2: MLLM-as-a-Judge for Universal Multimodal Embedding Learning, 2025 (τ = 0.02)",
    takes: &[Input::Scores, Input::Teacher],
    options: &[
        OptionSpec {
            name: "temperature",
            kind: OptionKind::Positive,
            default: Some("0.02"),
            help: "τ, that scores of both are divided by",
        },
        OptionSpec {
            name: "direction",
            kind: OptionKind::Choice(&["both", "teacher", "scores"]),
            default: Some("both"),
            help: "the mean of both divergences, or twice the half of one: of the scores from the teacher (KL(q‖p), which is InfoNCE where q is one candidate), or of the teacher from the scores (KL(p‖q))",
        },
    ],
    build: |options| {
        let temperature = options.number("temperature") as f32;
        let weights: (f32, f32) = match options.choice("direction") {
            "teacher" => (0.0, 1.0),
            "scores" => (1.0, 0.0),
            _ => (0.5, 0.5),
        };
        Ok(on_lists(move |tape, list| {
            let teacher = list.teacher()?;
            if list.count() < 2 {
                return Ok(None);
            }
            let wanted = softmax(teacher.iter().copied(), temperature);
            let logs: Vec<f32> = wanted.iter().map(|q| (q + FLOOR).ln()).collect();
            let shape = (1, wanted.len());
            let q = tape.constant(shape, &wanted);
            let p = tape.exp(&tape.log_softmax(&tape.scale(&list.row(tape), 1.0 / temperature)));
            let apart = tape.minus(&tape.ln(&tape.shift(&p, FLOOR)), &tape.constant(shape, &logs));
            // Σ (a p − b q)(ln p − ln q) is a KL(p‖q) + b KL(q‖p).
            let shares = tape.minus(&tape.scale(&p, weights.0), &tape.scale(&q, weights.1));
            Ok(Some(tape.sum(&tape.times(&shares, &apart))))
        }))
    },
};

#[cfg(test)]
mod tests {
    use super::super::testing::Case;

    #[test]
    fn margins_by_hand() {
        // Scores (1, 0, −0.5), teacher (2, 0.5, 0), labels (1, 0, 0): pairs (0,1): 1 − 1.5 = −0.5; (0,2): 1.5 − 2
        // = −0.5; mean of squares 0.25. All pairs: also (1,2): 0.5 − 0.5 = 0: 0.5 / 3.
        let case =
            |text| Case::new(text, &[&[1.0, 0.0, -0.5]], &[&[1.0, 0.0, 0.0]]).teacher(&[2.0, 0.5, 0.0]);
        case("margin-mse").assert_value(0.25);
        case("margin-mse(pairs=all)").assert_value(0.5 / 3.0);
        case("margin-mse").assert_gradients();
        let message = Case::new("margin-mse", &[&[1.0, 0.0]], &[&[1.0, 0.0]]).loss().unwrap_err().to_string();
        assert!(message.contains("needs the scores of a teacher"), "{message}");
    }

    #[test]
    fn divergence_by_hand() {
        // T = 1: p = softmax(ln 3, 0) = (3/4, 1/4), q = softmax(0, 0) = (1/2, 1/2):
        // 0.75 ln 1.5 + 0.25 ln 0.5 = 0.304099 − 0.173287 = 0.130812.
        let case =
            |text: &str, teacher: f32| Case::new(text, &[&[0.0, 0.0]], &[&[0.0; 2]]).teacher(&[teacher, 0.0]);
        case("kl-distillation(temperature=1)", 3f32.ln()).assert_value(0.130812);
        // T = 2 with the double of the teacher's score has the same p: four times as much.
        case("kl-distillation", 2.0 * 3f32.ln()).assert_value(4.0 * 0.130812);
        Case::new("kl-distillation", &[&[0.7, -0.4, 0.2]], &[&[0.0; 3]])
            .teacher(&[1.0, 0.3, -2.0])
            .assert_gradients();
        Case::new("kl-distillation", &[&[0.7, -0.4]], &[&[0.0; 2]]).teacher(&[1.7, 0.6]).assert_value(0.0);
    }

    #[test]
    fn the_square_of_the_temperature_keeps_the_size_of_gradients() {
        // For small gaps the gradients with T = 1 and T = 2 agree within a tenth.
        let value = |text: &str, score: f32| {
            Case::new(text, &[&[score, 0.0]], &[&[0.0; 2]]).teacher(&[0.3, 0.0]).value()
        };
        let slope = |text: &str| (value(text, 0.02) - value(text, -0.02)) / 0.04;
        let (one, two) = (slope("kl-distillation(temperature=1)"), slope("kl-distillation(temperature=2)"));
        assert!((one / two - 1.0).abs() < 0.1, "{one} and {two}");
    }

    #[test]
    fn symmetric_divergences_by_hand() {
        // τ = 1: p = (1/2, 1/2), q = (3/4, 1/4): KL(p‖q) = 0.5 ln(2/3) + 0.5 ln 2 = 0.143841, KL(q‖p) = 0.130812.
        let case = |text: &str| Case::new(text, &[&[0.0, 0.0]], &[&[0.0; 2]]).teacher(&[3f32.ln(), 0.0]);
        case("symmetric-kl(temperature=1)").assert_value((0.143841 + 0.130812) / 2.0);
        case("symmetric-kl(temperature=1, direction=teacher)").assert_value(0.130812);
        case("symmetric-kl(temperature=1, direction=scores)").assert_value(0.143841);
        // The same distribution: nothing. And which of both is the teacher does not matter.
        let (a, b) = ([0.41, 0.40, 0.37], [0.38, 0.40, 0.43]);
        Case::new("symmetric-kl", &[&[0.72, 0.71]], &[&[0.0; 2]]).teacher(&[0.52, 0.51]).assert_value(0.0);
        let there = Case::new("symmetric-kl", &[&a], &[&[0.0; 3]]).teacher(&b);
        let back = Case::new("symmetric-kl", &[&b], &[&[0.0; 3]]).teacher(&a).value();
        assert!((there.value() - back).abs() < 1e-5, "{} {back}", there.value());
        // At the paper's temperature the loss bends too much for differences.
        Case::new("symmetric-kl(temperature=0.5)", &[&a], &[&[0.0; 3]]).teacher(&b).assert_gradients();
    }

    #[test]
    fn with_one_candidate_wanted_it_is_info_nce_on_the_list() {
        // −ln softmax(s/τ)_0 with τ = 0.02 and a gap of 0.02: ln(1 + e⁻¹) = 0.313262.
        let case = Case::new("symmetric-kl(direction=teacher)", &[&[0.52, 0.50]], &[&[1.0, 0.0]]);
        case.teacher(&[1.0, 0.0]).assert_value(0.313262);
    }
}
