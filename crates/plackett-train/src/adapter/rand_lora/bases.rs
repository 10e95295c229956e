//! The fixed random matrices that all layers with one adapter share.

use super::products;
use crate::adapter::basis;
use crate::random::Stream;
use crate::tape::Buffer;
use std::collections::HashMap;
use std::sync::Arc;

/// What random numbers there are; all have variance 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Dense,
    Sparse,
    VerySparse,
}

/// A, of which each layer has the first columns, and one B for each product, of which it has the first rows. A number of
/// either follows from the seed and its own place, whatever other layers there are.
pub(super) struct Bases {
    seed: u64,
    kind: Kind,
    rank: usize,
    /// The greatest short side of the layers.
    widest: usize,
    a: HashMap<usize, Arc<Buffer>>,
    b: HashMap<(usize, usize, bool), Arc<Buffer>>,
}

/// Streams of A begin here, those of B at 0.
const OF_A: u64 = 1 << 40;

impl Bases {
    pub(super) fn new(seed: u64, kind: Kind, rank: usize, shapes: &[(usize, usize)]) -> Bases {
        let widest = shapes.iter().map(|shape| shape.0.min(shape.1)).max().unwrap_or(0);
        Bases { seed, kind, rank, widest, a: HashMap::new(), b: HashMap::new() }
    }

    pub(super) fn rank(&self) -> usize {
        self.rank
    }

    /// Numbers of a stream from its first place on.
    fn fill(&self, stream: u64, out: &mut [f32]) {
        Stream::new(self.seed, stream).fill_uniform(0, out);
        let root = 3f32.sqrt();
        let (share, size) = match self.kind {
            Kind::Dense => return out.iter_mut().for_each(|x| *x *= root),
            Kind::Sparse => (1.0 / 6.0, root),
            Kind::VerySparse => {
                let share = 0.5 / (self.widest.max(1) as f32).sqrt();
                (share, (0.5 / share).sqrt())
            }
        };
        // From [−1, 1): each sign has its share of the whole length 2.
        out.iter_mut().for_each(|x| {
            *x = match *x {
                x if x < 2.0 * share - 1.0 => -size,
                x if x >= 1.0 - 2.0 * share => size,
                _ => 0.0,
            }
        });
    }

    /// A's first columns: rank × short.
    pub(super) fn a(&mut self, short: usize) -> Arc<Buffer> {
        if let Some(known) = self.a.get(&short) {
            return known.clone();
        }
        let mut all = vec![0.0; self.rank * short];
        for (row, values) in all.chunks_mut(short).enumerate() {
            self.fill(OF_A + row as u64, values);
        }
        let made = Arc::new(Buffer::from(all));
        self.a.insert(short, made.clone());
        made
    }

    /// All B beside each other, long × (products · rank); or, not `is_tall`, transposed.
    pub(super) fn b(&mut self, long: usize, short: usize, is_tall: bool) -> Arc<Buffer> {
        let count = products(self.rank, (long, short));
        if let Some(known) = self.b.get(&(long, count, is_tall)) {
            return known.clone();
        }
        let (rank, width) = (self.rank, count * self.rank);
        let mut all = vec![0.0; long * width];
        let mut own = vec![0.0; long * rank];
        for product in 0..count {
            self.fill(product as u64, &mut own);
            for row in 0..long {
                for k in 0..rank {
                    let column = product * rank + k;
                    let at = if is_tall { row * width + column } else { column * long + row };
                    all[at] = own[row * rank + k];
                }
            }
        }
        let made = Arc::new(Buffer::from(all));
        self.b.insert((long, count, is_tall), made.clone());
        made
    }

    /// Tells these numbers from those of another generator.
    pub(super) fn check(&self) -> String {
        basis::check(&[Stream::new(self.seed, 0), Stream::new(self.seed, OF_A)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_shares_and_variance_one() {
        for (kind, share) in [(Kind::Dense, 0.5), (Kind::Sparse, 1.0 / 6.0), (Kind::VerySparse, 1.0 / 32.0)] {
            let bases = Bases::new(3, kind, 4, &[(256, 512)]);
            let mut numbers = vec![0.0; 60_000];
            bases.fill(2, &mut numbers);
            let count = numbers.len() as f64;
            let shares =
                [-1.0, 1.0].map(|sign| numbers.iter().filter(|x| **x * sign > 0.0).count() as f64 / count);
            assert!(shares.iter().all(|own| (own - share).abs() < 0.01), "{kind:?} {shares:?}");
            let variance = numbers.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / count;
            assert!((variance - 1.0).abs() < 0.05, "{kind:?} {variance}");
        }
    }

    #[test]
    fn layers_of_other_widths_have_the_same_leading_numbers() {
        let mut bases = Bases::new(3, Kind::Dense, 2, &[(6, 8)]);
        let (narrow, wide) = (bases.a(3), bases.a(5));
        assert_eq!((narrow[..3].to_vec(), narrow[3..].to_vec()), (wide[..3].to_vec(), wide[5..8].to_vec()));
        let (tall, flat) = (bases.b(6, 4, true), bases.b(6, 4, false));
        assert_eq!((tall[0], tall[1], tall[4]), (flat[0], flat[6], flat[1]));
        assert_eq!(bases.b(7, 4, true)[..24], tall[..]);
    }
}
