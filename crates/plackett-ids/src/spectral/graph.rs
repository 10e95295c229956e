//! A graph with weights, as rows of what is not zero.

use nalgebra::DMatrix;
use rayon::prelude::*;
use std::collections::HashMap;

/// A symmetric matrix without a diagonal, row by row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SparseGraph {
    starts: Vec<usize>,
    columns: Vec<u32>,
    weights: Vec<f64>,
}

impl SparseGraph {
    /// From edges, each told once; weights of an edge that stands twice are added, and edges of a node with itself are left out.
    ///
    /// # Panics
    /// A node of an edge is not below `nodes`: a mistake of the caller.
    pub(crate) fn of_edges(
        nodes: usize,
        edges: impl IntoIterator<Item = (usize, usize, f64)>,
    ) -> SparseGraph {
        let mut entries: Vec<(u32, u32, f64)> = Vec::new();
        for (a, b, weight) in edges {
            assert!(a < nodes && b < nodes, "an edge from {a} to {b} in a graph of {nodes} nodes");
            if a != b {
                entries.extend([(a as u32, b as u32, weight), (b as u32, a as u32, weight)]);
            }
        }
        entries.sort_by_key(|(row, column, _)| (*row, *column));
        entries.dedup_by(|next, kept| {
            let is_same = (next.0, next.1) == (kept.0, kept.1);
            kept.2 += if is_same { next.2 } else { 0.0 };
            is_same
        });
        let mut starts = vec![0; nodes + 1];
        entries.iter().for_each(|(row, _, _)| starts[*row as usize + 1] += 1);
        (0..nodes).for_each(|row| starts[row + 1] += starts[row]);
        let (columns, weights) = entries.into_iter().map(|(_, column, weight)| (column, weight)).unzip();
        SparseGraph { starts, columns, weights }
    }

    /// How many sequences have both of two items, for all pairs (How to Index Item IDs, 2023, collaborative indexing). An item that a sequence has
    /// twice counts once.
    ///
    /// # Panics
    /// An item of a sequence is not below `items`: a mistake of the caller (sources of schemes are checked).
    pub fn of_co_occurrence(items: usize, sequences: &[Vec<usize>]) -> SparseGraph {
        let mut counts: HashMap<(u32, u32), u32> = HashMap::new();
        for sequence in sequences {
            let mut distinct = sequence.clone();
            distinct.sort_unstable();
            distinct.dedup();
            for (at, a) in distinct.iter().enumerate() {
                for b in &distinct[at + 1..] {
                    *counts.entry((*a as u32, *b as u32)).or_default() += 1;
                }
            }
        }
        let edge = |((a, b), count): ((u32, u32), u32)| (a as usize, b as usize, f64::from(count));
        SparseGraph::of_edges(items, counts.into_iter().map(edge))
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The neighbours of a node with their weights, in the order of nodes.
    pub fn neighbours(&self, node: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let range = self.starts[node]..self.starts[node + 1];
        self.columns[range.clone()]
            .iter()
            .map(|column| *column as usize)
            .zip(self.weights[range].iter().copied())
    }

    /// The sum of the weights of a node.
    pub fn degree(&self, node: usize) -> f64 {
        self.neighbours(node).map(|(_, weight)| weight).sum()
    }

    /// The graph of some nodes, which are numbered in the order in which they are given.
    pub fn part(&self, nodes: &[usize]) -> SparseGraph {
        let mut numbers = vec![u32::MAX; self.len()];
        nodes.iter().enumerate().for_each(|(number, node)| numbers[*node] = number as u32);
        let mut part = SparseGraph { starts: vec![0], ..SparseGraph::default() };
        for node in nodes {
            let mut row: Vec<(u32, f64)> = self
                .neighbours(*node)
                .map(|(neighbour, weight)| (numbers[neighbour], weight))
                .filter(|(number, _)| *number != u32::MAX)
                .collect();
            row.sort_by_key(|(number, _)| *number);
            part.columns.extend(row.iter().map(|(number, _)| *number));
            part.weights.extend(row.iter().map(|(_, weight)| *weight));
            part.starts.push(part.columns.len());
        }
        part
    }

    /// Each weight times the scales of both of its nodes.
    pub fn scaled(&self, scales: &[f64]) -> SparseGraph {
        let mut scaled = self.clone();
        for node in 0..self.len() {
            for at in self.starts[node]..self.starts[node + 1] {
                scaled.weights[at] *= scales[node] * scales[self.columns[at] as usize];
            }
        }
        scaled
    }

    /// The matrix times the columns of another one, `[nodes, columns]`. Each row is one sum in the order of nodes.
    pub fn times(&self, right: &DMatrix<f64>) -> DMatrix<f64> {
        let rows: Vec<Vec<f64>> = (0..self.len())
            .into_par_iter()
            .map(|node| {
                let mut sums = vec![0.0; right.ncols()];
                for (neighbour, weight) in self.neighbours(node) {
                    sums.iter_mut().enumerate().for_each(|(at, sum)| *sum += weight * right[(neighbour, at)]);
                }
                sums
            })
            .collect();
        DMatrix::from_fn(self.len(), right.ncols(), |row, column| rows[row][column])
    }

    /// The same as a full matrix, for graphs of a few nodes.
    pub fn to_dense(&self) -> DMatrix<f64> {
        let mut dense = DMatrix::zeros(self.len(), self.len());
        for node in 0..self.len() {
            self.neighbours(node).for_each(|(neighbour, weight)| dense[(node, neighbour)] = weight);
        }
        dense
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn co_occurrence_counts_sequences() {
        let graph = SparseGraph::of_co_occurrence(4, &[vec![0, 1, 1], vec![1, 0, 2], vec![3]]);
        assert_eq!(graph.neighbours(0).collect::<Vec<_>>(), [(1, 2.0), (2, 1.0)]);
        assert_eq!((graph.degree(1), graph.degree(3)), (3.0, 0.0));
        let part = graph.part(&[2, 0]);
        assert_eq!(part.neighbours(0).collect::<Vec<_>>(), [(1, 1.0)]);
        let right = DMatrix::from_fn(4, 2, |row, column| (row + column) as f64);
        assert_eq!(graph.times(&right), graph.to_dense() * right);
    }
}
