//! One order from the comparisons of all pairs.

use super::comparator::Comparator;
use crate::method::OptionValues;
use crate::model::CallError;
use crate::prompting::RankContext;
use plackett_core::aggregation::{AggregationError, Preferences, borda, greedy};
use plackett_core::bradley_terry::{self, Comparison, Outcome};
use plackett_core::permutation::Permutation;
use plackett_core::plackett_luce::FitOptions;
use plackett_core::sorting::AllPairs;
use plackett_core::tsp::{SuccessorScores, TspError, TspOptions, solve};

/// Most candidates whose path is searched: beyond, the search takes longer than the model.
const TSP_MOST: usize = 300;

/// Virtual comparisons of every item against one of mean strength, so that an item without a loss has a finite strength.
const REGULARISATION: f64 = 0.1;

/// How an order is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregate {
    Copeland,
    Borda,
    BradleyTerry,
    Greedy,
    Tsp,
}

/// The words of the option.
pub(super) const NAMES: &[&str] = &["copeland", "borda", "bradley-terry", "greedy", "tsp"];

/// What came of it, for items in the order in which they entered.
pub(super) enum Aggregated {
    Scores(Vec<f64>),
    Order(Permutation),
}

impl Aggregated {
    /// Best first; equal scores in the order in which they entered.
    pub fn order(&self) -> Permutation {
        match self {
            Aggregated::Scores(scores) => Permutation::by_descending(scores),
            Aggregated::Order(order) => order.clone(),
        }
    }
}

impl Aggregate {
    pub fn new(options: &OptionValues) -> Aggregate {
        match options.get_choice("aggregate") {
            Some("borda") => Aggregate::Borda,
            Some("bradley-terry") => Aggregate::BradleyTerry,
            Some("greedy") => Aggregate::Greedy,
            Some("tsp") => Aggregate::Tsp,
            _ => Aggregate::Copeland,
        }
    }

    /// The order of all comparisons. `soft` where margins weigh them.
    pub fn of(
        self,
        context: &mut RankContext<'_>,
        all: &AllPairs,
        comparator: &Comparator<'_>,
        soft: bool,
    ) -> Result<Aggregated, CallError> {
        let count = context.len();
        let comparisons = if soft { shares(comparator) } else { all.verdicts().comparisons() };
        let preferences = || Preferences::from_comparisons(count, &comparisons).map_err(wrong);
        Ok(match self {
            Aggregate::Copeland => Aggregated::Scores(all.scores()),
            Aggregate::Borda => Aggregated::Scores(borda(&preferences()?)),
            Aggregate::Greedy => Aggregated::Order(greedy(&preferences()?)),
            Aggregate::BradleyTerry => Aggregated::Scores(strengths(context, count, &comparisons)?),
            Aggregate::Tsp => {
                let preferences = preferences()?;
                Aggregated::Order(path(context, count, |i, j| preferences.margin(i, j))?)
            }
        })
    }
}

fn wrong(error: AggregationError) -> CallError {
    CallError::Argument(error.to_string())
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Each pair as parts of a win: the probability of the label of each item among both labels, averaged over both orders.
fn shares(comparator: &Comparator<'_>) -> Vec<Comparison> {
    let parts = |(&(first, second), &[given, swapped]): (&(usize, usize), &[f64; 2])| {
        let weight = (sigmoid(given) + sigmoid(-swapped)) / 2.0;
        let other = (sigmoid(-given) + sigmoid(swapped)) / 2.0;
        [
            Comparison { first, second, outcome: Outcome::First, weight },
            Comparison { first, second, outcome: Outcome::Second, weight: other },
        ]
    };
    comparator.leads().iter().flat_map(parts).collect()
}

fn strengths(
    context: &mut RankContext<'_>,
    count: usize,
    comparisons: &[Comparison],
) -> Result<Vec<f64>, CallError> {
    let options = FitOptions { regularisation: REGULARISATION, ..FitOptions::default() };
    let fit = bradley_terry::fit(count, comparisons, &options)
        .map_err(|error| CallError::Argument(error.to_string()))?;
    context.note("bradley-terry", format!("regularisation {REGULARISATION}, {} rounds", fit.rounds));
    if !fit.converged {
        context.repaired("the Bradley-Terry strengths did not converge; the last ones were taken");
    }
    Ok(fit.scores)
}

/// The best path through scores of "the second comes right after the first" (Li et al., TSPRank, 2024).
pub(super) fn path(
    context: &mut RankContext<'_>,
    count: usize,
    score: impl Fn(usize, usize) -> f64,
) -> Result<Permutation, CallError> {
    let scores = (0..count * count).map(|at| {
        let (first, second) = (at / count, at % count);
        if first == second { 0.0 } else { score(first, second) }
    });
    let (order, facts) =
        solved(count, scores.collect()).map_err(|error| CallError::Argument(error.to_string()))?;
    facts.into_iter().for_each(|(name, value)| context.note(name, value));
    Ok(order)
}

/// The best path through scores (candidates × candidates, row by row), and what the trace says of it.
///
/// # Errors
/// A score is no number.
pub(super) fn solved(
    count: usize,
    scores: Vec<f64>,
) -> Result<(Permutation, Vec<(String, String)>), TspError> {
    let found = solve(&SuccessorScores::new(count, scores)?, &TspOptions::default());
    let mut facts = vec![("path-value".to_string(), found.value.to_string())];
    if !found.optimal {
        let gap = format!("{:.4}; the path may not be the best one", found.gap());
        facts.push(("path-gap".to_string(), gap));
    }
    Ok((found.order, facts))
}

/// Why no path is searched through so many candidates.
pub(super) fn path_problem(count: usize) -> Option<String> {
    (count > TSP_MOST).then(|| {
        format!(
            "a path through {count} candidates is not searched; the most is {TSP_MOST}: give fewer candidates"
        )
    })
}

/// Refuses more candidates than a path is searched for.
pub(super) fn check_path(count: usize) -> Result<(), CallError> {
    path_problem(count).map_or(Ok(()), |problem| Err(CallError::Argument(problem)))
}
