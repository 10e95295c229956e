//! Fitting scores to observed orders.

use super::log_sum_exp;

/// How to climb.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FitMethod {
    /// Newton's method with halved steps.
    #[default]
    Newton,
    /// Minorisation–maximisation (Hunter, Annals of Statistics 2004): slower, never a step down.
    Mm,
}

/// How to fit.
#[derive(Clone, Debug, PartialEq)]
pub struct FitOptions {
    /// How to climb.
    pub method: FitMethod,
    /// Weight of virtual data, at least 0: every item wins and loses so many comparisons against one virtual item.
    /// Above 0 the answer always exists, and is drawn towards equal scores.
    pub regularisation: f64,
    /// Most rounds.
    pub rounds: usize,
    /// Ends when no score moves by more than this in a round.
    pub tolerance: f64,
}

impl Default for FitOptions {
    fn default() -> Self {
        FitOptions { method: FitMethod::Newton, regularisation: 0.0, rounds: 10_000, tolerance: 1e-10 }
    }
}

/// What was fitted.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// Log-strengths with mean 0.
    pub scores: Vec<f64>,
    /// Standard errors of those scores from the observed information (with mean 0 as constraint).
    pub standard_errors: Vec<f64>,
    /// log P of the data, without the virtual data.
    pub log_likelihood: f64,
    /// Rounds used.
    pub rounds: usize,
    /// Whether the tolerance was reached.
    pub converged: bool,
}

/// Data that cannot be fitted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FitError {
    /// An item out of range or there twice, or a weight that is negative or not finite.
    #[error("observation {observation}: {problem}")]
    Observation {
        /// The place in the data, from 0.
        observation: usize,
        /// What is wrong.
        problem: String,
    },
    /// Items that never lost against the others, or were never compared with them: their scores have no finite best value
    /// (Ford 1957).
    #[error(
        "items {unbeaten:?} never came behind any other item, so their scores against the rest are not finite; add comparisons, fit the groups apart, or set a regularisation above 0"
    )]
    Disconnected {
        /// The items of one such group.
        unbeaten: Vec<usize>,
    },
    /// Options out of range, or a system without solution.
    #[error("{0}")]
    Numbers(&'static str),
}

/// One choice: `winner` out of `among` (which has it), `weight` times.
pub(crate) struct Choice {
    pub(crate) winner: usize,
    pub(crate) among: Vec<usize>,
    pub(crate) weight: f64,
}

/// Fits `items` scores to weighted orders. An order compares only the items it lists, best first.
pub fn fit(items: usize, orders: &[(Vec<usize>, f64)], options: &FitOptions) -> Result<Fit, FitError> {
    let mut choices = Vec::new();
    for (observation, (order, weight)) in orders.iter().enumerate() {
        let fail = |problem: String| FitError::Observation { observation, problem };
        if !(weight.is_finite() && *weight >= 0.0) {
            return Err(fail(format!("the weight is {weight}; it must be finite and not negative")));
        }
        let mut seen = std::collections::HashSet::new();
        if let Some(item) = order.iter().find(|&&item| item >= items || !seen.insert(item)) {
            return Err(fail(format!("item {item} is out of range (0..{items}) or stands twice")));
        }
        let tails = (0..order.len().saturating_sub(1)).map(|place| &order[place..]);
        choices.extend(tails.map(|among| Choice {
            winner: among[0],
            among: among.to_vec(),
            weight: *weight,
        }));
    }
    fit_choices(items, choices, options)
}

