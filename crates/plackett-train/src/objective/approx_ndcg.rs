//! nDCG with ranks that are sums of sigmoids.

use super::gains::{GAIN, Gains};
use super::{Group, Input, ObjectiveSpec, on_lists};
use plackett_core::declaration::{OptionKind, OptionSpec};

/// ApproxNDCG.
pub const APPROX_NDCG: ObjectiveSpec = ObjectiveSpec {
    name: "approx-ndcg",
    aliases: &["approxndcg"],
    group: Group::Listwise,
    summary: "1 minus an nDCG whose ranks count the better candidates by sigmoids, so that it has a slope everywhere.",
    formula: "1 − Σ_i G_i / log2(1 + r_i) / ideal, r_i = 1 + Σ_{j≠i} σ((s_j − s_i)/τ)",
    source: "Qin, Liu and Li, A General Approximation Framework, 2010; Bruch and others, Revisiting Approximate Metric Optimization, 2019",
    takes: &[Input::Scores, Input::Labels],
    options: &[
        OptionSpec {
            name: "temperature",
            kind: OptionKind::Positive,
            default: Some("0.1"),
            help: "width of the step from worse to better, in units of scores",
        },
        GAIN,
    ],
    build: |options| {
        let (temperature, gain) = (options.number("temperature") as f32, options.choice("gain"));
        Ok(on_lists(move |tape, list| {
            let Some(gains) = Gains::new(list, gain, 0)? else { return Ok(None) };
            let count = list.count();
            let better =
                tape.sigmoid(&tape.scale(&tape.minus(&list.row(tape), &list.scores), 1.0 / temperature));
            // Each candidate counts itself with 1/2, where its rank starts from 1.
            let ranks = tape.shift(&tape.sum_rows(&better), 0.5);
            let logs = tape.scale(&tape.ln(&tape.shift(&ranks, 1.0)), std::f32::consts::LOG2_E);
            let ndcg = tape.sum(&tape.over(&tape.constant((count, 1), &gains.of), &logs));
            Ok(Some(tape.shift(&tape.scale(&ndcg, -1.0), 1.0)))
        }))
    },
};

#[cfg(test)]
mod tests {
    use super::super::testing::Case;

    #[test]
    fn two_candidates_by_hand() {
        // Scores (1, 0), τ = 1: ranks 1 + σ(−1) = 1.268941 and 1 + σ(1) = 1.731059. Grades (0, 1): gain of the second
        // alone, ideal 1: 1 − 1/log2(2.731059) = 1 − 1/1.449461 = 1 − 0.689912 = 0.310088.
        let case = Case::new("approx-ndcg(temperature=1)", &[&[1.0, 0.0]], &[&[0.0, 1.0]]);
        case.assert_value(0.310088);
        case.assert_gradients();
        Case::new("approx-ndcg(temperature=0.5)", &[&[0.4, -0.3, 0.1, 0.9]], &[&[0.0, 3.0, 1.0, 2.0]])
            .assert_gradients();
    }

    #[test]
    fn far_scores_give_ndcg_itself() {
        // Grades in the order of the scores 0, 2, 1: DCG = 3/log2(3) + 1/2 = 2.392789; ideal 3.630930; nDCG 0.659002.
        let case = Case::new("approx-ndcg", &[&[20.0, 10.0, 0.0]], &[&[0.0, 2.0, 1.0]]);
        case.assert_value(1.0 - 0.659002);
        Case::new("approx-ndcg", &[&[0.0, 20.0, 10.0]], &[&[0.0, 2.0, 1.0]]).assert_value(0.0);
    }
}
