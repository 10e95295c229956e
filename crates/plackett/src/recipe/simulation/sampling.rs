//! `plackett-luce`: how well the order of some items is found again from sampled orders of them.

use super::{Simulated, Simulation};
use crate::recipe::field::{Default, FieldKind, FieldSpec};
use plackett_core::permutation::Permutation;
use plackett_core::plackett_luce::{FitOptions, PlackettLuce, fit};

/// The declaration.
pub static PLACKETT_LUCE: Simulation = Simulation {
    name: "plackett-luce",
    help: "orders are sampled from known scores, scores are fitted to them: `tau` is Kendall's correlation with the known \
           order, `error` the root mean square error of the scores",
    version: 1,
    fields: &[
        FieldSpec::new("items", FieldKind::Whole(2, 500), Default::Whole(20), "how many are ordered"),
        FieldSpec::new(
            "orders",
            FieldKind::Whole(1, 100_000),
            Default::Whole(100),
            "how many orders are sampled",
        ),
        FieldSpec::new(
            "spread",
            FieldKind::Number(0.0, 20.0),
            Default::Number(4.0),
            "the best score less the worst",
        ),
    ],
    check: |_| Ok(()),
    numbers: |_| vec!["tau".into(), "error".into()],
    run,
};

fn run(given: &Simulated<'_>) -> Result<Vec<f64>, String> {
    let (items, orders) = (given.values.count("items"), given.values.count("orders"));
    let spread = given.values.real("spread");
    let scores: Vec<f64> = (0..items).map(|item| spread * (0.5 - item as f64 / (items - 1) as f64)).collect();
    let known = PlackettLuce::new(scores.clone()).map_err(|error| error.to_string())?;
    let sampled: Vec<(Vec<usize>, f64)> = (0..orders)
        .map(|nth| (known.sample(items, given.seed.wrapping_mul(1_000_003).wrapping_add(nth as u64)), 1.0))
        .collect();
    // A little virtual data: an item that always comes first has no finite score otherwise.
    let options = FitOptions { regularisation: 0.1, tolerance: 1e-8, ..FitOptions::default() };
    let found = fit(items, &sampled, &options).map_err(|error| error.to_string())?;
    let distance = Permutation::by_descending(&found.scores).kendall_distance(&known.mode());
    let distance = distance.map_err(|error| error.to_string())? as f64;
    let tau = 1.0 - 4.0 * distance / (items * (items - 1)) as f64;
    let squares = found.scores.iter().zip(&scores).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    Ok(vec![tau, (squares / items as f64).sqrt()])
}
