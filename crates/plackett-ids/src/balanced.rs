//! k-means whose clusters are of one size, n mod k of them with one vector more (the codebooks of OneRec, 2025, section 3.1, and
//! the constrained ones of MiniOneRec, 2025). Vectors are given to clusters in the order of their distances, so the order of the clusters has no say;
//! or clusters are filled in turn, as OneRec's own algorithm does it.

use plackett_core::clustering::{Clusters, k_means, squared_distance};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Clusters by Euclidean distance whose sizes differ by one at most, after so many rounds at most. There are `count` clusters where there are
/// so many vectors, and otherwise one for each.
pub fn balanced_k_means(vectors: &[Vec<f64>], count: usize, rounds: usize, seed: u64) -> Clusters {
    let count = count.min(vectors.len());
    if count == 0 {
        return Clusters::default();
    }
    let mut centroids = k_means(vectors, count, rounds, seed).centroids;
    // Vectors that coincide give fewer centroids; the clusters that are missing begin where the first one does.
    while centroids.len() < count {
        centroids.push(centroids[0].clone());
    }
    let mut assignments = assign(vectors, &centroids);
    for _ in 1..rounds.max(1) {
        centroids = means(vectors, &assignments, count);
        let now = assign(vectors, &centroids);
        if now == assignments {
            break;
        }
        assignments = now;
    }
    Clusters { centroids: means(vectors, &assignments, count), assignments }
}

