//! Policy gradients of a ranking utility (Gao and others, Policy-Gradient Training of Language Models for Ranking, 2023).
//!
//! The policy draws an order from a Plackett–Luce distribution over scores. Its gradient is estimated from drawn orders:
//! ∇J ≈ 1/N Σ_i Σ_k A_ik ∇ log π(r_i(k) | r_i(1..k−1)), with A the utility of the order, or of what comes at rank k and
//! after, less a baseline that does not depend on the order.

use super::PlackettLuce;
use crate::permutation::Permutation;

/// What an order is worth, split over its ranks.
pub trait Utility {
    /// The part of each rank; they sum to the utility. The part of a rank may depend on what stands before it and on it,
    /// not on what comes after. Ranks that are left out at the end are worth nothing.
    fn parts(&self, order: &[usize]) -> Vec<f64>;
}

/// Any function of whole orders; all of its worth lies at the last rank, so that no credit is taken from a choice.
impl<F: Fn(&[usize]) -> f64> Utility for F {
    fn parts(&self, order: &[usize]) -> Vec<f64> {
        let mut parts = vec![0.0; order.len()];
        if let Some(last) = parts.last_mut() {
            *last = self(order);
        }
        parts
    }
}

/// A measure of graded items down to a rank.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    kind: MeasureKind,
    cutoff: usize,
    /// What each item is worth.
    gains: Vec<f64>,
    /// What the best order would be worth.
    ideal: f64,
}

/// Which measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeasureKind {
    /// Discounted cumulative gain over that of the best order; discount 1 / log₂(rank + 1).
    Ndcg,
    /// One over the rank of the first item that is worth anything.
    ReciprocalRank,
    /// The share of the first ranks whose items are worth anything.
    Precision,
}

impl Measure {
    /// A measure of items that are worth `gains`, down to rank `cutoff` (0: all). `None` when no item is worth anything:
    /// all orders are equal then.
    pub fn new(kind: MeasureKind, gains: Vec<f64>, cutoff: usize) -> Option<Measure> {
        let cutoff = if cutoff == 0 { gains.len() } else { cutoff.min(gains.len()) };
        if !gains.iter().any(|gain| *gain > 0.0) {
            return None;
        }
        let mut sorted = gains.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let ideal = match kind {
            MeasureKind::Ndcg => {
                sorted.iter().take(cutoff).enumerate().map(|(at, gain)| gain * discount(at)).sum()
            }
            MeasureKind::ReciprocalRank => 1.0,
            MeasureKind::Precision => cutoff as f64,
        };
        Some(Measure { kind, cutoff, gains, ideal })
    }
}

/// Of the rank after `at` others.
fn discount(at: usize) -> f64 {
    1.0 / (at as f64 + 2.0).log2()
}

impl Utility for Measure {
    fn parts(&self, order: &[usize]) -> Vec<f64> {
        let of = |item: &usize| self.gains.get(*item).copied().unwrap_or(0.0);
        let first = order.iter().position(|item| of(item) > 0.0);
        let part = |(at, item): (usize, &usize)| match self.kind {
            MeasureKind::Ndcg => of(item) * discount(at),
            MeasureKind::ReciprocalRank if first == Some(at) => 1.0 / (at + 1) as f64,
            MeasureKind::Precision if of(item) > 0.0 => 1.0,
            _ => 0.0,
        };
        order.iter().take(self.cutoff).enumerate().map(|entry| part(entry) / self.ideal).collect()
    }
}

/// What a drawn order's utility is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// Nothing.
    None,
    /// The mean over all drawn orders, its own among them: leave-one-out times (N − 1) / N.
    Mean,
    /// The mean over the other orders, which leaves the estimate unbiased.
    LeaveOneOut,
}

/// Which choices a part of the utility is credited to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credit {
    /// To all of the order.
    Whole,
    /// To the choices at its rank and before: later ones did not make it.
    ToGo,
}

/// How a gradient is estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyGradient {
    /// Orders that are drawn, at least 1, with [`Baseline::LeaveOneOut`] at least 2.
    pub samples: usize,
    /// What utilities are compared with.
    pub baseline: Baseline,
    /// What is credited to whom.
    pub credit: Credit,
}

