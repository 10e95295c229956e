//! PRP-Sliding-K: bubble passes from the bottom up.

use super::verdict::Comparisons;
use super::{Outcome, Pair, PairCounts, VerdictCache, top_then_initial};
use crate::ask_tell::{AskTell, TellError};
use crate::permutation::Permutation;

/// K bubble passes from the last place to the front (PRP, §3.2 "sliding window"). Pass i settles place i; the lower
/// of two neighbours goes up only when it wins consistently.
///
/// A pass may follow two places behind the one before it and meets the same list as if it had waited, so that up to
/// K comparisons are open at a time.
#[derive(Clone, Debug)]
pub struct SlidingPasses {
    items: Vec<usize>,
    top: usize,
    skip: bool,
    passes: Vec<Pass>,
    comparisons: Comparisons,
}

/// One pass: it compares places `at − 1` and `at` next.
#[derive(Clone, Copy, Debug)]
struct Pass {
    at: usize,
    done: bool,
    waiting: bool,
    first_swap: Option<usize>,
}

impl SlidingPasses {
    /// `passes` passes over `0..items`. With `skip`, a pass starts one place below the first exchange of the pass
    /// before it: further down nothing has changed, so that with fixed verdicts the result is the same; a pass
    /// without an exchange ends the sort.
    pub fn new(items: usize, passes: usize, skip: bool) -> SlidingPasses {
        let mut sort = SlidingPasses {
            items: (0..items).collect(),
            top: passes.min(items.saturating_sub(1)),
            skip,
            passes: Vec::new(),
            comparisons: Comparisons::default(),
        };
        sort.advance();
        sort
    }

    /// Where pass number `passes.len()` starts, once that is known.
    fn next_start(&self) -> Option<usize> {
        let last = self.items.len() - 1;
        match self.passes.last() {
            Some(before) if self.skip => before.first_swap.map(|swap| last.min(swap + 1)),
            _ => Some(last),
        }
    }

    fn advance(&mut self) {
        self.passes.iter_mut().for_each(|pass| pass.waiting = false);
        loop {
            let mut moved = false;
            while self.passes.len() < self.top
                && let Some(at) = self.next_start()
            {
                self.passes.push(Pass { at, done: false, waiting: false, first_swap: None });
                moved = true;
            }
            for pass in 0..self.passes.len() {
                while self.step(pass) {
                    moved = true;
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// One comparison of a pass, if its verdict is known and the pass before it is out of the way.
    fn step(&mut self, number: usize) -> bool {
        let pass = self.passes[number];
        let free = |before: Pass| before.done || before.at + 2 <= pass.at;
        if pass.done || pass.waiting || (number > 0 && !free(self.passes[number - 1])) {
            return false;
        }
        let Some(wins) = self.comparisons.beats(self.items[pass.at], self.items[pass.at - 1]) else {
            self.passes[number].waiting = true;
            return false;
        };
        let pass = &mut self.passes[number];
        if wins {
            self.items.swap(pass.at, pass.at - 1);
            pass.first_swap.get_or_insert(pass.at);
        }
        pass.done = pass.at == number + 1;
        pass.at -= 1;
        true
    }

    /// The list as the passes left it up to place `top`, then the others in the initial order; meaningful once
    /// finished. Only the first K places are settled, but further ones have gained too.
    pub fn order(&self, top: usize) -> Permutation {
        top_then_initial(&self.items[..top.min(self.items.len())], self.items.len())
    }

    /// What it has cost.
    pub fn counts(&self) -> PairCounts {
        self.comparisons.counts
    }

    /// The verdicts so far.
    pub fn verdicts(&self) -> &VerdictCache {
        &self.comparisons.verdicts
    }
}

impl AskTell for SlidingPasses {
    type Question = Pair;
    type Answer = Outcome;

    fn ask(&self) -> &[Pair] {
        &self.comparisons.open
    }

    fn tell(&mut self, answers: Vec<Outcome>) -> Result<(), TellError> {
        self.comparisons.take(answers)?;
        self.advance();
        Ok(())
    }
}
