//! What so many queries could have shown: power of the two-sided paired t-test.

use crate::numbers::{mean, normal_cdf, t_quantile, variance};
use serde::Serialize;
use statrs::function::beta::beta_reg;
use statrs::function::gamma::ln_gamma;

/// Power of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Power {
    /// Chance that a true effect of the observed size is found with these queries. It follows from p and says nothing
    /// beyond it; the minimal effect does.
    pub observed: f64,
    /// The smallest true difference of means that these queries would show with the wanted chance.
    pub minimal_difference: f64,
    /// The same in standard deviations of the differences.
    pub minimal_d_z: f64,
    /// The wanted chance.
    pub wanted: f64,
}

impl Power {
    /// From differences by query; `None` below two.
    pub fn of(differences: &[f64], alpha: f64, wanted: f64) -> Option<Power> {
        let n = differences.len();
        if n < 2 {
            return None;
        }
        let spread = variance(differences).sqrt();
        let mean = mean(differences);
        let observed = if spread > 1e-14 {
            paired_t_power(n, mean / spread, alpha)
        } else if mean == 0.0 {
            alpha
        } else {
            1.0
        };
        let minimal_d_z = minimal_effect(n, alpha, wanted);
        Some(Power { observed, minimal_difference: minimal_d_z * spread, minimal_d_z, wanted })
    }
}

/// Chance that the paired t-test with `n` ≥ 2 pairs finds a true effect of `d_z` standard deviations.
pub fn paired_t_power(n: usize, d_z: f64, alpha: f64) -> f64 {
    let freedom = n as f64 - 1.0;
    let shift = d_z.abs() * (n as f64).sqrt();
    let critical = t_quantile(1.0 - alpha / 2.0, freedom);
    (1.0 - noncentral_t_cdf(critical, freedom, shift) + noncentral_t_cdf(-critical, freedom, shift))
        .clamp(0.0, 1.0)
}

/// The effect in standard deviations that `n` ≥ 2 pairs show with chance `wanted`.
pub fn minimal_effect(n: usize, alpha: f64, wanted: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while paired_t_power(n, high, alpha) < wanted && high < 1e6 {
        high *= 2.0;
    }
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if paired_t_power(n, middle, alpha) < wanted { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

/// P(T ≤ t) of the noncentral t distribution: a Poisson-weighted sum of incomplete beta functions (Guenther 1978; the
/// form of Lenth's algorithm AS 243).
fn noncentral_t_cdf(t: f64, freedom: f64, shift: f64) -> f64 {
    if t < 0.0 {
        return 1.0 - noncentral_t_cdf(-t, freedom, -shift);
    }
    let half_square = shift * shift / 2.0;
    let x = t * t / (freedom + t * t);
    let at_zero = normal_cdf(-shift);
    if x <= 0.0 {
        return at_zero;
    }
    // Terms matter only within some ten deviations of the Poisson mean.
    let reach = 10.0 * half_square.sqrt() + 30.0;
    let first = (half_square - reach).max(0.0).floor();
    let last = (half_square + reach).ceil();
    let mut sum = 0.0;
    let mut j = first;
    while j <= last {
        let log_power = if half_square > 0.0 {
            j * half_square.ln()
        } else if j == 0.0 {
            0.0
        } else {
            f64::NEG_INFINITY
        };
        let even = (log_power - half_square - ln_gamma(j + 1.0)).exp();
        let odd = (log_power - half_square - ln_gamma(j + 1.5)).exp() * shift / std::f64::consts::SQRT_2;
        sum += even * beta_reg(j + 0.5, freedom / 2.0, x) + odd * beta_reg(j + 1.0, freedom / 2.0, x);
        j += 1.0;
    }
    at_zero + sum / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_effect_the_power_is_alpha() {
        for n in [2, 10, 225] {
            assert!((paired_t_power(n, 0.0, 0.05) - 0.05).abs() < 1e-9);
        }
    }

    #[test]
    fn the_minimal_effect_has_the_wanted_power() {
        for n in [3, 20, 225, 1000] {
            let effect = minimal_effect(n, 0.05, 0.8);
            assert!((paired_t_power(n, effect, 0.05) - 0.8).abs() < 1e-9);
        }
        assert!(minimal_effect(1000, 0.05, 0.8) < minimal_effect(100, 0.05, 0.8));
    }

    #[test]
    fn huge_effects_are_certain() {
        assert!((paired_t_power(1000, 50.0, 0.05) - 1.0).abs() < 1e-9);
    }
}
