//! Kernels over contexts.

use plackett_core::clustering::squared_distance;

/// How alike two contexts are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kernel {
    /// x · x′
    Linear,
    /// (γ x · x′ + c)^degree
    Polynomial {
        /// γ
        gamma: f64,
        /// c
        constant: f64,
        /// The power.
        degree: i32,
    },
    /// exp(−‖x − x′‖² / (2 σ²)), the Gaussian
    Rbf {
        /// σ
        sigma: f64,
    },
}

impl Kernel {
    /// k(x, x′)
    pub fn of(&self, x: &[f64], other: &[f64]) -> f64 {
        match self {
            Kernel::Linear => dot(x, other),
            Kernel::Polynomial { gamma, constant, degree } => {
                (gamma * dot(x, other) + constant).powi(*degree)
            }
            Kernel::Rbf { sigma } => (-squared_distance(x, other) / (2.0 * sigma * sigma)).exp(),
        }
    }
}

/// x · y
pub(super) fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| a * b).sum()
}
