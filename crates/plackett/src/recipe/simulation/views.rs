//! `multi-view-reward` and `consistency-filter`: the reward of written orders, and the filter of a teacher's orders.

use super::Simulation;
use crate::recipe::error::{Problem, RecipeError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, Values};
use plackett_eval::reward::MultiView;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::collections::HashSet;

/// The declaration.
pub static MULTI_VIEW_REWARD: Simulation = Simulation {
    name: "multi-view-reward",
    help: "the sides of ReasonRank's reward for an order whose relevant items stand at given ranks, against a teacher's order that is the \
           same or the opposite: `ndcg`, `recall` (both of the first ten), `rbo` and `reward`",
    version: 1,
    fields: &[
        FieldSpec::required(
            "ranks",
            FieldKind::Text,
            "ranks of the relevant items from 1, with commas between",
        ),
        FieldSpec::new("items", FieldKind::Whole(1, 10_000), Default::Whole(20), "how many are ordered"),
        FieldSpec::new(
            "teacher",
            FieldKind::Choice(&["same", "opposite"]),
            Default::Text("same"),
            "the order that the overlap is taken with",
        ),
    ],
    check: |values| ranks(values).map(drop),
    numbers: |_| ["ndcg", "recall", "rbo", "reward"].map(str::to_string).to_vec(),
    run: |given| {
        let relevant = ranks(given.values).map_err(|error| error.to_string())?;
        let order: Vec<usize> = (0..given.values.count("items")).collect();
        let mut teacher = order.clone();
        if given.values.word("teacher") == "opposite" {
            teacher.reverse();
        }
        let view = MultiView::default().of(&order, &relevant, &teacher);
        Ok(vec![view.ndcg, view.recall, view.overlap, view.reward])
    },
};

/// Places of relevant items.
fn ranks(values: &Values) -> Result<HashSet<usize>, RecipeError> {
    let items = values.count("items");
    let place = |text: &str| text.trim().parse::<usize>().ok().filter(|rank| (1..=items).contains(rank));
    let found: Option<HashSet<usize>> =
        values.word("ranks").split(',').map(|text| place(text).map(|rank| rank - 1)).collect();
    found.ok_or_else(|| {
        let problem = format!("ranks are numbers from 1 to {items} with commas between, as in 1,11");
        values.wrong("ranks", 0, Problem::Said(problem))
    })
}

/// The declaration.
pub static CONSISTENCY_FILTER: Simulation = Simulation {
    name: "consistency-filter",
    help: "a teacher's order with its relevant items in front, of which a part is shuffled: `ndcg` is nDCG@10, `kept` is 1 where it \
           reaches `least`, so that the list would be kept for training",
    version: 1,
    fields: &[
        FieldSpec::new("items", FieldKind::Whole(2, 10_000), Default::Whole(20), "how many are ordered"),
        FieldSpec::new(
            "relevant",
            FieldKind::Whole(1, 10_000),
            Default::Whole(3),
            "how many of them are relevant",
        ),
        FieldSpec::new(
            "shuffled",
            FieldKind::Number(0.0, 1.0),
            Default::Number(0.0),
            "the share of items that change places",
        ),
        FieldSpec::new(
            "least",
            FieldKind::Number(0.0, 1.0),
            Default::Number(0.4),
            "the nDCG@10 that is asked for",
        ),
    ],
    check: |_| Ok(()),
    numbers: |_| ["ndcg", "kept"].map(str::to_string).to_vec(),
    run: |given| {
        let values = given.values;
        let items = values.count("items");
        let mut random = ChaCha8Rng::seed_from_u64(given.seed);
        let mut order: Vec<usize> = (0..items).collect();
        let share = values.real("shuffled");
        let mut places = order.clone();
        places.shuffle(&mut random);
        places.truncate((share * items as f64).round() as usize);
        let mut moved: Vec<usize> = places.iter().map(|place| order[*place]).collect();
        moved.shuffle(&mut random);
        places.iter().zip(moved).for_each(|(place, item)| order[*place] = item);
        let relevant: HashSet<usize> = (0..values.count("relevant").min(items)).collect();
        let ndcg = MultiView::default().of(&order, &relevant, &order).ndcg;
        let kept = ndcg >= values.real("least");
        Ok(vec![ndcg, f64::from(u8::from(kept))])
    },
};
