//! How vectors are compared. The order of additions is fixed, so equal inputs give equal bits in any batch.

use crate::model::TokenVectors;
use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix};
use rten_tensor::NdTensorView;

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

/// Token vectors of one text, packed for [`max_sim`].
pub(crate) struct PackedQuery {
    tokens: usize,
    dimension: usize,
    packed: Option<PackedBMatrix<f32>>,
}

impl PackedQuery {
    /// Packs the vectors of a query once for all documents.
    pub fn new(query: &TokenVectors) -> PackedQuery {
        let dimension = query.dimension.max(1);
        let tokens = query.values.len() / dimension;
        let rows = NdTensorView::try_from_data([tokens, dimension], query.values.as_slice()).ok();
        let packed =
            rows.filter(|_| tokens > 0).map(|rows| GemmExecutor::default().prepack_b(rows.transposed()));
        PackedQuery { tokens, dimension, packed }
    }
}

/// Σ over query tokens of the greatest dot product with a document token, for several queries. A document without any
/// token vector matches nothing: each query token counts −1, the least that two unit vectors can agree. NaN when the
/// dimensions differ.
///
/// Each pair of texts is one matrix product of its own, so its bits do not depend on the other queries.
pub(crate) fn max_sim<'q>(
    document: &TokenVectors,
    queries: impl IntoIterator<Item = &'q PackedQuery>,
) -> Vec<f64> {
    let dimension = document.dimension.max(1);
    let tokens = document.values.len() / dimension;
    let executor = GemmExecutor::<f32, f32, f32>::default();
    let rows = NdTensorView::try_from_data([tokens, dimension], document.values.as_slice()).ok();
    let packed = rows.filter(|_| tokens > 0).map(|rows| executor.prepack_a(rows));
    let mut products = Vec::new();
    let one = |query: &PackedQuery| match (&packed, &query.packed) {
        (_, None) => 0.0,
        (None, Some(_)) => -(query.tokens as f64),
        (Some(_), Some(_)) if query.dimension != dimension => f64::NAN,
        (Some(a), Some(b)) => {
            products.clear();
            products.resize(tokens * query.tokens, 0.0);
            let (a, b) = (GemmInputA::Packed(a), GemmInputB::Packed(b));
            match executor.gemm(&mut products, a, b, GemmOptions::default()) {
                Ok(()) => sum_of_maxima(&products, query.tokens),
                Err(_) => f64::NAN,
            }
        }
    };
    queries.into_iter().map(one).collect()
}

/// Σ over columns of the greatest value; NaN when any value is.
fn sum_of_maxima(products: &[f32], columns: usize) -> f64 {
    let mut best = vec![f32::NEG_INFINITY; columns];
    for row in products.chunks_exact(columns) {
        for (best, &product) in best.iter_mut().zip(row) {
            // A comparison with NaN is false, so a NaN is kept once it is there and reported as an error later.
            if product > *best || product.is_nan() {
                *best = product;
            }
        }
    }
    best.into_iter().map(f64::from).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TextLength;
    use proptest::prelude::*;

    fn tokens(rows: &[[f32; 2]]) -> TokenVectors {
        TokenVectors { dimension: 2, values: rows.concat(), length: TextLength::default() }
    }

    #[test]
    fn dot_by_hand() {
        let a: Vec<f32> = (1..=19).map(|i| i as f32).collect();
        assert_eq!(dot(&a, &a), 2470.0);
        assert_eq!(dot(&[], &[]), 0.0);
    }

    fn one(query: &TokenVectors, document: &TokenVectors) -> f64 {
        max_sim(document, [&PackedQuery::new(query)])[0]
    }

    #[test]
    fn max_sim_by_hand() {
        let query = tokens(&[[1.0, 0.0], [0.0, 1.0]]);
        let document = tokens(&[[0.6, 0.8], [0.8, 0.6]]);
        assert!((one(&query, &document) - 1.6).abs() < 1e-6);
        assert_eq!(one(&query, &tokens(&[])), -2.0);
        assert_eq!(one(&tokens(&[]), &document), 0.0);
        let other = TokenVectors { dimension: 1, values: vec![1.0], length: TextLength::default() };
        assert!(one(&query, &other).is_nan());
    }

    #[test]
    fn a_broken_token_is_not_hidden_by_a_good_one() {
        let query = tokens(&[[1.0, 0.0]]);
        assert!(one(&query, &tokens(&[[f32::NAN, 0.0], [1.0, 0.0]])).is_nan());
        assert!(one(&query, &tokens(&[[1.0, 0.0], [f32::NAN, 0.0]])).is_nan());
    }

    proptest! {
        #[test]
        fn packed_products_equal_the_definition(
            query in proptest::collection::vec(-1.0f32..1.0, 0..40), document in proptest::collection::vec(-1.0f32..1.0, 5..400)
        ) {
            let cut = |mut values: Vec<f32>| {
                values.truncate(values.len() / 5 * 5);
                TokenVectors { dimension: 5, values, length: TextLength::default() }
            };
            let (query, document) = (cut(query), cut(document));
            let best = |q: &[f32]| document.values.chunks(5).map(|d| dot(q, d)).fold(f32::NEG_INFINITY, f32::max);
            let wanted: f64 = query.values.chunks(5).map(|q| f64::from(best(q))).sum();
            prop_assert!((one(&query, &document) - wanted).abs() < 1e-4);
        }
    }
}
