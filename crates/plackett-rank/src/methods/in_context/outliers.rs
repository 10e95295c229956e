//! Tokens whose calibrated attention is abnormally negative.

/// The sum of the scores of a document's tokens without those at or below the mean minus two sample standard deviations
/// (ICR, "outlier filter"); and how many were left out. Tokens that are all alike are all kept, and so is a single one,
/// which has no deviation.
pub fn kept_sum(scores: &[f64]) -> (f64, usize) {
    let count = scores.len() as f64;
    let mean = scores.iter().sum::<f64>() / count;
    let squares: f64 = scores.iter().map(|score| (score - mean).powi(2)).sum();
    let deviation = if scores.len() < 2 { 0.0 } else { (squares / (count - 1.0)).sqrt() };
    if deviation == 0.0 {
        return (scores.iter().sum(), 0);
    }
    let kept: Vec<f64> = scores.iter().copied().filter(|score| *score > mean - 2.0 * deviation).collect();
    (kept.iter().sum(), scores.len() - kept.len())
}

#[cfg(test)]
mod tests {
    use super::kept_sum;

    #[test]
    fn one_strongly_negative_token_is_left_out() {
        // Nine 1s and one −20: mean −1.1, sample deviation 6.64, limit −14.4.
        let mut scores = vec![1.0; 9];
        scores.push(-20.0);
        assert_eq!(kept_sum(&scores), (9.0, 1));
        // A great one stays.
        scores[9] = 20.0;
        assert_eq!(kept_sum(&scores), (29.0, 0));
    }

    #[test]
    fn tokens_without_deviation_are_kept() {
        assert_eq!(kept_sum(&[-3.0]), (-3.0, 0));
        assert_eq!(kept_sum(&[2.0, 2.0]), (4.0, 0));
        assert_eq!(kept_sum(&[]), (0.0, 0));
    }
}
