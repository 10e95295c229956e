//! Verdicts of a pairwise comparator: how two answers become one, and the memory that keeps them antisymmetric.

use super::{Outcome, Pair};
use crate::bradley_terry::Comparison;
use foldhash::fast::FixedState;
use std::collections::HashMap;

/// What a model answered to one prompt with passages A and B.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preferred {
    /// Passage A.
    A,
    /// Passage B.
    B,
    /// Neither could be read from the answer.
    Unusable,
}

/// The verdict on (x, y) from both orders of the prompt: x as A and y as B, then y as A and x as B. Only answers
/// that agree decide; anything else is a tie (PRP, §3.1), so a model that always says A prefers nothing.
pub fn outcome_of_both_orders(given: Preferred, swapped: Preferred) -> Outcome {
    match (given, swapped) {
        (Preferred::A, Preferred::B) => Outcome::First,
        (Preferred::B, Preferred::A) => Outcome::Second,
        _ => Outcome::Tie,
    }
}

/// What a pairwise sort has cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairCounts {
    /// Comparisons that the algorithm made, remembered ones among them.
    pub comparisons: usize,
    /// Pairs put to the comparator (two prompts each where both orders are asked).
    pub asked: usize,
    /// Ties among the answers.
    pub ties: usize,
}

/// Verdicts by unordered pair: one entry serves both orders, so that cmp(x, y) = −cmp(y, x) always holds.
#[derive(Clone, Debug, Default)]
pub struct VerdictCache {
    verdicts: HashMap<(usize, usize), Outcome, FixedState>,
}

impl VerdictCache {
    /// The verdict on a pair, seen from its first item. An item ties with itself.
    pub fn get(&self, pair: Pair) -> Option<Outcome> {
        if pair.first == pair.second {
            return Some(Outcome::Tie);
        }
        let (key, swapped) = key(pair);
        let found = *self.verdicts.get(&key)?;
        Some(if swapped { found.reversed() } else { found })
    }

    /// Remembers a verdict, given as seen from the first item of the pair.
    pub fn insert(&mut self, pair: Pair, outcome: Outcome) {
        if pair.first != pair.second {
            let (key, swapped) = key(pair);
            self.verdicts.insert(key, if swapped { outcome.reversed() } else { outcome });
        }
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.verdicts.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.verdicts.is_empty()
    }

    /// All verdicts, by ascending pair, for [`crate::bradley_terry::fit`] and [`crate::aggregation::Preferences`].
    pub fn comparisons(&self) -> Vec<Comparison> {
        let mut all: Vec<Comparison> = self
            .verdicts
            .iter()
            .map(|(&(first, second), &outcome)| Comparison { first, second, outcome, weight: 1.0 })
            .collect();
        all.sort_by_key(|one| (one.first, one.second));
        all
    }
}

fn key(pair: Pair) -> ((usize, usize), bool) {
    let swapped = pair.first > pair.second;
    if swapped { ((pair.second, pair.first), true) } else { ((pair.first, pair.second), false) }
}

/// What the pairwise sorts share: verdicts, counts and the open questions.
#[derive(Clone, Debug, Default)]
pub(super) struct Comparisons {
    pub verdicts: VerdictCache,
    pub counts: PairCounts,
    pub open: Vec<Pair>,
}

impl Comparisons {
    /// Whether the first item beats the second; `None` when that must be asked first, and then it is open.
    pub fn beats(&mut self, first: usize, second: usize) -> Option<bool> {
        let pair = Pair { first, second };
        match self.verdicts.get(pair) {
            Some(outcome) => {
                self.counts.comparisons += 1;
                Some(outcome == Outcome::First)
            }
            None => {
                self.open.push(pair);
                None
            }
        }
    }

    /// Takes the answers to the open questions.
    pub fn take(&mut self, answers: Vec<Outcome>) -> Result<(), crate::ask_tell::TellError> {
        crate::ask_tell::TellError::check_count(self.open.len(), answers.len())?;
        self.counts.asked += answers.len();
        self.counts.ties += answers.iter().filter(|outcome| **outcome == Outcome::Tie).count();
        for (pair, outcome) in self.open.drain(..).zip(answers) {
            self.verdicts.insert(pair, outcome);
        }
        Ok(())
    }
}
