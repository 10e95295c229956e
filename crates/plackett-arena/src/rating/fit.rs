//! Maximum likelihood of ratings by Fisher scoring over pairs, with a sandwich for what the model gets wrong.

use super::model::TieModel;
use super::pairs::{PairTable, sorted};
use super::{START, Z95, points};
use crate::{ArenaError, Votes};
use nalgebra::{Cholesky, DMatrix, DVector, Dyn};
use std::collections::HashMap;

/// Steps at most; scoring takes about ten.
const STEPS: usize = 200;
/// Ends when no log-strength moves by more.
const TOLERANCE: f64 = 1e-11;
/// A model with fewer votes has residuals that tell too little of its interval.
pub const FEW_VOTES: f64 = 10.0;
/// Matrices of more models than this do not fit.
const MOST_MODELS: usize = 20_000;

/// How ratings are fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RatingOptions {
    /// How ties are understood.
    pub ties: TieModel,
    /// The L2 penalty of arenas: 1 is the default of the logistic regression that leaderboards use, 0 is none.
    pub penalty: f64,
}

impl Default for RatingOptions {
    fn default() -> Self {
        RatingOptions { ties: TieModel::Half, penalty: 1.0 }
    }
}

impl RatingOptions {
    /// The weight of ½·Σθ² in the objective, for log-strengths θ and one row a vote: leaderboards penalise θ / ln 10 and have two
    /// rows a vote.
    fn ridge(&self) -> f64 {
        self.penalty / (2.0 * std::f64::consts::LN_10.powi(2))
    }
}

/// Fitted ratings.
#[derive(Clone, Debug)]
pub struct RatingFit {
    /// How they were fitted.
    pub options: RatingOptions,
    /// Log-strengths; their mean over models with votes is 0.
    pub strengths: Vec<f64>,
    /// Whether a model has votes; without them its strength says nothing.
    pub playing: Vec<bool>,
    /// The parameter of the model of ties.
    pub tie: f64,
    /// Log-likelihood of the votes.
    pub log_likelihood: f64,
    /// Steps it took.
    pub steps: usize,
}

impl RatingFit {
    /// The ratings on the scale of Elo, with mean 1000.
    pub fn ratings(&self) -> Vec<f64> {
        self.strengths.iter().map(|&strength| START + points(strength)).collect()
    }
}

/// Fits ratings to votes that are added up by pairs. `start` are strengths to begin from.
///
/// # Errors
/// There are no votes, too many models, or without a penalty someone who never lost.
pub fn fit(
    table: &PairTable,
    options: &RatingOptions,
    start: Option<&RatingFit>,
) -> Result<RatingFit, ArenaError> {
    if table.cells.is_empty() {
        return Err(ArenaError::NoVotes(String::new()));
    }
    if table.models > MOST_MODELS {
        return Err(ArenaError::Setting(format!(
            "{} models are too many: at most {MOST_MODELS} are rated at once",
            table.models
        )));
    }
    let playing: Vec<bool> = table.votes_by_model().iter().map(|votes| *votes > 0.0).collect();
    let begin = |at: usize| start.map_or(0.0, |start| if playing[at] { start.strengths[at] } else { 0.0 });
    let mut fit = RatingFit {
        options: *options,
        strengths: (0..table.models).map(begin).collect(),
        tie: start.map_or(-0.5, |start| start.tie),
        playing,
        log_likelihood: 0.0,
        steps: 0,
    };
    let mut now = objective(table, &fit);
    while fit.steps < STEPS {
        fit.steps += 1;
        let step = direction(table, &fit)?;
        let mut size = 1.0;
        let (next, value) = loop {
            let next = after_step(&fit, &step, size);
            let value = objective(table, &next);
            // Rounding may show a full step near the top as one down.
            if value >= now - 1e-12 * now.abs() || size < 1e-9 {
                break (next, value);
            }
            size /= 2.0;
        };
        let distance = step.iter().fold(0.0f64, |most, part| most.max((size * part).abs()));
        (fit, now) = (next, value);
        if distance <= TOLERANCE {
            break;
        }
    }
    centre(&mut fit);
    fit.log_likelihood = log_likelihood(table, &fit);
    Ok(fit)
}

/// The fit after a step of Newton's method that is scaled by `size`.
fn after_step(fit: &RatingFit, step: &DVector<f64>, size: f64) -> RatingFit {
    let mut next = fit.clone();
    next.strengths.iter_mut().zip(step.iter()).for_each(|(strength, part)| *strength += size * part);
    if fit.options.ties.has_parameter() {
        // A tie's parameter is a logarithm: a factor of e³ a step is enough.
        next.tie = (next.tie + size * step[fit.strengths.len()].clamp(-3.0, 3.0)).clamp(-30.0, 30.0);
    }
    next
}

