//! `successor-path`: how well a known order is found again from noisy scores of pairs, by the best path and by simpler decoders.

use super::{Simulated, Simulation};
use crate::recipe::data::dataset::seed_of;
use crate::recipe::field::{Default, FieldKind, FieldSpec};
use plackett_core::permutation::Permutation;
use plackett_core::tsp::{SuccessorScores, TspOptions, borda_order, greedy_chain, solve};

/// The declaration.
pub static SUCCESSOR_PATH: Simulation = Simulation {
    name: "successor-path",
    help: "scores of ordered pairs are made from a known order with errors: `successor` scores are 1 for the item that comes right after, \
           `precedence` scores 1 for every item that comes later and -1 for every other. `path`, `greedy` and `borda` are Kendall's correlations of \
           three decoders with the known order; `above_greedy` and `above_borda` are 1 where the path's value is not below theirs, `gap` is \
           the path's distance from its bound",
    version: 1,
    fields: &[
        FieldSpec::new("items", FieldKind::Whole(2, 200), Default::Whole(9), "how many are ordered"),
        FieldSpec::new(
            "scores",
            FieldKind::Choice(&["successor", "precedence"]),
            Default::Text("successor"),
            "what the scores say",
        ),
        FieldSpec::new(
            "noise",
            FieldKind::Number(0.0, 10.0),
            Default::Number(0.0),
            "standard deviation of the errors of successor scores",
        ),
        FieldSpec::new(
            "flips",
            FieldKind::Number(0.0, 0.5),
            Default::Number(0.0),
            "share of pairs whose precedence is turned round",
        ),
    ],
    check: |_| Ok(()),
    numbers: |_| {
        ["path", "greedy", "borda", "above_greedy", "above_borda", "gap"].map(str::to_string).to_vec()
    },
    run,
};

fn even(seed: u64, name: &str) -> f64 {
    (seed_of(seed, name) as f64 + 0.5) / (u64::MAX as f64 + 1.0)
}

/// A standard normal number that a name and a seed decide (Box and Muller 1958).
fn normal(seed: u64, name: &str) -> f64 {
    let (first, second) = (even(seed, &format!("{name} 1")), even(seed, &format!("{name} 2")));
    (-2.0 * first.ln()).sqrt() * (std::f64::consts::TAU * second).cos()
}

fn run(given: &Simulated<'_>) -> Result<Vec<f64>, String> {
    let items = given.values.count("items");
    let number = |name: &str| given.values.real(name);
    // Names of items are shuffled, so that no decoder is helped by the order in which it meets them.
    let mut place: Vec<usize> = (0..items).collect();
    place.sort_by_key(|&item| seed_of(given.seed, &format!("place {item}")));
    let truth = Permutation::new(place.clone()).map_err(|error| error.to_string())?;
    let rank = truth.inverse();
    let rank = rank.items();
    let mut scores = vec![0.0; items * items];
    for i in 0..items {
        for j in (0..items).filter(|&j| j != i) {
            scores[i * items + j] = if given.values.word("scores") == "successor" {
                f64::from(u8::from(rank[j] == rank[i] + 1))
                    + number("noise") * normal(given.seed, &format!("{i} {j}"))
            } else {
                let turned = even(given.seed, &format!("{} {}", i.min(j), i.max(j))) < number("flips");
                if (rank[i] < rank[j]) != turned { 1.0 } else { -1.0 }
            };
        }
    }
    let scores = SuccessorScores::new(items, scores).map_err(|error| error.to_string())?;
    let path = solve(&scores, &TspOptions { seed: given.seed, ..TspOptions::default() });
    let (greedy, borda) = (greedy_chain(&scores), borda_order(&scores));
    let tau = |order: &Permutation| {
        let distance = order.kendall_distance(&truth).map_err(|error| error.to_string())?;
        Ok::<f64, String>(1.0 - 4.0 * distance as f64 / (items * (items - 1)) as f64)
    };
    let above = |order: &Permutation| f64::from(u8::from(path.value >= scores.value(order.items()) - 1e-9));
    Ok(vec![tau(&path.order)?, tau(&greedy)?, tau(&borda)?, above(&greedy), above(&borda), path.gap()])
}
