//! What losses of rerankers on scores alone are made of. The losses themselves are the trainer's objectives.

use crate::plackett_luce::log_sum_exp;

/// ln softmax: scores less the logarithm of the sum of their exponentials.
pub fn log_softmax(scores: impl Iterator<Item = f64> + Clone) -> Vec<f64> {
    let sum = log_sum_exp(scores.clone());
    scores.map(|score| score - sum).collect()
}

#[cfg(test)]
mod tests {
    use super::log_softmax;

    #[test]
    fn log_softmax_by_hand() {
        let found = log_softmax([3f64.ln(), 0.0].into_iter());
        assert!((found[0] - 0.75f64.ln()).abs() < 1e-12 && (found[1] - 0.25f64.ln()).abs() < 1e-12);
        // Scores far apart stay finite.
        assert_eq!(log_softmax([0.0, 9000.0].into_iter()), [-9000.0, 0.0]);
    }
}
