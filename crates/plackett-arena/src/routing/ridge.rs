//! Ridge regression over features that takes observations one by one.

use super::kernel::dot;
use crate::ArenaError;

/// The inverse of Σ z zᵀ + αI and what goes with it. Time and memory of a step do not depend on how many there were.
#[derive(Clone, Debug)]
pub struct Ridge {
    /// Rows of the inverse.
    inverse: Vec<Vec<f64>>,
    /// Σ reward · z
    sum: Vec<f64>,
    weights: Vec<f64>,
    count: usize,
}

/// Features at most: a matrix of their square is kept for each model.
const MOST_FEATURES: usize = 4096;

/// Refuses matrices that do not fit.
///
/// # Errors
/// Too many features.
pub(super) fn check_features(features: usize) -> Result<(), ArenaError> {
    match features {
        0..=MOST_FEATURES => Ok(()),
        _ => Err(ArenaError::Setting(format!(
            "{features} features are too many: each arm keeps a matrix of their square; at most {MOST_FEATURES} fit"
        ))),
    }
}

impl Ridge {
    /// Without observations, over so many features.
    pub fn new(features: usize, alpha: f64) -> Ridge {
        let row = |at: usize| {
            let mut row = vec![0.0; features];
            row[at] = 1.0 / alpha;
            row
        };
        Ridge {
            inverse: (0..features).map(row).collect(),
            sum: vec![0.0; features],
            weights: vec![0.0; features],
            count: 0,
        }
    }

    /// Observations so far.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The weights of the features.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Rows of the inverse.
    pub fn inverse(&self) -> &[Vec<f64>] {
        &self.inverse
    }

    /// Mean z·w and deviation √(zᵀ A z).
    pub fn predict(&self, z: &[f64]) -> (f64, f64) {
        let spread: f64 = self.inverse.iter().zip(z).map(|(row, zi)| zi * dot(row, z)).sum();
        (dot(z, &self.weights), spread.max(0.0).sqrt())
    }

    /// Takes in an observation (Sherman and Morrison, 1950).
    pub fn add(&mut self, z: &[f64], reward: f64) {
        let az: Vec<f64> = self.inverse.iter().map(|row| dot(row, z)).collect();
        let scale = 1.0 / (1.0 + dot(z, &az));
        for (row, a) in self.inverse.iter_mut().zip(&az) {
            row.iter_mut().zip(&az).for_each(|(entry, b)| *entry -= scale * a * b);
        }
        self.sum.iter_mut().zip(z).for_each(|(sum, zi)| *sum += reward * zi);
        self.weights = self.inverse.iter().map(|row| dot(row, &self.sum)).collect();
        self.count += 1;
    }
}
