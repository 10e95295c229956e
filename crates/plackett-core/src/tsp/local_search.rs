//! Improving a tour by exchanging and reversing segments.

use super::matrix::Weights;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::VecDeque;

/// A closed tour; the last node of the matrix is the one that closes the path.
#[derive(Clone, Debug)]
pub(super) struct Tour<'a> {
    weights: &'a Weights,
    nodes: Vec<usize>,
    value: f64,
    least_gain: f64,
}

/// A better order of what follows a node `a` and precedes it again: places count from the node after `a`.
enum Move {
    /// The segments `0..first` and `first..second` exchanged: no segment is turned, so directed arcs stay.
    Exchange { first: usize, second: usize },
    /// `0..first` turned round.
    Reverse { first: usize },
}

impl<'a> Tour<'a> {
    pub fn new(weights: &'a Weights, nodes: Vec<usize>) -> Tour<'a> {
        let count = weights.nodes;
        let largest = (0..count).flat_map(|from| weights.row(from)).fold(0.0f64, |most, w| most.max(w.abs()));
        let mut tour = Tour { weights, nodes, value: 0.0, least_gain: 1e-12 * (1.0 + largest) };
        tour.value = tour.sum();
        tour
    }

    fn sum(&self) -> f64 {
        let next = self.nodes.iter().cycle().skip(1);
        self.nodes.iter().zip(next).map(|(&from, &to)| self.weights.get(from, to)).sum()
    }

    /// Sum of the weights.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// The path: what follows the closing node, up to it.
    pub fn path(&self) -> Vec<usize> {
        let closing = self.weights.nodes - 1;
        let at = self.nodes.iter().position(|&node| node == closing).unwrap_or(0);
        self.nodes[at + 1..].iter().chain(&self.nodes[..at]).copied().collect()
    }

    /// Improves until no move behind any node gains.
    pub fn improve_all(&mut self) {
        self.improve((0..self.weights.nodes).collect());
    }

    /// Improves at these nodes and at those whose arcs change.
    fn improve(&mut self, mut queue: VecDeque<usize>) {
        let count = self.nodes.len();
        let mut queued = vec![false; count];
        queue.iter().for_each(|&node| queued[node] = true);
        while let Some(node) = queue.pop_front() {
            queued[node] = false;
            // So that `node` is last, and what follows it starts at place 0.
            let at = self.nodes.iter().position(|&other| other == node).unwrap_or(0);
            self.nodes.rotate_left((at + 1) % count);
            let Some((gain, change)) = self.best_move() else { continue };
            let ends = match change {
                Move::Exchange { first, second } => {
                    let ends = [0, first - 1, first, second - 1, second];
                    let ends = ends.map(|place| self.nodes[place]);
                    self.nodes[..second].rotate_left(first);
                    ends
                }
                Move::Reverse { first } => {
                    let ends = [0, first - 1, first, first, first].map(|place| self.nodes[place]);
                    self.nodes[..first].reverse();
                    ends
                }
            };
            self.value += gain;
            for touched in ends.into_iter().chain([node]) {
                if !std::mem::replace(&mut queued[touched], true) {
                    queue.push_back(touched);
                }
            }
        }
        // What was added up from gains carries their rounding.
        self.value = self.sum();
    }

    /// The move behind the last node that gains most. An exchange of segments puts three new arcs in the place of
    /// three old ones; seen from one of the three, its own new arc is better than its old one, so that others need
    /// not be tried from here.
    fn best_move(&self) -> Option<(f64, Move)> {
        let (nodes, count) = (&self.nodes, self.nodes.len());
        let weight = |from: usize, to: usize| self.weights.get(nodes[from], nodes[to]);
        let a = count - 1;
        let row = self.weights.row(nodes[a]);
        let old = weight(a, 0);
        let mut best = (self.least_gain, None);
        let own: Vec<f64> = (0..a).map(|from| weight(from, from + 1)).collect();
        for first in (1..a).filter(|&first| row[nodes[first]] > old) {
            let opened = row[nodes[first]] - old - own[first - 1];
            let before = self.weights.row(nodes[first - 1]);
            for last in first..a {
                let gain = opened + before[nodes[last + 1]] - own[last] + weight(last, 0);
                if gain > best.0 {
                    best = (gain, Some(Move::Exchange { first, second: last + 1 }));
                }
            }
        }
        // Turning 0..first round: how much its inner arcs gain is added up on the way.
        let mut inner = 0.0;
        for first in 2..a {
            inner += weight(first - 1, first - 2) - own[first - 2];
            let gain = inner + row[nodes[first - 1]] - old + weight(0, first) - own[first - 1];
            if gain > best.0 {
                best = (gain, Some(Move::Reverse { first }));
            }
        }
        best.1.map(|change| (best.0, change))
    }

    /// Shakes the best tour so far and improves it again, `kicks` times or until its value reaches `enough`. A kick
    /// puts four neighbouring segments into the order A D C B, which no single exchange undoes.
    pub fn shake(&mut self, kicks: usize, seed: u64, enough: f64) {
        let count = self.nodes.len();
        if count < 8 {
            return;
        }
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let longest = (count / 4).clamp(2, 30);
        for _ in 0..kicks {
            if self.value >= enough {
                return;
            }
            let mut other = self.clone();
            other.nodes.rotate_left(random.random_range(0..count));
            let mut ends = [0; 3];
            let mut end = 0;
            for at in &mut ends {
                end += random.random_range(1..=longest.min((count - 2) / 3));
                *at = end;
            }
            let [b, c, d] = ends;
            // Segments behind the last node: 0..b, b..c, c..d become c..d, b..c, 0..b.
            let shaken = [&other.nodes[c..d], &other.nodes[b..c], &other.nodes[..b]].concat();
            let touched = [0, b - 1, b, c - 1, c, d - 1, d, count - 1].map(|place| other.nodes[place]);
            other.nodes[..d].copy_from_slice(&shaken);
            other.value = other.sum();
            other.improve(touched.into_iter().collect());
            if other.value > self.value {
                *self = other;
            }
        }
    }
}
