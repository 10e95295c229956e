//! From logits to candidates: normalisation, the best few, and draws.

use crate::decode::constraint::Allowed;
use crate::decode::model::BranchOutput;
use crate::decode::options::{Normalize, Sampling};
use crate::error::decode::DecodeError;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::cmp::Ordering;

/// The allowed tokens of a branch, their logits, and the logarithm of what normalises them.
pub(super) struct Scored {
    tokens: Vec<u32>,
    logits: Vec<f32>,
    normalizer: f64,
}

/// A continuation of a branch by one token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// What candidates are sorted by: the sum, less a penalty for want of diversity.
    pub key: f64,
    /// Sum of log-probabilities with this token.
    pub sum: f64,
    pub token: u32,
    /// Position of the branch among the live ones.
    pub parent: usize,
}

impl Candidate {
    /// Better first; equal keys by token id, then by parent.
    pub fn order(&self, other: &Candidate) -> Ordering {
        let keys = other.key.total_cmp(&self.key);
        keys.then(self.token.cmp(&other.token)).then(self.parent.cmp(&other.parent))
    }
}

impl Scored {
    /// Reads the model's answer. Tokens with logit −∞ are impossible and left out.
    pub fn read(
        allowed: &Allowed,
        answer: &BranchOutput,
        vocabulary: usize,
        normalize: Normalize,
    ) -> Result<Scored, DecodeError> {
        let expected = match allowed {
            Allowed::Only(ids) => ids.len(),
            Allowed::Except { .. } => vocabulary,
        };
        if answer.logits.len() != expected {
            let problem = format!("{} logits instead of {expected}", answer.logits.len());
            return Err(DecodeError::Model(problem));
        }
        if let Some(at) = answer.logits.iter().position(|l| l.is_nan() || *l == f32::INFINITY) {
            return Err(DecodeError::Model(format!("logit {at} of a branch is {}", answer.logits[at])));
        }
        let possible = |(_, logit): &(u32, f32)| *logit > f32::NEG_INFINITY;
        let (tokens, logits): (Vec<u32>, Vec<f32>) = match allowed {
            Allowed::Only(ids) => {
                ids.iter().copied().zip(answer.logits.iter().copied()).filter(possible).unzip()
            }
            Allowed::Except { below, banned } => {
                let mut banned = banned.iter().peekable();
                let all = (0..*below).zip(answer.logits.iter().copied());
                all.filter(|(id, _)| banned.next_if_eq(&id).is_none()).filter(possible).unzip()
            }
        };
        let normalizer = match (normalize, allowed) {
            (Normalize::Allowed, _) => log_sum_exp(&logits),
            (Normalize::Vocabulary, Allowed::Except { .. }) => log_sum_exp(&answer.logits),
            (Normalize::Vocabulary, Allowed::Only(_)) => {
                let missing = || DecodeError::Model("the normaliser was asked for and is missing".into());
                answer.normalizer.filter(|n| !n.is_nan()).ok_or_else(missing)?
            }
        };
        Ok(Scored { tokens, logits, normalizer })
    }

    /// The best `most` continuations of a branch with that sum, unsorted; `penalty` is taken off a token's key.
    pub fn best(
        &self,
        most: usize,
        (parent, sum): (usize, f64),
        penalty: impl Fn(u32) -> f64,
    ) -> Vec<Candidate> {
        let candidate = |(token, logit): (&u32, &f32)| {
            let sum = sum + self.log_prob(*logit);
            Candidate { key: sum - penalty(*token), sum, token: *token, parent }
        };
        let mut all: Vec<Candidate> = self.tokens.iter().zip(&self.logits).map(candidate).collect();
        keep_best(&mut all, most);
        all
    }

    /// One token drawn at random, with its log-probability at temperature 1. `None` when no token is possible.
    pub fn draw(&self, sampling: &Sampling, unit: f64) -> Option<(u32, f64)> {
        let mut order: Vec<usize> = (0..self.tokens.len()).collect();
        // Tokens are in the order of ids, so positions break ties as ids do.
        let better = |a: &usize, b: &usize| self.logits[*b].total_cmp(&self.logits[*a]).then(a.cmp(b));
        if let Some(k) = sampling.top_k.filter(|k| *k < order.len()) {
            order.select_nth_unstable_by(k, better);
            order.truncate(k);
        }
        if sampling.top_k.is_some() || sampling.top_p.is_some() {
            order.sort_unstable_by(better);
        }
        let largest = order.iter().map(|at| self.logits[*at]).max_by(f32::total_cmp)?;
        let weight =
            |at: &usize| ((f64::from(self.logits[*at]) - f64::from(largest)) / sampling.temperature).exp();
        if let Some(p) = sampling.top_p {
            let total: f64 = order.iter().map(weight).sum();
            let mut reached = 0.0;
            let enough = order.iter().position(|at| {
                reached += weight(at);
                reached >= p * total
            });
            order.truncate(enough.map_or(order.len(), |at| at + 1));
        }
        let target = unit * order.iter().map(weight).sum::<f64>();
        let mut reached = 0.0;
        let chosen = order.iter().find(|at| {
            reached += weight(at);
            reached > target
        });
        // Only rounding can leave the target beyond the last weight.
        let at = *chosen.or_else(|| order.iter().rev().find(|at| weight(at) > 0.0))?;
        Some((self.tokens[at], self.log_prob(self.logits[at])))
    }

    fn log_prob(&self, logit: f32) -> f64 {
        // Adding 0 turns −0 into 0, so that equal sums are equal in the total order.
        f64::from(logit) - self.normalizer + 0.0
    }
}

/// Keeps the best few, unsorted.
pub(super) fn keep_best(candidates: &mut Vec<Candidate>, most: usize) {
    if candidates.len() > most && most > 0 {
        candidates.select_nth_unstable_by(most - 1, Candidate::order);
        candidates.truncate(most);
    }
}

/// A number in [0, 1) that depends on nothing but its arguments: one block of ChaCha with them as the key.
pub(super) fn unit(seed: u64, request: u64, sample: u64, step: u64) -> f64 {
    let mut key = [0u8; 32];
    for (part, number) in key.chunks_exact_mut(8).zip([seed, request, sample, step]) {
        part.copy_from_slice(&number.to_le_bytes());
    }
    let bits = ChaCha8Rng::from_seed(key).next_u64();
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// ln Σ exp(logit), summed in f64 in the order given; −∞ for nothing, or for nothing but −∞.
pub fn log_sum_exp<T: Copy + Into<f64>>(logits: &[T]) -> f64 {
    let logits = logits.iter().map(|logit| -> f64 { (*logit).into() });
    let largest = logits.clone().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    largest + logits.map(|logit| (logit - largest).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::log_sum_exp;

    #[test]
    fn sums_stay_finite_and_nothing_possible_is_minus_infinity() {
        assert!((log_sum_exp(&[0.0f32, 3f32.ln()]) - 4f64.ln()).abs() < 1e-6);
        assert!((log_sum_exp(&[-2000.0, -2000.0]) - (2f64.ln() - 2000.0)).abs() < 1e-9);
        assert_eq!(log_sum_exp(&[f64::NEG_INFINITY; 2]), f64::NEG_INFINITY);
        assert_eq!(log_sum_exp::<f32>(&[]), f64::NEG_INFINITY);
    }
}
