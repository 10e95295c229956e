//! The Plackett–Luce distribution over orders (Luce 1959, Plackett 1975).
//!
//! Every item has a score θ, the logarithm of its strength. An order is made from the front: the next item is one of
//! those left, with probability softmax(θ). Adding a constant to all scores changes nothing.

mod fit;
pub mod policy;

pub(crate) use fit::{Choice, fit_choices};
pub use fit::{Fit, FitError, FitMethod, FitOptions, fit};

use crate::permutation::Permutation;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Scores of items `0..n`, all finite.
#[derive(Clone, Debug, PartialEq)]
pub struct PlackettLuce {
    scores: Vec<f64>,
}

/// Scores or an order that make no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlackettLuceError {
    /// A score that is not finite.
    #[error("the score of item {item} is {score}; scores must be finite")]
    Score {
        /// The item.
        item: usize,
        /// Its score.
        score: f64,
    },
    /// An item out of range or there twice.
    #[error("item {item} is out of range (0..{len}) or stands twice in the order")]
    Item {
        /// The item.
        item: usize,
        /// How many items there are.
        len: usize,
    },
}

/// log Σ exp, without overflow; −∞ for nothing.
pub fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let most = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if most == f64::NEG_INFINITY {
        most
    } else {
        most + values.map(|value| (value - most).exp()).sum::<f64>().ln()
    }
}

impl PlackettLuce {
    /// A distribution from log-strengths.
    pub fn new(scores: Vec<f64>) -> Result<PlackettLuce, PlackettLuceError> {
        match scores.iter().position(|score| !score.is_finite()) {
            Some(item) => Err(PlackettLuceError::Score { item, score: scores[item] }),
            None => Ok(PlackettLuce { scores }),
        }
    }

    /// The log-strengths.
    pub fn scores(&self) -> &[f64] {
        &self.scores
    }

    fn check(&self, order: &[usize]) -> Result<Vec<bool>, PlackettLuceError> {
        let mut taken = vec![false; self.scores.len()];
        for &item in order {
            match taken.get_mut(item) {
                Some(taken) if !*taken => *taken = true,
                _ => return Err(PlackettLuceError::Item { item, len: self.scores.len() }),
            }
        }
        Ok(taken)
    }

    /// For each place of `order` the log of the strength left there. Added from the end, so that nothing is ever
    /// subtracted: a strong item at the front takes no digits from the weak ones behind it.
    fn left(&self, order: &[usize]) -> Result<Vec<f64>, PlackettLuceError> {
        let taken = self.check(order)?;
        let others = self.scores.iter().zip(&taken).filter(|(_, taken)| !**taken).map(|(score, _)| *score);
        let mut sum = log_sum_exp(others);
        let mut left = vec![0.0; order.len()];
        for (place, &item) in order.iter().enumerate().rev() {
            sum = log_sum_exp([sum, self.scores[item]].into_iter());
            left[place] = sum;
        }
        Ok(left)
    }

    /// log P of an order's first places (of a whole order when it has all items), in nats.
    pub fn log_likelihood(&self, order: &[usize]) -> Result<f64, PlackettLuceError> {
        let left = self.left(order)?;
        Ok(order.iter().zip(left).map(|(&item, left)| self.scores[item] - left).sum())
    }

    /// Derivative of [`PlackettLuce::log_likelihood`] by every score.
    pub fn gradient(&self, order: &[usize]) -> Result<Vec<f64>, PlackettLuceError> {
        let mut gradient = vec![0.0; self.scores.len()];
        self.each_choice(order, |shares, chosen| {
            for &(item, share) in shares {
                gradient[item] += f64::from(item == chosen) - share;
            }
        })?;
        Ok(gradient)
    }

    /// Second derivatives, n × n; every row adds up to 0.
    pub fn hessian(&self, order: &[usize]) -> Result<Vec<Vec<f64>>, PlackettLuceError> {
        let mut hessian = vec![vec![0.0; self.scores.len()]; self.scores.len()];
        self.each_choice(order, |shares, _| {
            for &(a, share) in shares {
                for &(b, other) in shares {
                    hessian[a][b] -= share * (f64::from(a == b) - other);
                }
            }
        })?;
        Ok(hessian)
    }

    /// Gives every place's choice: the items left with their probabilities, and the one that was taken.
    fn each_choice(
        &self,
        order: &[usize],
        mut see: impl FnMut(&[(usize, f64)], usize),
    ) -> Result<(), PlackettLuceError> {
        let left = self.left(order)?;
        let mut open: Vec<usize> = (0..self.scores.len()).collect();
        for (&chosen, left) in order.iter().zip(left) {
            let shares: Vec<_> = open.iter().map(|&item| (item, (self.scores[item] - left).exp())).collect();
            see(&shares, chosen);
            open.retain(|&item| item != chosen);
        }
        Ok(())
    }

