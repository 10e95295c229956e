//! Bradley–Terry (1952): Plackett–Luce of two items. P(a before b) = 1 / (1 + exp(θb − θa)).

use crate::plackett_luce::{Choice, fit_choices};
use crate::plackett_luce::{Fit, FitError, FitOptions};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What came of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The first won.
    First,
    /// The second won.
    Second,
    /// Neither: half a win for each.
    Tie,
}

impl Outcome {
    /// The same outcome, seen with the items exchanged.
    pub fn reversed(self) -> Outcome {
        match self {
            Outcome::First => Outcome::Second,
            Outcome::Second => Outcome::First,
            Outcome::Tie => Outcome::Tie,
        }
    }
}

/// One comparison of two items.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// One item.
    pub first: usize,
    /// The other.
    pub second: usize,
    /// What came of it.
    pub outcome: Outcome,
    /// How often; at least 0.
    pub weight: f64,
}

/// P(first wins) from two log-strengths, without overflow.
pub fn probability(first: f64, second: f64) -> f64 {
    log_probability(first, second).exp()
}

/// log P(first wins), exact also where the probability rounds to 0 or 1.
pub fn log_probability(first: f64, second: f64) -> f64 {
    let behind = second - first;
    if behind > 0.0 { -behind - (-behind).exp().ln_1p() } else { -behind.exp().ln_1p() }
}

/// log P of comparisons; a tie counts half of each outcome. Items out of range are an error.
pub fn log_likelihood(scores: &[f64], comparisons: &[Comparison]) -> Result<f64, FitError> {
    let choices = choices(scores.len(), comparisons)?;
    let loser = |c: &Choice| c.among.iter().copied().find(|&item| item != c.winner).unwrap_or(c.winner);
    Ok(choices.iter().map(|c| c.weight * log_probability(scores[c.winner], scores[loser(c)])).sum())
}

/// Fits `items` scores; standard errors as in [`Fit`].
pub fn fit(items: usize, comparisons: &[Comparison], options: &FitOptions) -> Result<Fit, FitError> {
    fit_choices(items, choices(items, comparisons)?, options)
}

/// Draws `count` outcomes of one comparison; `true` when the first wins.
pub fn sample(first: f64, second: f64, count: usize, seed: u64) -> Vec<bool> {
    let mut source = ChaCha8Rng::seed_from_u64(seed);
    let win = probability(first, second);
    (0..count).map(|_| source.random::<f64>() < win).collect()
}

fn choices(items: usize, comparisons: &[Comparison]) -> Result<Vec<Choice>, FitError> {
    let mut choices = Vec::with_capacity(comparisons.len());
    for (observation, one) in comparisons.iter().enumerate() {
        let pair = [one.first, one.second];
        let good = one.first != one.second && pair.iter().all(|&item| item < items);
        if !(good && one.weight.is_finite() && one.weight >= 0.0) {
            let problem = format!(
                "items {pair:?} must be two different ones of 0..{items}, the weight {} finite and not negative",
                one.weight
            );
            return Err(FitError::Observation { observation, problem });
        }
        let (first, second) = match one.outcome {
            Outcome::First => (one.weight, 0.0),
            Outcome::Second => (0.0, one.weight),
            Outcome::Tie => (one.weight / 2.0, one.weight / 2.0),
        };
        for (winner, weight) in pair.into_iter().zip([first, second]) {
            if weight > 0.0 {
                choices.push(Choice { winner, among: pair.to_vec(), weight });
            }
        }
    }
    Ok(choices)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plackett_luce::{FitMethod, PlackettLuce};

    fn seen(outcome: Outcome, weight: f64) -> Comparison {
        Comparison { first: 0, second: 1, outcome, weight }
    }

    #[test]
    fn two_items_by_hand() {
        // 30 : 10 with ties as halves gives θ₀ − θ₁ = ln 3, and Var of the difference 1 / (40 · ¾ · ¼).
        let data = [seen(Outcome::First, 28.0), seen(Outcome::Second, 8.0), seen(Outcome::Tie, 4.0)];
        for method in [FitMethod::Newton, FitMethod::Mm] {
            let fit = fit(2, &data, &FitOptions { method, ..FitOptions::default() }).unwrap();
            assert!((fit.scores[0] - fit.scores[1] - 3f64.ln()).abs() < 1e-8);
            assert!((2.0 * fit.standard_errors[0] - (1.0f64 / 7.5).sqrt()).abs() < 1e-8);
            let wanted = 30.0 * 0.75f64.ln() + 10.0 * 0.25f64.ln();
            assert!((fit.log_likelihood - wanted).abs() < 1e-8);
            assert!((log_likelihood(&fit.scores, &data).unwrap() - wanted).abs() < 1e-8);
        }
    }

    #[test]
    fn it_is_plackett_luce_of_two() {
        let model = PlackettLuce::new(vec![0.3, -1.1]).unwrap();
        assert!((model.log_likelihood(&[1, 0]).unwrap() - log_probability(-1.1, 0.3)).abs() < 1e-14);
        assert_eq!(log_probability(-2000.0, 0.0), -2000.0);
        assert_eq!(probability(1e308, -1e308), 1.0);
        let wins = sample(0.0, 3f64.ln(), 40_000, 1).into_iter().filter(|won| *won).count() as f64;
        assert!((wins - 10_000.0).abs() < 4.0 * 7500f64.sqrt());
    }

    #[test]
    fn a_comparison_with_itself_is_refused() {
        let data = [Comparison { first: 1, second: 1, outcome: Outcome::Tie, weight: 1.0 }];
        assert!(matches!(
            fit(2, &data, &FitOptions::default()),
            Err(FitError::Observation { observation: 0, .. })
        ));
    }
}