/// An estimate.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// Of the expected utility, by every score; its parts sum to 0.
    pub gradient: Vec<f64>,
    /// Of each drawn order.
    pub utilities: Vec<f64>,
}

impl Estimate {
    /// The mean utility of the drawn orders.
    pub fn utility(&self) -> f64 {
        self.utilities.iter().sum::<f64>() / self.utilities.len().max(1) as f64
    }

    /// Whether all drawn orders were worth the same, so that nothing was learned.
    pub fn is_flat(&self) -> bool {
        self.utilities.iter().all(|utility| *utility == self.utilities[0])
    }
}

impl PolicyGradient {
    /// An estimate from fresh orders, which follow from the seed.
    pub fn estimate(&self, policy: &PlackettLuce, utility: &dyn Utility, seed: u64) -> Estimate {
        let items = policy.scores().len();
        let draw =
            |number: u64| policy.sample(items, seed.wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        let orders: Vec<Vec<usize>> = (0..self.samples as u64).map(draw).collect();
        let parts: Vec<Vec<f64>> = orders.iter().map(|order| utility.parts(order)).collect();
        let utilities: Vec<f64> = parts.iter().map(|parts| parts.iter().sum()).collect();
        let credits: Vec<Vec<f64>> =
            parts.iter().zip(&utilities).map(|(parts, all)| self.credits(parts, *all, items)).collect();
        let total = |rank: usize| credits.iter().map(|credits| credits[rank]).sum::<f64>();
        let totals: Vec<f64> = (0..items).map(total).collect();
        let mut gradient = vec![0.0; items];
        for (own, order) in orders.iter().enumerate() {
            let mine = credits[own].iter().zip(&totals);
            let advantages: Vec<f64> = mine.map(|(mine, total)| self.advantage(*mine, *total)).collect();
            add_choices(policy.scores(), order, &advantages, &mut gradient);
        }
        gradient.iter_mut().for_each(|part| *part /= self.samples.max(1) as f64);
        Estimate { gradient, utilities }
    }

    /// What the choice at each rank is credited with.
    fn credits(&self, parts: &[f64], whole: f64, items: usize) -> Vec<f64> {
        match self.credit {
            Credit::Whole => vec![whole; items],
            Credit::ToGo => {
                let mut credits = vec![0.0; items];
                let mut sum = 0.0;
                for (rank, part) in parts.iter().enumerate().rev() {
                    sum += part;
                    credits[rank] = sum;
                }
                credits
            }
        }
    }

    /// What a credit is worth beside those of the other orders at the same rank, which sum with it to `total`.
    fn advantage(&self, mine: f64, total: f64) -> f64 {
        let count = self.samples as f64;
        match self.baseline {
            Baseline::None => mine,
            Baseline::Mean => mine - total / count,
            Baseline::LeaveOneOut if self.samples > 1 => mine - (total - mine) / (count - 1.0),
            Baseline::LeaveOneOut => mine,
        }
    }
}

/// Adds Σ_k a_k ∇ log π(order(k) | order(1..k−1)). Denominators run over all that are left, in every rank.
fn add_choices(scores: &[f64], order: &[usize], advantages: &[f64], gradient: &mut [f64]) {
    // The log of the strength that is left at each rank, added from the end.
    let mut left = vec![f64::NEG_INFINITY; order.len()];
    let mut sum = f64::NEG_INFINITY;
    for (rank, item) in order.iter().enumerate().rev() {
        sum = super::log_sum_exp([sum, scores[*item]].into_iter());
        left[rank] = sum;
    }
    for (rank, (&item, &advantage)) in order.iter().zip(advantages).enumerate() {
        if advantage == 0.0 {
            continue;
        }
        gradient[item] += advantage;
        for &other in &order[rank..] {
            gradient[other] -= advantage * (scores[other] - left[rank]).exp();
        }
    }
}

/// The entropy of a policy's first choice, −Σ p ln p with p the softmax of its scores, and its slope by every score. It is 0 where one
/// item is always first, and its exponential is how many items come into question.
pub fn first_choice_entropy(policy: &PlackettLuce) -> (f64, Vec<f64>) {
    let scores = policy.scores();
    let all = super::log_sum_exp(scores.iter().copied());
    let logs: Vec<f64> = scores.iter().map(|score| score - all).collect();
    // What is never chosen has a logarithm that may be infinite, and no part in either.
    let part = |log: f64, more: f64| if log.exp() > 0.0 { log.exp() * (log + more) } else { 0.0 };
    let entropy = -logs.iter().map(|log| part(*log, 0.0)).sum::<f64>();
    let slopes = logs.iter().map(|log| -part(*log, entropy)).collect();
    (entropy, slopes)
}

/// The expected utility and its gradient, by enumeration of all orders; `None` of more than 8 items, which have more than
/// 40,320.
pub fn exact(policy: &PlackettLuce, utility: &dyn Utility) -> Option<(f64, Vec<f64>)> {
    let items = policy.scores().len();
    if items > 8 {
        return None;
    }
    let (mut expected, mut gradient) = (0.0, vec![0.0; items]);
    for number in 0..(1..=items as u128).product() {
        let order = Permutation::from_rank(items, number).ok()?;
        let order = order.items();
        let weight = policy.log_likelihood(order).ok()?.exp() * utility.parts(order).iter().sum::<f64>();
        expected += weight;
        add_choices(policy.scores(), order, &vec![weight; items], &mut gradient);
    }
    Some((expected, gradient))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCORES: [f64; 4] = [0.5, -0.2, 0.1, 0.0];
    const VARIANTS: [(Baseline, Credit); 4] = [
        (Baseline::None, Credit::Whole),
        (Baseline::LeaveOneOut, Credit::Whole),
        (Baseline::None, Credit::ToGo),
        (Baseline::LeaveOneOut, Credit::ToGo),
    ];

    fn policy(scores: &[f64]) -> PlackettLuce {
        PlackettLuce::new(scores.to_vec()).unwrap()
    }

    fn ndcg(grades: &[f64], cutoff: usize) -> Measure {
        let gains = grades.iter().map(|grade| grade.exp2() - 1.0).collect();
        Measure::new(MeasureKind::Ndcg, gains, cutoff).unwrap()
    }

    #[test]
    fn the_entropy_of_the_first_choice_by_hand() {
        // p = 2/3 and 1/3: ln 3 − 2/3 ln 2, with the slope −p₀ p₁ (s₀ − s₁).
        let (entropy, slopes) = first_choice_entropy(&policy(&[2.0_f64.ln(), 0.0]));
        assert!((entropy - 0.636514).abs() < 1e-6, "{entropy}");
        assert!((slopes[0] + 0.154033).abs() < 1e-6 && (slopes[1] - 0.154033).abs() < 1e-6, "{slopes:?}");
        // One that is always first, and four of which none is.
        assert_eq!(first_choice_entropy(&policy(&[900.0, 0.0])).0, 0.0);
        assert!((first_choice_entropy(&policy(&[0.3; 4])).0.exp() - 4.0).abs() < 1e-12);
    }

    /// The golden vectors of the specification.
    #[test]
    fn expectation_and_gradient_by_enumeration() {
        let golden = [
            (4, 0.676731, [-0.048968, 0.002022, -0.042335, 0.089282]),
            (2, 0.391658, [-0.096322, 0.004390, -0.089352, 0.181284]),
        ];
        for (cutoff, value, slopes) in golden {
            let (found, gradient) = exact(&policy(&SCORES), &ndcg(&[0.0, 1.0, 0.0, 2.0], cutoff)).unwrap();
            assert!((found - value).abs() < 1e-5, "{found}");
            assert!(gradient.iter().zip(slopes).all(|(a, b)| (a - b).abs() < 1e-5), "{gradient:?}");
            assert!(gradient.iter().sum::<f64>().abs() < 1e-12);
        }
    }

    #[test]
    fn estimates_are_unbiased() {
        let (policy, utility) = (policy(&SCORES), ndcg(&[0.0, 1.0, 0.0, 2.0], 4));
        let (_, gradient) = exact(&policy, &utility).unwrap();
        for (baseline, credit) in VARIANTS {
            let estimator = PolicyGradient { samples: 4, baseline, credit };
            let repeats = 20_000;
            let (mut sums, mut squares) = ([0.0; 4], [0.0; 4]);
            for seed in 0..repeats {
                let found = estimator.estimate(&policy, &utility, seed * 1_000_003).gradient;
                for (item, part) in found.into_iter().enumerate() {
                    sums[item] += part;
                    squares[item] += part * part;
                }
            }
            for item in 0..4 {
                let mean = sums[item] / repeats as f64;
                let error = ((squares[item] / repeats as f64 - mean * mean) / repeats as f64).sqrt();
                assert!(
                    (mean - gradient[item]).abs() < 4.0 * error,
                    "{baseline:?} {credit:?} {item}: {mean}"
                );
            }
        }
    }

    /// Variances of the specification: 0.197, 0.074, 0.043 and 0.019 on scores of its own; the order must hold on ours.
    #[test]
    fn baselines_and_credit_take_variance_away() {
        let spread: Vec<f64> = (0..20).map(|n| ((n * 7 + 3) % 20) as f64 / 5.8 - 1.65).collect();
        let grades: Vec<f64> = (0..20).map(|n| f64::from(u8::from(n == 4 || n == 11))).collect();
        let (policy, utility) = (policy(&spread), ndcg(&grades, 10));
        let variance = |(baseline, credit)| {
            let estimator = PolicyGradient { samples: 8, baseline, credit };
            let found: Vec<Vec<f64>> =
                (0..1000).map(|seed| estimator.estimate(&policy, &utility, seed * 7919).gradient).collect();
            let of = |item: usize| {
                let mean = found.iter().map(|g| g[item]).sum::<f64>() / found.len() as f64;
                found.iter().map(|g| (g[item] - mean).powi(2)).sum::<f64>() / found.len() as f64
            };
            (0..20).map(of).sum::<f64>()
        };
        let [none, left_out, to_go, both] = VARIANTS.map(variance);
        assert!(
            none > left_out && left_out > both && none > to_go && to_go > both,
            "{none} {left_out} {to_go} {both}"
        );
        assert!(none > 5.0 * both, "{none} {both}");
    }

    #[test]
    fn measures_by_hand() {
        let gains = vec![0.0, 1.0, 0.0, 3.0];
        let parts =
            |kind, cutoff, order: &[usize]| Measure::new(kind, gains.clone(), cutoff).unwrap().parts(order);
        let ideal = 3.0 + 1.0 / 3f64.log2();
        assert_eq!(parts(MeasureKind::Ndcg, 2, &[1, 0, 3, 2]), [1.0 / ideal, 0.0]);
        assert_eq!(parts(MeasureKind::ReciprocalRank, 0, &[0, 1, 3, 2]), [0.0, 0.5, 0.0, 0.0]);
        assert_eq!(parts(MeasureKind::Precision, 2, &[1, 3, 0, 2]), [0.5, 0.5]);
        assert_eq!(Measure::new(MeasureKind::Ndcg, vec![0.0; 3], 0), None);
        // A function of whole orders: the same expectation whatever is credited.
        let whole = |order: &[usize]| f64::from(u8::from(order[0] == 1));
        let estimator = PolicyGradient { samples: 1, baseline: Baseline::None, credit: Credit::ToGo };
        let whole_credit = PolicyGradient { credit: Credit::Whole, ..estimator };
        let policy = policy(&SCORES);
        assert_eq!(estimator.estimate(&policy, &whole, 3), whole_credit.estimate(&policy, &whole, 3));
    }

    #[test]
    fn first_ranks_are_drawn_as_often_as_the_softmax_says() {
        let policy = policy(&SCORES);
        let sum: f64 = SCORES.iter().map(|s| s.exp()).sum();
        let mut counts = [0.0; 4];
        let draws = 100_000;
        (0..draws).for_each(|seed| counts[policy.sample(1, seed)[0]] += 1.0);
        for (count, score) in counts.iter().zip(SCORES) {
            assert!((count / draws as f64 - score.exp() / sum).abs() < 0.005, "{counts:?}");
        }
    }
}
