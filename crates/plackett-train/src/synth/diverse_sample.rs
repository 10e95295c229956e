//! A few documents that stand for a whole collection (DUQGen; Chandradevan, Dhole and Agichtein, NAACL 2024): clusters, documents of each by
//! its size, drawn near its middle, and of those the ones that are most like its central one.

use crate::TrainError;
use plackett_core::clustering::{Clusters, k_means, squared_distance};
use plackett_core::cosine;
use rand::seq::index::sample;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Which documents of a cluster are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WithinCluster {
    /// Drawn near its middle, and of those the ones that are most like its central one (DUQGen).
    #[default]
    Drawn,
    /// Those nearest to its middle.
    Central,
    /// Any, each as likely as another.
    Uniform,
}

/// How documents are sampled.
#[derive(Clone, Debug, PartialEq)]
pub struct DiverseSample {
    /// Which documents of a cluster are taken; temperature, draws and lambda are for [`WithinCluster::Drawn`] alone.
    pub within: WithinCluster,
    /// Clusters.
    pub clusters: usize,
    /// Documents in all; at least one of each cluster.
    pub documents: usize,
    /// Of the softmax over cosines with the middle; with 1 nearly uniform, about 0.05 it matters.
    pub temperature: f64,
    /// How often documents are drawn of each cluster; the union is reduced.
    pub draws: usize,
    /// Weight of likeness to the central document against unlikeness to those chosen before (MMR): 1 is likeness alone.
    pub lambda: f64,
    /// Rounds of k-means at most.
    pub rounds: usize,
    /// From which everything follows.
    pub seed: u64,
}

impl Default for DiverseSample {
    fn default() -> DiverseSample {
        DiverseSample {
            within: WithinCluster::Drawn,
            clusters: 1000,
            documents: 1000,
            temperature: 1.0,
            draws: 5,
            lambda: 1.0,
            rounds: 100,
            seed: 420,
        }
    }
}

/// How many documents each cluster gives: 1 + ⌊(N − K) c / n⌋, and what is left one each to the largest ones (of equal size the first);
/// never more than it has, in which case the next ones give more.
///
/// # Errors
/// Fewer documents than clusters that have some, or more than there are.
pub fn allocation(sizes: &[usize], documents: usize) -> Result<Vec<usize>, TrainError> {
    let all: usize = sizes.iter().sum();
    let clusters = sizes.iter().filter(|size| **size > 0).count();
    if documents < clusters || documents > all {
        return Err(TrainError::Setting(format!(
            "{documents} documents cannot be sampled from {clusters} clusters with {all} documents: give a number from {clusters} to {all}"
        )));
    }
    let share = |size: &usize| match size {
        0 => 0,
        size => (1 + (documents - clusters) * size / all).min(*size),
    };
    let mut counts: Vec<usize> = sizes.iter().map(share).collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(sizes[*at]));
    let mut left = documents - counts.iter().sum::<usize>();
    while left > 0 {
        for &at in &order {
            if left > 0 && counts[at] < sizes[at] {
                counts[at] += 1;
                left -= 1;
            }
        }
    }
    Ok(counts)
}

/// `count` different places drawn one after another with weights exp(score / T); T → 0 takes the greatest scores.
pub fn softmax_draw(scores: &[f64], temperature: f64, count: usize, random: &mut ChaCha8Rng) -> Vec<usize> {
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weight = |score: &f64| ((score - top) / temperature.max(1e-12)).exp();
    let mut weights: Vec<f64> = scores.iter().map(weight).collect();
    let mut drawn = Vec::with_capacity(count.min(scores.len()));
    while drawn.len() < count.min(scores.len()) {
        let total: f64 = weights.iter().sum();
        let mut left = random.random::<f64>() * total;
        let place = weights.iter().position(|weight| {
            left -= weight;
            *weight > 0.0 && left < 0.0
        });
        // Where all weights that are left round to 0, the greatest score.
        let greatest = || {
            let open = (0..scores.len()).filter(|at| !drawn.contains(at));
            open.max_by(|a, b| scores[*a].total_cmp(&scores[*b]).then(b.cmp(a)))
        };
        let Some(place) = place.or_else(greatest) else { break };
        weights[place] = 0.0;
        drawn.push(place);
    }
    drawn
}

