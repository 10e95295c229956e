//! Dynamic programming over subsets.

use super::{SuccessorScores, TspPath};
use crate::permutation::Permutation;

/// Most items that [`super::solve`] orders exactly.
pub const EXACT: usize = 12;

/// The best path by dynamic programming (Held and Karp 1962), the lexicographically least of equal ones. O(2ⁿ n²)
/// time and O(2ⁿ n) memory: meant for up to [`EXACT`] items, and good for a few more.
pub fn held_karp(scores: &SuccessorScores) -> TspPath {
    let n = scores.len();
    let whole = (1usize << n) - 1;
    // rest[set · n + last]: the most that the items outside `set` can add to a path that has visited `set` and
    // ended at `last`.
    let mut rest = vec![0.0f64; (1 << n) * n];
    for set in (1..whole).rev() {
        for last in (0..n).filter(|last| set >> last & 1 == 1) {
            rest[set * n + last] = (0..n)
                .filter(|next| set >> next & 1 == 0)
                .map(|next| scores.get(last, next) + rest[(set | 1 << next) * n + next])
                .fold(f64::NEG_INFINITY, f64::max);
        }
    }
    let mut items: Vec<usize> = Vec::with_capacity(n);
    let mut set = 0usize;
    while set != whole {
        let value = |next: usize| {
            let arc = items.last().map_or(0.0, |&last: &usize| scores.get(last, next));
            arc + rest[(set | 1 << next) * n + next]
        };
        let free = (0..n).filter(|next| set >> next & 1 == 0);
        let most = free.clone().map(value).fold(f64::NEG_INFINITY, f64::max);
        let Some(next) = free.clone().find(|&next| value(next) == most) else { break };
        items.push(next);
        set |= 1 << next;
    }
    let value = scores.value(&items);
    TspPath { order: Permutation::from_unique(items), value, bound: value, optimal: true }
}