/// Clusters that are filled one after the other (OneRec, 2025, algorithm 1): each takes the vectors nearest to it of those that are left, as many
/// as its size says, and becomes their mean, round after round until nothing changes. The first n mod k clusters take one more. Whose turn is
/// last gets what is left, however far it is, so that the order is drawn anew in each round; the paper says nothing of it.
pub fn balanced_k_means_in_turn(vectors: &[Vec<f64>], count: usize, rounds: usize, seed: u64) -> Clusters {
    let count = count.min(vectors.len());
    if count == 0 {
        return Clusters::default();
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut all: Vec<usize> = (0..vectors.len()).collect();
    for at in 0..count {
        let other = random.random_range(at..all.len());
        all.swap(at, other);
    }
    let mut centroids: Vec<Vec<f64>> = all[..count].iter().map(|at| vectors[*at].clone()).collect();
    let (size, more) = (vectors.len() / count, vectors.len() % count);
    let mut assignments = vec![usize::MAX; vectors.len()];
    let mut turns: Vec<usize> = (0..count).collect();
    for _ in 0..rounds.max(1) {
        turns.shuffle(&mut random);
        let mut left: Vec<usize> = (0..vectors.len()).collect();
        let mut now = vec![usize::MAX; vectors.len()];
        for cluster in &turns {
            let wanted = size + usize::from(*cluster < more);
            let distance = |at: &usize| squared_distance(&vectors[*at], &centroids[*cluster]);
            let mut far: Vec<(f64, usize)> = left.par_iter().map(|at| (distance(at), *at)).collect();
            far.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            far[..wanted].iter().for_each(|(_, at)| now[*at] = *cluster);
            left = far[wanted..].iter().map(|(_, at)| *at).collect();
            centroids[*cluster] = mean_of(vectors, far[..wanted].iter().map(|(_, at)| *at));
        }
        if now == assignments {
            break;
        }
        assignments = now;
    }
    Clusters { centroids, assignments }
}

/// The codes of vectors by residuals: at each level that of the cluster of what is left of a vector, whose centroid is then taken off it. Of each
/// vector there are `levels` codes, one after another. `cluster` is given what is left and the level, numbered from 0.
pub fn balanced_residual_codes(
    mut left: Vec<Vec<f64>>,
    levels: usize,
    cluster: impl Fn(&[Vec<f64>], usize) -> Clusters,
) -> Vec<u32> {
    let mut codes = vec![0; left.len() * levels];
    for level in 0..levels {
        let clusters = cluster(&left, level);
        for (item, (vector, code)) in left.iter_mut().zip(&clusters.assignments).enumerate() {
            vector.iter_mut().zip(&clusters.centroids[*code]).for_each(|(x, middle)| *x -= middle);
            codes[item * levels + level] = *code as u32;
        }
    }
    codes
}

/// The mean of some vectors; there is at least one.
fn mean_of(vectors: &[Vec<f64>], members: impl ExactSizeIterator<Item = usize>) -> Vec<f64> {
    let count = members.len().max(1) as f64;
    let mut mean = vec![0.0; vectors[0].len()];
    members.for_each(|at| mean.iter_mut().zip(&vectors[at]).for_each(|(mean, x)| *mean += x / count));
    mean
}

/// Gives vectors to clusters, the nearest pair first, while there is room; then exchanges vectors of two clusters while both together come nearer.
fn assign(vectors: &[Vec<f64>], centroids: &[Vec<f64>]) -> Vec<usize> {
    let (size, more) = (vectors.len() / centroids.len(), vectors.len() % centroids.len());
    let distances: Vec<Vec<f64>> = vectors
        .par_iter()
        .map(|vector| centroids.iter().map(|middle| squared_distance(vector, middle)).collect())
        .collect();
    let mut pairs: Vec<(usize, usize)> =
        (0..vectors.len()).flat_map(|at| (0..centroids.len()).map(move |cluster| (at, cluster))).collect();
    pairs.par_sort_by(|a, b| distances[a.0][a.1].total_cmp(&distances[b.0][b.1]).then(a.cmp(b)));
    let mut assignments = vec![usize::MAX; vectors.len()];
    let (mut sizes, mut larger) = (vec![0; centroids.len()], 0);
    for (at, cluster) in pairs {
        let has_room = sizes[cluster] < size || sizes[cluster] == size && larger < more;
        if assignments[at] == usize::MAX && has_room {
            larger += usize::from(sizes[cluster] == size);
            sizes[cluster] += 1;
            assignments[at] = cluster;
        }
    }
    exchange(&distances, &mut assignments);
    assignments
}

/// Rounds of exchanges: what greed has left can mostly be mended in two.
const EXCHANGES: usize = 3;

/// Lets a vector that is far from its cluster change places with one of the cluster that it is nearest to, where the sum of both distances falls.
fn exchange(distances: &[Vec<f64>], assignments: &mut [usize]) {
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); distances.first().map_or(0, Vec::len)];
    for (at, cluster) in assignments.iter().enumerate() {
        members[*cluster].push(at);
    }
    for _ in 0..EXCHANGES {
        let mut is_changed = false;
        for at in 0..assignments.len() {
            let own = assignments[at];
            let row = &distances[at];
            let nearest =
                (0..row.len()).fold(0, |best, next| if row[next] < row[best] { next } else { best });
            if nearest == own {
                continue;
            }
            let gain =
                |other: usize| row[own] + distances[other][nearest] - row[nearest] - distances[other][own];
            let best = (0..members[nearest].len())
                .max_by(|a, b| gain(members[nearest][*a]).total_cmp(&gain(members[nearest][*b])));
            let Some(best) = best.filter(|best| gain(members[nearest][*best]) > 1e-12) else { continue };
            let other = std::mem::replace(&mut members[nearest][best], at);
            let place = members[own].iter().position(|member| *member == at).unwrap_or_default();
            members[own][place] = other;
            (assignments[at], assignments[other]) = (nearest, own);
            is_changed = true;
        }
        if !is_changed {
            break;
        }
    }
}

