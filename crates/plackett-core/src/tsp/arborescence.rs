//! Spanning arborescences of greatest weight (Chu and Liu 1965, Edmonds 1967).

/// For each node but the root its predecessor in an arborescence of greatest weight; the root's entry is the root
/// itself. `weights` is a dense matrix, row = from. All cycles of a round are contracted together, so that rounds
/// at least halve what is contracted; about O(n²) on dense matrices, O(n³) at worst. For up to 65,535 nodes, whose
/// arcs have numbers of 32 bits.
pub(super) fn greatest(nodes: usize, root: usize, weights: &[f64]) -> Vec<usize> {
    let mut best = vec![root; nodes];
    let mut most = vec![f64::NEG_INFINITY; nodes];
    for from in 0..nodes {
        let row = &weights[from * nodes..(from + 1) * nodes];
        for (to, &weight) in row.iter().enumerate() {
            if weight > most[to] && from != to {
                (best[to], most[to]) = (from, weight);
            }
        }
    }
    best[root] = root;
    let (component, count) = contract(&best, root);
    if count == nodes {
        return best;
    }
    // The best arc between two components; entering a cycle costs the arc of the cycle that it replaces.
    let mut inner = vec![f64::NEG_INFINITY; count * count];
    let mut arc = vec![0u32; count * count];
    let mut size = vec![0usize; count];
    component.iter().for_each(|&part| size[part] += 1);
    let replaced = |to: usize| if size[component[to]] > 1 { weights[best[to] * nodes + to] } else { 0.0 };
    let replaced: Vec<f64> = (0..nodes).map(replaced).collect();
    for from in 0..nodes {
        let row = &weights[from * nodes..(from + 1) * nodes];
        for to in (0..nodes).filter(|&to| to != root && component[to] != component[from]) {
            let at = component[from] * count + component[to];
            let weight = row[to] - replaced[to];
            if weight > inner[at] {
                (inner[at], arc[at]) = (weight, (from * nodes + to) as u32);
            }
        }
    }
    let chosen = greatest(count, component[root], &inner);
    for (part, &from) in chosen.iter().enumerate().filter(|(part, _)| *part != component[root]) {
        let arc = arc[from * count + part] as usize;
        best[arc % nodes] = arc / nodes;
    }
    best
}

/// Numbers of the parts when every cycle of predecessors is made one node, and how many there are.
fn contract(predecessor: &[usize], root: usize) -> (Vec<usize>, usize) {
    const NEW: usize = usize::MAX;
    let nodes = predecessor.len();
    let mut visited_from = vec![NEW; nodes];
    let mut part = vec![NEW; nodes];
    let mut count = 0;
    for start in 0..nodes {
        let mut node = start;
        while visited_from[node] == NEW && node != root {
            visited_from[node] = start;
            node = predecessor[node];
        }
        // A cycle that this walk closed.
        if node != root && visited_from[node] == start && part[node] == NEW {
            let mut member = node;
            loop {
                part[member] = count;
                member = predecessor[member];
                if member == node {
                    break;
                }
            }
            count += 1;
        }
    }
    for part in part.iter_mut().filter(|part| **part == NEW) {
        *part = count;
        count += 1;
    }
    (part, count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(nodes: usize, root: usize, weights: &[f64], predecessor: &[usize]) -> f64 {
        (0..nodes).filter(|&to| to != root).map(|to| weights[predecessor[to] * nodes + to]).sum()
    }

    proptest! {
        #[test]
        fn no_arborescence_weighs_more(nodes in 1usize..6, root in 0usize..6, weights in prop::collection::vec(-20i32..20, 36)) {
            let root = root % nodes;
            let weights: Vec<f64> = weights[..nodes * nodes].iter().map(|&w| f64::from(w)).collect();
            let found = greatest(nodes, root, &weights);
            // Every node leads back to the root.
            for mut node in 0..nodes {
                for _ in 0..nodes {
                    node = found[node];
                }
                prop_assert_eq!(node, root);
            }
            let mut most = f64::NEG_INFINITY;
            for number in 0..nodes.pow(nodes as u32) {
                let choice: Vec<usize> = (0..nodes as u32).map(|at| number / nodes.pow(at) % nodes).collect();
                let spans = (0..nodes).all(|start| {
                    let walk = (0..nodes).fold(start, |node, _| if node == root { root } else { choice[node] });
                    walk == root
                });
                if spans && choice[root] == 0 {
                    most = most.max(value(nodes, root, &weights, &choice));
                }
            }
            prop_assert_eq!(value(nodes, root, &weights, &found), if nodes == 1 { 0.0 } else { most });
        }
    }
}
