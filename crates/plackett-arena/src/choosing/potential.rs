//! What a candidate promises, from its rewards so far, and how it is drawn by that.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// What of a candidate's rewards counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Potential {
    /// The reward now.
    #[default]
    Value,
    /// What it has gained since the last time.
    Difference,
    /// The greatest so far.
    Greatest,
    /// All rewards together.
    Sum,
}

impl Potential {
    /// Whether rewards of earlier stages count.
    pub fn has_history(self) -> bool {
        self != Potential::Value
    }

    /// The potential of rewards from the first to the one now; of none 0.
    pub fn of(self, rewards: &[f64]) -> f64 {
        let Some((&now, before)) = rewards.split_last() else { return 0.0 };
        match self {
            Potential::Value => now,
            Potential::Difference => now - before.last().copied().unwrap_or(0.0),
            Potential::Greatest => before.iter().copied().fold(now, f64::max),
            Potential::Sum => rewards.iter().sum(),
        }
    }
}

/// Weights exp(λ · potential), without overflow; a potential that is no number counts as the least there is, and where none is one all
/// weigh the same.
pub fn potential_weights(potentials: &[f64], lambda: f64) -> Vec<f64> {
    let scaled: Vec<f64> = potentials
        .iter()
        .map(|potential| if lambda == 0.0 { 0.0 } else { lambda * potential })
        .map(|x| if x.is_nan() { f64::NEG_INFINITY } else { x })
        .collect();
    let top = scaled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if top == f64::NEG_INFINITY {
        return vec![1.0; potentials.len()];
    }
    // An infinite one leaves nothing for the others.
    scaled.iter().map(|x| if *x == top { 1.0 } else { (x - top).exp() }).collect()
}

/// `count` places drawn with replacement by [`potential_weights`].
pub fn draw_by_potential(
    potentials: &[f64],
    lambda: f64,
    count: usize,
    random: &mut ChaCha8Rng,
) -> Vec<usize> {
    let weights = potential_weights(potentials, lambda);
    let total: f64 = weights.iter().sum();
    let mut draw = || {
        let mut left = random.random::<f64>() * total;
        let within = weights.iter().position(|weight| {
            left -= weight;
            left < 0.0
        });
        within.unwrap_or_else(|| weights.iter().rposition(|weight| *weight > 0.0).unwrap_or(0))
    };
    (0..count).map(|_| draw()).collect()
}
