//! Orders by counting, by greed, and by chance.

use super::Preferences;
use crate::permutation::Permutation;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Points of each item: the weight with which it is preferred to others (Borda 1781, on a matrix of preferences).
/// For whole rankings that is the sum of n − rank.
pub fn borda(preferences: &Preferences) -> Vec<f64> {
    let n = preferences.len();
    (0..n).map(|i| (0..n).map(|j| preferences.weight(i, j)).sum()).collect()
}

/// Points of each item: 1 for every other that it beats by majority, ½ for every draw (Copeland 1951).
pub fn copeland(preferences: &Preferences) -> Vec<f64> {
    let n = preferences.len();
    let point = |i: usize, j: usize| match preferences.margin(i, j) {
        margin if i == j || margin < 0.0 => 0.0,
        0.0 => 0.5,
        _ => 1.0,
    };
    (0..n).map(|i| (0..n).map(|j| point(i, j)).sum()).collect()
}

/// Takes again and again the item with the most preference over those left (Cohen, Schapire and Singer 1999,
/// "Learning to order things": at least half of the best possible agreement). Equal ones in the initial order;
/// O(n²).
pub fn greedy(preferences: &Preferences) -> Permutation {
    let n = preferences.len();
    let mut potential: Vec<f64> = (0..n).map(|i| (0..n).map(|j| preferences.margin(i, j)).sum()).collect();
    let mut left: Vec<usize> = (0..n).collect();
    let mut items = Vec::with_capacity(n);
    while !left.is_empty() {
        let mut best = 0;
        for place in 1..left.len() {
            if potential[left[place]] > potential[left[best]] {
                best = place;
            }
        }
        let item = left.remove(best);
        left.iter().for_each(|&other| potential[other] += preferences.margin(item, other));
        items.push(item);
    }
    Permutation::from_unique(items)
}

/// Quicksort by majority around random pivots (Ailon, Charikar and Newman 2008: 3-approximation in expectation for
/// tournaments). A draw keeps the initial order.
pub fn kwiksort(preferences: &Preferences, seed: u64) -> Permutation {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut items = Vec::with_capacity(preferences.len());
    // A stack of its own: an unlucky order of pivots is as deep as the list is long.
    let mut stack: Vec<Vec<usize>> = vec![(0..preferences.len()).collect()];
    while let Some(part) = stack.pop() {
        if part.len() < 2 {
            items.extend(part);
            continue;
        }
        let pivot = part[random.random_range(0..part.len())];
        let before = |&item: &usize| match preferences.margin(item, pivot) {
            0.0 => item < pivot,
            margin => margin > 0.0,
        };
        let (first, last) = part.into_iter().filter(|&item| item != pivot).partition(before);
        stack.extend([last, vec![pivot], first]);
    }
    Permutation::from_unique(items)
}
