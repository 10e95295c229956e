//! `score-fusion`: scores of two stages mixed as z-scores, also where one of them says nothing.

use super::{Simulated, Simulation};
use crate::recipe::field::{Default, FieldKind, FieldSpec};
use plackett_core::fusion::{Method, Normalisation, fuse};
use plackett_core::permutation::Permutation;
use plackett_core::{Ranking, Trace};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;

/// The declaration.
pub static SCORE_FUSION: Simulation = Simulation {
    name: "score-fusion",
    help: "random scores of two stages are mixed as z-scores, 0.2 of the first and 0.8 of the second; the scores of either may be all the \
           same. `finite` is 1 where all mixed scores are numbers, `second` where the order is that of the second stage, `first` where it \
           is that of the first",
    version: 1,
    fields: &[
        FieldSpec::new("items", FieldKind::Whole(2, 10_000), Default::Whole(20), "how many documents"),
        FieldSpec::new(
            "constant",
            FieldKind::Choice(&["none", "first", "second"]),
            Default::Text("none"),
            "the stage whose scores are all the same",
        ),
    ],
    check: |_| Ok(()),
    numbers: |_| ["finite", "second", "first"].map(str::to_string).to_vec(),
    run,
};

fn run(given: &Simulated<'_>) -> Result<Vec<f64>, String> {
    let items = given.values.count("items");
    let mut random = ChaCha8Rng::seed_from_u64(given.seed);
    let mut scores = |name: &str| -> Vec<f64> {
        let constant = given.values.word("constant") == name;
        (0..items).map(|_| if constant { 7.0 } else { random.random::<f64>() }).collect()
    };
    let (first, second) = (scores("first"), scores("second"));
    let ranking = |scores: &[f64]| {
        let named = scores.iter().enumerate().map(|(item, score)| (item.to_string(), *score));
        Ranking::from_scores("q", named.collect::<Vec<_>>(), Trace::default())
    };
    let mixed =
        fuse("q", &[ranking(&first), ranking(&second)], Method::Sum(Normalisation::ZScore), &[0.2, 0.8])
            .map_err(|error| error.to_string())?;
    let of: HashMap<&str, f64> = mixed.entries.iter().map(|entry| (entry.id.as_str(), entry.score)).collect();
    let mixed: Vec<f64> =
        (0..items).map(|item| of.get(item.to_string().as_str()).copied().unwrap_or(f64::NAN)).collect();
    let finite = mixed.iter().all(|score| score.is_finite());
    let order = Permutation::by_descending(&mixed);
    let is = |scores: &[f64]| order == Permutation::by_descending(scores);
    Ok([finite, is(&second), is(&first)].map(|holds| f64::from(u8::from(holds))).to_vec())
}