fn means(vectors: &[Vec<f64>], assignments: &[usize], count: usize) -> Vec<Vec<f64>> {
    let mut sums = vec![vec![0.0; vectors[0].len()]; count];
    let mut sizes = vec![0.0f64; count];
    for (vector, cluster) in vectors.iter().zip(assignments) {
        sums[*cluster].iter_mut().zip(vector).for_each(|(sum, x)| *sum += x);
        sizes[*cluster] += 1.0;
    }
    for (sum, size) in sums.iter_mut().zip(sizes) {
        sum.iter_mut().for_each(|x| *x /= size.max(1.0));
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn sizes_differ_by_one_at_most() {
        for (count, k) in [(103, 10), (100, 10), (7, 7), (5, 9), (64, 3), (1, 4)] {
            let mut random = ChaCha8Rng::seed_from_u64(count as u64);
            // Most vectors lie in one heap, which plain k-means gives to one cluster.
            let vectors: Vec<Vec<f64>> = (0..count)
                .map(|at| {
                    vec![if at % 9 == 0 { 50.0 } else { 0.0 } + random.random::<f64>(), random.random()]
                })
                .collect();
            let clusters = balanced_k_means(&vectors, k, 10, 1);
            let mut sizes = vec![0; k.min(count)];
            clusters.assignments.iter().for_each(|cluster| sizes[*cluster] += 1);
            let (low, high) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
            assert!(high - low <= 1, "{sizes:?}");
            assert_eq!(clusters, balanced_k_means(&vectors, k, 10, 1));
        }
        assert_eq!(balanced_k_means(&[], 3, 5, 1), Clusters::default());
        let equal = balanced_k_means(&vec![vec![1.0]; 6], 3, 5, 1);
        assert!((0..3).all(|cluster| equal.assignments.iter().filter(|own| **own == cluster).count() == 2));
    }

    #[test]
    fn clusters_in_turn_have_exact_sizes_and_the_first_take_one_more() {
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let vectors: Vec<Vec<f64>> =
            (0..103).map(|_| vec![random.random(), random.random::<f64>().powi(4)]).collect();
        let clusters = balanced_k_means_in_turn(&vectors, 10, 20, 5);
        let size = |cluster: usize| clusters.assignments.iter().filter(|own| **own == cluster).count();
        assert_eq!((0..10).map(size).collect::<Vec<_>>(), [11, 11, 11, 10, 10, 10, 10, 10, 10, 10]);
        assert_eq!(clusters, balanced_k_means_in_turn(&vectors, 10, 20, 5));
        for (at, centroid) in clusters.centroids.iter().enumerate() {
            let members: Vec<usize> = (0..103).filter(|own| clusters.assignments[*own] == at).collect();
            let middle = mean_of(&vectors, members.into_iter());
            assert!(squared_distance(&middle, centroid) < 1e-12);
        }
        assert_eq!(balanced_k_means_in_turn(&[], 3, 5, 1), Clusters::default());
        let few = balanced_k_means_in_turn(&vectors[..2], 5, 5, 1);
        assert_ne!(few.assignments[0], few.assignments[1]);
    }

    #[test]
    fn codes_are_of_what_is_left_level_by_level() {
        let vectors = [0.0, 1.0, 10.0, 11.0].map(|x| vec![x]).to_vec();
        let cluster = |left: &[Vec<f64>], level: usize| match level {
            0 => Clusters { centroids: vec![vec![0.5], vec![10.5]], assignments: vec![0, 0, 1, 1] },
            _ => {
                assert_eq!(left, [[-0.5], [0.5], [-0.5], [0.5]]);
                Clusters { centroids: vec![vec![-0.5], vec![0.5]], assignments: vec![0, 1, 0, 1] }
            }
        };
        assert_eq!(balanced_residual_codes(vectors, 2, cluster), [0, 0, 0, 1, 1, 0, 1, 1]);
    }

    #[test]
    fn groups_that_are_balanced_are_found() {
        let vectors: Vec<Vec<f64>> =
            (0..60).map(|at| vec![f64::from(at % 3) * 10.0, f64::from(at) / 100.0]).collect();
        let clusters = balanced_k_means(&vectors, 3, 20, 4);
        assert!((3..60).all(|at| clusters.assignments[at] == clusters.assignments[at % 3]));
    }
}
