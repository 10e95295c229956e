//! `window-policies`: what a window's ranker should be rewarded for when the windows slide.

use super::{Simulated, Simulation, standard_normal};
use crate::recipe::error::{Problem, RecipeError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, Values};
use plackett_core::ask_tell::{TellError, run_together};
use plackett_core::permutation::Permutation;
use plackett_core::windows::{SlidingOptions, Window, WindowSchedule};
use plackett_eval::reward::MultiView;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::collections::HashSet;

/// The declaration.
pub static WINDOW_POLICIES: Simulation = Simulation {
    name: "window-policies",
    help: "windows of 20 with stride 10 slide over a list whose relevant items stand in its last part. In each window a noisy ranker draws \
           some orders, and the one with the greatest reward is taken. `ndcg` and `recall` are those of the first ten in the end, \
           `windows` counts",
    version: 1,
    fields: &[
        FieldSpec::required(
            "policy",
            FieldKind::Choice(&["none", "ndcg", "recall", "multi-view"]),
            "the reward: nothing (one order is drawn), nDCG@10, recall@10, or nDCG@10 + 0.2 recall@10 + 0.1 overlap with the true order",
        ),
        FieldSpec::new("items", FieldKind::Whole(2, 10_000), Default::Whole(100), "how many are ranked"),
        FieldSpec::new(
            "relevant",
            FieldKind::Whole(1, 1000),
            Default::Whole(8),
            "how many of them are relevant",
        ),
        FieldSpec::new(
            "deep",
            FieldKind::Whole(1, 10_000),
            Default::Whole(20),
            "the last so many places hold the relevant ones",
        ),
        FieldSpec::new(
            "draws",
            FieldKind::Whole(1, 10_000),
            Default::Whole(8),
            "orders that are drawn for a window",
        ),
        FieldSpec::new(
            "noise",
            FieldKind::Number(0.0, 100.0),
            Default::Number(1.0),
            "spread of the ranker's error, where relevant items have 1 and others 0",
        ),
    ],
    check,
    numbers: |_| ["ndcg", "recall", "windows"].map(str::to_string).to_vec(),
    run,
};

fn check(values: &Values) -> Result<(), RecipeError> {
    if values.count("relevant") <= values.count("deep") && values.count("deep") <= values.count("items") {
        return Ok(());
    }
    let problem = "the last `deep` of all `items` have to hold the `relevant` ones";
    Err(values.wrong("deep", 0, Problem::Said(problem.into())))
}

fn run(given: &Simulated<'_>) -> Result<Vec<f64>, String> {
    let values = given.values;
    let (items, deep) = (values.count("items"), values.count("deep"));
    let mut random = ChaCha8Rng::seed_from_u64(given.seed);
    let mut places: Vec<usize> = (items - deep..items).collect();
    places.shuffle(&mut random);
    let relevant: HashSet<usize> = places.into_iter().take(values.count("relevant")).collect();
    let noise = values.real("noise");
    let (policy, draws) =
        (values.word("policy"), if values.word("policy") == "none" { 1 } else { values.count("draws") });
    let schedule =
        WindowSchedule::sliding(items, &SlidingOptions::default()).map_err(|error| error.to_string())?;
    let mut schedules = [schedule];
    let mut answer = |window: &Window| {
        let of_window: HashSet<usize> = window
            .items
            .iter()
            .enumerate()
            .filter(|(_, item)| relevant.contains(item))
            .map(|(at, _)| at)
            .collect();
        // The true order has the relevant ones in front.
        let mut teacher: Vec<usize> = (0..window.items.len()).collect();
        teacher.sort_by_key(|at| !of_window.contains(at));
        let drawn = (0..draws).map(|_| {
            let score =
                |at| f64::from(u8::from(of_window.contains(&at))) + noise * standard_normal(&mut random);
            let scores: Vec<f64> = (0..window.items.len()).map(score).collect();
            let order = Permutation::by_descending(&scores);
            let view = MultiView::default().of(order.items(), &of_window, &teacher);
            let reward = match policy {
                "ndcg" => view.ndcg,
                "recall" => view.recall,
                _ => view.reward,
            };
            (reward, order)
        });
        // The first of equal ones.
        drawn.reduce(|best, other| if other.0 > best.0 { other } else { best }).map(|(_, order)| order)
    };
    run_together(&mut schedules, |open| {
        Ok::<_, TellError>(open.iter().filter_map(|open| answer(open.question)).collect())
    })
    .map_err(|error| error.to_string())?;
    let [schedule] = schedules;
    let order = schedule.order();
    let view = MultiView::default().of(order.items(), &relevant, order.items());
    Ok(vec![view.ndcg, view.recall, schedule.counts().windows as f64])
}