pub(crate) fn fit_choices(
    items: usize,
    mut choices: Vec<Choice>,
    options: &FitOptions,
) -> Result<Fit, FitError> {
    let regular = options.regularisation;
    if !(regular.is_finite() && regular >= 0.0 && options.tolerance > 0.0) {
        return Err(FitError::Numbers("regularisation must be finite and not negative, tolerance above 0"));
    }
    choices.retain(|choice| choice.weight > 0.0);
    let real = choices.len();
    let count = items + usize::from(regular > 0.0);
    if regular > 0.0 {
        for item in 0..items {
            for winner in [item, items] {
                choices.push(Choice { winner, among: vec![item, items], weight: regular });
            }
        }
    }
    if let Some(unbeaten) = unbeaten(count, &choices) {
        return Err(FitError::Disconnected { unbeaten });
    }
    let mut scores = vec![0.0; count];
    let (mut rounds, mut converged) = (0, count < 2);
    while !converged && rounds < options.rounds {
        rounds += 1;
        let next = match options.method {
            FitMethod::Newton => newton(&scores, &choices)?,
            FitMethod::Mm => mm(&scores, &choices),
        };
        converged = next.iter().zip(&scores).all(|(a, b)| (a - b).abs() <= options.tolerance);
        scores = next;
    }
    let log_likelihood = likelihood(&scores, &choices[..real]);
    let covariance = covariance(&scores, &choices)?;
    // The virtual item is no item: the mean is taken over the others.
    let mean = scores[..items].iter().sum::<f64>() / items.max(1) as f64;
    let standard_errors = (0..items).map(|item| centred_error(&covariance, item, items)).collect();
    scores.truncate(items);
    scores.iter_mut().for_each(|score| *score -= mean);
    Ok(Fit { scores, standard_errors, log_likelihood, rounds, converged })
}

/// A group that no outside item ever beat, unless everything hangs together: then no group is without such a defeat.
fn unbeaten(count: usize, choices: &[Choice]) -> Option<Vec<usize>> {
    let mut beaten_by = vec![Vec::new(); count];
    let mut beats = vec![Vec::new(); count];
    for choice in choices {
        for &loser in choice.among.iter().filter(|&&item| item != choice.winner) {
            beaten_by[loser].push(choice.winner);
            beats[choice.winner].push(loser);
        }
    }
    let reach = |from: usize, edges: &[Vec<usize>]| {
        let mut seen = vec![false; count];
        let mut waiting = vec![from];
        while let Some(item) = waiting.pop() {
            if !std::mem::replace(&mut seen[item], true) {
                waiting.extend(&edges[item]);
            }
        }
        seen
    };
    if count == 0 {
        return None;
    }
    // Whoever reaches item 0 by beating: closed under "beat a member", so nobody outside ever beat one of them.
    let above = reach(0, &beaten_by);
    if above.contains(&false) {
        return Some((0..count).filter(|&item| above[item]).collect());
    }
    let below = reach(0, &beats);
    below.contains(&false).then(|| (0..count).filter(|&item| !below[item]).collect())
}

fn likelihood(scores: &[f64], choices: &[Choice]) -> f64 {
    let one =
        |c: &Choice| c.weight * (scores[c.winner] - log_sum_exp(c.among.iter().map(|&item| scores[item])));
    choices.iter().map(one).sum()
}

/// Hunter's update, in logarithms: θ ← log wins − log Σ weight / Σ strengths.
fn mm(scores: &[f64], choices: &[Choice]) -> Vec<f64> {
    let mut wins = vec![0.0; scores.len()];
    let mut shares = vec![0.0; scores.len()];
    for choice in choices {
        wins[choice.winner] += choice.weight;
        let left = log_sum_exp(choice.among.iter().map(|&item| scores[item]));
        for &item in &choice.among {
            shares[item] += choice.weight * (scores[item] - left).exp();
        }
    }
    let mut next: Vec<f64> =
        (0..scores.len()).map(|item| scores[item] + (wins[item] / shares[item]).ln()).collect();
    let mean = next.iter().sum::<f64>() / next.len() as f64;
    next.iter_mut().for_each(|score| *score -= mean);
    next
}

/// Gradient and negative Hessian of the log-likelihood.
fn derivatives(scores: &[f64], choices: &[Choice]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let n = scores.len();
    let (mut gradient, mut information) = (vec![0.0; n], vec![vec![0.0; n]; n]);
    for choice in choices {
        let left = log_sum_exp(choice.among.iter().map(|&item| scores[item]));
        let shares: Vec<f64> = choice.among.iter().map(|&item| (scores[item] - left).exp()).collect();
        gradient[choice.winner] += choice.weight;
        for (&a, &share) in choice.among.iter().zip(&shares) {
            gradient[a] -= choice.weight * share;
            for (&b, &other) in choice.among.iter().zip(&shares) {
                information[a][b] += choice.weight * share * (f64::from(a == b) - other);
            }
        }
    }
    (gradient, information)
}

/// Inverse of information + 11ᵀ/n: the pseudo-inverse plus 11ᵀ/n, which centring takes out again.
fn covariance(scores: &[f64], choices: &[Choice]) -> Result<Vec<Vec<f64>>, FitError> {
    let (_, mut information) = derivatives(scores, choices);
    let n = information.len();
    information.iter_mut().flatten().for_each(|entry| *entry += 1.0 / n as f64);
    inverse(information)
}

