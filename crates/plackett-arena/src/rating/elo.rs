//! Elo (1978): ratings that follow the votes one by one, and so depend on their order.

use super::{SCALE, START};
use crate::Vote;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// How ratings follow votes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EloOptions {
    /// Points that a vote moves at most.
    pub k: f64,
}

impl Default for EloOptions {
    fn default() -> Self {
        EloOptions { k: 4.0 }
    }
}

/// Ratings after all votes, in their order. Their sum never changes.
pub fn elo(models: usize, votes: &[Vote], options: &EloOptions) -> Vec<f64> {
    let mut ratings = vec![START; models];
    for vote in votes {
        let behind = (ratings[vote.right] - ratings[vote.left]) / SCALE;
        let expected = 1.0 / (1.0 + 10f64.powf(behind));
        let moved = options.k * (vote.verdict.points() - expected);
        ratings[vote.left] += moved;
        ratings[vote.right] -= moved;
    }
    ratings
}

/// For each model the least and greatest rating over so many shuffles of the votes: what of a rating is their order.
pub fn elo_spread(
    models: usize,
    votes: &[Vote],
    options: &EloOptions,
    shuffles: usize,
    seed: u64,
) -> Vec<(f64, f64)> {
    let mut spread = vec![(f64::INFINITY, f64::NEG_INFINITY); models];
    let mut votes = votes.to_vec();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for _ in 0..shuffles {
        votes.shuffle(&mut random);
        for (spread, rating) in spread.iter_mut().zip(elo(models, &votes, options)) {
            *spread = (spread.0.min(rating), spread.1.max(rating));
        }
    }
    spread
}