/// Puts the mean of models with votes at 0. With a penalty it is there already, but for rounding.
fn centre(fit: &mut RatingFit) {
    let count = fit.playing.iter().filter(|playing| **playing).count() as f64;
    let of_playing = fit.strengths.iter().zip(&fit.playing).filter(|(_, playing)| **playing);
    let mean = of_playing.map(|(strength, _)| strength).sum::<f64>() / count;
    for (strength, playing) in fit.strengths.iter_mut().zip(&fit.playing) {
        *strength = if *playing { *strength - mean } else { 0.0 };
    }
}

fn log_likelihood(table: &PairTable, fit: &RatingFit) -> f64 {
    let of_cell = |cell: &super::Cell| {
        let d = fit.strengths[cell.first] - fit.strengths[cell.second];
        let logs = fit.options.ties.log_probabilities(d, fit.tie);
        cell.counts
            .iter()
            .zip(logs)
            .filter(|(count, _)| **count > 0.0)
            .map(|(count, log)| count * log)
            .sum::<f64>()
    };
    table.cells.iter().map(of_cell).sum()
}

fn objective(table: &PairTable, fit: &RatingFit) -> f64 {
    let squares: f64 = fit.strengths.iter().map(|strength| strength * strength).sum();
    log_likelihood(table, fit) - 0.5 * fit.options.ridge() * squares
}

/// The step of Fisher scoring.
fn direction(table: &PairTable, fit: &RatingFit) -> Result<DVector<f64>, ArenaError> {
    let mut gradient = DVector::zeros(size(fit));
    let ridge = fit.options.ridge();
    for (at, strength) in fit.strengths.iter().enumerate() {
        gradient[at] -= ridge * strength;
    }
    for cell in &table.cells {
        let d = fit.strengths[cell.first] - fit.strengths[cell.second];
        let scores = fit.options.ties.scores(d, fit.tie);
        for (count, score) in cell.counts.iter().zip(scores) {
            add_score(&mut gradient, (cell.first, cell.second), score.map(|part| count * part));
        }
    }
    Ok(information(table, fit)?.solve(&gradient))
}

fn size(fit: &RatingFit) -> usize {
    fit.strengths.len() + usize::from(fit.options.ties.has_parameter())
}

/// Adds a score by (d, tie) to a vector over all parameters.
fn add_score(into: &mut DVector<f64>, (first, second): (usize, usize), [by_d, by_tie]: [f64; 2]) {
    into[first] += by_d;
    into[second] -= by_d;
    let last = into.len() - 1;
    if by_tie != 0.0 {
        into[last] += by_tie;
    }
}

/// The factors of the information matrix with the penalty. Without one, strengths are held to mean 0; models without votes stay
/// where they are.
fn information(table: &PairTable, fit: &RatingFit) -> Result<Cholesky<f64, Dyn>, ArenaError> {
    let (models, ridge) = (fit.strengths.len(), fit.options.ridge());
    let mut matrix = DMatrix::<f64>::zeros(size(fit), size(fit));
    for cell in &table.cells {
        let (i, j) = (cell.first, cell.second);
        let d = fit.strengths[i] - fit.strengths[j];
        let total = cell.total();
        let [[dd, dt], [_, tt]] = fit.options.ties.information(d, fit.tie).map(|row| row.map(|x| x * total));
        matrix[(i, i)] += dd;
        matrix[(j, j)] += dd;
        matrix[(i, j)] -= dd;
        matrix[(j, i)] -= dd;
        if fit.options.ties.has_parameter() {
            matrix[(i, models)] += dt;
            matrix[(models, i)] += dt;
            matrix[(j, models)] -= dt;
            matrix[(models, j)] -= dt;
            matrix[(models, models)] += tt;
        }
    }
    let held = if ridge > 0.0 { 0.0 } else { 1.0 / models as f64 };
    for i in 0..models {
        matrix[(i, i)] += ridge + if fit.playing[i] { 0.0 } else { 1.0 };
        for j in 0..models {
            matrix[(i, j)] += if fit.playing[i] && fit.playing[j] { held } else { 0.0 };
        }
    }
    if fit.options.ties.has_parameter() {
        // Without a single tie its parameter runs away; this holds the system solvable.
        matrix[(models, models)] += 1e-9;
    }
    Cholesky::new(matrix).ok_or_else(|| {
        ArenaError::Setting("the votes do not determine the ratings; give a penalty above 0".into())
    })
}

/// Covariances of fitted strengths, from which intervals of ratings and of their differences come.
#[derive(Clone, Debug)]
pub struct Covariance {
    matrix: DMatrix<f64>,
    /// The inverse of the information with the penalty, and for whom it counts: the residuals of few votes tell too little.
    model_based: DMatrix<f64>,
    few: Vec<bool>,
    /// Shares that make the mean of models with votes.
    mean: Vec<f64>,
}

