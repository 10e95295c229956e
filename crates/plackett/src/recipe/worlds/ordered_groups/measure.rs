//! How far orders of groups are those that are wanted.

use super::TestedGroup;
use crate::recipe::error::StageError;
use plackett_core::permutation::Permutation;
use plackett_core::plackett_luce::policy::{Measure, MeasureKind, Utility};
use plackett_core::tsp::{TspOptions, borda_order, greedy_chain, solve};
use plackett_train::trainer::{GroupHead, GroupScorer};
use plackett_train::{Compute, Parameters};
use std::sync::Arc;

/// Rank down to which gains count.
const CUTOFF: usize = 10;

/// What is measured of an order.
pub const MEASURES: [&str; 4] = ["tau", "exact", "top", "nDCG@10"];

/// Orders of a group by several decoders of the same scores.
pub struct DecodedGroup {
    /// The best path of a scorer of pairs, or the order of scores.
    pub order: Permutation,
    /// The greedy chain and the order of row sums, of a scorer of pairs.
    pub others: Option<[Permutation; 2]>,
    /// Whether the order is known to be the best of its scores.
    pub is_optimal: bool,
}

/// Decodes a group.
///
/// # Errors
/// A score that is no number.
pub fn decoded(
    scorer: &GroupScorer,
    parameters: &Parameters,
    compute: &Arc<Compute>,
    tested: &TestedGroup,
) -> Result<DecodedGroup, StageError> {
    if scorer.head() == GroupHead::Item {
        let scores = scorer.item_scores(parameters, compute, &tested.group);
        let order = Permutation::by_descending(&scores);
        return Ok(DecodedGroup { order, others: None, is_optimal: true });
    }
    let scores = scorer
        .successor_scores(parameters, compute, &tested.group)
        .map_err(|error| StageError::Work(format!("group {}: {error}", tested.group.name)))?;
    let path = solve(&scores, &TspOptions::default());
    let others = Some([greedy_chain(&scores), borda_order(&scores)]);
    Ok(DecodedGroup { order: path.order, others, is_optimal: path.optimal })
}

impl TestedGroup {
    /// The numbers of [`MEASURES`]: Kendall's correlation over pairs of different grades; the share of places with an item as good as
    /// the one that belongs there; one over the rank of the first of the best items; nDCG@10.
    pub fn measured(&self, order: &Permutation) -> [f64; MEASURES.len()] {
        let mut wanted = self.grades.clone();
        wanted.sort_by(|a, b| b.total_cmp(a));
        let places = order.items().iter().zip(&wanted);
        let exact = places.filter(|(item, wanted)| self.grades[**item] == **wanted).count();
        let best = wanted.first().copied().unwrap_or_default();
        let first = order.items().iter().position(|item| self.grades[*item] == best).unwrap_or_default();
        let gain = Measure::new(MeasureKind::Ndcg, self.gains.clone(), CUTOFF);
        let gain = gain.map_or(0.0, |measure| measure.parts(order.items()).iter().sum());
        [self.tau(order), exact as f64 / wanted.len().max(1) as f64, 1.0 / (first + 1) as f64, gain]
    }

    /// (pairs in the right order − pairs in the wrong one) / both.
    pub fn tau(&self, order: &Permutation) -> f64 {
        let (mut right, mut wrong) = (0usize, 0usize);
        for (place, first) in order.items().iter().enumerate() {
            for second in &order.items()[place + 1..] {
                match self.grades[*first].total_cmp(&self.grades[*second]) {
                    std::cmp::Ordering::Greater => right += 1,
                    std::cmp::Ordering::Less => wrong += 1,
                    std::cmp::Ordering::Equal => {}
                }
            }
        }
        (right as f64 - wrong as f64) / (right + wrong).max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_by_hand() {
        let group = TestedGroup {
            grades: vec![0.0, 2.0, 1.0, 1.0],
            gains: vec![0.0, 3.0, 1.0, 1.0],
            ..TestedGroup::default()
        };
        let of = |items: Vec<usize>| group.measured(&Permutation::new(items).unwrap());
        assert!(of(vec![1, 3, 2, 0]).iter().all(|value| (value - 1.0).abs() < 1e-12));
        // Pairs of different grades: 2 before 1 is wrong; 2–0, 1–3, 1–0 and 3–0 are right: (4 − 1) / 5. Places 3 and 4 are right.
        let [tau, exact, top, gain] = of(vec![2, 1, 3, 0]);
        assert_eq!((tau, exact, top), (0.6, 0.5, 0.5));
        let discount = |at: f64| 1.0 / (at + 2.0).log2();
        let wanted = (1.0 + 3.0 * discount(1.0) + discount(2.0)) / (3.0 + discount(1.0) + discount(2.0));
        assert!((gain - wanted).abs() < 1e-12);
    }
}
