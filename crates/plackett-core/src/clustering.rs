//! k-means (Lloyd, 1982) over vectors, with the start of k-means++ (Arthur and Vassilvitskii, 2007): the same vectors and seed give the
//! same clusters, for any number of threads.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Clusters of vectors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clusters {
    /// The middle of each; there may be fewer than were asked for, where vectors coincide.
    pub centroids: Vec<Vec<f64>>,
    /// For each vector its cluster, the nearest; of equally near ones the first.
    pub assignments: Vec<usize>,
}

/// ‖a − b‖²
pub fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

/// Clusters by Euclidean distance, after so many rounds at most. A cluster that loses all of its vectors keeps its middle.
pub fn k_means(vectors: &[Vec<f64>], count: usize, rounds: usize, seed: u64) -> Clusters {
    if vectors.is_empty() || count == 0 {
        return Clusters::default();
    }
    let mut centroids = start(vectors, count, seed);
    let mut assignments = vec![usize::MAX; vectors.len()];
    for _ in 0..rounds.max(1) {
        let now: Vec<usize> = vectors.par_iter().map(|vector| nearest(&centroids, vector)).collect();
        if now == assignments {
            break;
        }
        assignments = now;
        let mut sums = vec![vec![0.0; centroids[0].len()]; centroids.len()];
        let mut counts = vec![0.0; centroids.len()];
        for (vector, &owner) in vectors.iter().zip(&assignments) {
            sums[owner].iter_mut().zip(vector).for_each(|(sum, x)| *sum += x);
            counts[owner] += 1.0;
        }
        for ((middle, sum), count) in centroids.iter_mut().zip(sums).zip(&counts) {
            if *count > 0.0 {
                *middle = sum.into_iter().map(|sum| sum / count).collect();
            }
        }
    }
    let assignments = vectors.par_iter().map(|vector| nearest(&centroids, vector)).collect();
    Clusters { centroids, assignments }
}

fn nearest(centroids: &[Vec<f64>], vector: &[f64]) -> usize {
    let distances: Vec<f64> = centroids.iter().map(|middle| squared_distance(middle, vector)).collect();
    (0..distances.len()).fold(0, |best, at| if distances[at] < distances[best] { at } else { best })
}

/// The first centroids: vectors that are drawn with the squared distance to the nearest middle so far as weight.
fn start(vectors: &[Vec<f64>], count: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut centroids = vec![vectors[random.random_range(0..vectors.len())].clone()];
    let mut far = vec![f64::INFINITY; vectors.len()];
    while centroids.len() < count.min(vectors.len()) {
        let newest = &centroids[centroids.len() - 1];
        far.par_iter_mut()
            .zip(vectors)
            .for_each(|(far, vector)| *far = far.min(squared_distance(newest, vector)));
        let total: f64 = far.iter().sum();
        if total <= 0.0 {
            break;
        }
        let mut left = random.random::<f64>() * total;
        let place = far.iter().position(|distance| {
            left -= distance;
            left < 0.0
        });
        let last = far.iter().rposition(|distance| *distance > 0.0).unwrap_or(0);
        centroids.push(vectors[place.unwrap_or(last)].clone());
    }
    centroids
}

/// How far below the line a knee is at least.
const SENSITIVITY: f64 = 0.01;

/// The knee of a falling convex curve (Satopää and others, Finding a "Kneedle" in a haystack, 2011): the place that lies farthest below the line
/// between both ends, when both axes go from 0 to 1. `None` with fewer than three points, without a fall, or where the curve is straight or bends the other way.
pub fn knee(x: &[f64], y: &[f64]) -> Option<usize> {
    let (&left, &right) = (x.first()?, x.last()?);
    let (&high, &low) = (y.first()?, y.last()?);
    if x.len() < 3 || x.len() != y.len() || right <= left || high <= low {
        return None;
    }
    let below = |at: usize| {
        let across = (x[at] - left) / (right - left);
        let down = (y[at] - low) / (high - low);
        1.0 - across - down
    };
    (0..x.len())
        .map(|at| (at, below(at)))
        .fold(None, |best: Option<(usize, f64)>, (at, depth)| match best {
            Some((_, most)) if depth <= most => best,
            _ => Some((at, depth)),
        })
        .filter(|(_, depth)| *depth > SENSITIVITY)
        .map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_and_the_same_each_time() {
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let vectors: Vec<Vec<f64>> = (0..60)
            .map(|at| vec![f64::from(at % 3) * 10.0 + random.random::<f64>(), random.random::<f64>()])
            .collect();
        for seed in 0..10 {
            let clusters = k_means(&vectors, 3, 50, seed);
            assert_eq!(clusters, k_means(&vectors, 3, 50, seed));
            for at in 3..60 {
                assert_eq!(clusters.assignments[at], clusters.assignments[at - 3]);
            }
            // Every middle is the mean of its vectors.
            for (cluster, middle) in clusters.centroids.iter().enumerate() {
                let own: Vec<&Vec<f64>> = vectors
                    .iter()
                    .zip(&clusters.assignments)
                    .filter(|(_, o)| **o == cluster)
                    .map(|(v, _)| v)
                    .collect();
                let mean = own.iter().map(|v| v[0]).sum::<f64>() / own.len() as f64;
                assert!((mean - middle[0]).abs() < 1e-12);
            }
        }
        assert_eq!(k_means(&vec![vec![1.0]; 5], 3, 10, 1).centroids.len(), 1);
        assert_eq!(k_means(&[], 3, 10, 1), Clusters::default());
        assert_eq!(k_means(&vectors[..2], 9, 10, 1).centroids.len(), 2);
    }

    #[test]
    fn the_knee_is_where_a_curve_turns() {
        assert_eq!(knee(&[1.0, 2.0, 3.0, 4.0, 5.0], &[10.0, 3.0, 2.0, 1.5, 1.0]), Some(1));
        assert_eq!(knee(&[1.0, 2.0], &[2.0, 1.0]), None);
        assert_eq!(knee(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]), None);
        assert_eq!(knee(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), None);
        assert_eq!(knee(&[1.0, 2.0, 3.0], &[3.0, 2.9, 1.0]), None);
    }
}
