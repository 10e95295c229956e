//! The paired t-test.

use super::Test;
use crate::numbers::{mean, t_cdf, variance};

/// Two-sided test that the mean difference is 0. `None` below two differences. No difference at all: t = 0, p = 1; all
/// differences equal and not 0: t infinite, p = 0.
pub fn paired_t_test(differences: &[f64]) -> Option<Test> {
    if differences.len() < 2 {
        return None;
    }
    let n = differences.len() as f64;
    let mean = mean(differences);
    let spread = variance(differences).sqrt();
    // The rounding of sums leaves a spread of some 1e-17 where there is none.
    if spread <= 1e-14 * mean.abs().max(1e-300) || spread == 0.0 {
        return Some(if mean == 0.0 {
            Test::new(0.0, 1.0, true)
        } else {
            Test::new(mean.signum() / 0.0, 0.0, true)
        });
    }
    let t = mean / (spread / n.sqrt());
    Some(Test::new(t, 2.0 * t_cdf(-t.abs(), n - 1.0), true))
}
