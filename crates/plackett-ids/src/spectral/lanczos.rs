//! The greatest eigenvalues of a sparse symmetric matrix: block Lanczos with full orthogonalisation and thick restarts (Wu and Simon, 2000).
//! Blocks are wider than what is wanted, since a graph in pieces has one eigenvalue as often as it has pieces.

use super::SparseGraph;
use crate::IdsError;
use nalgebra::{DMatrix, DVector, SymmetricEigen};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Matrices up to this size are taken whole.
const DENSE: usize = 256;
/// Columns of a block beside those that are wanted.
const MORE: usize = 4;
/// Columns of the basis between two restarts: eigenvalues that lie close need many.
const BASIS: usize = 200;
/// Restarts at most; what has not settled by then is used as it is, and the residual says so.
const RESTARTS: usize = 40;
/// The share of a column below which nothing of it is new.
const LOST: f64 = 1e-8;
/// Draws at most for a column that the basis does not have; the first one is as good as sure to be one while there is room.
const DRAWS: usize = 16;

/// Eigenvalues, the greatest first, with their vectors.
#[derive(Clone, Debug)]
pub struct EigenPairs {
    /// The eigenvalues.
    pub values: Vec<f64>,
    /// A column for each, of length 1: `[nodes, values]`.
    pub vectors: DMatrix<f64>,
    /// The greatest ‖A x − λ x‖ among them.
    pub residual: f64,
}

/// The `count` greatest eigenvalues, until residuals are below `tolerance`. The same seed gives the same numbers.
///
/// # Errors
/// The weights are such that no new direction is found, as where they overflow.
pub fn largest_eigenvectors(
    matrix: &SparseGraph,
    count: usize,
    tolerance: f64,
    seed: u64,
) -> Result<EigenPairs, IdsError> {
    let nodes = matrix.len();
    let count = count.min(nodes);
    let block = count + MORE;
    if nodes <= DENSE.max(4 * block) {
        return Ok(dense(matrix, count));
    }
    let most = BASIS.max(4 * block).min(nodes);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut basis = Basis::new(nodes, most);
    let start = DMatrix::from_fn(nodes, block, |_, _| random.random::<f64>() - 0.5);
    basis.append(&start, matrix, &mut random)?;
    basis.fill(block, matrix, &mut random)?;
    let mut pairs = basis.ritz(block);
    for _ in 0..RESTARTS {
        if pairs.residual_of(count) <= tolerance {
            break;
        }
        basis.restart(pairs);
        basis.fill(block, matrix, &mut random)?;
        pairs = basis.ritz(block);
    }
    Ok(pairs.first(count))
}

fn dense(matrix: &SparseGraph, count: usize) -> EigenPairs {
    let (values, vectors) = sorted(SymmetricEigen::new(matrix.to_dense()), count);
    let images = matrix.times(&vectors);
    let residual = (0..count).map(|at| (images.column(at) - vectors.column(at) * values[at]).norm());
    EigenPairs { residual: residual.fold(0.0, f64::max), values, vectors }
}

/// The `count` greatest values with their vectors; a vector's greatest entry in size is positive, so that signs do not depend on the solver's way.
fn sorted(eigen: SymmetricEigen<f64, nalgebra::Dyn>, count: usize) -> (Vec<f64>, DMatrix<f64>) {
    let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
    order.sort_by(|a, b| eigen.eigenvalues[*b].total_cmp(&eigen.eigenvalues[*a]).then(a.cmp(b)));
    order.truncate(count);
    let values = order.iter().map(|at| eigen.eigenvalues[*at]).collect();
    let columns: Vec<DVector<f64>> = order
        .iter()
        .map(|at| {
            let column = eigen.eigenvectors.column(*at);
            column * column[column.iamax()].signum()
        })
        .collect();
    (values, DMatrix::from_columns(&columns))
}

/// Orthonormal columns and what the matrix makes of them.
struct Basis {
    vectors: DMatrix<f64>,
    images: DMatrix<f64>,
    count: usize,
}

/// Approximations in a basis.
struct Ritz {
    values: Vec<f64>,
    vectors: DMatrix<f64>,
    images: DMatrix<f64>,
}

impl Ritz {
    fn residual_of(&self, count: usize) -> f64 {
        let residual =
            |at: usize| (self.images.column(at) - self.vectors.column(at) * self.values[at]).norm();
        (0..count).map(residual).fold(0.0, f64::max)
    }

    fn first(&self, count: usize) -> EigenPairs {
        EigenPairs {
            values: self.values[..count].to_vec(),
            vectors: self.vectors.columns(0, count).into_owned(),
            residual: self.residual_of(count),
        }
    }
}

impl Basis {
    fn new(nodes: usize, most: usize) -> Basis {
        Basis { vectors: DMatrix::zeros(nodes, most), images: DMatrix::zeros(nodes, most), count: 0 }
    }

