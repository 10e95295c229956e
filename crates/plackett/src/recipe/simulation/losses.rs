//! `list-losses`: the losses that listwise rerankers are trained with, on scores that were drawn.

use super::{Simulated, Simulation};
use crate::recipe::field::{Default, FieldKind, FieldSpec};
use plackett_core::losses::{
    LossError, inverse_rank_targets, list_net, orthogonality, ranknet, ranknet_pairs,
};
use plackett_core::permutation::Permutation;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The declaration.
pub static LIST_LOSSES: Simulation = Simulation {
    name: "list-losses",
    help: "a teacher's order and scores of a list are drawn. `pairs` are those of RankNet, `ranknet_equal` its loss where all \
           scores are equal, `ranknet_raised` is 1 where a higher score of the best item lowers it; `target_best` and \
           `target_worst` are soft targets by 1/rank, `listnet_least` is 1 where no drawn scores lose less than those that say \
           what the targets say; `orthonormal` and `parallel` are the orthogonality losses of anchors of these kinds",
    version: 1,
    fields: &[
        FieldSpec::new("items", FieldKind::Whole(2, 1000), Default::Whole(16), "how many are in the list"),
        FieldSpec::new("views", FieldKind::Whole(1, 64), Default::Whole(4), "how many anchors there are"),
        FieldSpec::new(
            "temperature",
            FieldKind::Number(0.001, 100.0),
            Default::Number(0.8),
            "by which scores are divided",
        ),
    ],
    check: |_| Ok(()),
    numbers: |_| {
        [
            "pairs",
            "ranknet_equal",
            "ranknet_raised",
            "target_best",
            "target_worst",
            "listnet_least",
            "orthonormal",
            "parallel",
        ]
        .map(str::to_string)
        .to_vec()
    },
    run: |given| numbers(given).map_err(|error| error.to_string()),
};

fn numbers(given: &Simulated<'_>) -> Result<Vec<f64>, LossError> {
    let (items, views) = (given.values.count("items"), given.values.count("views"));
    let temperature = given.values.real("temperature");
    let mut random = ChaCha8Rng::seed_from_u64(given.seed);
    let mut draw = || (0..items).map(|_| random.random::<f64>()).collect::<Vec<f64>>();
    let order = Permutation::by_descending(&draw());
    let flag = |holds: bool| f64::from(u8::from(holds));

    let equal = ranknet(&vec![0.0; items], &order, temperature)?;
    let mut scores = draw();
    let before = ranknet(&scores, &order, temperature)?;
    if let Some(best) = order.items().first() {
        scores[*best] += 0.1;
    }
    let raised = ranknet(&scores, &order, temperature)? < before;

    let mut ranks = vec![0; items];
    order.items().iter().enumerate().for_each(|(rank, item)| ranks[*item] = rank + 1);
    let targets = inverse_rank_targets(&ranks, temperature)?;
    let of_rank = |rank: usize| order.items().get(rank).map_or(f64::NAN, |item| targets[*item]);
    let right: Vec<f64> = ranks.iter().map(|rank| 1.0 / *rank as f64).collect();
    let least =
        list_net(&right, &targets, temperature, false)? <= list_net(&scores, &targets, temperature, false)?;

    let unit: Vec<Vec<f64>> =
        (0..views).map(|view| (0..views).map(|at| flag(at == view)).collect()).collect();
    let unit: Vec<&[f64]> = unit.iter().map(Vec::as_slice).collect();
    let parallel: Vec<&[f64]> = (0..views).map(|_| scores.as_slice()).collect();
    Ok(vec![
        ranknet_pairs(items) as f64,
        equal,
        flag(raised),
        of_rank(0),
        of_rank(items - 1),
        flag(least),
        orthogonality(&unit)?,
        orthogonality(&parallel)?,
    ])
}
