//! nDCG of a sorting that has a slope: NeuralSort's relaxed permutation matrix.

use super::gains::{CUTOFF, GAIN, Gains, discount};
use super::{Group, Input, List, ObjectiveSpec, on_lists};
use crate::tape::{Tape, Var};
use plackett_core::declaration::{OptionKind, OptionSpec};

/// NeuralNDCG.
pub const NEURAL_NDCG: ObjectiveSpec = ObjectiveSpec {
    name: "neural-ndcg",
    aliases: &["neuralndcg"],
    group: Group::Listwise,
    summary: "1 minus the nDCG of gains that are sorted by NeuralSort's relaxed permutation matrix, scaled to doubly stochastic.",
    formula: "1 − Σ_i D_i (P G)_i / ideal, P_i = softmax(((n + 1 − 2i) s − A 1)/τ), A_jk = |s_j − s_k|",
    source: "Pobrotyn and Białobrzeski, NeuralNDCG, 2021; Grover and others, Stochastic Optimization of Sorting Networks via Continuous Relaxations, 2019",
    takes: &[Input::Scores, Input::Labels],
    options: &[
        OptionSpec {
            name: "temperature",
            kind: OptionKind::Positive,
            default: Some("1"),
            help: "how soft the sorting is; near 0 it is exact",
        },
        OptionSpec {
            name: "sinkhorn",
            kind: OptionKind::Integer(0, 1000),
            default: Some("30"),
            help: "how often columns and rows of the matrix are scaled to a sum of 1",
        },
        GAIN,
        CUTOFF,
    ],
    build: |options| {
        let (temperature, rounds) = (options.number("temperature") as f32, options.count("sinkhorn"));
        let (gain, k) = (options.choice("gain"), options.count("k"));
        Ok(on_lists(move |tape, list| {
            let Some(gains) = Gains::new(list, gain, k)? else { return Ok(None) };
            let count = list.count();
            let matrix = doubly_stochastic(tape, sorting_matrix(tape, list, temperature), rounds);
            let sorted = tape.sum_rows(&tape.times(&matrix, &tape.constant((1, count), &gains.of)));
            let discounts: Vec<f32> = (0..count).map(|place| discount(place, gains.cutoff) as f32).collect();
            let ndcg = tape.sum(&tape.times(&sorted, &tape.constant((count, 1), &discounts)));
            Ok(Some(tape.shift(&tape.scale(&ndcg, -1.0), 1.0)))
        }))
    },
};

/// The relaxed permutation matrix: row i shares the i-th place of the descending order out among the candidates.
fn sorting_matrix(tape: &Tape, list: &List, temperature: f32) -> Var {
    let (count, row) = (list.count(), list.row(tape));
    let distances = tape.sum_rows(&tape.abs(&tape.minus(&list.scores, &row)));
    let factors: Vec<f32> = (1..=count).map(|i| count as f32 + 1.0 - 2.0 * i as f32).collect();
    let scaled = tape.times(&tape.constant((count, 1), &factors), &row);
    let logits = tape.minus(&scaled, &tape.reshape(&distances, (1, count)));
    tape.exp(&tape.log_softmax(&tape.scale(&logits, 1.0 / temperature)))
}

/// Sinkhorn's scaling: columns, then rows.
fn doubly_stochastic(tape: &Tape, mut matrix: Var, rounds: usize) -> Var {
    /// Keeps a column that has nothing from a division by 0.
    const LEAST: f32 = 1e-10;
    for _ in 0..rounds {
        let columns = tape.transpose(&matrix);
        let columns = tape.over(&columns, &tape.shift(&tape.sum_rows(&columns), LEAST));
        let rows = tape.transpose(&columns);
        matrix = tape.over(&rows, &tape.shift(&tape.sum_rows(&rows), LEAST));
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;

    #[test]
    fn two_candidates_by_hand() {
        // Scores (1, 0): distances (1, 1). Row 1: ((2 + 1 − 2) s − 1) = (0, −1): softmax (0.731059, 0.268941); row 2:
        // (−1 · s − 1) = (−2, −1): (0.268941, 0.731059); doubly stochastic already. Grades (0, 1), gains (0, 1),
        // ideal 1: DCG = 0.268941 + 0.731059 · 0.630930 = 0.730188, loss 0.269812.
        let case =
            |options: &str| Case::new(&format!("neural-ndcg({options})"), &[&[1.0, 0.0]], &[&[0.0, 1.0]]);
        case("").assert_value(0.269812);
        case("sinkhorn=0").assert_value(0.269812);
        case("").assert_gradients();
        // The first place alone: 1 − 0.268941.
        case("k=1").assert_value(0.731059);
    }

    #[test]
    fn gradients_pass_through_the_scaling() {
        for options in ["", "sinkhorn=3", "sinkhorn=0, k=2", "temperature=2, gain=linear"] {
            let text = format!("neural-ndcg({options})");
            Case::new(&text, &[&[0.5, -0.4, 0.1, 0.9]], &[&[0.0, 3.0, 1.0, 2.0]]).assert_gradients();
        }
    }

    #[test]
    fn a_hard_sorting_gives_ndcg_itself() {
        // As for ApproxNDCG: grades 0, 2, 1 in the order of the scores have an nDCG of 0.659002.
        let text = "neural-ndcg(temperature=0.1)";
        Case::new(text, &[&[20.0, 10.0, 0.0]], &[&[0.0, 2.0, 1.0]]).assert_value(1.0 - 0.659002);
        Case::new(text, &[&[0.0, 20.0, 10.0]], &[&[0.0, 2.0, 1.0]]).assert_value(0.0);
    }
}
