//! Semantic ids by residual k-means whose clusters have one size (algorithm 1 of the paper).

use super::item_tokens::tell_apart;
use plackett_ids::{balanced_k_means_in_turn, balanced_residual_codes};
use std::collections::HashSet;

/// Rounds of k-means at most; the authors go on until nothing changes.
const ROUNDS: usize = 25;

/// The codes of each row of numbers, `levels` of them. Where rows share all of them, every row has one code more, so that no two are the same: the
/// authors say nothing of it, and an item that could never be written would never be recommended.
pub(crate) fn balanced_ids(
    vectors: &[f32],
    width: usize,
    (levels, codes): (usize, usize),
    seed: u64,
) -> Vec<Vec<u32>> {
    let row = |row: &[f32]| row.iter().map(|x| f64::from(*x)).collect();
    let rows: Vec<Vec<f64>> = vectors.chunks(width.max(1)).map(row).collect();
    let found = balanced_residual_codes(rows, levels, |left, level| {
        balanced_k_means_in_turn(left, codes, ROUNDS, seed.wrapping_add(level as u64))
    });
    let mut ids: Vec<Vec<u32>> = found.chunks(levels.max(1)).map(<[u32]>::to_vec).collect();
    let distinct = ids.iter().collect::<HashSet<_>>().len();
    if distinct < ids.len() {
        tell_apart(&mut ids);
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_train::random::Stream;

    fn of_level(ids: &[Vec<u32>], level: usize, code: u32) -> usize {
        ids.iter().filter(|id| id[level] == code).count()
    }

    #[test]
    fn codes_are_used_equally_often_and_no_two_rows_have_the_same() {
        let vectors: Vec<f32> = (0..20).map(|at| Stream::new(4, 1).normal(at)).collect();
        let ids = balanced_ids(&vectors, 2, (2, 3), 5);
        // Ten rows in three clusters: the first takes one more, at each level.
        for level in 0..2 {
            assert_eq!([0, 1, 2].map(|code| of_level(&ids, level, code)), [4, 3, 3], "{ids:?}");
        }
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 10);
        assert!(ids.iter().all(|id| id.len() == ids[0].len()));
        assert_eq!(ids, balanced_ids(&vectors, 2, (2, 3), 5));
    }

    #[test]
    fn one_code_more_is_there_only_where_rows_share_theirs() {
        // As many codes as rows.
        let alone = balanced_ids(&[0.0, 1.0, 5.0], 1, (1, 3), 1);
        assert!(alone.iter().all(|id| id.len() == 1), "{alone:?}");
        // One code for both rows, so that the second code alone tells them apart.
        assert_eq!(balanced_ids(&[0.0, 1.0], 1, (1, 1), 1), [vec![0, 0], vec![0, 1]]);
        // More codes than rows.
        assert_eq!(balanced_ids(&[1.0], 1, (2, 8), 1), [vec![0, 0]]);
    }
}
