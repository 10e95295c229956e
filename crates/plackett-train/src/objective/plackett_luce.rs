//! The likelihood of an order under Plackett and Luce's model of choosing one candidate after another.

use super::{Group, Input, List, ObjectiveSpec, on_lists};
use crate::tape::{Tape, Var};
use plackett_core::declaration::{OptionKind, OptionSpec};

/// ListMLE.
pub const LISTMLE: ObjectiveSpec = ObjectiveSpec {
    name: "listmle",
    aliases: &["plackett-luce"],
    group: Group::Listwise,
    summary: "Makes the order of the labels likely: at each place the best of the candidates that are left is chosen; of equal labels each is chosen among all of them (Breslow), so that no order is made up.",
    formula: "Σ_i [ ln Σ_{j: y_j ≤ y_i} e^s_j − s_i ], without the candidates of the last label",
    source: "Xia and others, Listwise Approach to Learning to Rank, 2008",
    takes: &[Input::Scores, Input::Labels],
    options: &[],
    build: |_| Ok(on_lists(|tape, list| Ok(choices(tape, list).map(|choices| tape.sum(&choices.losses))))),
};

/// Position-aware ListMLE.
pub const POSITION_AWARE_LISTMLE: ObjectiveSpec = ObjectiveSpec {
    name: "position-aware-listmle",
    aliases: &["p-listmle"],
    group: Group::Listwise,
    summary: "ListMLE whose choices weigh more the nearer they stand to the top; the weights of a list sum to 1.",
    formula: "Σ_i α(r_i) [ ln Σ_{j: y_j ≤ y_i} e^s_j − s_i ] / Σ_i α(r_i), α(r) = 2^(n−r) − 1, 1/log2(1 + r) or 1/r, r the rank by label",
    source: "Lan and others, Position-Aware ListMLE, 2014 (there without the division by the sum of weights)",
    takes: &[Input::Scores, Input::Labels],
    options: &[OptionSpec {
        name: "weights",
        kind: OptionKind::Choice(&["exponential", "logarithmic", "reciprocal"]),
        default: Some("exponential"),
        help: "how the weight of a choice falls with its rank",
    }],
    build: |options| {
        let kind = options.choice("weights");
        Ok(on_lists(move |tape, list| {
            let Some(choices) = choices(tape, list) else { return Ok(None) };
            let weights = position_weights(kind, list.count(), &choices.ranks);
            let weights = tape.constant((choices.losses.rows, 1), &weights);
            Ok(Some(tape.sum(&tape.times(&choices.losses, &weights))))
        }))
    },
};

/// The weights of choices at some ranks, divided by their sum.
fn position_weights(kind: &str, count: usize, ranks: &[usize]) -> Vec<f32> {
    // 2^(n−r) − 1 over 2^n, which long lists do not overflow.
    let last = (-(count as f64)).exp2();
    let weight = |rank: &usize| match kind {
        "logarithmic" => 1.0 / (1.0 + *rank as f64).log2(),
        "reciprocal" => 1.0 / *rank as f64,
        _ => (-(*rank as f64)).exp2() - last,
    };
    let weights: Vec<f64> = ranks.iter().map(weight).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| (weight / total) as f32).collect()
}

/// The choices that an order is made of.
struct Choices {
    /// Minus the log-probability of each, as a column.
    losses: Var,
    /// The rank of what is chosen.
    ranks: Vec<usize>,
}

/// Choices among at least one worse candidate; `None` where all labels are equal.
fn choices(tape: &Tape, list: &List) -> Option<Choices> {
    /// What a logit gets that is not to be chosen any more: its power is 0.
    const GONE: f32 = -1e30;
    let worst = list.labels.iter().copied().fold(f32::INFINITY, f32::min);
    let chosen: Vec<usize> = (0..list.count()).filter(|at| list.labels[*at] > worst).collect();
    if chosen.is_empty() {
        return None;
    }
    let left = |i: usize| list.labels.iter().map(move |y| if *y <= list.labels[i] { 0.0 } else { GONE });
    let mask: Vec<f32> = chosen.iter().flat_map(|i| left(*i)).collect();
    let mask = tape.constant((chosen.len(), list.count()), &mask);
    let logs = tape.log_softmax(&tape.plus(&list.row(tape), &mask));
    let places: Vec<usize> = chosen.iter().enumerate().map(|(row, at)| row * list.count() + at).collect();
    let losses = tape.scale(&tape.gather(&logs, &places, (places.len(), 1)), -1.0);
    let ranks = list.ranks();
    Some(Choices { losses, ranks: chosen.iter().map(|at| ranks[*at]).collect() })
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::position_weights;

    const SCORES: &[f32] = &[1.0, 0.0, -0.5];

    #[test]
    fn likelihood_of_an_order_by_hand() {
        // First choice ln(e¹ + e⁰ + e⁻⁰·⁵) − 1 = 1.464369 − 1 = 0.464369, second ln(1 + e⁻⁰·⁵) − 0 = 0.474077.
        let case = Case::new("listmle", &[SCORES], &[&[2.0, 1.0, 0.0]]);
        case.assert_value(0.938446);
        case.assert_gradients();
        // Two equal best: each among all three: 2 · 1.464369 − 1 − 0 = 1.928738.
        let tied = Case::new("listmle", &[SCORES], &[&[1.0, 1.0, 0.0]]);
        tied.assert_value(1.928738);
        tied.assert_gradients();
    }

    #[test]
    fn probabilities_of_all_orders_sum_to_one() {
        let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        let probability = |order: &[usize; 3]| {
            let mut labels = [0.0; 3];
            order.iter().enumerate().for_each(|(place, at)| labels[*at] = -(place as f32));
            (-Case::new("listmle", &[SCORES], &[&labels]).value()).exp()
        };
        let total: f32 = orders.iter().map(probability).sum();
        assert!((total - 1.0).abs() < 1e-5);
    }

    #[test]
    fn positions_by_hand() {
        // n = 3: α = 2² − 1 = 3 and 2¹ − 1 = 1: (3 · 0.464369 + 0.474077) / 4 = 0.466796.
        let case = |text| Case::new(text, &[SCORES], &[&[2.0, 1.0, 0.0]]);
        case("p-listmle").assert_value(0.466796);
        case("p-listmle").assert_gradients();
        // 1 and 1/2: (0.464369 + 0.237038) / 1.5 = 0.467605.
        case("p-listmle(weights=reciprocal)").assert_value(0.467605);
        // 1 and 1/log2(3) = 0.630930: (0.464369 + 0.299109) / 1.630930 = 0.468124.
        case("p-listmle(weights=logarithmic)").assert_value(0.468124);
        assert!(position_weights("exponential", 2000, &[1, 2, 1999]).iter().all(|weight| weight.is_finite()));
    }
}
