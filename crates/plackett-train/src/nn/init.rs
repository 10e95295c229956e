//! Weights before training, by the names of `torch.nn.init`: distributions, and what draws the matrices of a model one after another.

use super::WeightSource;
use crate::TrainError;
use crate::random::Stream;

/// Numbers that are asked for until one is near enough to the mean.
const TRIES: u64 = 16;

/// `count` numbers from the normal distribution with this deviation around 0.
pub fn normal(stream: Stream, count: usize, deviation: f32) -> Vec<f32> {
    (0..count).map(|at| deviation * stream.normal(at as u64)).collect()
}

/// The same, none further from 0 than two deviations.
pub fn truncated_normal(stream: Stream, count: usize, deviation: f32) -> Vec<f32> {
    let number = |at: usize| {
        let mut drawn = (0..TRIES).map(|again| stream.normal(at as u64 * TRIES + again));
        deviation * drawn.find(|x| x.abs() <= 2.0).unwrap_or(0.0)
    };
    (0..count).map(number).collect()
}

/// `count` numbers evenly from \[−bound, bound).
pub fn uniform(stream: Stream, count: usize, bound: f32) -> Vec<f32> {
    let mut numbers = vec![0.0; count];
    stream.fill_uniform(0, &mut numbers);
    numbers.iter_mut().for_each(|x| *x *= bound);
    numbers
}

/// A matrix with numbers evenly from ±√(6 / (rows + columns)) (Glorot and Bengio 2010).
pub fn xavier_uniform(stream: Stream, (rows, columns): (usize, usize)) -> Vec<f32> {
    uniform(stream, rows * columns, (6.0 / (rows + columns) as f32).sqrt())
}

/// A matrix from the normal distribution with deviation √(2 / (rows + columns)) (Glorot and Bengio 2010).
pub fn xavier_normal(stream: Stream, (rows, columns): (usize, usize)) -> Vec<f32> {
    normal(stream, rows * columns, (2.0 / (rows + columns) as f32).sqrt())
}

/// Draws weights; every matrix has numbers of its own. Models that begin otherwise than BERT and Llama have a [`WeightSource`] around
/// it that says so.
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
        normal(self.stream(), count, deviation)
    }

    /// `count` numbers evenly from \[−bound, bound).
    pub fn uniform(&mut self, count: usize, bound: f32) -> Vec<f32> {
        uniform(self.stream(), count, bound)
    }
}

/// Weights that are drawn: matrices from the normal distribution with deviation 0.02, vectors called `weight` ones, others
/// zeros, as BERT's and Llama's authors begin.
impl WeightSource for Initializer {
    fn take(&mut self, name: &str, (rows, columns): (usize, usize)) -> Result<Vec<f32>, TrainError> {
        Ok(match (rows, name.ends_with(".weight")) {
            (1, true) if name.to_lowercase().contains("norm") => vec![1.0; columns],
            (_, true) => self.normal(rows * columns, 0.02),
            _ => vec![0.0; rows * columns],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_have_their_bounds_and_deviations() {
        let stream = |at| Stream::new(5, at);
        let deviation = |numbers: &[f32]| {
            (numbers.iter().map(|x| f64::from(x * x)).sum::<f64>() / numbers.len() as f64).sqrt()
        };
        let drawn = normal(stream(1), 4000, 0.5);
        assert!((deviation(&drawn) - 0.5).abs() < 0.03, "{}", deviation(&drawn));
        assert!(truncated_normal(stream(2), 4000, 0.5).iter().all(|x| x.abs() <= 1.0));
        // √(6 / 24) = 0.5. Both forms have the deviation √(2 / (rows + columns)).
        let drawn = xavier_uniform(stream(3), (20, 4));
        assert!(drawn.len() == 80 && drawn.iter().all(|x| x.abs() <= 0.5));
        let wanted = (2.0f64 / 200.0).sqrt();
        for drawn in [xavier_uniform(stream(4), (100, 100)), xavier_normal(stream(5), (100, 100))] {
            assert!((deviation(&drawn) / wanted - 1.0).abs() < 0.05, "{}", deviation(&drawn));
        }
    }

    #[test]
    fn a_matrix_has_the_numbers_of_its_own_stream() {
        let mut initializer = Initializer::new(7);
        assert_eq!(initializer.normal(3, 0.1), normal(Stream::new(7, 1), 3, 0.1));
        assert_eq!(initializer.uniform(3, 0.1), uniform(Stream::new(7, 2), 3, 0.1));
    }
}