    /// The most probable order: by descending score, equal scores by ascending item.
    pub fn mode(&self) -> Permutation {
        Permutation::by_descending(&self.scores)
    }

    /// Draws the first `count` places of an order: the items with the highest score plus Gumbel noise, which is exact
    /// (Yellott 1977; Kool et al., ICML 2019). The same seed gives the same order on every machine.
    pub fn sample(&self, count: usize, seed: u64) -> Vec<usize> {
        let mut source = ChaCha8Rng::seed_from_u64(seed);
        let mut noisy = |score: &f64| {
            let uniform: f64 = source.random();
            // Never 0, whose logarithm is not finite.
            score - (-(uniform.max(f64::MIN_POSITIVE)).ln()).max(f64::MIN_POSITIVE).ln()
        };
        let noisy: Vec<f64> = self.scores.iter().map(&mut noisy).collect();
        let mut order = Permutation::by_descending(&noisy).items().to_vec();
        order.truncate(count);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn probabilities_of_all_orders_add_up_to_one(scores in proptest::collection::vec(-30.0..30.0f64, 0..6)) {
            let model = PlackettLuce::new(scores).unwrap();
            let n = model.scores.len();
            let count: u128 = (1..=n as u128).product();
            let orders = (0..count).map(|number| Permutation::from_rank(n, number).unwrap());
            let sum: f64 = orders.map(|order| model.log_likelihood(order.items()).unwrap().exp()).sum();
            prop_assert!((sum - 1.0).abs() < 1e-9, "{}", sum);
        }

        #[test]
        fn derivatives_agree_with_differences(scores in proptest::collection::vec(-2.0..2.0f64, 4), number in 0u128..24, k in 1usize..5) {
            let order = Permutation::from_rank(4, number).unwrap().items()[..k].to_vec();
            let model = PlackettLuce::new(scores.clone()).unwrap();
            let (gradient, hessian) = (model.gradient(&order).unwrap(), model.hessian(&order).unwrap());
            for item in 0..4 {
                let moved = |by: f64| {
                    let mut moved = scores.clone();
                    moved[item] += by;
                    PlackettLuce::new(moved).unwrap()
                };
                let (up, down) = (moved(1e-5), moved(-1e-5));
                let slope = (up.log_likelihood(&order).unwrap() - down.log_likelihood(&order).unwrap()) / 2e-5;
                prop_assert!((slope - gradient[item]).abs() < 1e-6);
                let (up, down) = (up.gradient(&order).unwrap(), down.gradient(&order).unwrap());
                for other in 0..4 {
                    prop_assert!(((up[other] - down[other]) / 2e-5 - hessian[item][other]).abs() < 1e-6);
                }
            }
        }
    }

    #[test]
    fn likelihood_by_hand() {
        // Strengths 1, 2, 3: P(2, 0, 1) = 3/6 · 1/3 · 1.
        let model = PlackettLuce::new(vec![0.0, 2f64.ln(), 3f64.ln()]).unwrap();
        assert!((model.log_likelihood(&[2, 0, 1]).unwrap() - (1.0f64 / 6.0).ln()).abs() < 1e-12);
        assert!((model.log_likelihood(&[1]).unwrap() - (1.0f64 / 3.0).ln()).abs() < 1e-12);
        assert_eq!(model.mode().items(), [2, 1, 0]);
        assert!(model.log_likelihood(&[1, 1]).is_err() && model.log_likelihood(&[3]).is_err());
        assert!(PlackettLuce::new(vec![f64::NAN]).is_err());
    }

    #[test]
    fn samples_are_as_frequent_as_probable() {
        let model = PlackettLuce::new(vec![0.0, 2f64.ln(), 3f64.ln()]).unwrap();
        let draws = 20_000;
        let mut counts = [0.0; 6];
        for seed in 0..draws {
            let order = Permutation::new(model.sample(3, seed)).unwrap();
            counts[order.rank().unwrap() as usize] += 1.0;
        }
        let chi: f64 = (0..6)
            .map(|number| {
                let order = Permutation::from_rank(3, number).unwrap();
                let wanted = draws as f64 * model.log_likelihood(order.items()).unwrap().exp();
                (counts[number as usize] - wanted).powi(2) / wanted
            })
            .sum();
        assert!(chi < 20.5, "χ² with 5 degrees of freedom is {chi}; 20.5 is its 99.9 % point");
    }
}
