//! `groups`: groupwise scores with a grader in place of the model.

use super::{Simulated, Simulation};
use crate::recipe::data::dataset::seed_of;
use crate::recipe::field::{Default, FieldKind, FieldSpec};
use plackett_core::aggregation::{GroupScores, Grouping};
use plackett_core::permutation::Permutation;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// The declaration.
pub static GROUPS: Simulation = Simulation {
    name: "groups",
    help: "candidates are graded in groups, 0 to 10, by a grader that sees a noisy relevance and adds an error of its own to every group; \
           with `relative` it spreads its grades over what the group holds. `calls` counts groups, `tau` is Kendall's correlation with \
           the true order",
    version: 1,
    fields: &[
        FieldSpec::new("items", FieldKind::Whole(2, 2000), Default::Whole(100), "how many are graded"),
        FieldSpec::new("size", FieldKind::Whole(1, 2000), Default::Whole(20), "candidates in a group"),
        FieldSpec::new(
            "repeats",
            FieldKind::Whole(1, 100),
            Default::Whole(1),
            "how often everything is graded, in new groups",
        ),
        FieldSpec::new(
            "grouping",
            FieldKind::Choice(&["random", "sorted"]),
            Default::Text("random"),
            "which stand together; sorted: by first stage",
        ),
        FieldSpec::new(
            "relative",
            FieldKind::Switch,
            Default::Switch(false),
            "whether grades are spread over what the group holds",
        ),
        FieldSpec::new(
            "noise",
            FieldKind::Number(0.0, 10.0),
            Default::Number(0.2),
            "spread of the error of each grade, where relevance goes from 0 to 1",
        ),
        FieldSpec::new(
            "bias",
            FieldKind::Number(0.0, 10.0),
            Default::Number(0.1),
            "spread of the error that a whole group shares",
        ),
        FieldSpec::new(
            "first_stage",
            FieldKind::Number(0.0, 10.0),
            Default::Number(0.3),
            "spread of the error of the first stage's scores",
        ),
    ],
    check: |_| Ok(()),
    numbers: |_| ["calls", "tau"].map(str::to_string).to_vec(),
    run,
};

/// A number from -1 to 1 that a name and a seed decide, standard_normal-shaped enough: the mean of three even ones.
fn error(seed: u64, name: &str) -> f64 {
    (0..3)
        .map(|part| 2.0 * (seed_of(seed.wrapping_add(part << 32), name) as f64 / u64::MAX as f64) - 1.0)
        .sum::<f64>()
        / 3.0
}

fn run(given: &Simulated<'_>) -> Result<Vec<f64>, String> {
    let values = given.values;
    let items = values.count("items");
    let number = |name: &str| values.real(name);
    let (noise, bias, before) = (number("noise"), number("bias"), number("first_stage"));
    let mut relevance: Vec<f64> = (0..items).map(|item| item as f64 / (items - 1) as f64).collect();
    relevance.shuffle(&mut ChaCha8Rng::seed_from_u64(given.seed));
    // Items are numbered by the first stage's order, as candidates are.
    let first: Vec<f64> = relevance
        .iter()
        .enumerate()
        .map(|(item, r)| r + before * 3.0 * error(given.seed, &format!("first {item}")))
        .collect();
    let order = Permutation::by_descending(&first);
    let relevance = order.apply(&relevance).map_err(|error| error.to_string())?;
    let grouping = if values.word("grouping") == "sorted" {
        Grouping::Sorted
    } else {
        Grouping::Random { seed: given.seed }
    };
    let mut scores = GroupScores::new(items);
    let mut calls = 0;
    for (repeat, groups) in
        grouping.groups(items, values.count("size"), values.count("repeats")).into_iter().enumerate()
    {
        for (nth, group) in groups.into_iter().enumerate() {
            calls += 1;
            let shared = bias * 3.0 * error(given.seed, &format!("group {repeat} {nth}"));
            let seen: Vec<f64> = group
                .iter()
                .map(|&item| {
                    relevance[item] + noise * 3.0 * error(given.seed, &format!("grade {repeat} {item}"))
                })
                .collect();
            let (low, high) =
                seen.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &s| (l.min(s), h.max(s)));
            for (&item, &seen) in group.iter().zip(&seen) {
                let grade = if values.on("relative") && high > low {
                    (seen - low) / (high - low)
                } else {
                    seen + shared
                };
                scores
                    .add(item, (grade * 10.0).round().clamp(0.0, 10.0))
                    .map_err(|error| error.to_string())?;
            }
        }
    }
    let truth = Permutation::by_descending(&relevance);
    let distance = scores.order().kendall_distance(&truth).map_err(|error| error.to_string())? as f64;
    Ok(vec![f64::from(calls), 1.0 - 4.0 * distance / (items * (items - 1)) as f64])
}
