//! Semantic ids of items by residual k-means over their vectors.

use crate::onerec::tell_apart;
use plackett_train::random::Stream;
use rayon::prelude::*;

/// Rounds of k-means.
const ROUNDS: usize = 10;
/// The first of the streams by which centres are drawn.
const CENTRES: u64 = 40;

/// The codes of each row of numbers: of its nearest centre, of that of what is left, and so on; the last code tells rows apart that share all
/// others, so that no two are the same. O(rows · width · codes · levels).
pub(crate) fn semantic_ids(
    vectors: &[f32],
    width: usize,
    (levels, codes): (usize, usize),
    seed: u64,
) -> Vec<Vec<u32>> {
    let mut left = vectors.to_vec();
    let mut ids = vec![Vec::with_capacity(levels + 1); vectors.len() / width.max(1)];
    for level in 0..levels {
        let stream = Stream::new(seed, CENTRES + level as u64);
        let centres = centres(&left, width, codes.min(ids.len()), stream);
        let nearest = nearest(&left, width, &centres);
        for ((id, row), code) in ids.iter_mut().zip(left.chunks_mut(width)).zip(nearest) {
            id.push(code);
            let centre = &centres[code as usize * width..][..width];
            row.iter_mut().zip(centre).for_each(|(x, centre)| *x -= centre);
        }
    }
    tell_apart(&mut ids);
    ids
}

/// Centres of rows, one after another. They begin as drawn rows; one that no row is nearest to stays where it is.
fn centres(rows: &[f32], width: usize, count: usize, stream: Stream) -> Vec<f32> {
    let order = stream.permutation(rows.len() / width);
    let drawn = order.into_iter().take(count);
    let mut centres: Vec<f32> = drawn.flat_map(|row| rows[row * width..][..width].iter().copied()).collect();
    for _ in 0..ROUNDS {
        let (mut sums, mut counts) = (vec![0f64; centres.len()], vec![0usize; count]);
        for (row, code) in rows.chunks(width).zip(nearest(rows, width, &centres)) {
            counts[code as usize] += 1;
            let sum = &mut sums[code as usize * width..][..width];
            sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        let own = centres.chunks_mut(width).zip(sums.chunks(width)).zip(&counts);
        for ((centre, sum), rows) in own.filter(|(_, rows)| **rows > 0) {
            centre.iter_mut().zip(sum).for_each(|(x, sum)| *x = (sum / *rows as f64) as f32);
        }
    }
    centres
}

/// The nearest centre of each row, the first of equally near ones.
fn nearest(rows: &[f32], width: usize, centres: &[f32]) -> Vec<u32> {
    let of_row = |row: &[f32]| {
        let mut best = (0, f32::INFINITY);
        for (at, centre) in centres.chunks(width).enumerate() {
            let apart: f32 = row.iter().zip(centre).map(|(x, centre)| (x - centre).powi(2)).sum();
            if apart < best.1 {
                best = (at as u32, apart);
            }
        }
        best.0
    };
    rows.par_chunks(width).map(of_row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_rows_begin_alike_and_no_two_are_the_same() {
        // Two groups far from each other, with a pair of equal rows in the first.
        let rows = [0.0, 0.1, 0.0, 0.2, 0.0, 0.1, 9.0, 9.0, 9.0, 9.3];
        let ids = semantic_ids(&rows, 2, (1, 2), 5);
        assert!(ids[..3].iter().all(|id| id[0] == ids[0][0]) && ids[3][0] == ids[4][0], "{ids:?}");
        assert_ne!(ids[0][0], ids[3][0]);
        assert_eq!(ids.iter().map(|id| id[1]).collect::<Vec<_>>(), [0, 1, 2, 0, 1]);
        let ids = semantic_ids(&rows, 2, (3, 2), 5);
        let mut distinct = ids.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!((distinct.len(), ids[0].len()), (5, 4));
        // More codes than rows.
        assert_eq!(semantic_ids(&[1.0], 1, (2, 8), 1), [vec![0, 0, 0]]);
    }
}
