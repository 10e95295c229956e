//! Kendall's τ in its three forms, all in O(n log n).

use super::{CorrelationError, check};

/// Concordant minus discordant pairs over all pairs; a pair tied in either list counts as neither (τ-a; Kendall 1938).
pub fn kendall_tau_a(x: &[f64], y: &[f64]) -> Result<f64, CorrelationError> {
    check(x, y)?;
    let counts = PairCounts::of(x, y);
    Ok(counts.concordant_minus_discordant() / counts.pairs)
}

/// The same difference over √((pairs not tied in x) · (pairs not tied in y)) (τ-b; Kendall 1945, as in scipy).
pub fn kendall_tau_b(x: &[f64], y: &[f64]) -> Result<f64, CorrelationError> {
    check(x, y)?;
    let counts = PairCounts::of(x, y);
    let below = (counts.pairs - counts.tied_x) * (counts.pairs - counts.tied_y);
    if below <= 0.0 {
        return Err(CorrelationError::Constant);
    }
    Ok(counts.concordant_minus_discordant() / below.sqrt())
}

struct PairCounts {
    pairs: f64,
    tied_x: f64,
    tied_y: f64,
    tied_both: f64,
    discordant: f64,
}

impl PairCounts {
    /// Knight's method (JASA 1966): sort by x then y, and count the exchanges that sorting by y takes.
    fn of(x: &[f64], y: &[f64]) -> PairCounts {
        let mut points: Vec<(f64, f64)> = x.iter().copied().zip(y.iter().copied()).collect();
        points.sort_unstable_by(|a, b| order(a.0, b.0).then(order(a.1, b.1)));
        let tied_x = tied_pairs(&points, |a, b| a.0 == b.0);
        let tied_both = tied_pairs(&points, |a, b| a == b);
        let mut values: Vec<f64> = points.iter().map(|point| point.1).collect();
        let discordant = exchanges(&mut values, &mut vec![0.0; points.len()]) as f64;
        let tied_y = tied_pairs(&values, |a, b| a == b);
        let n = x.len() as f64;
        PairCounts { pairs: n * (n - 1.0) / 2.0, tied_x, tied_y, tied_both, discordant }
    }

    fn concordant_minus_discordant(&self) -> f64 {
        self.pairs - self.tied_x - self.tied_y + self.tied_both - 2.0 * self.discordant
    }
}

fn order(a: f64, b: f64) -> std::cmp::Ordering {
    a.partial_cmp(&b).unwrap_or(std::cmp::Ordering::Equal)
}

fn tied_pairs<T>(sorted: &[T], equal: impl Fn(&T, &T) -> bool) -> f64 {
    sorted.chunk_by(equal).map(|group| group.len() as f64 * (group.len() as f64 - 1.0) / 2.0).sum()
}

/// Sorts by merging; returns how many pairs stood in the wrong order (equal values are in the right one).
fn exchanges(values: &mut [f64], spare: &mut [f64]) -> u64 {
    let n = values.len();
    if n < 2 {
        return 0;
    }
    let (left, right) = values.split_at_mut(n / 2);
    let (spare_left, spare_right) = spare.split_at_mut(n / 2);
    let mut count = exchanges(left, spare_left) + exchanges(right, spare_right);
    let (mut l, mut r) = (0, 0);
    for slot in spare.iter_mut() {
        let take_left = r == right.len() || (l < left.len() && left[l] <= right[r]);
        if take_left {
            *slot = left[l];
            l += 1;
        } else {
            *slot = right[r];
            r += 1;
            count += (left.len() - l) as u64;
        }
    }
    values.copy_from_slice(spare);
    count
}

/// τ-AP in both directions; it is not symmetric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TauAp {
    /// With the second list as the truth.
    pub of_first: f64,
    /// With the first list as the truth.
    pub of_second: f64,
    /// Their mean, which is symmetric.
    pub symmetric: f64,
}

/// Yilmaz, Aslam and Robertson's τ-AP (SIGIR 2008): like τ, but exchanges near the top weigh more. Inputs are scores
/// (higher is better). Ties: a pair tied in the truth counts half right; items tied in the estimate are read in every
/// order and averaged (τ-AP,b of Urbano and Marrero, ICTIR 2017, for the estimate), so input order never matters.
pub fn tau_ap(x: &[f64], y: &[f64]) -> Result<TauAp, CorrelationError> {
    check(x, y)?;
    let (of_first, of_second) = (one_way(x, y), one_way(y, x));
    Ok(TauAp { of_first, of_second, symmetric: (of_first + of_second) / 2.0 })
}

