//! How vectors are compared. The order of additions is fixed, so equal inputs give equal bits in any batch.

use crate::model::TokenVectors;

/// Partial sums per dot product: enough to fill the vector units that compilers emit without being told more.
const LANES: usize = 16;

/// The dot product of two vectors. Numbers beyond the shorter one count as zero.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = if a.len() == b.len() {
        a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(x, y)| x * y).sum()
    } else {
        return a.iter().zip(b).map(|(x, y)| x * y).sum();
    };
    for (x, y) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// Σ over query tokens of the greatest dot product with a document token. A document without any token vector matches
/// nothing: each query token counts −1, the least that two unit vectors can agree.
pub(crate) fn max_sim(query: &TokenVectors, document: &TokenVectors) -> f64 {
    let (q, d) = (query.dimension.max(1), document.dimension.max(1));
    if query.values.is_empty() {
        return 0.0;
    }
    let mut best = vec![f32::NEG_INFINITY; query.values.len() / q];
    for token in document.values.chunks_exact(d) {
        for (best, wanted) in best.iter_mut().zip(query.values.chunks_exact(q)) {
            let similarity = dot(wanted, token);
            // A comparison with NaN is false, so a NaN is kept once it is there and reported as an error later.
            if similarity > *best || similarity.is_nan() {
                *best = similarity;
            }
        }
    }
    best.into_iter().map(|b| if b == f32::NEG_INFINITY { -1.0 } else { f64::from(b) }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TextLength;

    fn tokens(rows: &[[f32; 2]]) -> TokenVectors {
        TokenVectors { dimension: 2, values: rows.concat(), length: TextLength::default() }
    }

    #[test]
    fn dot_by_hand() {
        let a: Vec<f32> = (1..=19).map(|i| i as f32).collect();
        assert_eq!(dot(&a, &a), 2470.0);
        assert_eq!(dot(&[], &[]), 0.0);
    }

    #[test]
    fn max_sim_by_hand() {
        let query = tokens(&[[1.0, 0.0], [0.0, 1.0]]);
        let document = tokens(&[[0.6, 0.8], [0.8, 0.6]]);
        assert!((max_sim(&query, &document) - 1.6).abs() < 1e-6);
        assert_eq!(max_sim(&query, &tokens(&[])), -2.0);
        assert_eq!(max_sim(&tokens(&[]), &document), 0.0);
    }

    #[test]
    fn a_broken_token_is_not_hidden_by_a_good_one() {
        let query = tokens(&[[1.0, 0.0]]);
        assert!(max_sim(&query, &tokens(&[[f32::NAN, 0.0], [1.0, 0.0]])).is_nan());
        assert!(max_sim(&query, &tokens(&[[1.0, 0.0], [f32::NAN, 0.0]])).is_nan());
    }
}
