//! `spectral-blocks`: whether collaborative identifiers find groups of items that are bought together.

use super::{Simulated, Simulation};
use crate::recipe::field::{Default, FieldKind, FieldSpec};
use plackett_ids::Item;
use plackett_ids::scheme::{Source, parse};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;

/// The declaration.
pub static SPECTRAL_BLOCKS: Simulation = Simulation {
    name: "spectral-blocks",
    help: "people buy from one of some groups of items that lie in turns, and some items nobody buys; items get collaborative identifiers. \
           `recovered` is the share of bought items whose first token is that of their group and of no other, `unseen_apart` 1 where the items that nobody \
           buys share a first token that no group has, `prefix_clashes` the number of identifiers that others begin with",
    version: 1,
    fields: &[
        FieldSpec::new("groups", FieldKind::Whole(2, 20), Default::Whole(6), "groups of items"),
        FieldSpec::new("size", FieldKind::Whole(5, 10_000), Default::Whole(60), "items of a group"),
        FieldSpec::new("unseen", FieldKind::Whole(1, 10_000), Default::Whole(25), "items that nobody buys"),
        FieldSpec::new(
            "stray",
            FieldKind::Number(0.0, 1.0),
            Default::Number(0.0),
            "share of purchases outside the group",
        ),
    ],
    check: |_| Ok(()),
    numbers: |_| ["recovered", "unseen_apart", "prefix_clashes"].map(str::to_string).to_vec(),
    run,
};

fn run(given: &Simulated<'_>) -> Result<Vec<f64>, String> {
    let values = given.values;
    let (groups, size, unseen) = (values.count("groups"), values.count("size"), values.count("unseen"));
    let stray = values.real("stray");
    let (bought, mut random) = (groups * size, ChaCha8Rng::seed_from_u64(given.seed));
    let mut purchase = |group: usize| match random.random::<f64>() < stray {
        true => random.random_range(0..bought),
        false => random.random_range(0..size) * groups + group,
    };
    let histories: Vec<Vec<usize>> =
        (0..bought * 3).map(|person| (0..7).map(|_| purchase(person % groups)).collect()).collect();
    let items: Vec<Item> = (0..bought + unseen).map(|at| Item::new(at.to_string())).collect();
    let source = Source { histories: Some(&histories), ..Source::of_items(&items, given.seed) };
    let most = (size / 2).max(unseen).max(groups + 1);
    let scheme =
        parse(&format!("collaborative(clusters={groups}, most={most})")).map_err(|e| e.to_string())?;
    let catalogue = scheme.catalogue(&source).map_err(|error| error.to_string())?;
    let first = |item: usize| catalogue.items()[item].codes[0];
    // A group's token is the most frequent one of its items; one that two groups have counts for neither.
    let own: Vec<u32> =
        (0..groups).map(|group| most_frequent((0..size).map(|at| first(at * groups + group)))).collect();
    let is_own = |item: usize| {
        let token = own[item % groups];
        first(item) == token && own.iter().filter(|other| **other == token).count() == 1
    };
    let recovered = (0..bought).filter(|item| is_own(*item)).count() as f64 / bought as f64;
    let rest = first(bought);
    let is_apart = (bought..bought + unseen).all(|item| first(item) == rest) && !own.contains(&rest);
    Ok(vec![recovered, f64::from(u8::from(is_apart)), catalogue.statistics().prefix_clashes as f64])
}

/// The token that occurs most often; of equally frequent ones the least.
fn most_frequent(tokens: impl Iterator<Item = u32>) -> u32 {
    let mut counts: HashMap<u32, usize> = HashMap::new();
    tokens.for_each(|token| *counts.entry(token).or_default() += 1);
    let mut counts: Vec<(u32, usize)> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    counts.first().map_or(0, |(token, _)| *token)
}
