//! Scores given within groups: random groups, repeats, averages, and their fusion with the first stage (GroupRank).

use super::AggregationError;
use crate::permutation::Permutation;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// How candidates are cut into groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// Shuffled anew in each repeat (GroupRank; better than sorted groups in its table).
    Random {
        /// Seed of all repeats.
        seed: u64,
    },
    /// Neighbours in the initial order, the same in each repeat.
    Sorted,
}

impl Grouping {
    /// The groups of `repeats` repeats of `items` candidates, `size` (at least 1) in each but the last, which may
    /// be shorter: `repeats · ⌈items/size⌉` groups, none of which depends on another.
    pub fn groups(self, items: usize, size: usize, repeats: usize) -> Vec<Vec<Vec<usize>>> {
        let mut random = match self {
            Grouping::Random { seed } => Some(ChaCha8Rng::seed_from_u64(seed)),
            Grouping::Sorted => None,
        };
        let repeat = |_| {
            let mut order: Vec<usize> = (0..items).collect();
            if let Some(random) = &mut random {
                order.shuffle(random);
            }
            order.chunks(size.max(1)).map(<[usize]>::to_vec).collect()
        };
        (0..repeats).map(repeat).collect()
    }
}

/// Sums of scores over repeats.
///
/// A candidate's score is the mean over the repeats in which it got one. A group whose answer could not be read is
/// simply not added: giving it zeros, as the published code does, would bury all of its candidates.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupScores {
    sums: Vec<(f64, usize)>,
}

impl GroupScores {
    /// Of `items` candidates, none scored yet.
    pub fn new(items: usize) -> GroupScores {
        GroupScores { sums: vec![(0.0, 0); items] }
    }

    /// Adds one score; it must be finite.
    pub fn add(&mut self, item: usize, score: f64) -> Result<(), AggregationError> {
        let len = self.sums.len();
        let sum = self.sums.get_mut(item).ok_or(AggregationError::Item { item, len })?;
        if !score.is_finite() {
            return Err(AggregationError::Score { item, score });
        }
        sum.0 += score;
        sum.1 += 1;
        Ok(())
    }

    /// Means; `None` for candidates that never got a score.
    pub fn means(&self) -> Vec<Option<f64>> {
        self.sums.iter().map(|&(sum, count)| (count > 0).then(|| sum / count as f64)).collect()
    }

    /// How many candidates never got a score.
    pub fn unscored(&self) -> usize {
        self.sums.iter().filter(|(_, count)| *count == 0).count()
    }

    /// By descending mean, equal ones in the initial order, candidates without a score behind all others in the
    /// initial order.
    pub fn order(&self) -> Permutation {
        let means = self.means();
        Permutation::by_descending(&means.iter().map(|mean| mean.unwrap_or(f64::NAN)).collect::<Vec<_>>())
    }

    /// `(1 − weight) · mean + weight · first stage`, whose scores should be in the range of the means (GroupRank: 0.4, both
    /// in 0 to 1). Breaks most of the ties that whole-number scores make. `None` for candidates that never got a score.
    ///
    /// # Errors
    /// [`AggregationError`]: another number of first-stage scores, or a weight outside 0 to 1.
    pub fn fused(&self, first_stage: &[f64], weight: f64) -> Result<Vec<Option<f64>>, AggregationError> {
        let (len, found) = (self.sums.len(), first_stage.len());
        if len != found {
            return Err(AggregationError::Length { ranking: 1, wanted: len, found });
        }
        if !(0.0..=1.0).contains(&weight) {
            return Err(AggregationError::Weight { what: "the first stage (of 1)".into(), value: weight });
        }
        let fused = |(mean, first): (Option<f64>, &f64)| Some((1.0 - weight) * mean? + weight * first);
        Ok(self.means().into_iter().zip(first_stage).map(fused).collect())
    }
}

/// Labels from two teachers' rankings of the same items: −β ln rank₁ − (1−β) ln rank₂, ranks from 1 (GroupRank,
/// "dual-teacher pseudo-labels", β = 0.5). The best possible is 0.
pub fn log_rank_fusion(
    first: &Permutation,
    second: &Permutation,
    beta: f64,
) -> Result<Vec<f64>, AggregationError> {
    if first.len() != second.len() {
        return Err(AggregationError::Length { ranking: 1, wanted: first.len(), found: second.len() });
    }
    if !(0.0..=1.0).contains(&beta) {
        return Err(AggregationError::Weight { what: "the first teacher (of 1)".into(), value: beta });
    }
    let log = |place: usize| (place as f64 + 1.0).ln();
    let (first, second) = (first.inverse(), second.inverse());
    let both = first.items().iter().zip(second.items());
    Ok(both.map(|(&a, &b)| 0.0 - beta * log(a) - (1.0 - beta) * log(b)).collect())
}
