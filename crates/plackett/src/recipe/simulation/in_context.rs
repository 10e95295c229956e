//! `outlier-filter` and `block-attention`: parts of in-context rerankers that need no model.

use super::{Simulated, Simulation, standard_normal};
use crate::recipe::field::{Default, FieldKind, FieldSpec};
use plackett_rank::kept_sum;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The declaration.
pub static OUTLIER_FILTER: Simulation = Simulation {
    name: "outlier-filter",
    help: "tokens of a document have random scores, and one strongly negative one is put among them: `filtered` is by how much ICR's score \
           of the document changes, `plain` by how much the sum of all tokens does, `removed` the size of the tokens that were left out",
    version: 1,
    fields: &[
        FieldSpec::new("tokens", FieldKind::Whole(1, 10_000), Default::Whole(60), "tokens of the document"),
        FieldSpec::new(
            "negative",
            FieldKind::Number(0.0, 1e6),
            Default::Number(20.0),
            "how negative the injected token is; others spread by 1",
        ),
    ],
    check: |_| Ok(()),
    numbers: |_| ["filtered", "plain", "removed"].map(str::to_string).to_vec(),
    run: |given: &Simulated<'_>| {
        let mut random = ChaCha8Rng::seed_from_u64(given.seed);
        let mut scores: Vec<f64> =
            (0..given.values.count("tokens")).map(|_| standard_normal(&mut random)).collect();
        let before = kept_sum(&scores).0;
        scores.push(-given.values.real("negative"));
        let (after, _) = kept_sum(&scores);
        let all: f64 = scores.iter().sum();
        let plain = given.values.real("negative");
        Ok(vec![(after - before).abs(), plain, (all - after).abs()])
    },
};

/// The declaration.
pub static BLOCK_ATTENTION: Simulation = Simulation {
    name: "block-attention",
    help: "counts the attention scores of a prompt of an instruction, documents and a query, all of the same length: `blocks` where \
           documents see the instruction and themselves and the query sees all, `dense` where every block sees every other one, and \
           `causal` where every token sees all before it, block by block",
    version: 1,
    fields: &[
        FieldSpec::new("items", FieldKind::Whole(1, 10_000), Default::Whole(100), "documents"),
        FieldSpec::new("length", FieldKind::Whole(1, 100_000), Default::Whole(64), "tokens of a block"),
    ],
    check: |_| Ok(()),
    numbers: |_| ["blocks", "dense", "causal"].map(str::to_string).to_vec(),
    run: |given: &Simulated<'_>| {
        let (last, length) = (given.values.count("items") + 1, given.values.count("length"));
        let count = |sees: &dyn Fn(usize, usize) -> bool| {
            let pairs = (0..=last).flat_map(|query| (0..=last).map(move |key| (query, key)));
            (pairs.filter(|(query, key)| sees(*query, *key)).count() * length * length) as f64
        };
        let blocks = count(&|query, key| query == key || (key == 0 && query > 0) || query == last);
        Ok(vec![blocks, count(&|_, _| true), count(&|query, key| key <= query)])
    },
};
