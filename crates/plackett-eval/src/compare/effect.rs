//! How large a difference is, apart from how sure it is.

use crate::numbers::{mean, variance};
use serde::Serialize;

/// Sizes of an effect.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Effect {
    /// Cohen's d_z: the mean difference over the standard deviation of differences. `None` when they do not differ.
    pub d_z: Option<f64>,
    /// Cliff's δ: chance that a value of the run beats one of the baseline, minus that of the contrary, over all pairs.
    pub cliffs_delta: f64,
}

impl Effect {
    /// From values over the same queries.
    pub fn of(before: &[f64], after: &[f64], differences: &[f64]) -> Effect {
        let spread = variance(differences).sqrt();
        let d_z = (spread > 1e-14).then(|| mean(differences) / spread);
        Effect { d_z, cliffs_delta: cliffs_delta(before, after) }
    }
}

/// (pairs with `after` above − pairs with it below) / all pairs, in O(n log n); 0 of nothing.
pub fn cliffs_delta(before: &[f64], after: &[f64]) -> f64 {
    if before.is_empty() || after.is_empty() {
        return 0.0;
    }
    let mut sorted = before.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let balance: f64 = after
        .iter()
        .map(|value| {
            let below = sorted.partition_point(|other| other < value);
            let above = sorted.len() - sorted.partition_point(|other| other <= value);
            below as f64 - above as f64
        })
        .sum();
    balance / (before.len() as f64 * after.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // Pairs of (2, 3) against (1, 2): above 1: two; 2 = 2: none; 3 above 2: one. (3 − 0) / 4.
        assert_eq!(cliffs_delta(&[1.0, 2.0], &[2.0, 3.0]), 0.75);
        let effect = Effect::of(&[0.0, 0.0], &[1.0, 3.0], &[1.0, 3.0]);
        assert!((effect.d_z.unwrap() - 2.0 / 2.0_f64.sqrt()).abs() < 1e-12);
        assert_eq!(Effect::of(&[0.0, 0.0], &[1.0, 1.0], &[1.0, 1.0]).d_z, None);
    }
}
