//! Singular values and vectors of matrices.

use crate::random::Stream;
use nalgebra::DMatrix;

/// How a decomposition is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SvdSolver {
    /// All singular values, of which the greatest are kept.
    Exact,
    /// From a random projection (Halko, Martinsson and Tropp, Finding structure with randomness, 2011, Algorithms 4.4 and
    /// 5.1): a few more columns than are kept, and some passes over the matrix and its transpose.
    Randomized {
        /// Columns beyond those that are kept.
        oversampling: usize,
        /// Passes over the matrix and its transpose.
        iterations: usize,
        /// What the projection is drawn from.
        seed: u64,
    },
}

impl SvdSolver {
    /// Exact where the short side is at most 384; else randomised.
    pub fn suited(shape: (usize, usize), seed: u64) -> SvdSolver {
        match shape.0.min(shape.1) <= 384 {
            true => SvdSolver::Exact,
            false => SvdSolver::Randomized { oversampling: 10, iterations: 4, seed },
        }
    }
}

/// The greatest singular values, falling, with their vectors: the matrix is nearly u · diag(singular) · v.
#[derive(Clone, Debug, PartialEq)]
pub struct Svd {
    /// rows × rank, row-major.
    pub u: Vec<f64>,
    /// As many as the rank.
    pub singular: Vec<f64>,
    /// rank × columns, row-major.
    pub v: Vec<f64>,
    /// Components.
    pub rank: usize,
}

/// The `rank` greatest singular values of a matrix, row-major, of finite numbers; fewer where the matrix has fewer.
pub fn truncated_svd(matrix: &[f32], (rows, columns): (usize, usize), rank: usize, solver: SvdSolver) -> Svd {
    let numbers = matrix.iter().map(|x| f64::from(*x));
    let matrix = DMatrix::from_row_iterator(rows, columns, numbers);
    let rank = rank.min(rows).min(columns);
    let (u, singular, v) = match solver {
        SvdSolver::Exact => decompose(matrix),
        SvdSolver::Randomized { oversampling, iterations, seed } => {
            let width = (rank + oversampling).min(rows).min(columns);
            let stream = Stream::new(seed, 0x5D);
            let drawn = (0..columns * width).map(|at| f64::from(stream.normal(at as u64)));
            let mut basis = (&matrix * DMatrix::from_iterator(columns, width, drawn)).qr().q();
            for _ in 0..iterations {
                let back = matrix.tr_mul(&basis).qr().q();
                basis = (&matrix * back).qr().q();
            }
            let (u, singular, v) = decompose(basis.tr_mul(&matrix));
            (basis * u, singular, v)
        }
    };
    Svd {
        u: (0..rows).flat_map(|row| (0..rank).map(move |at| (row, at))).map(|place| u[place]).collect(),
        singular: singular[..rank].to_vec(),
        v: (0..rank)
            .flat_map(|at| (0..columns).map(move |column| (at, column)))
            .map(|place| v[place])
            .collect(),
        rank,
    }
}

fn decompose(matrix: DMatrix<f64>) -> (DMatrix<f64>, Vec<f64>, DMatrix<f64>) {
    let svd = matrix.svd(true, true);
    // Both are asked for, so both are there.
    let (u, v) = (svd.u.unwrap_or_default(), svd.v_t.unwrap_or_default());
    (u, svd.singular_values.as_slice().to_vec(), v)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(matrix: &[f32], columns: usize, svd: &Svd) -> f64 {
        let mut total = 0.0;
        for (at, x) in matrix.iter().enumerate() {
            let (row, column) = (at / columns, at % columns);
            let term = |k: usize| svd.u[row * svd.rank + k] * svd.singular[k] * svd.v[k * columns + column];
            total += (f64::from(*x) - (0..svd.rank).map(term).sum::<f64>()).powi(2);
        }
        total.sqrt()
    }

    #[test]
    fn the_error_is_the_root_of_the_squares_of_what_is_dropped() {
        let stream = Stream::new(2, 1);
        let matrix: Vec<f32> = (0..20 * 12).map(|at| stream.normal(at)).collect();
        let whole = truncated_svd(&matrix, (20, 12), 12, SvdSolver::Exact);
        assert!(error(&matrix, 12, &whole) < 1e-9);
        let dropped = |rank: usize| whole.singular[rank..].iter().map(|x| x * x).sum::<f64>().sqrt();
        for rank in [1, 5, 11] {
            let exact = truncated_svd(&matrix, (20, 12), rank, SvdSolver::Exact);
            assert!((error(&matrix, 12, &exact) - dropped(rank)).abs() < 1e-9);
            let solver = SvdSolver::Randomized { oversampling: 4, iterations: 6, seed: 1 };
            let random = truncated_svd(&matrix, (20, 12), rank, solver);
            assert!(error(&matrix, 12, &random) < 1.01 * dropped(rank), "{rank}");
        }
    }
}