impl Covariance {
    /// The sandwich H⁻¹ M H⁻¹ (Huber 1967, White 1982): right for intervals also where votes do not follow the model, as ties counted
    /// halves do not. With `by_voter` votes of one voter are not taken to be independent.
    ///
    /// # Errors
    /// The votes do not determine the ratings.
    pub fn sandwich(
        votes: &Votes,
        table: &PairTable,
        fit: &RatingFit,
        by_voter: bool,
    ) -> Result<Covariance, ArenaError> {
        let inverse = information(table, fit)?.inverse();
        let meat = if by_voter { meat_by_voter(votes, fit) } else { meat(table, fit) };
        let matrix = &inverse * meat * &inverse;
        let few = table.votes_by_model().iter().map(|votes| *votes < FEW_VOTES).collect();
        let count = fit.playing.iter().filter(|playing| **playing).count() as f64;
        let mean = fit.playing.iter().map(|playing| if *playing { 1.0 / count } else { 0.0 }).collect();
        Ok(Covariance { matrix, model_based: inverse, few, mean })
    }

    /// The variance of a model's log-strength against that of `anchor`, or against the mean of all. Where one of both has fewer than
    /// [`FEW_VOTES`] votes, the greater one of sandwich and inverse information.
    pub fn variance(&self, model: usize, anchor: Option<usize>) -> f64 {
        let mut contrast: Vec<(usize, f64)> = vec![(model, 1.0)];
        match anchor {
            Some(anchor) => contrast.push((anchor, -1.0)),
            None => contrast.extend(self.mean.iter().enumerate().map(|(at, share)| (at, -share))),
        }
        let of = |matrix: &DMatrix<f64>| {
            let row =
                |&(a, x): &(usize, f64)| contrast.iter().map(|&(b, y)| x * y * matrix[(a, b)]).sum::<f64>();
            contrast.iter().map(row).sum::<f64>().max(0.0)
        };
        let sandwich = of(&self.matrix);
        match self.few[model] || anchor.is_some_and(|anchor| self.few[anchor]) {
            true => sandwich.max(of(&self.model_based)),
            false => sandwich,
        }
    }
}

/// Σ over votes of the outer product of their scores.
fn meat(table: &PairTable, fit: &RatingFit) -> DMatrix<f64> {
    let (models, size) = (fit.strengths.len(), size(fit));
    let mut matrix = DMatrix::zeros(size, size);
    for cell in &table.cells {
        let d = fit.strengths[cell.first] - fit.strengths[cell.second];
        let scores = fit.options.ties.scores(d, fit.tie);
        for (count, [by_d, by_tie]) in cell.counts.iter().zip(scores) {
            let mut entries = vec![(cell.first, by_d), (cell.second, -by_d)];
            if fit.options.ties.has_parameter() {
                entries.push((models, by_tie));
            }
            for &(a, x) in &entries {
                entries.iter().for_each(|&(b, y)| matrix[(a, b)] += count * x * y);
            }
        }
    }
    matrix
}

/// Σ over voters of the outer product of the sums of their scores; a vote without a voter is one of its own.
fn meat_by_voter(votes: &Votes, fit: &RatingFit) -> DMatrix<f64> {
    let size = size(fit);
    let mut sums: HashMap<usize, DVector<f64>> = HashMap::new();
    for (at, vote) in votes.all.iter().enumerate() {
        let (first, second, place) = sorted(vote);
        let d = fit.strengths[first] - fit.strengths[second];
        let score = fit.options.ties.scores(d, fit.tie)[place];
        let voter = vote.voter.unwrap_or(votes.voters.len() + at);
        add_score(sums.entry(voter).or_insert_with(|| DVector::zeros(size)), (first, second), score);
    }
    let mut voters: Vec<usize> = sums.keys().copied().collect();
    voters.sort_unstable();
    let mut matrix = DMatrix::zeros(size, size);
    for voter in voters {
        let sum = &sums[&voter];
        let entries: Vec<(usize, f64)> = sum.iter().copied().enumerate().filter(|(_, x)| *x != 0.0).collect();
        for &(a, x) in &entries {
            entries.iter().for_each(|&(b, y)| matrix[(a, b)] += x * y);
        }
    }
    matrix
}

/// Votes between two models that are still needed until the 95 % interval of their difference leaves 0 out, if the difference is what it
/// seems to be; 0 where it does already, `None` where they seem equal.
pub fn votes_to_separate(
    fit: &RatingFit,
    covariance: &Covariance,
    first: usize,
    second: usize,
) -> Option<u64> {
    let d = fit.strengths[first] - fit.strengths[second];
    let now = covariance.variance(first, Some(second));
    let wanted = (d / Z95).powi(2);
    if now <= wanted {
        return Some(0);
    }
    let of_a_vote = fit.options.ties.information(d, fit.tie)[0][0];
    let needed = (1.0 / wanted - 1.0 / now) / of_a_vote;
    (needed.is_finite() && needed < 1e15).then(|| needed.ceil() as u64)
}
