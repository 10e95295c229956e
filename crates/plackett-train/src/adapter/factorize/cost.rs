//! What a dense transformer, a low-rank one and a Linformer cost, from their sizes alone.

/// Costs of one kind of transformer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// Operations of a pass over one sequence, a multiplication with its addition counted as two.
    pub operations: f64,
    /// Parameters of the layers' matrices.
    pub parameters: f64,
    /// Numbers of one head's attention weights in all layers, which training keeps.
    pub attention: f64,
}

/// What to take for which sequence length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Advice {
    /// Nothing changed.
    pub dense: Costs,
    /// Six matrices a layer, each of rank r.
    pub low_rank: Costs,
    /// Keys and values mixed down to k positions.
    pub linformer: Costs,
    /// From this sequence length on Linformer has fewer operations than the low-rank transformer.
    pub crossing: f64,
    /// Whether every layer is below its limit, so that low rank saves parameters everywhere: r < d/2.
    pub is_below_limits: bool,
}

/// Costs for width `d`, a feed-forward network of 4d, `layers`, sequences of `n` tokens, rank `r` and Linformer's length `k`.
/// Per token and layer: dense 24d² + 4nd, low rank 36rd + 4nd, Linformer 24d² + 8kd. So low rank saves for r < 2d/3, Linformer
/// for n > 2k, and Linformer has the fewest operations from n = 6d + 2k − 9r on.
pub fn advise(d: usize, layers: usize, n: usize, r: usize, k: usize) -> Advice {
    let [d, layers, n, r, k] = [d, layers, n, r, k].map(|size| size as f64);
    let matrices = 12.0 * d * d * layers;
    let operations = |per_token: f64| per_token * n * layers;
    Advice {
        dense: Costs {
            operations: operations(24.0 * d * d + 4.0 * n * d),
            parameters: matrices,
            attention: layers * n * n,
        },
        low_rank: Costs {
            operations: operations(36.0 * r * d + 4.0 * n * d),
            // Four of r · 2d, two of r · 5d.
            parameters: 18.0 * r * d * layers,
            attention: layers * n * n,
        },
        linformer: Costs {
            operations: operations(24.0 * d * d + 8.0 * k * d),
            // Two matrices that mix positions, shared by the heads of a layer.
            parameters: matrices + 2.0 * k * n * layers,
            attention: layers * n * k,
        },
        crossing: 6.0 * d + 2.0 * k - 9.0 * r,
        is_below_limits: r < d / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_are_where_the_formulas_put_them() {
        let at = |n: usize| advise(768, 12, n, 192, 256);
        assert_eq!(at(1).crossing, 3392.0);
        assert!(at(3391).low_rank.operations < at(3391).linformer.operations);
        assert!(at(3393).low_rank.operations > at(3393).linformer.operations);
        assert_eq!(at(512).linformer.operations, at(512).dense.operations);
        assert!(at(513).linformer.operations < at(513).dense.operations);
        assert_eq!(advise(768, 12, 100, 512, 256).low_rank.operations, at(100).dense.operations);
        assert!(at(100).is_below_limits && !advise(768, 12, 100, 384, 256).is_below_limits);
        // 56 % of the parameters of four layers of 128 at rank 48.
        let small = advise(128, 4, 64, 48, 16);
        assert_eq!(small.low_rank.parameters / small.dense.parameters, 0.5625);
    }
}
