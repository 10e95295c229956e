//! The leaderboard: ratings with intervals, ranks that they allow, and what stands beside them.

use super::bootstrap::{BootstrapUnit, bootstrap};
use super::fit::{Covariance, FEW_VOTES, RatingFit, RatingOptions, fit, votes_to_separate};
use super::model::TieModel;
use super::pairs::PairTable;
use super::{EloOptions, Z95, elo, elo_spread, points};
use crate::{ArenaError, Votes};
use plackett_core::declaration::{nearest, suggestion};
use serde::Serialize;
use std::collections::HashSet;

/// Where intervals come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntervalKind {
    /// The sandwich estimator: at once, and right for any number of votes that is not small.
    Sandwich,
    /// Percentiles of so many rounds of [`bootstrap`].
    Bootstrap(usize),
}

/// How a board is made.
#[derive(Clone, Debug)]
pub struct BoardOptions {
    /// How ratings are fitted.
    pub rating: RatingOptions,
    /// Where intervals come from.
    pub intervals: IntervalKind,
    /// Whether votes of one voter belong together in intervals.
    pub by_voter: bool,
    /// The model that has a given rating, with that rating; else the mean of all is 1000.
    pub anchor: Option<(String, f64)>,
    /// Of the bootstrap and of shuffles.
    pub seed: u64,
    /// Elo.
    pub elo: EloOptions,
    /// Shuffles that show how far Elo depends on the order of votes.
    pub shuffles: usize,
}

impl Default for BoardOptions {
    fn default() -> Self {
        BoardOptions {
            rating: RatingOptions::default(),
            intervals: IntervalKind::Sandwich,
            by_voter: false,
            anchor: None,
            seed: 42,
            elo: EloOptions::default(),
            shuffles: 20,
        }
    }
}

/// A model on the board.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BoardRow {
    /// Its name.
    pub model: String,
    /// Its rating.
    pub rating: f64,
    /// The 95 % interval of the rating; of an anchor its rating alone.
    pub lower: f64,
    /// The upper end.
    pub upper: f64,
    /// The variance of the rating.
    pub variance: f64,
    /// The best rank that the intervals allow: one more than there are models whose intervals lie above.
    pub best_rank: usize,
    /// The worst one.
    pub worst_rank: usize,
    /// Votes it is part of.
    pub votes: usize,
    /// Of them for it, against it, and for neither.
    pub won: usize,
    /// Votes against it.
    pub lost: usize,
    /// Votes for neither.
    pub tied: usize,
    /// The plain mean over opponents of the share of decided votes; `None` without a decided vote.
    pub average_win_rate: Option<f64>,
    /// Elo in the order of the votes.
    pub elo: f64,
    /// The least and greatest Elo over shuffles of the votes.
    pub elo_by_order: (f64, f64),
    /// Votes that are still needed to tell it from the next one on the board; `None` where they seem equal, and for the last.
    pub votes_to_next: Option<u64>,
    /// Rounds of the bootstrap in which it had votes; 0 without one.
    pub rounds: usize,
}

/// A leaderboard.
#[derive(Clone, Debug, Serialize)]
pub struct Board {
    /// How ties are understood.
    pub ties: TieModel,
    /// The parameter of that model, by its authors' letter.
    pub tie_parameter: Option<(&'static str, f64)>,
    /// Log-likelihood of the votes.
    pub log_likelihood: f64,
    /// Models, best first.
    pub rows: Vec<BoardRow>,
    /// Share of decided votes that the model of a row has won against that of a column, in the order of `rows`.
    pub win_shares: Vec<Vec<Option<f64>>>,
    /// Votes on each pair, in the order of `rows`.
    pub vote_counts: Vec<Vec<f64>>,
    /// What whoever reads the board has to know.
    pub warnings: Vec<String>,
}

impl Board {
    /// Fits votes and puts models in order; of equal ratings the one that came first in the votes.
    ///
    /// # Errors
    /// No votes, an anchor without votes, or without a penalty a model that never lost.
    pub fn new(votes: &Votes, options: &BoardOptions) -> Result<Board, ArenaError> {
        let table = PairTable::new(votes);
        if table.cells.is_empty() {
            return Err(ArenaError::NoVotes(reasons(votes)));
        }
        if options.rating.penalty == 0.0
            && let Some(unbeaten) = table.unbeaten()
        {
            return Err(ArenaError::Unbeaten(unbeaten.iter().map(|&at| votes.models[at].clone()).collect()));
        }
        let fitted = fit(&table, &options.rating, None)?;
        let anchor = match &options.anchor {
            Some((name, rating)) => Some((anchor_of(votes, &fitted, name)?, *rating)),
            None => None,
        };
        let mut builder =
            BoardBuilder { votes, options, table: &table, fit: &fitted, anchor, warnings: Vec::new() };
        let (rows, order) = builder.rows()?;
        let pick = |matrix: Vec<Vec<Option<f64>>>| -> Vec<Vec<Option<f64>>> {
            order.iter().map(|&i| order.iter().map(|&j| matrix[i][j]).collect()).collect()
        };
        let counts = table.vote_counts();
        Ok(Board {
            ties: options.rating.ties,
            tie_parameter: options.rating.ties.parameter(fitted.tie),
            log_likelihood: fitted.log_likelihood,
            win_shares: pick(table.win_shares()),
            vote_counts: order.iter().map(|&i| order.iter().map(|&j| counts[i][j]).collect()).collect(),
            rows,
            warnings: builder.warnings,
        })
    }