/// For the item at each rank of the estimate: the share of items above it that the truth also puts above it.
fn one_way(estimate: &[f64], truth: &[f64]) -> f64 {
    let n = estimate.len();
    let mut order_of: Vec<usize> = (0..n).collect();
    order_of.sort_unstable_by(|&a, &b| order(estimate[b], estimate[a]));
    let levels = Levels::of(truth);
    let mut above = Counter::new(levels.count);
    let mut sum = 0.0;
    let mut start = 0;
    while start < n {
        let value = estimate[order_of[start]];
        let end = start + order_of[start..].iter().take_while(|&&item| estimate[item] == value).count();
        let group = &order_of[start..end];
        let inside = within_group(group, &levels);
        for (place, &item) in group.iter().enumerate() {
            let right_before = above.at_least(levels.of_item[item]);
            sum += expected_share(right_before, inside[place], start, group.len());
        }
        for &item in group {
            above.add(levels.of_item[item]);
        }
        start = end;
    }
    2.0 * sum / (n as f64 - 1.0) - 1.0
}

/// In a random order of a tied group of g items that follows s others, an item stands at s + j (j = 0…g − 1) with chance
/// 1/g, and then each other item of the group is above it with chance j/(g − 1). The very first place has no share.
fn expected_share(right_before: f64, right_inside: f64, before: usize, group: usize) -> f64 {
    let g = group as f64;
    (0..group)
        .filter(|j| before + j > 0)
        .map(|j| {
            let inside = if group > 1 { right_inside * j as f64 / (g - 1.0) } else { 0.0 };
            (right_before + inside) / ((before + j) as f64 * g)
        })
        .sum()
}

/// For each item of a group: how many others of it the truth puts above it, ties half.
fn within_group(group: &[usize], levels: &Levels) -> Vec<f64> {
    if group.len() == 1 {
        return vec![0.0];
    }
    let mut sorted: Vec<usize> = group.iter().map(|&item| levels.of_item[item]).collect();
    sorted.sort_unstable();
    group
        .iter()
        .map(|&item| {
            let level = levels.of_item[item];
            let lower = sorted.partition_point(|&l| l < level);
            let up_to = sorted.partition_point(|&l| l <= level);
            (sorted.len() - up_to) as f64 + (up_to - lower - 1) as f64 / 2.0
        })
        .collect()
}

/// Values as consecutive levels, higher is better.
struct Levels {
    of_item: Vec<usize>,
    count: usize,
}

impl Levels {
    fn of(values: &[f64]) -> Levels {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(|a, b| order(*a, *b));
        sorted.dedup_by(|a, b| a == b);
        let of_item = values.iter().map(|value| sorted.partition_point(|other| other < value)).collect();
        Levels { of_item, count: sorted.len() }
    }
}

/// How many added items lie at or above a level (a Fenwick tree); equal ones count half.
struct Counter {
    tree: Vec<u32>,
    total: u32,
}

impl Counter {
    fn new(levels: usize) -> Self {
        Counter { tree: vec![0; levels + 1], total: 0 }
    }

    fn add(&mut self, level: usize) {
        let mut place = level + 1;
        while place < self.tree.len() {
            self.tree[place] += 1;
            place += place & place.wrapping_neg();
        }
        self.total += 1;
    }

    fn below(&self, level: usize) -> u32 {
        let mut place = level;
        let mut sum = 0;
        while place > 0 {
            sum += self.tree[place];
            place &= place - 1;
        }
        sum
    }

