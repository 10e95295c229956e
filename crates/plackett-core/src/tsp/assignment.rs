//! The assignment problem: each node gets a successor and a predecessor, in cycles of any length. Its value bounds
//! every tour.

use super::matrix::Weights;

/// A best assignment and its prices.
#[derive(Clone, Debug)]
pub(super) struct Assignment {
    /// Successor of each node, never itself.
    pub successor: Vec<usize>,
    /// Sum of the weights.
    pub value: f64,
    /// Price of leaving each node: with the prices of entering, no arc is worth more than the two, and chosen ones
    /// are worth just that.
    pub leaving: Vec<f64>,
}

/// Shortest augmenting paths (Hungarian method, in the form of Jonker and Volgenant 1987); O(n³). Needs two nodes
/// or more.
pub(super) fn solve(weights: &Weights) -> Assignment {
    let n = weights.nodes;
    let cost =
        |row: usize, column: usize| if row == column { f64::INFINITY } else { -weights.get(row, column) };
    let (mut row_price, mut column_price) = (vec![0.0; n], vec![0.0; n]);
    let mut row_of: Vec<Option<usize>> = vec![None; n];
    for start in 0..n {
        // A shortest path from the free row `start` to a free column, in reduced costs.
        let mut distance: Vec<f64> = vec![f64::INFINITY; n];
        let mut came_from: Vec<Option<usize>> = vec![None; n];
        let mut done = vec![false; n];
        let mut scanned = Vec::new();
        let (mut row, mut column) = (start, None);
        let mut reached = 0.0;
        let free = loop {
            let mut nearest: Option<usize> = None;
            for next in 0..n {
                if done[next] {
                    continue;
                }
                let through = reached + cost(row, next) - row_price[row] - column_price[next];
                if through < distance[next] {
                    distance[next] = through;
                    came_from[next] = column;
                }
                if nearest.is_none_or(|nearest| distance[next] < distance[nearest]) {
                    nearest = Some(next);
                }
            }
            let Some(next) = nearest else { break None };
            done[next] = true;
            reached = distance[next];
            match row_of[next] {
                None => break Some(next),
                Some(taken) => {
                    scanned.push(next);
                    column = Some(next);
                    row = taken;
                }
            }
        };
        let Some(mut free) = free else { break };
        row_price[start] += reached;
        for &next in &scanned {
            if let Some(taken) = row_of[next] {
                row_price[taken] += reached - distance[next];
            }
            column_price[next] -= reached - distance[next];
        }
        // Turn the path round.
        while let Some(before) = came_from[free] {
            row_of[free] = row_of[before];
            free = before;
        }
        row_of[free] = Some(start);
    }
    let mut successor = vec![0; n];
    for (column, row) in row_of.iter().enumerate() {
        if let Some(row) = row {
            successor[*row] = column;
        }
    }
    let value = (0..n).map(|row| weights.get(row, successor[row])).sum();
    Assignment { successor, value, leaving: row_price.into_iter().map(|price| -price).collect() }
}
