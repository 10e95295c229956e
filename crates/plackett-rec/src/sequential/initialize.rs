//! Weights before training.

use plackett_train::random::Stream;

/// Numbers that are asked for until one is near enough to the mean.
const TRIES: u64 = 16;

/// `count` numbers from the normal distribution, none further from 0 than two deviations.
pub(crate) fn truncated_normal(stream: Stream, count: usize, deviation: f32) -> Vec<f32> {
    let number = |at: usize| {
        let mut drawn = (0..TRIES).map(|again| stream.normal(at as u64 * TRIES + again));
        deviation * drawn.find(|x| x.abs() <= 2.0).unwrap_or(0.0)
    };
    (0..count).map(number).collect()
}

/// `count` numbers from the normal distribution.
pub(crate) fn draw_normal(stream: Stream, count: usize, deviation: f32) -> Vec<f32> {
    (0..count).map(|at| deviation * stream.normal(at as u64)).collect()
}

/// A matrix with numbers evenly from ±√(6 / (rows + columns)) (Glorot and Bengio 2010).
pub(crate) fn xavier_uniform(stream: Stream, (rows, columns): (usize, usize)) -> Vec<f32> {
    let bound = (6.0 / (rows + columns) as f32).sqrt();
    let mut numbers = vec![0.0; rows * columns];
    stream.fill_uniform(0, &mut numbers);
    numbers.iter_mut().for_each(|x| *x *= bound);
    numbers
}