    /// As CSV, with a heading.
    pub fn csv(&self) -> String {
        let mut text = "rank,model,rating,lower,upper,variance,best_rank,worst_rank,votes,won,lost,tied,average_win_rate,elo,rounds\n".to_string();
        for (at, row) in self.rows.iter().enumerate() {
            let name = match row.model.contains([',', '"', '\n']) {
                true => format!("\"{}\"", row.model.replace('"', "\"\"")),
                false => row.model.clone(),
            };
            let rate = row.average_win_rate.map_or_else(String::new, |rate| rate.to_string());
            text += &format!(
                "{},{name},{},{},{},{},{},{},{},{},{},{},{rate},{},{}\n",
                at + 1,
                row.rating,
                row.lower,
                row.upper,
                row.variance,
                row.best_rank,
                row.worst_rank,
                row.votes,
                row.won,
                row.lost,
                row.tied,
                row.elo,
                row.rounds
            );
        }
        text
    }
}

fn reasons(votes: &Votes) -> String {
    let account = &votes.account;
    let all = [
        (account.filtered, "taken out by filters"),
        (account.excluded, "of excluded models"),
        (account.banned, "of banned voters"),
        (account.with_itself, "of a model against itself"),
        (account.invalid, "invalid"),
    ];
    let said: Vec<String> =
        all.iter().filter(|(count, _)| *count > 0).map(|(count, why)| format!("{count} {why}")).collect();
    if said.is_empty() { String::new() } else { format!(" ({})", said.join(", ")) }
}

fn anchor_of(votes: &Votes, fit: &RatingFit, name: &str) -> Result<usize, ArenaError> {
    match votes.model(name).filter(|&at| fit.playing[at]) {
        Some(at) => Ok(at),
        None => Err(ArenaError::UnknownModel {
            name: name.into(),
            suggestion: suggestion(
                &nearest(name, votes.models.iter().map(String::as_str)).filter(|known| *known != name),
            ),
        }),
    }
}

/// Makes the rows of a board.
struct BoardBuilder<'m> {
    votes: &'m Votes,
    options: &'m BoardOptions,
    table: &'m PairTable,
    fit: &'m RatingFit,
    anchor: Option<(usize, f64)>,
    warnings: Vec<String>,
}

/// An interval with its variance, and the rounds it is from.
type Spread = (f64, f64, f64, usize);

