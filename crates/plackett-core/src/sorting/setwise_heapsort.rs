//! Setwise heapsort: a heap of c children a node, whose families are settled by one question each.

use super::heap::Heap;
use super::{Set, SetCounts};
use crate::ask_tell::{AskTell, TellError};
use crate::permutation::Permutation;

/// The best k by heapsort with sets of up to c + 1 items (Zhuang et al. 2023, §3; Rank-R1, where c = 19). An
/// unusable answer leaves the parent in its place. While the heap is built, all nodes of a level are asked
/// together.
#[derive(Clone, Debug)]
pub struct SetwiseHeapsort {
    heap: Heap,
    /// Nodes being sifted, and the open question of each.
    sifts: Vec<usize>,
    open: Vec<Set>,
    counts: SetCounts,
}

impl SetwiseHeapsort {
    /// Sorts out the best `top` of `0..items` with `children` children a node (at least 1).
    pub fn new(items: usize, top: usize, children: usize) -> SetwiseHeapsort {
        let mut sort = SetwiseHeapsort {
            heap: Heap::new(items, children, top),
            sifts: Vec::new(),
            open: Vec::new(),
            counts: SetCounts::default(),
        };
        sort.advance();
        sort
    }

    fn advance(&mut self) {
        let heap = &self.heap;
        self.sifts.retain(|&node| !heap.children(node).is_empty());
        if self.sifts.is_empty() {
            self.sifts = self.heap.next_sifts();
        }
        let family = |&node: &usize| std::iter::once(node).chain(self.heap.children(node));
        let set = |node| Set { items: family(node).map(|node| self.heap.item(node)).collect() };
        self.open = self.sifts.iter().map(set).collect();
    }

    /// The best k in order, then the others in the initial order; meaningful once finished.
    pub fn order(&self) -> Permutation {
        self.heap.order()
    }

    /// What it has cost.
    pub fn counts(&self) -> SetCounts {
        self.counts
    }
}

impl AskTell for SetwiseHeapsort {
    type Question = Set;
    type Answer = Option<usize>;

    fn ask(&self) -> &[Set] {
        &self.open
    }

    fn tell(&mut self, answers: Vec<Option<usize>>) -> Result<(), TellError> {
        TellError::check_count(self.open.len(), answers.len())?;
        self.counts.asked += answers.len();
        let mut going_on = Vec::new();
        for ((&node, set), answer) in self.sifts.iter().zip(&self.open).zip(answers) {
            let winner = answer.filter(|&place| place < set.items.len());
            self.counts.unusable += usize::from(winner.is_none());
            if let Some(place) = winner.filter(|&place| place > 0) {
                let child = self.heap.children(node).start + place - 1;
                self.heap.swap(node, child);
                going_on.push(child);
            }
        }
        self.sifts = going_on;
        self.advance();
        Ok(())
    }
}
