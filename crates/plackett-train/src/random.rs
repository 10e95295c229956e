//! A counter-based generator: each number follows from a seed, a stream and a place alone, so that no order of drawing and
//! no number of threads changes it. Philox 4×32 with ten rounds (Salmon et al., Parallel random numbers: as easy as 1, 2, 3,
//! SC 2011).

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// Four words for a counter and a key.
pub fn philox([mut a, mut b, mut c, mut d]: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let first = u64::from(MULTIPLIERS[0]) * u64::from(a);
        let second = u64::from(MULTIPLIERS[1]) * u64::from(c);
        (a, b, c, d) = (
            (second >> 32) as u32 ^ b ^ key[0],
            second as u32,
            (first >> 32) as u32 ^ d ^ key[1],
            first as u32,
        );
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    [a, b, c, d]
}

/// Numbers of one seed and stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stream {
    seed: u64,
    stream: u64,
}

impl Stream {
    /// The numbers of a seed and a stream: those of other streams have nothing to do with them.
    pub fn new(seed: u64, stream: u64) -> Stream {
        Stream { seed, stream }
    }

    /// The word at a place.
    pub fn word(&self, place: u64) -> u32 {
        self.block(place / 4)[(place % 4) as usize]
    }

    /// Four words that come together.
    fn block(&self, block: u64) -> [u32; 4] {
        let counter = [block as u32, (block >> 32) as u32, self.stream as u32, (self.stream >> 32) as u32];
        philox(counter, [self.seed as u32, (self.seed >> 32) as u32])
    }

    /// Evenly from \[0, 1), in steps of 2⁻²⁴.
    pub fn uniform(&self, place: u64) -> f32 {
        unit(self.word(place))
    }

    /// Fills `out` with what is evenly from \[−1, 1) at `first` and after it.
    pub fn fill_uniform(&self, first: u64, out: &mut [f32]) {
        let mut at = 0;
        while at < out.len() {
            let place = first + at as u64;
            let words = self.block(place / 4);
            for word in &words[(place % 4) as usize..] {
                let Some(x) = out.get_mut(at) else { return };
                *x = 2.0 * unit(*word) - 1.0;
                at += 1;
            }
        }
    }

    /// From the normal distribution with mean 0 and variance 1 (Box and Muller's way, two words a number).
    pub fn normal(&self, place: u64) -> f32 {
        let radius = (-2.0 * (1.0 - f64::from(self.uniform(2 * place))).ln()).sqrt();
        let angle = std::f64::consts::TAU * f64::from(self.uniform(2 * place + 1));
        (radius * angle.cos()) as f32
    }

    /// A whole number below `end`, for shuffles and samples; 0 for 0.
    pub fn below(&self, place: u64, end: usize) -> usize {
        ((u64::from(self.word(place)) * end as u64) >> 32) as usize
    }

    /// The numbers below `count` in an order that follows from the seed (Fisher and Yates).
    pub fn permutation(&self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last, self.below(last as u64, last + 1));
        }
        order
    }
}

/// A word as a number of \[0, 1).
fn unit(word: u32) -> f32 {
    (word >> 8) as f32 / (1 << 24) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_published_vectors() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
    }

    #[test]
    fn numbers_have_the_moments_of_their_distributions() {
        let stream = Stream::new(7, 3);
        let count = 20_000;
        let normal: Vec<f64> = (0..count).map(|at| f64::from(stream.normal(at))).collect();
        let mean = normal.iter().sum::<f64>() / count as f64;
        let variance = normal.iter().map(|x| x * x).sum::<f64>() / count as f64;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
        let uniform = (0..count).map(|at| f64::from(stream.uniform(at))).sum::<f64>() / count as f64;
        assert!((uniform - 0.5).abs() < 0.01);
    }

    #[test]
    fn numbers_filled_in_are_those_of_their_places() {
        let stream = Stream::new(5, 9);
        for (first, count) in [(0, 9), (3, 1), (6, 11), (1 << 40, 5), (2, 0)] {
            let mut out = vec![0.0; count];
            stream.fill_uniform(first, &mut out);
            let one = |at: usize| 2.0 * stream.uniform(first + at as u64) - 1.0;
            assert_eq!(out, (0..count).map(one).collect::<Vec<f32>>());
        }
    }

    #[test]
    fn a_permutation_has_every_number_once() {
        let mut order = Stream::new(1, 0).permutation(100);
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
        assert!(Stream::new(1, 0).permutation(0).is_empty());
    }
}
