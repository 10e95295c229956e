//! Spearman's ρ: Pearson's correlation of ranks.

use super::{CorrelationError, check};
use crate::numbers::mean;

/// Tied values share the mean of their ranks (as in scipy).
pub fn spearman(x: &[f64], y: &[f64]) -> Result<f64, CorrelationError> {
    check(x, y)?;
    let (x, y) = (mid_ranks(x), mid_ranks(y));
    let (mean_x, mean_y) = (mean(&x), mean(&y));
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (a, b) in x.iter().zip(&y) {
        xy += (a - mean_x) * (b - mean_y);
        xx += (a - mean_x).powi(2);
        yy += (b - mean_y).powi(2);
    }
    if xx == 0.0 || yy == 0.0 { Err(CorrelationError::Constant) } else { Ok(xy / (xx * yy).sqrt()) }
}

/// Ranks from 1 upwards by ascending value; equal values get the mean of their ranks.
pub(crate) fn mid_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for group in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = start as f64 + (group.len() as f64 + 1.0) / 2.0;
        for &item in group {
            ranks[item] = rank;
        }
        start += group.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        assert_eq!(mid_ranks(&[10.0, 30.0, 10.0, 20.0]), [1.5, 4.0, 1.5, 3.0]);
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[1.0, 3.0, 2.0]), Ok(0.5));
        assert_eq!(spearman(&[1.0, 1.0], &[1.0, 2.0]), Err(CorrelationError::Constant));
    }
}
