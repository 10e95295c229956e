//! The heap that both heapsorts share: a c-ary max-heap in an array, its construction level by level, and
//! extraction.

use super::top_then_initial;
use crate::permutation::Permutation;
use std::ops::Range;

/// A heap under construction or extraction. Nodes of one level head disjoint subtrees, so that their sifts are
/// independent and may run at the same time; the result is that of the usual loop from the last parent down to the
/// root.
#[derive(Clone, Debug)]
pub(super) struct Heap {
    nodes: Vec<usize>,
    arity: usize,
    /// Nodes `..live` are the heap; behind them stand the extracted ones.
    live: usize,
    /// First node of the level that is sifted next while the heap is built.
    level: Option<usize>,
    /// Whether a first sift from the root has been handed out, after which extraction begins.
    top: usize,
    extracted: Vec<usize>,
}

impl Heap {
    /// Items `0..len`, `arity` children a node (at least 1), the best `top` of which are wanted.
    pub fn new(len: usize, arity: usize, top: usize) -> Heap {
        let arity = arity.max(1);
        let mut level = None;
        let mut first = 0usize;
        // Level starts are 0, 1, 1 + c, 1 + c + c², …; the deepest one whose first node has a child is built first.
        while first.saturating_mul(arity).saturating_add(1) < len {
            level = Some(first);
            first = first.saturating_mul(arity).saturating_add(1);
        }
        let top = top.min(len);
        Heap { nodes: (0..len).collect(), arity, live: len, level, top, extracted: Vec::with_capacity(top) }
    }

    /// Live children of a node.
    pub fn children(&self, node: usize) -> Range<usize> {
        let first = node.saturating_mul(self.arity).saturating_add(1);
        first.min(self.live)..first.saturating_add(self.arity).min(self.live)
    }

    /// The item at a node.
    pub fn item(&self, node: usize) -> usize {
        self.nodes[node]
    }

    /// Exchanges two nodes.
    pub fn swap(&mut self, a: usize, b: usize) {
        self.nodes.swap(a, b);
    }

    /// Where to sift down next, all at once; empty when the wanted items are out.
    pub fn next_sifts(&mut self) -> Vec<usize> {
        if let Some(first) = self.level {
            let after = first.saturating_mul(self.arity).saturating_add(1);
            self.level = first.checked_sub(1).map(|last_above| last_above / self.arity);
            if self.top == 0 {
                return Vec::new();
            }
            return (first..after.min(self.live)).filter(|&node| !self.children(node).is_empty()).collect();
        }
        while self.extracted.len() < self.top {
            self.extracted.push(self.nodes[0]);
            self.live -= 1;
            self.nodes.swap(0, self.live);
            if self.extracted.len() < self.top && !self.children(0).is_empty() {
                return vec![0];
            }
        }
        Vec::new()
    }

    /// The extracted items, best first, then the others in the initial order.
    pub fn order(&self) -> Permutation {
        top_then_initial(&self.extracted, self.nodes.len())
    }
}
