//! Setwise bubblesort: windows of c + 1 items from the tail to the front, the best of each exchanged with its
//! first.

use super::{Set, SetCounts, top_then_initial};
use crate::ask_tell::{AskTell, TellError};
use crate::permutation::Permutation;
use foldhash::fast::FixedState;
use std::collections::HashMap;

/// The best k by bubble passes over sets (Zhuang et al. 2023, §3; Rank-R1). Pass i starts with the last c + 1 items
/// and goes up c places at a time, so that windows share one item; its last window is cut at place i, which it
/// settles. A set that was asked before is not asked again: its winner is known, and for a comparator that looks
/// only at the set, nothing is lost.
#[derive(Clone, Debug)]
pub struct SetwiseBubblesort {
    items: Vec<usize>,
    children: usize,
    top: usize,
    pass: usize,
    /// First place of the window that is looked at next.
    start: usize,
    /// The place behind its last one.
    end: usize,
    /// Winner by ascending items of the set; `None` after an unusable answer.
    winners: HashMap<Vec<usize>, Option<usize>, FixedState>,
    open: Vec<Set>,
    counts: SetCounts,
}

impl SetwiseBubblesort {
    /// Sorts out the best `top` of `0..items` with sets of `children` + 1 items (`children` at least 1).
    pub fn new(items: usize, top: usize, children: usize) -> SetwiseBubblesort {
        let children = children.max(1);
        let mut sort = SetwiseBubblesort {
            items: (0..items).collect(),
            children,
            top: top.min(items.saturating_sub(1)),
            pass: 0,
            start: items.saturating_sub(children.saturating_add(1)),
            end: items,
            winners: HashMap::default(),
            open: Vec::new(),
            counts: SetCounts::default(),
        };
        sort.advance();
        sort
    }

    fn key(&self) -> Vec<usize> {
        let mut key = self.items[self.start..self.end].to_vec();
        key.sort_unstable();
        key
    }

    fn advance(&mut self) {
        while self.pass < self.top {
            self.start = self.start.max(self.pass);
            let Some(&winner) = self.winners.get(&self.key()) else {
                self.open.push(Set { items: self.items[self.start..self.end].to_vec() });
                return;
            };
            let window = self.items[self.start..self.end].iter();
            if let Some(place) = winner.and_then(|winner| window.clone().position(|&item| item == winner)) {
                self.items.swap(self.start, self.start + place);
            }
            if self.start == self.pass {
                self.pass += 1;
                self.end = self.items.len();
            } else {
                self.end = self.start + 1;
            }
            self.start = self.end.saturating_sub(self.children.saturating_add(1));
        }
    }

    /// The best k in order, then the others in the initial order; meaningful once finished.
    pub fn order(&self) -> Permutation {
        let settled = if self.top + 1 == self.items.len() { self.top + 1 } else { self.top };
        top_then_initial(&self.items[..settled.min(self.items.len())], self.items.len())
    }

    /// What it has cost.
    pub fn counts(&self) -> SetCounts {
        self.counts
    }
}

impl AskTell for SetwiseBubblesort {
    type Question = Set;
    type Answer = Option<usize>;

    fn ask(&self) -> &[Set] {
        &self.open
    }

    fn tell(&mut self, answers: Vec<Option<usize>>) -> Result<(), TellError> {
        TellError::check_count(self.open.len(), answers.len())?;
        for (set, answer) in std::mem::take(&mut self.open).into_iter().zip(answers) {
            let winner = answer.and_then(|place| set.items.get(place).copied());
            self.counts.asked += 1;
            self.counts.unusable += usize::from(winner.is_none());
            let key = self.key();
            self.winners.insert(key, winner);
        }
        self.advance();
        Ok(())
    }
}
