//! PRP-Allpair: every pair is compared, and an item's score is the number of its wins, ties counting half.

use super::verdict::Comparisons;
use super::{Outcome, Pair, PairCounts, VerdictCache, all_pairs_comparisons};
use crate::ask_tell::{AskTell, TellError};
use crate::permutation::Permutation;

/// All N(N−1)/2 comparisons (PRP, §3.2 "all pair comparisons"). Independent of the initial order, ties apart.
#[derive(Clone, Debug)]
pub struct AllPairs {
    items: usize,
    batch: usize,
    next: Pair,
    comparisons: Comparisons,
    /// Points in halves: 2 for a win, 1 for a tie.
    halves: Vec<u64>,
}

impl AllPairs {
    /// All pairs of `0..items`, all open at once.
    pub fn new(items: usize) -> AllPairs {
        AllPairs::in_batches(items, usize::MAX)
    }

    /// The same with at most `batch` pairs (at least 1) open at a time, which bounds memory.
    pub fn in_batches(items: usize, batch: usize) -> AllPairs {
        let next = Pair { first: 0, second: 1 };
        let comparisons = Comparisons::default();
        let mut all = AllPairs { items, batch: batch.max(1), next, comparisons, halves: vec![0; items] };
        all.open_next();
        all
    }

    fn open_next(&mut self) {
        while self.comparisons.open.len() < self.batch && self.next.second < self.items {
            self.comparisons.open.push(self.next);
            self.next.second += 1;
            if self.next.second == self.items {
                self.next = Pair { first: self.next.first + 1, second: self.next.first + 2 };
            }
        }
    }

    /// Points so far: 1 for a win, ½ for a tie. Their sum is the number of comparisons.
    pub fn scores(&self) -> Vec<f64> {
        self.halves.iter().map(|&halves| halves as f64 / 2.0).collect()
    }

    /// Items by descending points, equal ones in the initial order.
    pub fn order(&self) -> Permutation {
        Permutation::by_descending(&self.scores())
    }

    /// What it has cost.
    pub fn counts(&self) -> PairCounts {
        self.comparisons.counts
    }

    /// How many comparisons it makes in all.
    pub fn total(&self) -> usize {
        all_pairs_comparisons(self.items)
    }

    /// The verdicts so far.
    pub fn verdicts(&self) -> &VerdictCache {
        &self.comparisons.verdicts
    }
}

impl AskTell for AllPairs {
    type Question = Pair;
    type Answer = Outcome;

    fn ask(&self) -> &[Pair] {
        &self.comparisons.open
    }

    fn tell(&mut self, answers: Vec<Outcome>) -> Result<(), TellError> {
        TellError::check_count(self.comparisons.open.len(), answers.len())?;
        for (pair, outcome) in self.comparisons.open.iter().zip(&answers) {
            let (first, second) = match outcome {
                Outcome::First => (2, 0),
                Outcome::Second => (0, 2),
                Outcome::Tie => (1, 1),
            };
            self.halves[pair.first] += first;
            self.halves[pair.second] += second;
        }
        self.comparisons.counts.comparisons += answers.len();
        self.comparisons.take(answers)?;
        self.open_next();
        Ok(())
    }
}