impl BoardBuilder<'_> {
    /// Rows, best first, and the model of each.
    fn rows(&mut self) -> Result<(Vec<BoardRow>, Vec<usize>), ArenaError> {
        let mut ratings = self.fit.ratings();
        if let Some((anchor, rating)) = self.anchor {
            let shift = rating - ratings[anchor];
            ratings.iter_mut().for_each(|rating| *rating += shift);
        }
        let covariance = Covariance::sandwich(self.votes, self.table, self.fit, self.options.by_voter)?;
        let spreads = self.spreads(&ratings, &covariance)?;
        self.warn_of_voters()?;
        let votes_of = self.table.votes_by_model();
        let mut order: Vec<usize> = (0..ratings.len()).filter(|&model| self.fit.playing[model]).collect();
        order.sort_by(|&a, &b| ratings[b].total_cmp(&ratings[a]).then(a.cmp(&b)));
        self.warn_of_models(&votes_of, ratings.len() - order.len());
        let tallies = self.tallies(ratings.len());
        let win_rates = self.table.average_win_rates();
        let models = ratings.len();
        let followed = elo(models, &self.votes.all, &self.options.elo);
        let by_order = elo_spread(
            models,
            &self.votes.all,
            &self.options.elo,
            self.options.shuffles.max(1),
            self.options.seed,
        );
        let row = |(at, &model): (usize, &usize)| {
            let (lower, upper, variance, rounds) = spreads[model];
            let above = order.iter().filter(|&&other| spreads[other].0 > upper).count();
            let below = order.iter().filter(|&&other| spreads[other].1 < lower).count();
            let [won, lost, tied] = tallies[model];
            let next = order.get(at + 1);
            BoardRow {
                model: self.votes.models[model].clone(),
                rating: ratings[model],
                lower,
                upper,
                variance,
                best_rank: above + 1,
                worst_rank: order.len() - below,
                votes: won + lost + tied,
                won,
                lost,
                tied,
                average_win_rate: win_rates[model],
                elo: followed[model],
                elo_by_order: by_order[model],
                votes_to_next: next
                    .filter(|&&next| votes_of[model].min(votes_of[next]) >= FEW_VOTES)
                    .and_then(|&next| votes_to_separate(self.fit, &covariance, model, next)),
                rounds,
            }
        };
        Ok((order.iter().enumerate().map(row).collect(), order))
    }

    /// What is not known of some models: `votes_of` has the votes of each, `silent` is how many have none that count.
    fn warn_of_models(&mut self, votes_of: &[f64], silent: usize) {
        let groups = self.table.groups();
        if groups > 1 {
            self.warnings.push(format!(
                "{groups} groups of models never met: how far models of different groups are apart is not known, whatever their ratings say"
            ));
        }
        let few = votes_of.iter().filter(|votes| **votes > 0.0 && **votes < FEW_VOTES).count();
        if few > 0 {
            self.warnings.push(format!(
                "{few} of the models have fewer than {FEW_VOTES} votes: their intervals are rough, and who is better than they are is not said"
            ));
        }
        if silent > 0 {
            self.warnings
                .push(format!("{silent} models have no votes that count, and no place on the board"));
        }
    }

    /// How often each model has won, lost and tied.
    fn tallies(&self, models: usize) -> Vec<[usize; 3]> {
        let mut tallies = vec![[0usize; 3]; models];
        for cell in &self.table.cells {
            let [won, lost, tied] = cell.counts.map(|count| count as usize);
            for (model, counts) in [(cell.first, [won, lost, tied]), (cell.second, [lost, won, tied])] {
                tallies[model].iter_mut().zip(counts).for_each(|(all, count)| *all += count);
            }
        }
        tallies
    }

    /// What intervals by voter cannot say.
    fn warn_of_voters(&mut self) -> Result<(), ArenaError> {
        if !self.options.by_voter {
            return Ok(());
        }
        let nameless = self.votes.all.iter().filter(|vote| vote.voter.is_none()).count();
        let voters: HashSet<usize> = self.votes.all.iter().filter_map(|vote| vote.voter).collect();
        let units = voters.len() + nameless;
        if units < 2 {
            return Err(ArenaError::Setting(
                "all votes are of one voter, from whom no interval by voter can be had; take votes as independent".into(),
            ));
        }
        if units < FEW_VOTES as usize {
            self.warnings.push(format!("{units} voters are few: intervals by voter are rough"));
        }
        if nameless > 0 {
            self.warnings
                .push(format!("{nameless} votes do not say who voted, and stand as voters of their own"));
        }
        Ok(())
    }

    fn spreads(&mut self, ratings: &[f64], covariance: &Covariance) -> Result<Vec<Spread>, ArenaError> {
        let anchor = self.anchor.map(|(anchor, _)| anchor);
        let sandwich = |model: usize| {
            let variance = points(1.0).powi(2) * covariance.variance(model, anchor);
            let half = Z95 * variance.sqrt();
            (ratings[model] - half, ratings[model] + half, variance, 0)
        };
        let all: Vec<Spread> = (0..ratings.len()).map(sandwich).collect();
        let IntervalKind::Bootstrap(rounds) = self.options.intervals else { return Ok(all) };
        let unit = if self.options.by_voter { BootstrapUnit::Voters } else { BootstrapUnit::Votes };
        let drawn =
            bootstrap(self.votes, (self.table, self.fit), (unit, rounds, self.options.seed), self.anchor);
        if drawn.failed > 0 {
            self.warnings.push(format!(
                "{} of {rounds} rounds of the bootstrap could not be fitted and are left out of the intervals",
                drawn.failed
            ));
        }
        let fewest =
            (0..ratings.len()).filter(|&m| self.fit.playing[m]).map(|m| drawn.ratings[m].len()).min();
        if let Some(fewest) = fewest.filter(|&fewest| fewest < rounds - drawn.failed) {
            self.warnings.push(format!(
                "some models are in few votes: one is in {fewest} of {rounds} rounds only, and its interval is of these"
            ));
        }
        let votes_of = self.table.votes_by_model();
        let of = |(model, sandwich): (usize, Spread)| {
            let (mut lower, mut upper) = drawn.percentiles(model, 0.025, 0.975)?;
            let variance = drawn.variance(model).unwrap_or(sandwich.2);
            if votes_of[model] < FEW_VOTES {
                // Few votes drawn again are the same few votes.
                (lower, upper) = (lower.min(sandwich.0), upper.max(sandwich.1));
            }
            Some((lower, upper, variance, drawn.ratings[model].len()))
        };
        let without =
            (0..ratings.len()).filter(|&m| self.fit.playing[m] && drawn.ratings[m].is_empty()).count();
        if without > 0 {
            self.warnings.push(format!(
                "{without} of the models have no round of the bootstrap; their intervals are those of the sandwich estimator"
            ));
        }
        Ok(all
            .into_iter()
            .enumerate()
            .map(|(model, sandwich)| of((model, sandwich)).unwrap_or(sandwich))
            .collect())
    }
}
