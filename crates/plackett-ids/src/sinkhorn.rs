//! Items that share all codes get different last ones, by Sinkhorn's algorithm (the index generation of MiniOneRec, 2025).

use std::collections::BTreeSet;

/// How sharply Sinkhorn's algorithm follows distances, and its iterations (MiniOneRec's numbers).
const EPSILON: f64 = 0.003;
const ITERATIONS: usize = 50;

/// The share of items that are more than there are different sequences of `levels` codes: (items − different) / items.
pub fn collision_rate(codes: &[u32], levels: usize) -> f64 {
    let sequences = || codes.chunks_exact(levels.max(1));
    let different: BTreeSet<&[u32]> = sequences().collect();
    (sequences().len() - different.len()) as f64 / sequences().len().max(1) as f64
}

/// The most pairs of item and code that are weighed together, each with a distance and a share; of larger groups some items are dealt out after
/// the others.
pub(crate) const MOST_SHARES: usize = 1 << 22;

/// How much smaller than the greatest share of a row one may be, as a part of it, that only rounding tells apart from it.
const TIE: f64 = 1e-9;

/// How many items share all their codes with others.
pub(crate) fn colliding(codes: &[u32], levels: usize) -> usize {
    groups(codes, levels).iter().map(Vec::len).sum()
}

/// Items that share all their codes, in the order of these; an item with codes of its own is in no group.
fn groups(codes: &[u32], levels: usize) -> Vec<Vec<usize>> {
    let levels = levels.max(1);
    let own = |item: usize| &codes[item * levels..][..levels];
    let mut order: Vec<usize> = (0..codes.len() / levels).collect();
    order.sort_by(|a, b| own(*a).cmp(own(*b)).then(a.cmp(b)));
    let same = order.chunk_by(|a, b| own(*a) == own(*b));
    same.filter(|group| group.len() > 1).map(<[usize]>::to_vec).collect()
}

/// Up to `rounds` rounds in which every group of items that share all of their `levels` codes (items × levels) is dealt out anew on the last
/// level, as evenly as Sinkhorn's algorithm can: `left` is what there is of each item before that level (items × width), `book` the level's
/// vectors (codes × width). What is still shared stays so. A group that has more than 2²² pairs of item and code is dealt out in parts, one after
/// the other in the order of its items, of as many as have no more (and two at least), so that memory does not grow with the group; the next
/// round deals out what these share. Gives the rounds that changed something.
pub fn separate(codes: &mut [u32], levels: usize, places: (&[f32], &[f32]), rounds: usize) -> usize {
    separate_by(codes, levels, places, rounds, MOST_SHARES)
}

/// The same with so many pairs of item and code together at most.
fn separate_by(
    codes: &mut [u32],
    levels: usize,
    (left, book): (&[f32], &[f32]),
    rounds: usize,
    most_shares: usize,
) -> usize {
    let levels = levels.max(1);
    let width = left.len() / (codes.len() / levels).max(1);
    let most = (most_shares / (book.len() / width.max(1)).max(1)).max(2);
    for round in 0..rounds {
        let mut changed = false;
        let all = groups(codes, levels);
        for group in all.iter().flat_map(|group| group.chunks(most)) {
            let distances: Vec<Vec<f64>> =
                group.iter().map(|item| squared_distances(&left[item * width..][..width], book)).collect();
            for (item, code) in group.iter().zip(sinkhorn(&distances)) {
                let last = &mut codes[item * levels + levels - 1];
                if *last != code as u32 {
                    (*last, changed) = (code as u32, true);
                }
            }
        }
        if !changed {
            return round;
        }
    }
    rounds
}

fn squared_distances(row: &[f32], book: &[f32]) -> Vec<f64> {
    let distance = |code: &[f32]| code.iter().zip(row).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    book.chunks(row.len().max(1)).map(distance).collect()
}

/// For each row of distances, all of one length, the column with the greatest share where rows and columns shall have equal sums; distances
/// are centred and scaled to \[−1, 1\] before. Of equal shares (columns that one row needs alone all have the share 1) the column of the least
/// distance, of equally near ones the first.
pub fn sinkhorn(distances: &[Vec<f64>]) -> Vec<usize> {
    let shares = shares(distances, EPSILON, ITERATIONS);
    let columns = shares.first().map_or(0, Vec::len);
    let best = |(row, distances): (&Vec<f64>, &Vec<f64>)| {
        let most = row.iter().copied().fold(0.0, f64::max);
        let equal = (0..columns).filter(|at| row[*at] >= most * (1.0 - TIE));
        equal.min_by(|a, b| distances[*a].total_cmp(&distances[*b])).unwrap_or(0)
    };
    shares.iter().zip(distances).map(best).collect()
}

