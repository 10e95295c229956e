//! Spectral clustering of a graph that is given as a sparse matrix of weights: normalised Laplacian, block Lanczos, clusters by a pivoted
//! orthogonal factorisation. Nothing of the size of the square of the nodes is ever made.

mod assign;
mod graph;
mod lanczos;

pub use assign::cluster_qr;
pub use graph::SparseGraph;
pub use lanczos::{EigenPairs, largest_eigenvectors};

use crate::IdsError;
use nalgebra::DMatrix;

/// How far residuals of eigenvectors may be from zero. Clusters are read off the greatest entry of a row, so digits beyond these do not matter.
const TOLERANCE: f64 = 1e-5;

/// Clusters of the nodes of a graph.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpectralClusters {
    /// For each node its label, below the count; `None` for a node without an edge: a graph says nothing of it.
    pub labels: Vec<Option<usize>>,
    /// Whether the eigenvectors have settled; otherwise labels are those of the best approximation.
    pub is_settled: bool,
}

/// Clusters of the nodes, `count` at most.
///
/// The eigenvectors are those of the `count` least eigenvalues of I − D^−½ A D^−½, scaled by D^−½; labels come from [`cluster_qr`].
///
/// # Errors
/// As [`largest_eigenvectors`].
pub fn spectral_clusters(graph: &SparseGraph, count: usize, seed: u64) -> Result<SpectralClusters, IdsError> {
    let connected: Vec<usize> = (0..graph.len()).filter(|node| graph.degree(*node) > 0.0).collect();
    let mut labels = vec![None; graph.len()];
    let count = count.min(connected.len());
    if count < 2 {
        connected.iter().for_each(|node| labels[*node] = Some(0));
        return Ok(SpectralClusters { labels, is_settled: true });
    }
    let part = graph.part(&connected);
    let scale: Vec<f64> = (0..part.len()).map(|node| part.degree(node).sqrt().recip()).collect();
    let normalised = part.scaled(&scale);
    let pairs = largest_eigenvectors(&normalised, count, TOLERANCE, seed)?;
    let embedding =
        DMatrix::from_fn(part.len(), count, |node, column| pairs.vectors[(node, column)] * scale[node]);
    for (node, label) in connected.into_iter().zip(cluster_qr(&embedding)) {
        labels[node] = Some(label);
    }
    Ok(SpectralClusters { labels, is_settled: pairs.residual <= TOLERANCE })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// `blocks` groups whose members lie in turns, densely joined inside and, with `noise`, thinly between.
    fn planted(blocks: usize, size: usize, noise: f64, seed: u64) -> SparseGraph {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let nodes = blocks * size;
        let mut edges = Vec::new();
        for a in 0..nodes {
            for b in a + 1..nodes {
                let likely = if a % blocks == b % blocks { 0.6 } else { noise };
                if random.random::<f64>() < likely {
                    edges.push((a, b, 1.0 + (random.random::<f64>() * 3.0).floor()));
                }
            }
        }
        SparseGraph::of_edges(nodes, edges)
    }

    fn are_blocks(labels: &[Option<usize>], blocks: usize) -> bool {
        let firsts: Vec<_> = labels[..blocks].to_vec();
        let distinct: std::collections::HashSet<_> = firsts.iter().collect();
        distinct.len() == blocks && (0..labels.len()).all(|node| labels[node] == firsts[node % blocks])
    }

    #[test]
    fn blocks_of_a_block_diagonal_graph_are_recovered() {
        for (blocks, size) in [(2, 8), (4, 12), (5, 60)] {
            let graph = planted(blocks, size, 0.0, 3);
            let clusters = spectral_clusters(&graph, blocks, 0).unwrap();
            assert!(are_blocks(&clusters.labels, blocks), "{blocks} × {size}: {clusters:?}");
            assert!(clusters.is_settled);
            assert_eq!(clusters, spectral_clusters(&graph, blocks, 0).unwrap());
        }
    }

    #[test]
    fn planted_groups_are_found_in_noise() {
        assert!(are_blocks(&spectral_clusters(&planted(4, 80, 0.02, 5), 4, 0).unwrap().labels, 4));
    }

    #[test]
    fn nodes_without_an_edge_have_no_label() {
        let graph = SparseGraph::of_edges(5, [(0, 1, 2.0), (2, 3, 2.0)]);
        let labels = spectral_clusters(&graph, 2, 0).unwrap().labels;
        assert!(
            labels[4].is_none() && labels[0] == labels[1] && labels[2] == labels[3] && labels[0] != labels[2]
        );
        assert_eq!(spectral_clusters(&SparseGraph::of_edges(2, []), 2, 0).unwrap().labels, [None, None]);
    }
}
