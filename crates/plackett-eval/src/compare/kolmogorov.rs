//! Kolmogorov and Smirnov's test: whether two samples come from one distribution, whichever it is.

/// The result of the two-sample test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KolmogorovSmirnov {
    /// The greatest distance of the two empirical distribution functions.
    pub statistic: f64,
    /// The probability of a distance that is as great, were both of one distribution: exact without ties (all ways of
    /// mixing both samples are equally likely), and too great rather than too small with them.
    pub p: f64,
}

/// The two-sided two-sample test. Forget quality of TOFU is the p-value over truth ratios of two models: high where they cannot
/// be told apart, which small samples alone bring about too. `None` where a sample is empty or has a value that is no
/// number.
pub fn kolmogorov_smirnov(x: &[f64], y: &[f64]) -> Option<KolmogorovSmirnov> {
    if x.is_empty() || y.is_empty() || x.iter().chain(y).any(|value| value.is_nan()) {
        return None;
    }
    let distance = distance(x, y);
    let (m, n) = (x.len(), y.len());
    Some(KolmogorovSmirnov {
        statistic: distance as f64 / (m as f64 * n as f64),
        p: probability_of(distance, m, n),
    })
}

/// The greatest |i n − j m|, where i values of the first and j of the second sample are at most some value: m n times the
/// statistic, as a whole number.
fn distance(x: &[f64], y: &[f64]) -> u64 {
    let sorted = |values: &[f64]| {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        values
    };
    let (x, y) = (sorted(x), sorted(y));
    let (m, n) = (x.len() as u64, y.len() as u64);
    let (mut i, mut j, mut most) = (0, 0, 0);
    while i < x.len() && j < y.len() {
        let value = x[i].min(y[j]);
        while i < x.len() && x[i] <= value {
            i += 1;
        }
        while j < y.len() && y[j] <= value {
            j += 1;
        }
        most = most.max((i as u64 * n).abs_diff(j as u64 * m));
    }
    most
}

/// The share of ways of mixing m and n values on which the distance is somewhere as great: paths through a lattice that
/// leave a band (Hodges, The significance probability of the Smirnov two-sample test, 1958). Of all paths to (i, j) the share
/// i / (i + j) comes from (i − 1, j).
fn probability_of(distance: u64, m: usize, n: usize) -> f64 {
    let is_far = |i: usize, j: usize| (i as u64 * n as u64).abs_diff(j as u64 * m as u64) >= distance;
    let mut row: Vec<f64> = Vec::with_capacity(n + 1);
    for i in 0..=m {
        for j in 0..=n {
            let above = row.get(j).copied().unwrap_or(0.0);
            let share = match (is_far(i, j), i + j) {
                (true, _) => 1.0,
                (false, 0) => 0.0,
                (false, both) => {
                    let left = if j == 0 { 0.0 } else { row[j - 1] };
                    (i as f64 * above + j as f64 * left) / both as f64
                }
            };
            match row.get_mut(j) {
                Some(old) => *old = share,
                None => row.push(share),
            }
        }
    }
    row[n].min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(x: &[f64], y: &[f64]) -> (f64, f64) {
        let found = kolmogorov_smirnov(x, y).unwrap();
        (found.statistic, found.p)
    }

    /// The p-value by going through all ways of mixing.
    fn counted(x: &[f64], y: &[f64]) -> f64 {
        let (m, n) = (x.len(), y.len());
        let own = distance(x, y);
        let (mut far, mut all) = (0, 0);
        for chosen in 0u32..1 << (m + n) {
            if chosen.count_ones() as usize != m {
                continue;
            }
            let part = |of: bool| -> Vec<f64> {
                (0..m + n).filter(|at| (chosen >> at & 1 == 1) == of).map(|at| at as f64).collect()
            };
            all += 1;
            far += usize::from(distance(&part(true), &part(false)) >= own);
        }
        far as f64 / all as f64
    }

    #[test]
    fn p_values_are_those_of_all_ways_of_mixing() {
        // Apart: 2 of 20 ways.
        assert_eq!(test(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]), (1.0, 0.1));
        // The same sample twice: every way is as far.
        assert_eq!(test(&[1.0, 2.0], &[1.0, 2.0]), (0.0, 1.0));
        let samples: [(&[f64], &[f64]); 4] = [
            (&[0.1, 0.9, 2.5, 3.1, 4.0], &[1.0, 2.0, 5.0, 6.0, 7.0, 8.0]),
            (&[3.0, 9.0], &[1.0, 2.0, 4.0, 5.0, 6.0, 7.0, 8.0]),
            (&[5.0], &[1.0, 2.0, 3.0]),
            (&[1.0, 4.0, 6.0, 7.0], &[2.0, 3.0, 5.0, 8.0]),
        ];
        for (x, y) in samples {
            let (_, p) = test(x, y);
            assert!((p - counted(x, y)).abs() < 1e-12, "{p} {}", counted(x, y));
            assert!((test(y, x).1 - p).abs() < 1e-12);
        }
    }

    #[test]
    fn large_samples_come_near_the_limit_and_far_ones_stay_above_0() {
        // Kolmogorov's limit 2 Σ (−1)^(k−1) e^(−2 k² λ²) with λ = D √(mn / (m + n)).
        let x: Vec<f64> = (0..300).map(f64::from).collect();
        let y: Vec<f64> = (0..300).map(|at| f64::from(at) + 30.5).collect();
        let (d, p) = test(&x, &y);
        let root = d * 150f64.sqrt();
        let limit: f64 =
            (1..20).map(|k| 2.0 * (-1f64).powi(k - 1) * (-2.0 * f64::from(k * k) * root * root).exp()).sum();
        assert!((p - limit).abs() < 0.02, "{p} {limit}");
        let far: Vec<f64> = x.iter().map(|value| value + 1000.0).collect();
        let (d, p) = test(&x, &far);
        assert!(d == 1.0 && p > 0.0 && p < 1e-100);
    }

    #[test]
    fn what_cannot_be_tested_is_not() {
        assert_eq!(kolmogorov_smirnov(&[], &[1.0]), None);
        assert_eq!(kolmogorov_smirnov(&[1.0], &[f64::NAN]), None);
        assert_eq!(test(&[f64::INFINITY, 1.0], &[f64::INFINITY, 1.0]), (0.0, 1.0));
    }
}
