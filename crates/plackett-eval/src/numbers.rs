//! Small statistics that several files need.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// Arithmetic mean; 0 of nothing.
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// Variance with n − 1 below; 0 with fewer than two values.
pub fn variance(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let mean = mean(values);
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() as f64 - 1.0)
}

/// Φ(z).
pub fn normal_cdf(z: f64) -> f64 {
    Normal::standard().cdf(z)
}

/// Φ⁻¹(p); infinite at 0 and 1.
pub fn normal_quantile(p: f64) -> f64 {
    if p <= 0.0 {
        f64::NEG_INFINITY
    } else if p >= 1.0 {
        f64::INFINITY
    } else {
        Normal::standard().inverse_cdf(p)
    }
}

/// P(T ≤ t) for Student's distribution.
pub fn t_cdf(t: f64, freedom: f64) -> f64 {
    if t == f64::INFINITY {
        return 1.0;
    }
    if t == f64::NEG_INFINITY {
        return 0.0;
    }
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::NAN, |distribution| distribution.cdf(t))
}

/// The t with P(T ≤ t) = p, p in (0, 1).
pub fn t_quantile(p: f64, freedom: f64) -> f64 {
    let rough =
        StudentsT::new(0.0, 1.0, freedom).map_or(f64::NAN, |distribution| distribution.inverse_cdf(p));
    polish(rough, p, |t| t_cdf(t, freedom))
}

/// Two secant steps: the library's inverse is good to about eight digits.
fn polish(mut t: f64, p: f64, cdf: impl Fn(f64) -> f64) -> f64 {
    for _ in 0..2 {
        let step = 1e-5 * t.abs().max(1.0);
        let slope = (cdf(t + step) - cdf(t - step)) / (2.0 * step);
        if slope > 0.0 {
            t -= (cdf(t) - p) / slope;
        }
    }
    t
}

/// The quantile of sorted values, linear between neighbours.
pub fn quantile(sorted: &[f64], p: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = p.clamp(0.0, 1.0) * last as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * (place - low as f64)
}
