//! What a policy would be worth, from rewards that another one has gathered.

use crate::rating::Z95;
use serde::Serialize;

/// A logged choice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Logged {
    /// The reward that the logged arm got.
    pub reward: f64,
    /// With which probability it was chosen then; above 0.
    pub propensity: f64,
    /// With which probability the policy in question would choose it.
    pub target: f64,
    /// What a model of rewards expects of it; 0 without one.
    pub predicted: f64,
    /// What the model expects of the policy in question; 0 without one.
    pub predicted_target: f64,
}

/// A value with its 95 % interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

/// What a policy would be worth, by three estimators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct OffPolicy {
    /// Inverse propensity: unbiased, and wide where propensities are small (Horvitz and Thompson, 1952).
    pub inverse_propensity: Estimate,
    /// The same over the sum of its weights: narrower, a little biased.
    pub self_normalised: Estimate,
    /// The model's value, corrected by inverse propensity where it was wrong (Dudík, Langford and Li, ICML 2011).
    pub doubly_robust: Estimate,
    /// Choices that the weights are worth: (Σw)² / Σw².
    pub effective: f64,
}

impl OffPolicy {
    /// Estimates from logged choices; `None` without any, or with a propensity of 0.
    pub fn new(logged: &[Logged]) -> Option<OffPolicy> {
        if logged.is_empty() || logged.iter().any(|one| !(one.propensity > 0.0 && one.reward.is_finite())) {
            return None;
        }
        let weights: Vec<f64> = logged.iter().map(|one| one.target / one.propensity).collect();
        let total: f64 = weights.iter().sum();
        let weighted: Vec<f64> = logged.iter().zip(&weights).map(|(one, w)| w * one.reward).collect();
        let robust: Vec<f64> = logged
            .iter()
            .zip(&weights)
            .map(|(one, w)| one.predicted_target + w * (one.reward - one.predicted))
            .collect();
        let value = if total > 0.0 { weighted.iter().sum::<f64>() / total } else { 0.0 };
        let mean_weight = (total / logged.len() as f64).max(f64::MIN_POSITIVE);
        // The spread of a ratio by its linear part.
        let linear: Vec<f64> = logged
            .iter()
            .zip(&weights)
            .map(|(one, w)| value + w * (one.reward - value) / mean_weight)
            .collect();
        let squares: f64 = weights.iter().map(|w| w * w).sum();
        Some(OffPolicy {
            inverse_propensity: estimate(&weighted),
            self_normalised: Estimate { value, ..around(&linear, value) },
            doubly_robust: estimate(&robust),
            effective: if squares > 0.0 { total * total / squares } else { 0.0 },
        })
    }
}

fn estimate(values: &[f64]) -> Estimate {
    around(values, values.iter().sum::<f64>() / values.len() as f64)
}

fn around(values: &[f64], value: f64) -> Estimate {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    let half = Z95 * (variance / count).sqrt();
    Estimate { value, lower: value - half, upper: value + half }
}