/// The places of all vectors in the order of maximal marginal relevance to a central one, with the score of each when it was taken; of
/// equal scores the first.
pub fn marginal_relevance(vectors: &[&[f64]], central: &[f64], lambda: f64) -> Vec<(usize, f64)> {
    let relevance: Vec<f64> = vectors.iter().map(|vector| cosine(vector, central)).collect();
    let mut nearest = vec![0.0f64; vectors.len()];
    let mut taken = vec![false; vectors.len()];
    let mut order: Vec<(usize, f64)> = Vec::with_capacity(vectors.len());
    while order.len() < vectors.len() {
        let score = |at: usize| {
            let penalty = if order.is_empty() { 0.0 } else { nearest[at] };
            lambda * relevance[at] - (1.0 - lambda) * penalty
        };
        let open = (0..vectors.len()).filter(|at| !taken[*at]);
        let best = open.map(|at| (at, score(at))).fold(None, |best: Option<(usize, f64)>, next| match best {
            Some((_, most)) if next.1 <= most => best,
            _ => Some(next),
        });
        let Some((place, score)) = best else { break };
        taken[place] = true;
        let first = order.is_empty();
        for (at, near) in nearest.iter_mut().enumerate() {
            let like = cosine(vectors[at], vectors[place]);
            *near = if first { like } else { near.max(like) };
        }
        order.push((place, score));
    }
    order
}

impl DiverseSample {
    /// Places of the sampled documents, rising, and the clusters.
    ///
    /// # Errors
    /// As [`allocation`].
    pub fn run(&self, vectors: &[Vec<f64>]) -> Result<(Vec<usize>, Clusters), TrainError> {
        let clusters = k_means(vectors, self.clusters, self.rounds, self.seed);
        let mut members = vec![Vec::new(); clusters.centroids.len()];
        clusters.assignments.iter().enumerate().for_each(|(at, owner)| members[*owner].push(at));
        let sizes: Vec<usize> = members.iter().map(Vec::len).collect();
        let counts = allocation(&sizes, self.documents)?;
        let mut sampled = Vec::with_capacity(self.documents);
        for (cluster, (members, &count)) in members.iter().zip(&counts).enumerate() {
            if count > 0 {
                sampled.extend(self.of_cluster(
                    vectors,
                    &clusters.centroids[cluster],
                    members,
                    (cluster, count),
                ));
            }
        }
        sampled.sort_unstable();
        Ok((sampled, clusters))
    }

