//! Intervals by drawing the votes again. Votes are drawn as counts of pairs and verdicts, so that a round costs as much as there are
//! pairs, however many votes there are.

use super::fit::{RatingFit, RatingOptions, fit};
use super::pairs::PairTable;
use crate::{ArenaError, Vote, Votes};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Binomial, Distribution};
use rayon::prelude::*;

/// What is drawn again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BootstrapUnit {
    /// Votes, as if each were independent of all others.
    #[default]
    Votes,
    /// Voters with all their votes: those of one person resemble each other.
    Voters,
}

/// Ratings of each round.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    /// For each model its ratings, sorted; rounds in which it has no votes are missing.
    pub ratings: Vec<Vec<f64>>,
    /// Rounds that were drawn.
    pub rounds: usize,
    /// Rounds whose votes could not be fitted.
    pub failed: usize,
}

impl Bootstrap {
    /// Percentiles of a model's ratings, by linear interpolation; `None` with no round.
    pub fn percentiles(&self, model: usize, low: f64, high: f64) -> Option<(f64, f64)> {
        let ratings = &self.ratings[model];
        let at = |share: f64| {
            let place = share * (ratings.len() - 1) as f64;
            let (below, above) = (ratings[place.floor() as usize], ratings[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        (!ratings.is_empty()).then(|| (at(low), at(high)))
    }

    /// The variance of a model's ratings; `None` with fewer than two rounds.
    pub fn variance(&self, model: usize) -> Option<f64> {
        let ratings = &self.ratings[model];
        let count = ratings.len() as f64;
        let mean = ratings.iter().sum::<f64>() / count;
        (ratings.len() > 1)
            .then(|| ratings.iter().map(|rating| (rating - mean).powi(2)).sum::<f64>() / (count - 1.0))
    }
}

/// Draws votes again so many times and fits each time, from the ratings of all votes on; on every core, with the same numbers for any
/// number of them. With `anchor` that model has `anchor`'s rating in every round.
pub fn bootstrap(
    votes: &Votes,
    (table, start): (&PairTable, &RatingFit),
    (unit, rounds, seed): (BootstrapUnit, usize, u64),
    anchor: Option<(usize, f64)>,
) -> Bootstrap {
    let draw: Box<dyn Fn(&mut ChaCha8Rng) -> PairTable + Sync> = match unit {
        BootstrapUnit::Votes => Box::new(|random| draw_votes(table, random)),
        BootstrapUnit::Voters => {
            let voters = by_voter(votes);
            Box::new(move |random| draw_voters(table.models, &voters, random))
        }
    };
    let options: &RatingOptions = &start.options;
    let fitted: Vec<Option<Vec<Option<f64>>>> = (0..rounds as u64)
        .into_par_iter()
        .map(|round| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(round);
            let drawn = draw(&mut random);
            let round = fit_drawn(&drawn, options, start).ok()?;
            let ratings = round.ratings();
            let shift = match anchor {
                Some((anchor, rating)) if round.playing[anchor] => rating - ratings[anchor],
                Some(_) => return None,
                None => 0.0,
            };
            let told = ratings.iter().zip(&round.playing);
            Some(told.map(|(rating, playing)| playing.then_some(rating + shift)).collect())
        })
        .collect();
    let failed = fitted.iter().filter(|round| round.is_none()).count();
    let mut ratings = vec![Vec::with_capacity(rounds); table.models];
    for round in fitted.into_iter().flatten() {
        for (ratings, rating) in ratings.iter_mut().zip(round) {
            ratings.extend(rating);
        }
    }
    ratings.iter_mut().for_each(|ratings| ratings.sort_by(f64::total_cmp));
    Bootstrap { ratings, rounds, failed }
}

fn fit_drawn(table: &PairTable, options: &RatingOptions, start: &RatingFit) -> Result<RatingFit, ArenaError> {
    if options.penalty == 0.0
        && let Some(unbeaten) = table.unbeaten()
    {
        return Err(ArenaError::Unbeaten(unbeaten.iter().map(ToString::to_string).collect()));
    }
    fit(table, options, Some(start))
}

/// As many votes as there are, drawn with replacement: a multinomial over all counts, as binomials one after another.
fn draw_votes(table: &PairTable, random: &mut ChaCha8Rng) -> PairTable {
    let (mut votes, mut left) = (table.total() as u64, table.total());
    let mut drawn = table.clone();
    for count in drawn.cells.iter_mut().flat_map(|cell| &mut cell.counts) {
        if *count == 0.0 {
            continue;
        }
        let share = (*count / left).min(1.0);
        left -= *count;
        let taken = match Binomial::new(votes, share) {
            Ok(binomial) => binomial.sample(random),
            Err(_) => votes,
        };
        votes -= taken;
        *count = taken as f64;
    }
    drawn.cells.retain(|cell| cell.total() > 0.0);
    drawn
}

/// Votes by voter; one that does not say whose it is stands alone.
fn by_voter(votes: &Votes) -> Vec<Vec<Vote>> {
    let mut voters = vec![Vec::new(); votes.voters.len()];
    for vote in &votes.all {
        match vote.voter {
            Some(voter) => voters[voter].push(*vote),
            None => voters.push(vec![*vote]),
        }
    }
    voters.retain(|votes| !votes.is_empty());
    voters
}

fn draw_voters(models: usize, voters: &[Vec<Vote>], random: &mut ChaCha8Rng) -> PairTable {
    let mut drawn = Vec::new();
    for _ in 0..voters.len() {
        drawn.extend_from_slice(&voters[random.random_range(0..voters.len())]);
    }
    PairTable::of(models, &drawn)
}
