//! Items that share all codes get different last ones, by Sinkhorn's algorithm.

use std::collections::{BTreeMap, BTreeSet};

/// How sharply Sinkhorn's algorithm follows distances, and its iterations (MiniOneRec's numbers).
const EPSILON: f64 = 0.003;
const ITERATIONS: usize = 50;

/// The share of items that are more than there are different codes: (items − different) / items.
pub fn collision_rate(codes: &[Vec<u32>]) -> f64 {
    let different: BTreeSet<&Vec<u32>> = codes.iter().collect();
    (codes.len() - different.len()) as f64 / codes.len().max(1) as f64
}

/// Up to `rounds` rounds in which every group of items that share all codes is dealt out anew on the last level, as evenly as Sinkhorn's
/// algorithm can: `left` is what there is of each item before that level, `book` the level's vectors (codes × width). What is still shared
/// stays so. Gives the rounds that changed something.
pub fn separate(codes: &mut [Vec<u32>], left: &[f32], book: &[f32], rounds: usize) -> usize {
    let width = left.len() / codes.len().max(1);
    for round in 0..rounds {
        let mut groups: BTreeMap<Vec<u32>, Vec<usize>> = BTreeMap::new();
        codes
            .iter()
            .enumerate()
            .for_each(|(item, codes)| groups.entry(codes.clone()).or_default().push(item));
        let mut changed = false;
        for group in groups.into_values().filter(|group| group.len() > 1) {
            let distances: Vec<Vec<f64>> =
                group.iter().map(|item| squared_distances(&left[item * width..][..width], book)).collect();
            for (item, code) in group.iter().zip(sinkhorn(&distances)) {
                if let Some(last) = codes[*item].last_mut()
                    && *last != code as u32
                {
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

/// For each row of distances, all of one length, the column with the greatest share where rows and columns shall have equal sums (Sinkhorn and
/// Knopp); distances are centred and scaled to \[−1, 1\] before. Of equal shares the first.
pub fn sinkhorn(distances: &[Vec<f64>]) -> Vec<usize> {
    let all = || distances.iter().flatten().copied();
    let (least, most) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    let middle = (most + least) / 2.0;
    let reach = most - middle + 1e-5;
    let share = |distance: &f64| (-(distance - middle) / reach / EPSILON).exp();
    let mut shares: Vec<Vec<f64>> = distances.iter().map(|row| row.iter().map(share).collect()).collect();
    let columns = shares.first().map_or(0, Vec::len);
    for _ in 0..ITERATIONS {
        for row in &mut shares {
            let total: f64 = row.iter().sum();
            row.iter_mut().for_each(|x| *x /= total.max(f64::MIN_POSITIVE));
        }
        for column in 0..columns {
            let total: f64 = shares.iter().map(|row| row[column]).sum();
            shares.iter_mut().for_each(|row| row[column] /= total.max(f64::MIN_POSITIVE));
        }
    }
    let best = |row: &Vec<f64>| (1..columns).fold(0, |best, at| if row[at] > row[best] { at } else { best });
    shares.iter().map(best).collect()
}
