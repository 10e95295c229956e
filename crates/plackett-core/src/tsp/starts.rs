//! Paths and tours to start from.

use super::SuccessorScores;
use super::matrix::Weights;
use crate::permutation::Permutation;

/// The best of n greedy chains, one from each start, that always go on to the best successor left. O(n³).
pub fn greedy_chain(scores: &SuccessorScores) -> Permutation {
    let n = scores.len();
    let mut best: Option<(f64, Vec<usize>)> = None;
    for start in 0..n {
        let mut left: Vec<usize> = (0..n).filter(|&item| item != start).collect();
        let (mut chain, mut value, mut last) = (vec![start], 0.0, start);
        while !left.is_empty() {
            let mut place = 0;
            for other in 1..left.len() {
                if scores.get(last, left[other]) > scores.get(last, left[place]) {
                    place = other;
                }
            }
            value += scores.get(last, left[place]);
            last = left.remove(place);
            chain.push(last);
        }
        if best.as_ref().is_none_or(|(most, _)| value > *most) {
            best = Some((value, chain));
        }
    }
    Permutation::from_unique(best.map(|(_, chain)| chain).unwrap_or_default())
}

/// Items by descending sum of their row: how well anything comes after them. The decoder for scores of precedence.
pub fn borda_order(scores: &SuccessorScores) -> Permutation {
    let n = scores.len();
    let sum = |i: usize| (0..n).filter(|&j| i != j).map(|j| scores.get(i, j)).sum();
    Permutation::by_descending(&(0..n).map(sum).collect::<Vec<f64>>())
}

/// A path as a tour through the node that closes it.
pub(super) fn closed(path: &[usize]) -> Vec<usize> {
    path.iter().copied().chain([path.len()]).collect()
}

/// The cycles of an assignment joined into one tour, always by the exchange of two arcs that loses least (Karp
/// 1979).
pub(super) fn patched(weights: &Weights, successor: &[usize]) -> Vec<usize> {
    let mut successor = successor.to_vec();
    let nodes = successor.len();
    loop {
        let cycle = cycles(&successor);
        let mut best: Option<(f64, usize, usize)> = None;
        for a in 0..nodes {
            for b in (0..a).filter(|&b| cycle[a] != cycle[b]) {
                let (after_a, after_b) = (successor[a], successor[b]);
                let gain = weights.get(a, after_b) + weights.get(b, after_a)
                    - weights.get(a, after_a)
                    - weights.get(b, after_b);
                if best.is_none_or(|(most, _, _)| gain > most) {
                    best = Some((gain, a, b));
                }
            }
        }
        match best {
            Some((_, a, b)) => successor.swap(a, b),
            None => break,
        }
    }
    let mut tour = vec![0];
    let mut node = successor[0];
    while node != 0 {
        tour.push(node);
        node = successor[node];
    }
    tour
}

/// For each node the number of its cycle.
fn cycles(successor: &[usize]) -> Vec<usize> {
    let mut cycle = vec![usize::MAX; successor.len()];
    for start in 0..successor.len() {
        let mut node = start;
        while cycle[node] == usize::MAX {
            cycle[node] = start;
            node = successor[node];
        }
    }
    cycle
}
