//! Votes added up by pairs of models: all that a rating needs of them.

use crate::{Verdict, Vote, Votes};
use std::collections::BTreeMap;

/// The votes on a pair of models.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// One model; its number is the smaller one.
    pub first: usize,
    /// The other.
    pub second: usize,
    /// Votes for the first, for the second, and for neither.
    pub counts: [f64; 3],
}

impl Cell {
    /// All votes on the pair.
    pub fn total(&self) -> f64 {
        self.counts.iter().sum()
    }
}

/// The place of a verdict in [`Cell::counts`], for a vote whose left model is the first.
pub(crate) fn place(verdict: Verdict) -> usize {
    match verdict {
        Verdict::Left => 0,
        Verdict::Right => 1,
        Verdict::Tie | Verdict::BothBad => 2,
    }
}

/// The pair of a vote with the smaller number first, and the place of its verdict.
pub(crate) fn sorted(vote: &Vote) -> (usize, usize, usize) {
    match vote.left < vote.right {
        true => (vote.left, vote.right, place(vote.verdict)),
        false => (vote.right, vote.left, place(vote.verdict.reversed())),
    }
}

/// Cells of all pairs that there are votes on, in the order of their models.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PairTable {
    /// Number of models.
    pub models: usize,
    /// The cells.
    pub cells: Vec<Cell>,
}

impl PairTable {
    /// Adds up votes.
    pub fn new(votes: &Votes) -> PairTable {
        PairTable::of(votes.models.len(), &votes.all)
    }

    /// The same of some votes between so many models.
    pub fn of(models: usize, votes: &[Vote]) -> PairTable {
        let mut cells: BTreeMap<(usize, usize), [f64; 3]> = BTreeMap::new();
        for vote in votes {
            let (first, second, place) = sorted(vote);
            cells.entry((first, second)).or_default()[place] += 1.0;
        }
        let cells = cells.into_iter().map(|((first, second), counts)| Cell { first, second, counts });
        PairTable { models, cells: cells.collect() }
    }

    /// All votes.
    pub fn total(&self) -> f64 {
        self.cells.iter().map(Cell::total).sum()
    }

    /// Votes of each model.
    pub fn votes_by_model(&self) -> Vec<f64> {
        let mut votes = vec![0.0; self.models];
        for cell in &self.cells {
            votes[cell.first] += cell.total();
            votes[cell.second] += cell.total();
        }
        votes
    }

    /// The share of decided votes that a model has won against another; `None` where there are none.
    pub fn win_shares(&self) -> Vec<Vec<Option<f64>>> {
        let mut shares = vec![vec![None; self.models]; self.models];
        for cell in &self.cells {
            let [won, lost, _] = cell.counts;
            if won + lost > 0.0 {
                shares[cell.first][cell.second] = Some(won / (won + lost));
                shares[cell.second][cell.first] = Some(lost / (won + lost));
            }
        }
        shares
    }

    /// Votes on each pair.
    pub fn vote_counts(&self) -> Vec<Vec<f64>> {
        let mut counts = vec![vec![0.0; self.models]; self.models];
        for cell in &self.cells {
            counts[cell.first][cell.second] = cell.total();
            counts[cell.second][cell.first] = cell.total();
        }
        counts
    }

    /// For each model the plain mean over its opponents of the share of decided votes it won; `None` without one.
    pub fn average_win_rates(&self) -> Vec<Option<f64>> {
        let mean = |row: &Vec<Option<f64>>| {
            let known: Vec<f64> = row.iter().flatten().copied().collect();
            (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
        };
        self.win_shares().iter().map(mean).collect()
    }

    /// Groups of models that have votes and never met one of another group.
    pub fn groups(&self) -> usize {
        let mut group: Vec<usize> = (0..self.models).collect();
        fn root(group: &mut [usize], mut at: usize) -> usize {
            while group[at] != at {
                group[at] = group[group[at]];
                at = group[at];
            }
            at
        }
        let mut playing = vec![false; self.models];
        for cell in &self.cells {
            let (a, b) = (root(&mut group, cell.first), root(&mut group, cell.second));
            group[a] = b;
            (playing[cell.first], playing[cell.second]) = (true, true);
        }
        (0..self.models).filter(|&at| playing[at] && group[at] == at).count()
    }

    /// A group of models that never lost a point against one outside it; `None` where no such group exists, so that ratings without a
    /// penalty are finite (Ford 1957). Models without votes are passed over.
    pub fn unbeaten(&self) -> Option<Vec<usize>> {
        let mut gave: Vec<Vec<usize>> = vec![Vec::new(); self.models];
        let mut took: Vec<Vec<usize>> = vec![Vec::new(); self.models];
        for cell in &self.cells {
            let [won, lost, tied] = cell.counts;
            for (winner, loser, points) in
                [(cell.first, cell.second, won + tied), (cell.second, cell.first, lost + tied)]
            {
                if points > 0.0 {
                    took[winner].push(loser);
                    gave[loser].push(winner);
                }
            }
        }
        let playing: Vec<usize> =
            (0..self.models).filter(|&model| !(took[model].is_empty() && gave[model].is_empty())).collect();
        let start = *playing.first()?;
        let reach = |edges: &[Vec<usize>]| {
            let (mut seen, mut waiting) = (vec![false; self.models], vec![start]);
            while let Some(model) = waiting.pop() {
                if !std::mem::replace(&mut seen[model], true) {
                    waiting.extend(&edges[model]);
                }
            }
            seen
        };
        // Whoever took a point from the first one, or from one of those: nobody outside did.
        let above = reach(&gave);
        if playing.iter().any(|&model| !above[model]) {
            return Some(playing.into_iter().filter(|&model| above[model]).collect());
        }
        let below = reach(&took);
        let left: Vec<usize> = playing.into_iter().filter(|&model| !below[model]).collect();
        (!left.is_empty()).then_some(left)
    }
}
