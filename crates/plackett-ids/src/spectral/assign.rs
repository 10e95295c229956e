//! Clusters from eigenvectors without k-means (Damle, Minden and Ying, Simple, direct and efficient multi-way spectral clustering, 2019).

use nalgebra::DMatrix;

/// Labels of the rows of eigenvectors `[nodes, clusters]`: a pivoted orthogonal factorisation of the transpose picks one row for each cluster, the
/// polar factor of those rows turns the vectors, and a row's label is its greatest entry in size (of equal ones the first).
pub fn cluster_qr(vectors: &DMatrix<f64>) -> Vec<usize> {
    let count = vectors.ncols();
    let pivots = pivots(vectors, count);
    let chosen = DMatrix::from_fn(count, count, |row, column| vectors[(pivots[column], row)]);
    let svd = chosen.svd(true, true);
    let turned = match (svd.u, svd.v_t) {
        (Some(u), Some(v_t)) => vectors * (u * v_t),
        _ => vectors.clone(),
    };
    (0..vectors.nrows())
        .map(|row| {
            let size = |column: usize| turned[(row, column)].abs();
            (0..count).fold(0, |best, next| if size(next) > size(best) { next } else { best })
        })
        .collect()
}

/// The rows that a pivoted QR factorisation of the transpose takes first: each time that with the most left after those before it are taken out.
fn pivots(vectors: &DMatrix<f64>, count: usize) -> Vec<usize> {
    let mut left = vectors.clone();
    let mut pivots = Vec::with_capacity(count);
    for _ in 0..count {
        let norm = |row: usize| left.row(row).norm_squared();
        let mut best = (0, -1.0);
        for row in 0..left.nrows() {
            let size = if pivots.contains(&row) { -1.0 } else { norm(row) };
            if size > best.1 {
                best = (row, size);
            }
        }
        pivots.push(best.0);
        if best.1 > 0.0 {
            let direction = left.row(best.0).transpose() / best.1.sqrt();
            let shares = &left * &direction;
            left -= shares * direction.transpose();
        }
    }
    pivots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turned_indicators_are_read_off() {
        // Indicators of three clusters, turned by an orthogonal matrix.
        let labels = [0, 1, 2, 0, 1, 2, 2, 0];
        let turn = DMatrix::from_row_slice(3, 3, &[2.0, -2.0, 1.0, 1.0, 2.0, 2.0, 2.0, 1.0, -2.0]) / 3.0;
        let vectors = DMatrix::from_fn(8, 3, |row, column| f64::from(u8::from(labels[row] == column))) * turn;
        let found = cluster_qr(&vectors);
        for a in 0..8 {
            for b in 0..8 {
                assert_eq!(found[a] == found[b], labels[a] == labels[b]);
            }
        }
    }
}