fn newton(scores: &[f64], choices: &[Choice]) -> Result<Vec<f64>, FitError> {
    let (gradient, _) = derivatives(scores, choices);
    let covariance = covariance(scores, choices)?;
    let step: Vec<f64> =
        covariance.iter().map(|row| row.iter().zip(&gradient).map(|(a, b)| a * b).sum()).collect();
    let here = likelihood(scores, choices);
    let mut length = 1.0;
    for _ in 0..60 {
        let next: Vec<f64> = scores.iter().zip(&step).map(|(score, step)| score + length * step).collect();
        // Rounding may show a full step near the top as one down.
        if likelihood(&next, choices) >= here - 1e-12 * here.abs() {
            return Ok(next);
        }
        length /= 2.0;
    }
    Ok(scores.to_vec())
}

/// √Var(θᵢ − mean θ).
fn centred_error(covariance: &[Vec<f64>], item: usize, items: usize) -> f64 {
    let m = items as f64;
    let row: f64 = covariance[item][..items].iter().sum::<f64>() / m;
    let all: f64 = covariance[..items].iter().flat_map(|row| &row[..items]).sum::<f64>() / (m * m);
    (covariance[item][item] - 2.0 * row + all).max(0.0).sqrt()
}

/// Gauss–Jordan with pivots.
fn inverse(mut matrix: Vec<Vec<f64>>) -> Result<Vec<Vec<f64>>, FitError> {
    let n = matrix.len();
    for (i, row) in matrix.iter_mut().enumerate() {
        row.extend((0..n).map(|j| f64::from(i == j)));
    }
    for column in 0..n {
        let size = |row: &usize| matrix[*row][column].abs();
        let pivot = (column..n).max_by(|a, b| size(a).total_cmp(&size(b))).unwrap_or(column);
        matrix.swap(column, pivot);
        let head = matrix[column][column];
        if !head.is_finite() || head.abs() < 1e-300 {
            return Err(FitError::Numbers(
                "the information matrix is singular; set a regularisation above 0",
            ));
        }
        matrix[column].iter_mut().for_each(|entry| *entry /= head);
        let top = matrix[column].clone();
        for (_, row) in matrix.iter_mut().enumerate().filter(|(i, _)| *i != column) {
            let factor = row[column];
            row.iter_mut().zip(&top).for_each(|(entry, top)| *entry -= factor * top);
        }
    }
    Ok(matrix.into_iter().map(|row| row[n..].to_vec()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plackett_luce::PlackettLuce;

    #[test]
    fn newton_and_mm_find_the_same_and_the_gradient_vanishes() {
        let truth = PlackettLuce::new(vec![1.0, 0.0, -0.5, -0.5]).unwrap();
        let orders: Vec<_> = (0..300).map(|seed| (truth.sample(4, seed), 1.0)).collect();
        let with = |method| fit(4, &orders, &FitOptions { method, ..FitOptions::default() }).unwrap();
        let (newton, mm) = (with(FitMethod::Newton), with(FitMethod::Mm));
        assert!(newton.converged && mm.converged);
        let fitted = PlackettLuce::new(newton.scores.clone()).unwrap();
        for item in 0..4 {
            assert!((newton.scores[item] - mm.scores[item]).abs() < 1e-7);
            assert!((newton.scores[item] - truth.scores()[item]).abs() < 4.0 * newton.standard_errors[item]);
            let slope: f64 = orders.iter().map(|(order, _)| fitted.gradient(order).unwrap()[item]).sum();
            assert!(slope.abs() < 1e-6);
        }
    }

    #[test]
    fn groups_without_defeat_are_named_and_regularisation_helps() {
        let orders = [(vec![0, 1], 1.0), (vec![1, 0], 1.0), (vec![0, 2], 1.0)];
        let error = fit(3, &orders, &FitOptions::default()).unwrap_err();
        assert_eq!(error, FitError::Disconnected { unbeaten: vec![0, 1] });
        let regular = FitOptions { regularisation: 0.5, ..FitOptions::default() };
        let fit = fit(3, &orders, &regular).unwrap();
        assert!(fit.converged && fit.scores[0] > fit.scores[2]);
    }
}
