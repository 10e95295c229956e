//! One candidate of each cluster: k-means over features, and the member nearest to each middle.

use nalgebra::{DMatrix, SymmetricEigen};
use plackett_core::clustering::{Clusters, k_means, squared_distance};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Rounds of k-means at most.
const ROUNDS: usize = 100;

/// `count` different places: of k-means' clusters (k-means++ start, Euclidean) the member nearest to each middle, rising. Where features
/// coincide, so that there are fewer clusters, any others fill up. The same features and seed give the same places.
pub fn one_of_each_cluster(features: &[Vec<f64>], count: usize, seed: u64) -> Vec<usize> {
    let count = count.min(features.len());
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let Clusters { centroids, assignments } = k_means(features, count, ROUNDS, seed);
    let mut taken = vec![false; features.len()];
    let mut places = Vec::with_capacity(count);
    for (cluster, middle) in centroids.iter().enumerate() {
        let members = (0..features.len()).filter(|&at| assignments[at] == cluster && !taken[at]);
        let closest = members.min_by(|&a, &b| {
            squared_distance(&features[a], middle).total_cmp(&squared_distance(&features[b], middle))
        });
        if let Some(place) = closest {
            taken[place] = true;
            places.push(place);
        }
    }
    let mut others: Vec<usize> = (0..features.len()).filter(|&at| !taken[at]).collect();
    others.shuffle(&mut random);
    places.extend(others.into_iter().take(count - places.len().min(count)));
    places.sort_unstable();
    places
}

/// Where the vectors of a candidate's tokens lie along their first principal direction: a coarse map of what stands out, one number a
/// token. A direction has no sign of its own; the skew of the numbers is made positive, so that equal layouts are equal.
pub fn principal_projection(tokens: &[Vec<f64>]) -> Vec<f64> {
    let Some(width) = tokens.first().map(Vec::len) else { return Vec::new() };
    let count = tokens.len() as f64;
    let mean: Vec<f64> =
        (0..width).map(|at| tokens.iter().map(|token| token[at]).sum::<f64>() / count).collect();
    let centred: Vec<Vec<f64>> =
        tokens.iter().map(|token| token.iter().zip(&mean).map(|(x, mean)| x - mean).collect()).collect();
    let mut scatter = DMatrix::<f64>::zeros(width, width);
    for token in &centred {
        for (i, a) in token.iter().enumerate() {
            token.iter().enumerate().for_each(|(j, b)| scatter[(i, j)] += a * b);
        }
    }
    let spectrum = SymmetricEigen::new(scatter);
    let greatest = (0..width)
        .fold(0, |best, at| if spectrum.eigenvalues[at] > spectrum.eigenvalues[best] { at } else { best });
    let direction = spectrum.eigenvectors.column(greatest);
    let along = |token: &Vec<f64>| token.iter().zip(direction.iter()).map(|(a, b)| a * b).sum();
    let projected: Vec<f64> = centred.iter().map(along).collect();
    let skew: f64 = projected.iter().map(|x| x.powi(3)).sum();
    if skew < 0.0 { projected.iter().map(|x| -x).collect() } else { projected }
}
