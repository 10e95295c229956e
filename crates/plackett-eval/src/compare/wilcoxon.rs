//! Wilcoxon's signed-rank test. Zero differences are left out (Wilcoxon's own rule); equal absolute differences share the
//! mean of their ranks.

use super::Test;
use crate::correlation::mid_ranks;
use crate::numbers::normal_cdf;

/// Up to this many differences the exact distribution is counted, given the ties.
const EXACT_UP_TO: usize = 50;

/// The exact test up to 50 differences that are not 0, above that the normal approximation. Nothing left: W = 0, p = 1.
pub fn wilcoxon_signed_rank(differences: &[f64]) -> Test {
    let ranked = Ranked::of(differences);
    if ranked.ranks.is_empty() {
        Test::new(0.0, 1.0, true)
    } else if ranked.ranks.len() <= EXACT_UP_TO {
        Test::new(ranked.smaller, ranked.exact_p(), true)
    } else {
        Test::new(ranked.smaller, ranked.normal_p(), false)
    }
}

/// The normal approximation with correction for ties and for continuity, for any number of differences.
pub fn wilcoxon_signed_rank_normal(differences: &[f64]) -> Test {
    let ranked = Ranked::of(differences);
    if ranked.ranks.is_empty() {
        Test::new(0.0, 1.0, true)
    } else {
        Test::new(ranked.smaller, ranked.normal_p(), false)
    }
}

struct Ranked {
    ranks: Vec<f64>,
    /// The smaller of the rank sums of positive and negative differences.
    smaller: f64,
}

impl Ranked {
    fn of(differences: &[f64]) -> Ranked {
        let moved: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
        let sizes: Vec<f64> = moved.iter().map(|d| d.abs()).collect();
        let ranks = mid_ranks(&sizes);
        let total: f64 = ranks.iter().sum();
        let positive: f64 = ranks.iter().zip(&moved).filter(|(_, d)| **d > 0.0).map(|(rank, _)| rank).sum();
        Ranked { smaller: positive.min(total - positive), ranks }
    }

    /// P(W ≤ smaller) twice, W being the sum of ranks whose signs are fair coins. Ranks are doubled to be whole.
    fn exact_p(&self) -> f64 {
        let doubled: Vec<usize> = self.ranks.iter().map(|rank| (rank * 2.0).round() as usize).collect();
        let total: usize = doubled.iter().sum();
        let mut chance = vec![0.0; total + 1];
        chance[0] = 1.0;
        let mut reached = 0;
        for rank in doubled {
            reached += rank;
            for sum in (0..=reached).rev() {
                let with = if sum >= rank { chance[sum - rank] } else { 0.0 };
                chance[sum] = (chance[sum] + with) / 2.0;
            }
        }
        let limit = (self.smaller * 2.0).round() as usize;
        2.0 * chance.iter().take(limit + 1).sum::<f64>()
    }

    fn normal_p(&self) -> f64 {
        let n = self.ranks.len() as f64;
        let mut sorted = self.ranks.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let ties: f64 = sorted
            .chunk_by(|a, b| a == b)
            .map(|group| (group.len() as f64).powi(3) - group.len() as f64)
            .sum();
        let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ties / 48.0;
        let distance = (n * (n + 1.0) / 4.0 - self.smaller - 0.5).max(0.0);
        if variance > 0.0 { 2.0 * normal_cdf(-distance / variance.sqrt()) } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // Ranks 1, 2, 3, only the smallest negative: W = 1, and 2 of 8 sign patterns have a sum of at most 1.
        let test = wilcoxon_signed_rank(&[0.5, -0.1, 0.3, 0.0]);
        assert_eq!((test.statistic, test.p, test.exact), (1.0, 0.5, true));
        assert_eq!(wilcoxon_signed_rank(&[0.0, 0.0]).p, 1.0);
        assert!(!wilcoxon_signed_rank(&[0.1; 51]).exact);
    }

    #[test]
    fn ties_are_counted_over_all_sign_patterns() {
        let differences = [0.1, 0.1, -0.1, 0.2, 0.2, 0.4, -0.3];
        let ranked = Ranked::of(&differences);
        let patterns = 1_u32 << differences.len();
        let total: f64 = ranked.ranks.iter().sum();
        let extreme = (0..patterns)
            .filter(|bits| {
                let sum: f64 =
                    ranked.ranks.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1).map(|(_, r)| r).sum();
                sum.min(total - sum) <= ranked.smaller
            })
            .count();
        let expected = extreme as f64 / f64::from(patterns);
        assert!((wilcoxon_signed_rank(&differences).p - expected).abs() < 1e-12);
    }
}