    /// The documents of one cluster.
    fn of_cluster(
        &self,
        vectors: &[Vec<f64>],
        middle: &[f64],
        members: &[usize],
        (cluster, count): (usize, usize),
    ) -> Vec<usize> {
        let far = |at: &usize| squared_distance(&vectors[*at], middle);
        let by_distance = |a: &usize, b: &usize| far(a).total_cmp(&far(b)).then(a.cmp(b));
        match self.within {
            WithinCluster::Drawn => {}
            WithinCluster::Central => {
                let mut nearest = members.to_vec();
                nearest.sort_by(by_distance);
                nearest.truncate(count);
                return nearest;
            }
            WithinCluster::Uniform => {
                let mut random = ChaCha8Rng::seed_from_u64(self.seed);
                random.set_stream((cluster as u64) << 16);
                let drawn = sample(&mut random, members.len(), count.min(members.len()));
                return drawn.into_iter().map(|at| members[at]).collect();
            }
        }
        let scores: Vec<f64> = members.iter().map(|at| cosine(&vectors[*at], middle)).collect();
        let mut pool = vec![false; members.len()];
        for draw in 0..self.draws.max(1) as u64 {
            let mut random = ChaCha8Rng::seed_from_u64(self.seed);
            random.set_stream((cluster as u64) << 16 | draw);
            softmax_draw(&scores, self.temperature, count, &mut random)
                .into_iter()
                .for_each(|at| pool[at] = true);
        }
        let pool: Vec<usize> = (0..members.len()).filter(|at| pool[*at]).map(|at| members[at]).collect();
        let Some(central) = members.iter().copied().min_by(by_distance) else { return Vec::new() };
        let views: Vec<&[f64]> = pool.iter().map(|at| vectors[*at].as_slice()).collect();
        let mut ordered = marginal_relevance(&views, &vectors[central], self.lambda);
        ordered.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        ordered.truncate(count);
        ordered.into_iter().map(|(at, _)| pool[at]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_golden_allocation() {
        assert_eq!(allocation(&[50, 30, 12, 6, 2], 20).unwrap(), [9, 6, 3, 1, 1]);
        assert_eq!(allocation(&[50, 30, 12, 6, 2], 5).unwrap(), [1; 5]);
        // A cluster never gives more than it has, and an empty one nothing.
        assert_eq!(allocation(&[1, 1, 0, 4], 6).unwrap(), [1, 1, 0, 4]);
        assert!(allocation(&[5, 5], 1).unwrap_err().to_string().contains("from 2 to 10"));
        assert!(allocation(&[5, 5], 11).is_err());
    }

    proptest! {
        #[test]
        fn allocations_add_up(sizes in proptest::collection::vec(0usize..40, 1..12), share in 0.0f64..1.0) {
            let all: usize = sizes.iter().sum();
            let clusters = sizes.iter().filter(|size| **size > 0).count();
            prop_assume!(clusters > 0);
            let documents = clusters + ((all - clusters) as f64 * share) as usize;
            let counts = allocation(&sizes, documents).unwrap();
            prop_assert_eq!(counts.iter().sum::<usize>(), documents);
            for (count, size) in counts.iter().zip(&sizes) {
                prop_assert!(count <= size && (*size == 0 || *count >= 1));
            }
        }
    }

    #[test]
    fn temperatures_and_marginal_relevance() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let scores = [0.5, 1.0, 0.7];
        assert_eq!(softmax_draw(&scores, 1e-9, 2, &mut random), [1, 2]);
        assert_eq!(softmax_draw(&scores, 1.0, 9, &mut random).len(), 3);
        // With T = 1 and cosines from 0.5 to 1 the likeliest is at most e^½ times as likely as the least likely.
        let mut counts = [0.0; 3];
        for _ in 0..20_000 {
            counts[softmax_draw(&scores, 1.0, 1, &mut random)[0]] += 1.0;
        }
        let ratio: f64 = counts[1] / counts[0];
        assert!((ratio - 0.5f64.exp()).abs() < 0.1, "{ratio}");
        // Three near-duplicates, the central one among them, and an outlier.
        let vectors = [[1.0, 0.0], [0.999, 0.02], [0.998, -0.03], [0.1, 1.0]];
        let views: Vec<&[f64]> = vectors.iter().map(|vector| vector.as_slice()).collect();
        let order = |lambda| {
            marginal_relevance(&views, &vectors[0], lambda).into_iter().map(|(at, _)| at).collect::<Vec<_>>()
        };
        assert_eq!(order(1.0), [0, 1, 2, 3]);
        assert_eq!(order(0.4)[..2], [0, 3]);
        // At one half all others have 0 after the central one, which is both what they should be like and what they should not.
        assert_eq!(marginal_relevance(&views, &vectors[0], 0.5)[1], (1, 0.0));
    }

    #[test]
    fn every_region_is_sampled() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let vectors: Vec<Vec<f64>> = (0..200)
            .map(|at| vec![f64::from(at % 8) * 5.0 + random.random::<f64>(), random.random::<f64>()])
            .collect();
        let sample = DiverseSample { clusters: 8, documents: 24, ..DiverseSample::default() };
        let (sampled, clusters) = sample.run(&vectors).unwrap();
        assert_eq!(sampled.len(), 24);
        assert!(sampled.windows(2).all(|pair| pair[0] < pair[1]));
        let (mut of_cluster, mut sizes) =
            (vec![0; clusters.centroids.len()], vec![0; clusters.centroids.len()]);
        sampled.iter().for_each(|at| of_cluster[clusters.assignments[*at]] += 1);
        clusters.assignments.iter().for_each(|owner| sizes[*owner] += 1);
        assert_eq!(of_cluster, allocation(&sizes, 24).unwrap());
        assert_eq!(sample.run(&vectors).unwrap().0, sampled);
    }

    #[test]
    fn clusters_give_their_nearest_or_any() {
        // Two clusters around 0 and 10, of 4 and 2 documents; the middles are 0.25 and 10.5.
        let vectors = [0.0, 0.1, 0.2, 0.7, 10.0, 11.0].map(|x| vec![x, 1.0]).to_vec();
        let of = |within, seed| {
            let sample =
                DiverseSample { within, clusters: 2, documents: 3, seed, ..DiverseSample::default() };
            sample.run(&vectors).unwrap().0
        };
        // 1 + ⌊1 · 4 / 6⌋ and 1 + ⌊1 · 2 / 6⌋, and what is left to the larger one; 10 and 11 are as near, the first is taken.
        assert_eq!(of(WithinCluster::Central, 1), [1, 2, 4]);
        let mut seen = [false; 6];
        for seed in 0..40 {
            let drawn = of(WithinCluster::Uniform, seed);
            assert_eq!(drawn.iter().filter(|at| **at < 4).count(), 2, "{drawn:?}");
            drawn.iter().for_each(|at| seen[*at] = true);
        }
        assert_eq!(seen, [true; 6]);
    }
}
