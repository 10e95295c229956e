//! One candidate of each cluster: k-means over features, and the member nearest to each middle.

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Rounds of k-means at most.
const ROUNDS: usize = 100;

fn squared(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

/// `count` different places: of k-means' clusters (k-means++ start, Euclidean) the member nearest to each middle, rising. Where features
/// coincide, so that there are fewer clusters, any others fill up. The same features and seed give the same places.
pub fn one_of_each_cluster(features: &[Vec<f64>], count: usize, seed: u64) -> Vec<usize> {
    let count = count.min(features.len());
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let middles = k_means(features, count, &mut random);
    let mut taken = vec![false; features.len()];
    let mut places = Vec::with_capacity(count);
    let owners: Vec<usize> = features.iter().map(|feature| nearest(&middles, feature)).collect();
    for (cluster, middle) in middles.iter().enumerate() {
        let members = (0..features.len()).filter(|&at| owners[at] == cluster && !taken[at]);
        let closest =
            members.min_by(|&a, &b| squared(&features[a], middle).total_cmp(&squared(&features[b], middle)));
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

fn nearest(middles: &[Vec<f64>], feature: &[f64]) -> usize {
    let distances: Vec<f64> = middles.iter().map(|middle| squared(middle, feature)).collect();
    (0..distances.len()).fold(0, |best, at| if distances[at] < distances[best] { at } else { best })
}

/// The middles of k-means; fewer where features coincide.
fn k_means(features: &[Vec<f64>], count: usize, random: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
    if features.is_empty() || count == 0 {
        return Vec::new();
    }
    let mut middles = vec![features[random.random_range(0..features.len())].clone()];
    while middles.len() < count {
        // k-means++ (Arthur and Vassilvitskii, 2007): far features are likely to be the next middle.
        let far: Vec<f64> =
            features.iter().map(|feature| squared(&middles[nearest(&middles, feature)], feature)).collect();
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
        middles.push(features[place.unwrap_or(last)].clone());
    }
    let mut owners = vec![usize::MAX; features.len()];
    for _ in 0..ROUNDS {
        let now: Vec<usize> = features.iter().map(|feature| nearest(&middles, feature)).collect();
        if now == owners {
            break;
        }
        owners = now;
        for (cluster, middle) in middles.iter_mut().enumerate() {
            let members: Vec<&Vec<f64>> = features
                .iter()
                .zip(&owners)
                .filter(|(_, owner)| **owner == cluster)
                .map(|(f, _)| f)
                .collect();
            if !members.is_empty() {
                let mean =
                    |at: usize| members.iter().map(|member| member[at]).sum::<f64>() / members.len() as f64;
                *middle = (0..middle.len()).map(mean).collect();
            }
        }
    }
    middles
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
    let along = |direction: &[f64]| -> Vec<f64> {
        centred.iter().map(|token| token.iter().zip(direction).map(|(a, b)| a * b).sum()).collect()
    };
    // Power iteration from the longest token, which is not across the direction unless all are.
    let longest =
        centred.iter().max_by(|a, b| squared(a, &vec![0.0; width]).total_cmp(&squared(b, &vec![0.0; width])));
    let mut direction = longest.cloned().unwrap_or_default();
    for _ in 0..200 {
        let projected = along(&direction);
        let mut next = vec![0.0; width];
        for (token, weight) in centred.iter().zip(&projected) {
            next.iter_mut().zip(token).for_each(|(sum, x)| *sum += weight * x);
        }
        let length = next.iter().map(|x| x * x).sum::<f64>().sqrt();
        if length <= 0.0 {
            return vec![0.0; tokens.len()];
        }
        next.iter_mut().for_each(|x| *x /= length);
        let moved = squared(&next, &direction);
        direction = next;
        if moved < 1e-24 {
            break;
        }
    }
    let projected = along(&direction);
    let skew: f64 = projected.iter().map(|x| x.powi(3)).sum();
    if skew < 0.0 { projected.iter().map(|x| -x).collect() } else { projected }
}
