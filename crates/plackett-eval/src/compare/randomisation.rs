//! The randomisation test: if the two systems were the same, each query's difference could as well have the other sign.

use super::Test;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

/// How signs are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RandomisationOptions {
    /// Sign patterns drawn when there are too many to try all.
    pub samples: usize,
    /// The same seed gives the same p-value on any machine with any number of threads.
    pub seed: u64,
}

impl Default for RandomisationOptions {
    fn default() -> Self {
        RandomisationOptions { samples: 100_000, seed: 1 }
    }
}

/// Up to this many differences (not counting zeros) every sign pattern is tried.
const EXACT_UP_TO: usize = 20;

/// Patterns per stream of the generator; a constant, so that threads do not matter.
const CHUNK: usize = 1000;

/// Two-sided test of the mean difference. Up to 20 differences that are not 0 it is exact; above that p is
/// (1 + extreme) / (1 + drawn), which is never 0 (Phipson and Smyth 2010).
pub fn randomisation_test(differences: &[f64], options: &RandomisationOptions) -> Test {
    let moved: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    let sum: f64 = moved.iter().sum();
    let mean = if differences.is_empty() { 0.0 } else { sum / differences.len() as f64 };
    // A pattern counts as extreme when it is at least as far out but for the rounding of sums.
    let bound = sum.abs() - 1e-11 * moved.iter().map(|d| d.abs()).sum::<f64>().max(1e-300);
    if moved.len() <= EXACT_UP_TO {
        let patterns = 1_u64 << moved.len();
        Test::new(mean, all_patterns(&moved, bound) as f64 / patterns as f64, true)
    } else {
        let extreme = drawn_patterns(&moved, bound, options);
        Test::new(mean, (1.0 + extreme as f64) / (1.0 + options.samples as f64), false)
    }
}

/// Goes through all patterns so that each differs from the one before in one sign (Gray's code).
fn all_patterns(differences: &[f64], bound: f64) -> u64 {
    let mut signed = differences.to_vec();
    let mut extreme = 0;
    for step in 0..1_u64 << differences.len() {
        if step > 0
            && let Some(value) = signed.get_mut(step.trailing_zeros() as usize)
        {
            *value = -*value;
        }
        // Summed anew: a running sum would drift over a million steps.
        extreme += u64::from(signed.iter().sum::<f64>().abs() >= bound);
    }
    extreme
}

fn drawn_patterns(differences: &[f64], bound: f64, options: &RandomisationOptions) -> u64 {
    (0..options.samples.div_ceil(CHUNK))
        .into_par_iter()
        .map(|chunk| {
            let mut random = ChaCha8Rng::seed_from_u64(options.seed);
            random.set_stream(chunk as u64);
            let samples = CHUNK.min(options.samples - chunk * CHUNK);
            (0..samples).filter(|_| signed_sum(differences, &mut random).abs() >= bound).count() as u64
        })
        .sum()
}

fn signed_sum(differences: &[f64], random: &mut ChaCha8Rng) -> f64 {
    let mut sum = 0.0;
    for block in differences.chunks(64) {
        let signs = random.next_u64();
        for (place, difference) in block.iter().enumerate() {
            sum += f64::from_bits(difference.to_bits() ^ (signs >> place & 1) << 63);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // 3 + 2 − 1 = 4; of 8 patterns ±(3+2+1) and ±(3+2−1) reach 4 in size.
        let test = randomisation_test(&[3.0, 2.0, -1.0, 0.0], &RandomisationOptions::default());
        assert_eq!((test.p, test.exact, test.statistic), (0.5, true, 1.0));
        assert_eq!(randomisation_test(&[0.0, 0.0], &RandomisationOptions::default()).p, 1.0);
    }

    #[test]
    fn drawn_is_near_exact_and_threads_do_not_matter() {
        let differences: Vec<f64> = (0..16).map(|i| f64::from(i % 5) / 10.0 - 0.12).collect();
        let options = RandomisationOptions::default();
        let exact = randomisation_test(&differences, &options).p;
        let bound = differences.iter().sum::<f64>().abs() - 1e-9;
        let drawn = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| drawn_patterns(&differences, bound, &options)) as f64 / 1e5
        };
        assert!((drawn(1) - exact).abs() < 0.006, "{} {exact}", drawn(1));
        assert_eq!(drawn(1), drawn(3));
    }
}
