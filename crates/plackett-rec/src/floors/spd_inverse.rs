//! The inverse of a symmetric positive definite matrix on every core: blocked Cholesky, then the inverse of the factor, then its
//! product with itself. Every sum is one chain in a stated order, so the bits do not depend on the number of threads.

use rayon::prelude::*;

/// Rows of a block: a block of a panel and the row that meets it stay in the nearest cache.
const BLOCK: usize = 64;

/// Inverts `matrix` (size × size, row-major; only the lower triangle is read) in place, both triangles; costs another matrix of
/// the size. `false` where it is not positive definite as far as rounding can tell; the matrix is spoilt then.
pub(super) fn invert(matrix: &mut [f64], size: usize) -> bool {
    if !factorize(matrix, size) {
        return false;
    }
    let inverse = invert_factor(matrix, size);
    // (L Lᵀ)⁻¹ = L⁻ᵀ L⁻¹; row r of `inverse` is column r of L⁻¹, zero before its place r.
    let rows = |row: usize| &inverse[row * size..][..size];
    matrix.par_chunks_mut(BLOCK * size).enumerate().for_each(|(block, out)| {
        let first = block * BLOCK;
        // Columns outside: a column meets all rows of the block while it is near.
        for column in 0..(first + BLOCK).min(size) {
            for (at, out) in out.chunks_mut(size).enumerate().skip(column.saturating_sub(first)) {
                let row = first + at;
                out[column] = dot(&rows(row)[row..], &rows(column)[row..]);
            }
        }
    });
    for row in 0..size {
        for column in row + 1..size {
            matrix[row * size + column] = matrix[column * size + row];
        }
    }
    true
}

/// The lower factor L of L Lᵀ in place.
fn factorize(matrix: &mut [f64], size: usize) -> bool {
    for first in (0..size).step_by(BLOCK) {
        let end = (first + BLOCK).min(size);
        let (above, below) = matrix.split_at_mut(end * size);
        let diagonal = &mut above[first * size..];
        for row in first..end {
            let (before, own) = diagonal.split_at_mut((row - first) * size);
            eliminate(before, own, first, size);
            let left = own[row] - dot(&own[first..row], &own[first..row]);
            if !(left > 0.0 && left.is_finite()) {
                return false;
            }
            own[row] = left.sqrt();
        }
        // A panel: the rows below against the block on the diagonal, each for itself.
        let diagonal = &above[first * size..];
        below.par_chunks_mut(size).for_each(|row| {
            eliminate(&diagonal[..(end - first) * size], row, first, size);
        });
        // What is left loses the product of the panel with itself.
        let panel: Vec<f64> = below.chunks(size).flat_map(|row| row[first..end].iter().copied()).collect();
        let width = end - first;
        below.par_chunks_mut(size).enumerate().for_each(|(at, row)| {
            let own = &panel[at * width..][..width];
            for (column, other) in panel.chunks(width).take(at + 1).enumerate() {
                row[end + column] -= dot(own, other);
            }
        });
    }
    true
}

/// Solves one row against the rows of a block that are factorised, the first of which is row `first` of the matrix.
fn eliminate(block: &[f64], row: &mut [f64], first: usize, size: usize) {
    for (at, other) in block.chunks(size).enumerate() {
        let column = first + at;
        row[column] = (row[column] - dot(&row[first..column], &other[first..column])) / other[column];
    }
}

/// Row r: column r of L⁻¹.
fn invert_factor(factor: &[f64], size: usize) -> Vec<f64> {
    let mut inverse = vec![0.0; size * size];
    // Some columns at once, so that a row of the factor is read once for them.
    inverse.par_chunks_mut(8 * size).enumerate().for_each(|(block, columns)| {
        let first = block * 8;
        for row in first..size {
            let own = &factor[row * size..][..size];
            for (at, column) in columns.chunks_mut(size).enumerate() {
                let place = first + at;
                if place < row {
                    column[row] = -dot(&own[place..row], &column[place..row]) / own[row];
                } else if place == row {
                    column[row] = 1.0 / own[row];
                }
            }
        }
    });
    inverse
}

/// Eight chains, then their sum: what a compiler can do in registers of any width.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (left, right) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = left.remainder().iter().zip(right.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in left.zip(right) {
        (0..8).for_each(|at| sums[at] += a[at] * b[at]);
    }
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Gram matrix of drawn rows plus a diagonal.
    fn matrix(size: usize, diagonal: f64) -> Vec<f64> {
        let mut state = 7u64;
        let mut drawn = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / (1u64 << 24) as f64 - 0.5
        };
        let rows: Vec<f64> = (0..size * size).map(|_| drawn()).collect();
        let gram = |a: usize, b: usize| dot(&rows[a * size..][..size], &rows[b * size..][..size]);
        (0..size * size)
            .map(|at| gram(at / size, at % size) + if at / size == at % size { diagonal } else { 0.0 })
            .collect()
    }

    #[test]
    fn a_matrix_times_its_inverse_is_one_for_sizes_around_a_block() {
        for size in [1, 2, 7, 63, 64, 65, 130, 200] {
            let before = matrix(size, 1.0);
            let mut inverse = before.clone();
            assert!(invert(&mut inverse, size), "{size}");
            for row in 0..size {
                for column in 0..size {
                    let found: f64 =
                        (0..size).map(|at| before[row * size + at] * inverse[at * size + column]).sum();
                    let wanted = f64::from(u8::from(row == column));
                    assert!((found - wanted).abs() < 1e-9, "{size}: {row} {column} {found}");
                }
            }
        }
    }

    #[test]
    fn a_matrix_that_is_not_positive_is_refused_and_threads_change_no_bit() {
        let mut minus = matrix(70, 0.0);
        (0..70).for_each(|at| minus[at * 71] -= 30.0);
        assert!(!invert(&mut minus, 70));
        let run = |threads: usize| {
            let mut own = matrix(150, 1.0);
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap()
                .install(|| invert(&mut own, 150));
            own
        };
        assert_eq!(run(1), run(2));
    }
}
