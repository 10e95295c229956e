//! The learning rate over the steps.

use serde::{Deserialize, Serialize};

/// How the learning rate goes on after the warm-up.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// It stays.
    Constant,
    /// In a straight line to 0 at the last step.
    #[default]
    Linear,
    /// Along half a cosine to 0 at the last step.
    Cosine,
}

impl Schedule {
    /// The share of the learning rate at a step, from 0, of `steps`, the first `warmup` of which lead up to it.
    pub fn share(self, step: usize, warmup: usize, steps: usize) -> f32 {
        if step < warmup {
            return (step + 1) as f32 / warmup as f32;
        }
        let passed = (step - warmup) as f32 / steps.saturating_sub(warmup).max(1) as f32;
        let passed = passed.min(1.0);
        match self {
            Schedule::Constant => 1.0,
            Schedule::Linear => 1.0 - passed,
            Schedule::Cosine => 0.5 * (1.0 + (std::f32::consts::PI * passed).cos()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_rise_and_fall() {
        let rates: Vec<f32> = (0..6).map(|step| Schedule::Linear.share(step, 2, 6)).collect();
        assert_eq!(rates, [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]);
        assert_eq!(Schedule::Constant.share(5, 0, 6), 1.0);
        assert!((Schedule::Cosine.share(3, 0, 6) - 0.5).abs() < 1e-6);
    }
}
