//! TSPRank's decoder: the ranking is the best Hamiltonian path through a graph of directed scores.
//!
//! Entry (i, j) of the score matrix says how well item j comes *right after* item i (Li et al. 2024, TSPRank). Of
//! all orders the one with the greatest sum of the n − 1 scores between neighbours is wanted; there is no arc back
//! and no score for the start. The matrix must have been trained as a successor score: for scores of precedence ("i
//! somewhere before j") many paths are best, and Borda is the better decoder.
//!
//! - up to [`EXACT`] items: dynamic programming over subsets ([`held_karp`]);
//! - beyond: tours patched together from an assignment, greedy chains and the Borda order, each improved by
//!   exchanging segments and then shaken and improved again; beside it an upper bound from the assignment problem,
//!   tightened with arborescences. The result says its gap, and that it is optimal when there is none.

mod arborescence;
mod assignment;
mod bound;
mod exact;
mod local_search;
mod matrix;
mod starts;

pub use exact::{EXACT, held_karp};
pub use matrix::{SuccessorScores, TspError};
pub use starts::{borda_order, greedy_chain};

use crate::permutation::Permutation;
use local_search::Tour;

/// How much work the heuristic does. It counts steps and not seconds, so that the same input always gives the same
/// path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TspOptions {
    /// How often the best path is shaken and improved again.
    pub kicks: usize,
    /// Steps of the subgradient method that tightens the bound.
    pub bound_steps: usize,
    /// Seed of the kicks.
    pub seed: u64,
}

impl Default for TspOptions {
    fn default() -> Self {
        TspOptions { kicks: 200, bound_steps: 80, seed: 0 }
    }
}

/// A path and how good it is known to be.
#[derive(Clone, Debug, PartialEq)]
pub struct TspPath {
    /// The order of the items.
    pub order: Permutation,
    /// Sum of the scores between neighbours.
    pub value: f64,
    /// No path has a greater value.
    pub bound: f64,
    /// Whether the path is known to be best (up to rounding).
    pub optimal: bool,
}

impl TspPath {
    /// (bound − value) / |bound|; 0 for an optimal path.
    pub fn gap(&self) -> f64 {
        if self.optimal { 0.0 } else { (self.bound - self.value) / self.bound.abs().max(f64::MIN_POSITIVE) }
    }
}

/// The best path, or a good one with its bound. Of several best paths the lexicographically least, where it is
/// found exactly.
pub fn solve(scores: &SuccessorScores, options: &TspOptions) -> TspPath {
    if scores.len() <= EXACT { held_karp(scores) } else { heuristic(scores, options) }
}

fn heuristic(scores: &SuccessorScores, options: &TspOptions) -> TspPath {
    // One node more with scores of 0 to and from all others makes an open path a closed tour.
    let weights = scores.closed();
    let assignment = assignment::solve(&weights);
    let tolerance = 1e-9 * (1.0 + scores.largest()) * scores.len() as f64;
    let mut starts = vec![
        starts::patched(&weights, &assignment.successor),
        starts::closed(greedy_chain(scores).items()),
        starts::closed(borda_order(scores).items()),
    ];
    let mut best: Option<Tour<'_>> = None;
    while let Some(start) = starts.pop() {
        let mut tour = Tour::new(&weights, start);
        tour.improve_all();
        if best.as_ref().is_none_or(|best| tour.value() > best.value()) {
            best = Some(tour);
        }
    }
    let Some(mut tour) = best else { return held_karp(scores) };
    let mut bound = assignment.value;
    if bound - tour.value() > tolerance {
        bound =
            bound.min(bound::tighten(&weights, &assignment, tour.value(), options.bound_steps, tolerance));
        tour.shake(options.kicks, options.seed, bound - tolerance);
    }
    let value = scores.value(&tour.path());
    let order = Permutation::from_unique(tour.path());
    let optimal = bound - value <= tolerance;
    TspPath { order, value, bound: if optimal { value } else { bound }, optimal }
}

#[cfg(test)]
mod tests;