/// exp(−distance / epsilon) of scaled distances, whose rows and then columns are divided by their sums again and again (Sinkhorn and Knopp):
/// columns have the sum 1 in the end, and rows come near to columns / rows.
fn shares(distances: &[Vec<f64>], epsilon: f64, iterations: usize) -> Vec<Vec<f64>> {
    let all = || distances.iter().flatten().copied();
    let (least, most) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    let middle = (most + least) / 2.0;
    let reach = most - middle + 1e-5;
    let share = |distance: &f64| (-(distance - middle) / reach / epsilon).exp();
    let mut shares: Vec<Vec<f64>> = distances.iter().map(|row| row.iter().map(share).collect()).collect();
    let columns = shares.first().map_or(0, Vec::len);
    for _ in 0..iterations {
        for row in &mut shares {
            let total: f64 = row.iter().sum();
            row.iter_mut().for_each(|x| *x /= total.max(f64::MIN_POSITIVE));
        }
        for column in 0..columns {
            let total: f64 = shares.iter().map(|row| row[column]).sum();
            shares.iter_mut().for_each(|row| row[column] /= total.max(f64::MIN_POSITIVE));
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_dealt_out_by_who_loses_least() {
        // Both are nearest to the first code, the second one by less.
        assert_eq!(sinkhorn(&[vec![0.0, 1.0, 2.0], vec![0.2, 0.9, 2.0]]), [0, 1]);
        // The same twice cannot be told apart.
        assert_eq!(sinkhorn(&[vec![1.0, 1.0], vec![1.0, 1.0]]), [0, 0]);
        // The second one has the whole share of two codes, and the nearer of them has the higher number.
        assert_eq!(sinkhorn(&[vec![4.0, 1.0, 0.0], vec![3.0625, 0.5625, 0.0625]]), [2, 1]);
        assert_eq!(sinkhorn(&[vec![2.0, 1.0], vec![2.0, 1.0], vec![2.0, 1.0]]), [1, 1, 1]);
        let mut codes = [1, 0, 1, 0, 2, 0];
        assert!((collision_rate(&codes, 2) - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(colliding(&codes, 2), 2);
        let (left, book) = ([0.0, 0.25, 0.0], [0.0, 1.0, 2.0]);
        assert_eq!(separate(&mut codes, 2, (&left, &book), 20), 1);
        assert_eq!(codes, [1, 0, 1, 1, 2, 0]);
        assert_eq!((collision_rate(&codes, 2), colliding(&codes, 2)), (0.0, 0));
        assert_eq!((collision_rate(&[], 2), colliding(&[], 2)), (0.0, 0));
    }

    #[test]
    fn a_large_group_is_dealt_out_in_parts() {
        let (left, book) = ([0.0, 0.25, 0.0, 0.25], [0.0, 1.0, 2.0]);
        let mut codes = [0, 0, 0, 0];
        // Six pairs of item and code are two items.
        assert_eq!(separate_by(&mut codes, 1, (&left, &book), 1, 6), 1);
        assert_eq!(codes, [0, 1, 0, 1]);
        // Two items are the least, whatever is allowed.
        let mut codes = [0, 0, 0, 0];
        separate_by(&mut codes, 1, (&left, &book), 1, 0);
        assert_eq!(codes, [0, 1, 0, 1]);
    }

    #[test]
    fn rows_and_columns_have_equal_sums() {
        let distances = [vec![0.0, 0.5, 2.0, 1.0], vec![0.3, 0.1, 1.5, 0.4], vec![1.0, 0.2, 0.6, 1.8]];
        let shares = shares(&distances, 0.5, 300);
        for row in &shares {
            assert!((row.iter().sum::<f64>() - 4.0 / 3.0).abs() < 1e-9, "{shares:?}");
        }
        for column in 0..4 {
            let total: f64 = shares.iter().map(|row| row[column]).sum();
            assert!((total - 1.0).abs() < 1e-12, "{shares:?}");
        }
    }

    #[test]
    fn no_rounds_and_nothing_shared_change_nothing() {
        let (left, book) = ([0.0, 0.0, 1.0], [0.0, 1.0]);
        let mut codes = [0, 0, 1];
        assert_eq!(separate(&mut codes, 1, (&left, &book), 0), 0);
        assert_eq!(codes, [0, 0, 1]);
        // What is the same stays together.
        assert_eq!(separate(&mut codes, 1, (&left, &book), 20), 0);
        assert_eq!(codes, [0, 0, 1]);
        let mut apart = [0, 1];
        assert_eq!(separate(&mut apart, 1, (&left[..2], &book), 20), 0);
        assert_eq!(apart, [0, 1]);
    }
}
