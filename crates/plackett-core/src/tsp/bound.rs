//! A tighter upper bound than the assignment's.

use super::arborescence;
use super::assignment::Assignment;
use super::matrix::Weights;

/// The bound of Held and Karp for directed tours: each node is entered once and all hang together (an arborescence
/// from the node that closes the path, and one arc into that node), and that each is *left* once is bought by
/// prices, which the subgradient method adjusts. It starts from the prices of the assignment, where it is at least
/// as tight as the assignment.
pub(super) fn tighten(
    weights: &Weights,
    assignment: &Assignment,
    incumbent: f64,
    steps: usize,
    tolerance: f64,
) -> f64 {
    let nodes = weights.nodes;
    let root = nodes - 1;
    let mut prices = assignment.leaving.clone();
    let mut reduced = vec![0.0; nodes * nodes];
    let (mut best, mut scale, mut since) = (f64::INFINITY, 1.0, 0);
    for _ in 0..steps {
        for from in 0..nodes {
            let row = &mut reduced[from * nodes..(from + 1) * nodes];
            row.iter_mut().zip(weights.row(from)).for_each(|(to, weight)| *to = weight - prices[from]);
        }
        let mut predecessor = arborescence::greatest(nodes, root, &reduced);
        // The arc into the root.
        let into = |from: &usize| reduced[from * nodes + root];
        let last = (0..root).max_by(|a, b| into(a).total_cmp(&into(b))).unwrap_or(root);
        predecessor[root] = last;
        let mut left = vec![0.0; nodes];
        let mut value: f64 = prices.iter().sum();
        for (to, &from) in predecessor.iter().enumerate() {
            left[from] += 1.0;
            value += reduced[from * nodes + to];
        }
        if value < best - tolerance {
            (best, since) = (value, 0);
        } else {
            since += 1;
        }
        let excess: f64 = left.iter().map(|times: &f64| (times - 1.0).powi(2)).sum();
        if excess == 0.0 || best - incumbent <= tolerance {
            // A tour of just this value, or a bound that cannot get lower.
            break;
        }
        if since > 6 {
            (scale, since) = (scale / 2.0, 0);
        }
        let step = scale * (value - incumbent).max(tolerance) / excess;
        prices.iter_mut().zip(&left).for_each(|(price, times)| *price += step * (times - 1.0));
    }
    best
}