    /// Adds the part of columns that the basis does not have; in the place of one that it has wholly, a drawn one.
    ///
    /// # Errors
    /// As [`Basis::drawn`].
    fn append(
        &mut self,
        columns: &DMatrix<f64>,
        matrix: &SparseGraph,
        random: &mut ChaCha8Rng,
    ) -> Result<(), IdsError> {
        let first = self.count;
        let mut left = columns.clone();
        // Twice is enough (Kahan and Parlett).
        for _ in 0..2 {
            let before = self.vectors.columns(0, first);
            let shares = before.tr_mul(&left);
            left -= before * shares;
        }
        for at in 0..columns.ncols() {
            let (mut vector, whole) = (left.column(at).into_owned(), columns.column(at).norm());
            let own = self.vectors.columns(first, self.count - first);
            for _ in 0..2 {
                let shares = own.tr_mul(&vector);
                vector -= own * shares;
            }
            if vector.norm() <= LOST * whole || vector.norm() == 0.0 {
                vector = self.drawn(random)?;
            }
            let length = vector.norm();
            self.vectors.set_column(self.count, &(vector / length));
            self.count += 1;
        }
        let new = self.vectors.columns(first, self.count - first).into_owned();
        self.images.columns_mut(first, self.count - first).copy_from(&matrix.times(&new));
        Ok(())
    }

    /// Adds images of the last columns while there is room for a block.
    ///
    /// # Errors
    /// As [`Basis::drawn`].
    fn fill(&mut self, block: usize, matrix: &SparseGraph, random: &mut ChaCha8Rng) -> Result<(), IdsError> {
        while self.count + block <= self.vectors.ncols() {
            let last = self.images.columns(self.count - block, block).into_owned();
            self.append(&last, matrix, random)?;
        }
        Ok(())
    }

    /// A drawn vector without what the basis has of it.
    ///
    /// # Errors
    /// Of [`DRAWS`] draws nothing is left: the basis has all there is.
    fn drawn(&self, random: &mut ChaCha8Rng) -> Result<DVector<f64>, IdsError> {
        for _ in 0..DRAWS {
            let drawn = DVector::from_fn(self.vectors.nrows(), |_, _| random.random::<f64>() - 0.5);
            let whole = drawn.norm();
            let left = self.without_basis(drawn);
            if left.norm() > LOST * whole {
                return Ok(left);
            }
        }
        Err(IdsError::Data(format!(
            "the co-occurrences of {} items have no further direction in {DRAWS} draws; take fewer clusters",
            self.vectors.nrows()
        )))
    }

    /// What is left of a vector beside the basis.
    fn without_basis(&self, mut vector: DVector<f64>) -> DVector<f64> {
        let basis = self.vectors.columns(0, self.count);
        for _ in 0..2 {
            let shares = basis.tr_mul(&vector);
            vector -= basis * shares;
        }
        vector
    }

    /// The best `block` approximations.
    fn ritz(&self, block: usize) -> Ritz {
        let (vectors, images) = (self.vectors.columns(0, self.count), self.images.columns(0, self.count));
        let small = vectors.tr_mul(&images);
        let symmetric = (&small + small.transpose()) * 0.5;
        let (values, turns) = sorted(SymmetricEigen::new(symmetric), block);
        Ritz { values, vectors: vectors * &turns, images: images * turns }
    }

    fn restart(&mut self, ritz: Ritz) {
        self.count = ritz.vectors.ncols();
        self.vectors.columns_mut(0, self.count).copy_from(&ritz.vectors);
        self.images.columns_mut(0, self.count).copy_from(&ritz.images);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path of nodes: its eigenvalues are 2 cos(π j / (n + 1)).
    fn path(nodes: usize) -> SparseGraph {
        SparseGraph::of_edges(nodes, (1..nodes).map(|node| (node - 1, node, 1.0)))
    }

    #[test]
    fn eigenvalues_of_a_path_are_known() {
        for (nodes, tolerance) in [(60, 1e-8), (500, 1e-5)] {
            let pairs = largest_eigenvectors(&path(nodes), 5, tolerance, 1).unwrap();
            for (at, value) in pairs.values.iter().enumerate() {
                let right = 2.0 * (std::f64::consts::PI * (at as f64 + 1.0) / (nodes as f64 + 1.0)).cos();
                assert!((value - right).abs() < 1e-6, "{nodes}: {at} is {value} and not {right}");
            }
            let gram = pairs.vectors.tr_mul(&pairs.vectors);
            assert!((gram - DMatrix::identity(5, 5)).norm() < 1e-8);
        }
    }

    #[test]
    fn an_eigenvalue_that_stands_often_is_found_as_often() {
        // Twelve rings of fifty nodes each: the greatest eigenvalue is 2, twelve times.
        let edges = (0..600).map(|node| (node, node / 50 * 50 + (node + 1) % 50, 1.0));
        let pairs = largest_eigenvectors(&SparseGraph::of_edges(600, edges), 12, 1e-6, 1).unwrap();
        assert!(pairs.values.iter().all(|value| (value - 2.0).abs() < 1e-9), "{:?}", pairs.values);
    }

    #[test]
    fn draws_end_where_the_basis_has_everything() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut basis = Basis::new(3, 3);
        basis.append(&DMatrix::identity(3, 3), &path(3), &mut random).unwrap();
        let error = basis.drawn(&mut random).unwrap_err().to_string();
        assert!(error.contains("3 items") && error.contains("fewer clusters"), "{error}");
        // A column that the basis has, whatever its size, is replaced by a drawn one.
        let mut basis = Basis::new(3, 3);
        let twice = DMatrix::from_row_slice(3, 2, &[1e300, 1e300, 0.0, 0.0, 0.0, 0.0]);
        basis.append(&(twice * 1e-150), &path(3), &mut random).unwrap();
        assert!(basis.vectors.column(0).dot(&basis.vectors.column(1)).abs() < 1e-12);
    }
}
