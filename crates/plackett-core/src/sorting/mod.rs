//! Sorting with a noisy comparator that is asked in batches.
//!
//! The comparator is a model: it may contradict itself, prefer neither item, and is dear. Every sort here ends with
//! a permutation whatever the answers are, asks each question once (verdicts are remembered), and offers all
//! questions that do not depend on each other at the same time ([`crate::ask_tell`]). Two sorts, or two passes of
//! one, that may go on independently do so, and the result is the same as one after the other.
//!
//! - pairwise (PRP, Qin et al. 2023): [`AllPairs`], [`PairwiseHeapsort`], [`SlidingPasses`];
//! - setwise (Zhuang et al. 2023, Rank-R1): [`SetwiseHeapsort`], [`SetwiseBubblesort`].
//!
//! Items are numbered `0..n` in the initial order. Where only the best k are sorted, the others follow them in the
//! initial order (PRP, "final list").

mod all_pairs;
mod heap;
mod pairwise_heapsort;
mod setwise_bubblesort;
mod setwise_heapsort;
mod sliding_passes;
mod verdict;
mod vote;

pub use crate::bradley_terry::Outcome;
pub use all_pairs::AllPairs;
pub use pairwise_heapsort::PairwiseHeapsort;
pub use setwise_bubblesort::SetwiseBubblesort;
pub use setwise_heapsort::SetwiseHeapsort;
pub use sliding_passes::SlidingPasses;
pub use verdict::{PairCounts, Preferred, VerdictCache, outcome_of_both_orders};
pub use vote::majority_vote;

use crate::permutation::Permutation;

/// A question to a pairwise comparator: which of two items is better?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    /// One item.
    pub first: usize,
    /// The other.
    pub second: usize,
}

/// A question to a setwise comparator: which of these items is the best? The answer is `Some(place in items)`;
/// `None`, or a place beyond the set, is an unusable answer, and the item at place 0 stays where it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Set {
    /// The items; the one at place 0 holds the place that the others want.
    pub items: Vec<usize>,
}

/// What a setwise sort has cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetCounts {
    /// Sets put to the comparator.
    pub asked: usize,
    /// Answers among them that named no item of the set.
    pub unusable: usize,
}

/// Comparisons of all pairs: N(N−1)/2.
pub fn all_pairs_comparisons(items: usize) -> usize {
    items * items.saturating_sub(1) / 2
}

/// Comparisons of `passes` full bubble passes over `items`: Σ (N−1−i) for i < min(K, N−1).
pub fn sliding_comparisons(items: usize, passes: usize) -> usize {
    (0..passes.min(items.saturating_sub(1))).map(|pass| items - 1 - pass).sum()
}

/// Most comparisons of a setwise bubblesort: Σ ⌈(N−1−i)/c⌉ for i < min(k, N−1).
pub fn setwise_bubblesort_comparisons(items: usize, top: usize, children: usize) -> usize {
    let children = children.max(1);
    (0..top.min(items.saturating_sub(1))).map(|place| (items - 1 - place).div_ceil(children)).sum()
}

/// The chosen items first, in their order; then all others of `0..len` in the initial order. Items that stand twice
/// or are out of range are left out.
pub fn top_then_initial(top: &[usize], len: usize) -> Permutation {
    let mut taken = vec![false; len];
    let mut items = Vec::with_capacity(len);
    for &item in top {
        if taken.get(item) == Some(&false) {
            taken[item] = true;
            items.push(item);
        }
    }
    items.extend((0..len).filter(|&item| !taken[item]));
    Permutation::from_unique(items)
}

#[cfg(test)]
mod tests;
