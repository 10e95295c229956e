//! Attention in integers against the textbook formula in double precision, and at the edge of 32 bits.

use super::*;
use crate::isa::Isa;

/// Numbers of one head, keys in panels and values in rows as a cache in f32 has them.
struct Head {
    size: usize,
    keys: Vec<Vec<f32>>,
    values: Vec<Vec<f32>>,
}

impl Head {
    fn new(size: usize, tokens: usize, number: impl Fn(usize) -> f32) -> Head {
        let rows = |from: usize| -> Vec<Vec<f32>> {
            (0..tokens).map(|t| (0..size).map(|i| number(from + t * size + i)).collect()).collect()
        };
        Head { size, keys: rows(0), values: rows(tokens * size) }
    }

    /// PackedMatrix of whole segments, and values in rows of whole panels.
    fn packed(&self) -> (Vec<f32>, Vec<f32>) {
        let tokens = self.keys.len().next_multiple_of(TILE_COLUMNS);
        let padded = self.size.next_multiple_of(TILE_COLUMNS);
        let (mut keys, mut values) = (vec![0.0; tokens * self.size], vec![0.0; tokens * padded]);
        for (token, (key, value)) in self.keys.iter().zip(&self.values).enumerate() {
            let start = token / TILE_COLUMNS * TILE_COLUMNS * self.size + token % TILE_COLUMNS;
            key.iter().enumerate().for_each(|(i, x)| keys[start + i * TILE_COLUMNS] = *x);
            values[token * padded..][..self.size].copy_from_slice(value);
        }
        (keys, values)
    }

    fn attend(
        &self,
        isa: Isa,
        queries: &[f32],
        seen: &[Range<usize>],
        scale: f32,
        integers: bool,
    ) -> Vec<f32> {
        let (keys, values) = self.packed();
        let (keys, values) = (Numbers::F32(&keys), Numbers::F32(&values));
        let segment = Segment { keys, values, tokens: self.keys.len(), width: TILE_COLUMNS };
        let runs = [Run { rows: 0..seen.len(), offset: 0, segments: vec![segment] }];
        let mut out = vec![0.0; seen.len() * self.size];
        let own = CachedQueries { isa, size: self.size, scale, integers, queries, seen };
        own.attend(&runs, &mut out, &mut CachedScratch::default());
        out
    }

    fn by_hand(&self, query: &[f32], seen: Range<usize>, scale: f32) -> Vec<f64> {
        let dot =
            |key: &[f32]| key.iter().zip(query).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let scores: Vec<f64> =
            self.keys[seen.clone()].iter().map(|key| dot(key) * f64::from(scale)).collect();
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
        let total: f64 = weights.iter().sum();
        let value = |i: usize| {
            let values = self.values[seen.clone()].iter().zip(&weights);
            values.map(|(value, weight)| f64::from(value[i]) * weight).sum::<f64>() / total
        };
        (0..self.size).map(value).collect()
    }
}

/// Numbers between −1 and 1 without a pattern.
fn noise(i: usize) -> f32 {
    let x = (i as u32).wrapping_mul(2_654_435_761).rotate_left(15).wrapping_mul(2_246_822_519);
    (x >> 8) as f32 / (1 << 23) as f32 - 1.0
}

#[test]
fn integers_are_close_to_double_precision() {
    for (size, tokens) in [(64, 700), (128, 90), (8, 2000), (40, 33)] {
        // A few keys are far larger than the others, as the first tokens of real texts are.
        let head = Head::new(size, tokens, |i| noise(i) * if i / size % 97 == 3 { 20.0 } else { 1.5 });
        let queries: Vec<f32> = (0..13 * size).map(|i| 2.0 * noise(i + 999_999)).collect();
        let seen: Vec<Range<usize>> =
            (0..13).map(|row| row..if row % 2 == 0 { tokens - row } else { tokens / 2 + 1 }).collect();
        let scale = 1.0 / (size as f32).sqrt();
        for isa in [Isa::detect(), Isa::Portable] {
            let found = head.attend(isa, &queries, &seen, scale, true);
            let exact = head.attend(isa, &queries, &seen, scale, false);
            let mut farthest = [0.0f64; 2];
            for (row, seen) in seen.iter().enumerate() {
                let expected = head.by_hand(&queries[row * size..][..size], seen.clone(), scale);
                for (i, expected) in expected.iter().enumerate() {
                    let far = |of: &[f32]| (f64::from(of[row * size + i]) - expected).abs();
                    farthest = [farthest[0].max(far(&found)), farthest[1].max(far(&exact))];
                }
            }
            println!("{isa:?} {size} {tokens}: integers {:.1e}, f32 {:.1e}", farthest[0], farthest[1]);
            // Values go up to 20; an int8 is off by 0.08 there.
            assert!(farthest[0] < 0.01 && farthest[1] < 1e-4, "{isa:?} {size} {tokens}: {farthest:?}");
        }
    }
}

/// Equal weights of equal values are the largest sums that there can be.
#[test]
fn sums_fit_32_bits_for_any_number_of_keys() {
    for tokens in [1, 2, 31, 1000, 4095, 70_000, 600_000, 1_200_000] {
        let head =
            Head { size: 2, keys: vec![vec![0.5, -0.5]; tokens], values: vec![vec![3.0, -3.0]; tokens] };
        let isas = if tokens > 5000 { vec![Isa::detect()] } else { vec![Isa::detect(), Isa::Portable] };
        for isa in isas {
            let all = 0..tokens;
            let found = head.attend(isa, &[1.0, 1.0], std::slice::from_ref(&all), 1.0, true);
            assert!((found[0] - 3.0).abs() < 1e-3 && found[1] == -found[0], "{isa:?} {tokens}: {found:?}");
        }
    }
    for size in [1, 2, 64, 128, 256, 4096] {
        let most = f64::from(most_of_key(size));
        assert!(most * most * size as f64 <= f64::from(i32::MAX) && most <= f64::from(i16::MAX), "{size}");
    }
}

/// What is no number does not become one.
#[test]
fn a_score_that_is_no_number_shows() {
    let head = Head::new(16, 40, noise);
    let mut queries: Vec<f32> = (0..32).map(noise).collect();
    queries[3] = f32::INFINITY;
    for isa in [Isa::detect(), Isa::Portable] {
        let found = head.attend(isa, &queries, &[0..40, 0..40], 0.25, true);
        assert!(
            found[..16].iter().all(|x| x.is_nan()) && found[16..].iter().all(|x| x.is_finite()),
            "{isa:?}"
        );
    }
}
