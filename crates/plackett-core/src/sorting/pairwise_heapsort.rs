//! PRP-Sorting: heapsort with a pairwise comparator.

use super::heap::Heap;
use super::verdict::Comparisons;
use super::{Outcome, Pair, PairCounts, VerdictCache};
use crate::ask_tell::{AskTell, TellError};
use crate::permutation::Permutation;

/// The best k by binary heapsort (PRP, §3.2 "sorting-based"): O(N + k log N) comparisons, one after the other while
/// items are extracted, a level of the heap at a time while it is built. A tie exchanges nothing.
#[derive(Clone, Debug)]
pub struct PairwiseHeapsort {
    heap: Heap,
    sifts: Vec<Sift>,
    comparisons: Comparisons,
}

/// An item on its way down: the best of the family so far, and the child that is compared next.
#[derive(Clone, Copy, Debug)]
struct Sift {
    node: usize,
    best: usize,
    child: usize,
}

impl PairwiseHeapsort {
    /// Sorts out the best `top` of `0..items`.
    pub fn new(items: usize, top: usize) -> PairwiseHeapsort {
        let mut sort = PairwiseHeapsort {
            heap: Heap::new(items, 2, top),
            sifts: Vec::new(),
            comparisons: Comparisons::default(),
        };
        sort.advance();
        sort
    }

    fn advance(&mut self) {
        loop {
            let (heap, comparisons) = (&mut self.heap, &mut self.comparisons);
            self.sifts.retain_mut(|sift| !sift.advance(heap, comparisons));
            if !self.sifts.is_empty() {
                return;
            }
            let next = self.heap.next_sifts();
            if next.is_empty() {
                return;
            }
            let start = |node| Sift { node, best: node, child: self.heap.children(node).start };
            self.sifts = next.into_iter().map(start).collect();
        }
    }

    /// The best k in order, then the others in the initial order; meaningful once finished.
    pub fn order(&self) -> Permutation {
        self.heap.order()
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

impl Sift {
    /// Goes down as far as verdicts are known; whether the item has come to rest.
    fn advance(&mut self, heap: &mut Heap, comparisons: &mut Comparisons) -> bool {
        loop {
            while self.child < heap.children(self.node).end {
                match comparisons.beats(heap.item(self.child), heap.item(self.best)) {
                    None => return false,
                    Some(true) => self.best = self.child,
                    Some(false) => {}
                }
                self.child += 1;
            }
            if self.best == self.node {
                return true;
            }
            heap.swap(self.node, self.best);
            *self = Sift { node: self.best, best: self.best, child: heap.children(self.best).start };
        }
    }
}

impl AskTell for PairwiseHeapsort {
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