    fn at_least(&self, level: usize) -> f64 {
        let (below, up_to) = (self.below(level), self.below(level + 1));
        f64::from(self.total - up_to) + f64::from(up_to - below) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by_pairs(x: &[f64], y: &[f64]) -> (f64, f64, f64, f64) {
        let (mut difference, mut pairs, mut free_x, mut free_y) = (0.0, 0.0, 0.0, 0.0);
        for i in 0..x.len() {
            for j in 0..i {
                let (a, b) = (order(x[i], x[j]) as i32, order(y[i], y[j]) as i32);
                difference += f64::from(a * b);
                pairs += 1.0;
                free_x += f64::from(a.abs());
                free_y += f64::from(b.abs());
            }
        }
        (difference, pairs, free_x, free_y)
    }

    /// τ-AP without ties, straight from its definition.
    fn tau_ap_by_definition(estimate: &[f64], truth: &[f64]) -> f64 {
        let mut items: Vec<usize> = (0..estimate.len()).collect();
        items.sort_by(|&a, &b| order(estimate[b], estimate[a]));
        let mut sum = 0.0;
        for i in 1..items.len() {
            let right = items[..i].iter().filter(|&&above| truth[above] > truth[items[i]]).count();
            sum += right as f64 / i as f64;
        }
        2.0 * sum / (items.len() as f64 - 1.0) - 1.0
    }

    #[test]
    fn by_hand() {
        // Orders abc and acb: of three pairs one is exchanged.
        let (x, y) = ([3.0, 2.0, 1.0], [3.0, 1.0, 2.0]);
        assert_eq!(kendall_tau_a(&x, &y), Ok(1.0 / 3.0));
        // τ-AP: rank 2 has 1 of 1 right, rank 3 has 1 of 2: 2/2 · 1.5 − 1 = 0.5.
        assert_eq!(tau_ap(&x, &y).unwrap().symmetric, 0.5);
        // Exchanged at the top instead: rank 2 has 0 of 1, rank 3 has 2 of 2: 2/2 · 1 − 1 = 0.
        assert_eq!(tau_ap(&x, &[2.0, 3.0, 1.0]).unwrap().symmetric, 0.0);
    }

    #[test]
    fn everything_tied_says_nothing() {
        assert_eq!(kendall_tau_b(&[1.0, 1.0], &[1.0, 2.0]), Err(CorrelationError::Constant));
        assert_eq!(kendall_tau_a(&[1.0, 1.0], &[1.0, 2.0]), Ok(0.0));
        let tied = tau_ap(&[1.0; 5], &[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert!(tied.of_first.abs() < 1e-12 && tied.of_second.abs() < 1e-12, "{tied:?}");
    }

    #[test]
    fn bad_input_is_named() {
        assert_eq!(kendall_tau_a(&[1.0], &[1.0]), Err(CorrelationError::TooShort(1)));
        assert_eq!(kendall_tau_b(&[1.0, 2.0], &[1.0]), Err(CorrelationError::Lengths(2, 1)));
        assert_eq!(tau_ap(&[1.0, f64::NAN], &[1.0, 2.0]), Err(CorrelationError::NotANumber(1)));
    }

    proptest! {
        #[test]
        fn fast_is_pairwise(points in prop::collection::vec((0_i32..12, 0_i32..12), 2..60)) {
            let (x, y): (Vec<f64>, Vec<f64>) = points.iter().map(|&(a, b)| (f64::from(a), f64::from(b))).unzip();
            let (difference, pairs, free_x, free_y) = by_pairs(&x, &y);
            prop_assert!((kendall_tau_a(&x, &y).unwrap() - difference / pairs).abs() < 1e-12);
            if free_x > 0.0 && free_y > 0.0 {
                let tau = difference / (free_x * free_y).sqrt();
                prop_assert!((kendall_tau_b(&x, &y).unwrap() - tau).abs() < 1e-12);
            }
        }

        #[test]
        fn tau_ap_is_its_definition(order in Just((0..25).collect::<Vec<i32>>()).prop_shuffle()) {
            let x: Vec<f64> = (0..25).map(f64::from).collect();
            let y: Vec<f64> = order.into_iter().map(f64::from).collect();
            let found = tau_ap(&x, &y).unwrap();
            prop_assert!((found.of_first - tau_ap_by_definition(&x, &y)).abs() < 1e-12);
            prop_assert!((found.of_second - tau_ap_by_definition(&y, &x)).abs() < 1e-12);
        }

        #[test]
        fn tied_tau_ap_is_the_mean_over_orders(truth in prop::collection::vec(0_i32..100, 4), tie in 0_usize..3) {
            // The items `tie` and `tie + 1` are tied in the estimate: the mean of both ways to break the tie.
            let truth: Vec<f64> = truth.iter().enumerate().map(|(i, &v)| f64::from(v) + i as f64 / 1e3).collect();
            let mut estimate = vec![4.0, 3.0, 2.0, 1.0];
            estimate[tie + 1] = estimate[tie];
            let broken = |bonus: f64| {
                let mut broken = estimate.clone();
                broken[tie] += bonus;
                tau_ap_by_definition(&broken, &truth)
            };
            let expected = (broken(0.1) + broken(-0.1)) / 2.0;
            prop_assert!((tau_ap(&estimate, &truth).unwrap().of_first - expected).abs() < 1e-12);
        }
    }
}
