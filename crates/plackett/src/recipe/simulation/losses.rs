//! `list-losses`: the objectives that listwise rerankers are trained with, on scores that were drawn.

use super::{Simulated, Simulation};
use crate::recipe::field::{Default, FieldKind, FieldSpec};
use plackett_core::permutation::Permutation;
use plackett_train::objective::{Batch, Lists, Views, parse_sum};
use plackett_train::tape::Gradients;
use plackett_train::trainer::weighted_sum;
use plackett_train::{Compute, Parameters, Tape};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The declaration.
pub static LIST_LOSSES: Simulation = Simulation {
    name: "list-losses",
    help: "a teacher's order and scores of a list are drawn, and the trainer's objectives are asked about them. `pairs` are those of RankNet \
           (from its gradient where all scores are equal), `ranknet_equal` its loss there, `ranknet_raised` is 1 where a higher score of the \
           best item lowers it; `target_best` and `target_worst` are ListNet's soft targets by 1/rank (from its gradient), `listnet_least` \
           is 1 where no drawn scores lose less than those that say what the targets say; `orthonormal` and `parallel` are the \
           orthogonality losses of anchors of these kinds",
    version: 2,
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
    run: numbers,
};

/// The scores of a list, its labels, and perhaps a teacher's scores.
pub(super) struct ScoredList<'a> {
    pub scores: &'a [f32],
    pub labels: &'a [f32],
    pub teacher: Option<&'a [f32]>,
}

impl ScoredList<'_> {
    /// The loss of the trainer and its gradient by the scores.
    pub fn loss(&self, objective: &str) -> Result<(f64, Vec<f32>), String> {
        let terms = parse_sum(objective).map_err(|error| error.to_string())?;
        let mut parameters = Parameters::default();
        let id = parameters.add("scores", (self.scores.len(), 1), self.scores.to_vec());
        let tape = Tape::new(&parameters, &Compute::new(1));
        let (scores, list) = (tape.parameter(id), 0..self.scores.len());
        let lists =
            Lists { teacher: self.teacher, ..Lists::new(&scores, std::slice::from_ref(&list), self.labels) };
        let loss = weighted_sum(&tape, &terms, &Batch::Lists(lists), 0).map_err(|error| error.to_string())?;
        let value = f64::from(loss.value.item());
        let mut gradients = Gradients::default();
        tape.backward(&loss.value, &mut gradients);
        Ok((value, gradients.get(id).map_or_else(Vec::new, <[f32]>::to_vec)))
    }
}

/// The trainer's orthogonality loss of anchors, one after another.
fn orthogonality(anchors: &[f32], views: usize) -> Result<f64, String> {
    let terms = parse_sum("orthogonal-views").map_err(|error| error.to_string())?;
    let parameters = Parameters::default();
    let tape = Tape::new(&parameters, &Compute::new(1));
    let anchors = tape.constant((views, anchors.len() / views), anchors);
    let batch = Batch::Views(Views { anchors: &anchors, views });
    let loss = weighted_sum(&tape, &terms, &batch, 0).map_err(|error| error.to_string())?;
    Ok(f64::from(loss.value.item()))
}

fn numbers(given: &Simulated<'_>) -> Result<Vec<f64>, String> {
    let (items, views) = (given.values.count("items"), given.values.count("views"));
    let temperature = given.values.real("temperature");
    let mut random = ChaCha8Rng::seed_from_u64(given.seed);
    let mut draw = || (0..items).map(|_| random.random::<f64>()).collect::<Vec<f64>>();
    let order = Permutation::by_descending(&draw());
    let (best, worst) = (order.items()[0], order.items()[items - 1]);
    let flag = |holds: bool| f64::from(u8::from(holds));
    // Labels say the order, the greatest of the best item.
    let (mut labels, mut right) = (vec![0.0; items], vec![0.0; items]);
    for (place, item) in order.items().iter().enumerate() {
        labels[*item] = (items - place) as f32;
        right[*item] = 1.0 / (place + 1) as f32;
    }
    let loss = |scores: &[f32], objective: &str| {
        ScoredList { scores, labels: &labels, teacher: None }.loss(objective)
    };
    let level = vec![0.0; items];

    let ranknet = format!("ranknet(temperature={temperature})");
    let (equal, slopes) = loss(&level, &ranknet)?;
    // Each of the best item's pairs pulls it by half of 1 / temperature, in the mean over all pairs.
    let pull = f64::from(slopes[best]).abs() * temperature;
    let pairs = (0.5 * (items - 1) as f64 / pull.max(f64::MIN_POSITIVE)).round();
    let mut scores: Vec<f32> = draw().into_iter().map(|score| score as f32).collect();
    let before = loss(&scores, &ranknet)?.0;
    scores[best] += 0.1;
    let raised = loss(&scores, &ranknet)?.0 < before;

    let listnet = format!(
        "listnet(target=reciprocal-rank, temperature={temperature}, target_temperature={temperature})"
    );
    // The gradient by a score is what the softmax of the scores has more than the target, over the temperature.
    let slopes = loss(&level, &listnet)?.1;
    let target = |item: usize| 1.0 / items as f64 - temperature * f64::from(slopes[item]);
    let least = loss(&right, &listnet)?.0 <= loss(&scores, &listnet)?.0;

    let unit: Vec<f32> = (0..views * views).map(|at| f32::from(u8::from(at / views == at % views))).collect();
    // Their lengths differ, their direction does not.
    let parallel: Vec<f32> = (0..views * views).map(|at| (1 + at / views % 2) as f32).collect();
    Ok(vec![
        pairs,
        equal,
        flag(raised),
        target(best),
        target(worst),
        flag(least),
        orthogonality(&unit, views)?,
        orthogonality(&parallel, views)?,
    ])
}
