//! Weights before training.

use crate::random::Stream;

/// Draws weights; every matrix has numbers of its own.
#[derive(Clone, Debug)]
pub struct Initializer {
    seed: u64,
    drawn: u64,
}

impl Initializer {
    /// From a seed.
    pub fn new(seed: u64) -> Initializer {
        Initializer { seed, drawn: 0 }
    }

    fn stream(&mut self) -> Stream {
        self.drawn += 1;
        Stream::new(self.seed, self.drawn)
    }

    /// `count` numbers from the normal distribution with this deviation.
    pub fn normal(&mut self, count: usize, deviation: f32) -> Vec<f32> {
        let stream = self.stream();
        (0..count).map(|at| deviation * stream.normal(at as u64)).collect()
    }

    /// `count` numbers evenly from \[−bound, bound).
    pub fn uniform(&mut self, count: usize, bound: f32) -> Vec<f32> {
        let mut numbers = vec![0.0; count];
        self.stream().fill_uniform(0, &mut numbers);
        numbers.iter_mut().for_each(|x| *x *= bound);
        numbers
    }
}
