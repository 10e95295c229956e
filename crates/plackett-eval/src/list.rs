//! Measures of one list whose items' gains are known, without runs and judgments.

/// nDCG of the first `k` gains, best rank first, where `relevant` items have the gain 1: discounts 1/log2(rank + 1); 0 where nothing is relevant.
pub fn list_ndcg(gains: &[f64], relevant: usize, k: usize) -> f64 {
    let discount = |place: usize| 1.0 / (place as f64 + 2.0).log2();
    let gain: f64 = gains.iter().take(k).enumerate().map(|(place, gain)| gain * discount(place)).sum();
    let ideal: f64 = (0..relevant.min(k)).map(discount).sum();
    if ideal > 0.0 { gain / ideal } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_by_hand() {
        assert_eq!(list_ndcg(&[1.0, 0.0], 1, 10), 1.0);
        assert_eq!(list_ndcg(&[0.0, 1.0], 1, 10), 1.0 / 3f64.log2());
        assert_eq!(list_ndcg(&[0.0, 1.0], 1, 1), 0.0);
        assert_eq!(list_ndcg(&[1.0, 1.0], 5, 2), 1.0);
        assert_eq!(list_ndcg(&[1.0], 0, 2), 0.0);
    }
}
