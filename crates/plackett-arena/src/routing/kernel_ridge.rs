//! Kernel ridge regression that grows point by point.

use super::kernel::{Kernel, dot};

/// Observations with the inverse of K + αI, which a new point extends in time quadratic in their number.
#[derive(Clone, Debug)]
pub struct KernelRidge {
    kernel: Kernel,
    alpha: f64,
    points: Vec<Vec<f64>>,
    rewards: Vec<f64>,
    /// Rows of the inverse.
    inverse: Vec<Vec<f64>>,
    /// (K + αI)⁻¹ · rewards
    weights: Vec<f64>,
}

impl KernelRidge {
    /// Without observations.
    pub fn new(kernel: Kernel, alpha: f64) -> KernelRidge {
        KernelRidge {
            kernel,
            alpha,
            points: Vec::new(),
            rewards: Vec::new(),
            inverse: Vec::new(),
            weights: Vec::new(),
        }
    }

    /// Observations so far.
    pub fn count(&self) -> usize {
        self.points.len()
    }

    /// Rows of (K + αI)⁻¹.
    pub fn inverse(&self) -> &[Vec<f64>] {
        &self.inverse
    }

    /// Mean and deviation at a point: k·(K + αI)⁻¹·v, and α^(−½) √(k(x, x) − k·(K + αI)⁻¹·k) (PAK-UCB, equation of the index).
    pub fn predict(&self, x: &[f64]) -> (f64, f64) {
        let similar: Vec<f64> = self.points.iter().map(|point| self.kernel.of(x, point)).collect();
        let explained: f64 = self.inverse.iter().zip(&similar).map(|(row, k)| k * dot(row, &similar)).sum();
        let left = (self.kernel.of(x, x) - explained).max(0.0);
        (dot(&similar, &self.weights), (left / self.alpha).sqrt())
    }

    /// Takes in an observation. The inverse of the matrix with one more row: with u = A·k and b = 1 / (k(x, x) + α − k·u) it is
    /// [[A + b·uuᵀ, −b·u], [−b·uᵀ, b]].
    pub fn add(&mut self, x: &[f64], reward: f64) {
        let similar: Vec<f64> = self.points.iter().map(|point| self.kernel.of(x, point)).collect();
        let u: Vec<f64> = self.inverse.iter().map(|row| dot(row, &similar)).collect();
        let b = 1.0 / (self.kernel.of(x, x) + self.alpha - dot(&similar, &u)).max(self.alpha);
        for (row, ui) in self.inverse.iter_mut().zip(&u) {
            row.iter_mut().zip(&u).for_each(|(entry, uj)| *entry += b * ui * uj);
            row.push(-b * ui);
        }
        let mut last: Vec<f64> = u.iter().map(|ui| -b * ui).collect();
        last.push(b);
        self.inverse.push(last);
        self.points.push(x.to_vec());
        self.rewards.push(reward);
        self.weights = self.inverse.iter().map(|row| dot(row, &self.rewards)).collect();
    }
}
