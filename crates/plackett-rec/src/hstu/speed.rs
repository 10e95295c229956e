//! What serving costs with and without what is kept of a user. Time hangs on sizes alone, so that weights and histories are drawn.

use super::{Hstu, HstuConfig, HstuInference};
use crate::sequential::{SequenceBatch, SequenceModel};
use crate::{Event, RecError};
use plackett_train::nn::Mode;
use plackett_train::random::Stream;
use plackett_train::{Compute, Parameters, Tape};
use std::time::Instant;

/// Candidates whose history is read anew for each of them.
const READ_ANEW: usize = 5;

/// What is measured, in the research form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheShape {
    /// Items.
    pub catalogue: usize,
    /// Numbers of a state.
    pub width: usize,
    /// Layers.
    pub blocks: usize,
    /// Events of the history.
    pub events: usize,
    /// Candidates that are scored behind it.
    pub candidates: usize,
    /// Candidates at a time.
    pub micro_batch: usize,
    /// Measurements, of which the least time counts.
    pub rounds: usize,
}

/// Seconds on one thread, and how far numbers that must be equal are apart (relative to 1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CacheSpeed {
    /// Between the state from the cache and that of the trainer's forward over the whole history.
    pub difference: f64,
    /// Between scores of candidates in micro-batches and one by one.
    pub candidate_difference: f64,
    /// Between those and the same in another order and other micro-batches.
    pub order_difference: f64,
    /// One new event and what is known after it, from the cache.
    pub append: f64,
    /// The whole history anew.
    pub read: f64,
    /// All candidates in micro-batches.
    pub candidates: f64,
    /// The same one by one behind the same history.
    pub one_by_one: f64,
    /// A candidate with the whole history read anew, times the candidates.
    pub recomputed: f64,
}

/// Measures a drawn model over a drawn history.
///
/// # Errors
/// Sizes that cannot be.
pub fn measure_cache_speed(shape: &CacheShape, seed: u64) -> Result<CacheSpeed, RecError> {
    if shape.events < 2 || shape.candidates == 0 || shape.catalogue == 0 {
        return Err(RecError::Setting(
            "hstu: two events, a candidate and an item are needed to measure anything".into(),
        ));
    }
    let config = HstuConfig::research(shape.catalogue, shape.width, shape.blocks, shape.events + 1);
    let mut parameters = Parameters::default();
    let model = Hstu::new(config, &mut parameters, seed)?;
    let inference = HstuInference::new(&model, &parameters);
    let history = drawn(shape.events, shape.catalogue, seed);
    let now = history[shape.events - 1].time + 100;
    let (append, state) = append(&inference, &history, now, shape.rounds)?;
    let (read, behind) = least(shape.rounds, || inference.read(&history, now))?;
    let tape = Tape::inference(&parameters, &Compute::new(1));
    let whole = model.forward(&tape, &SequenceBatch::new([(&history[..], now)]), Mode::default());
    let asked: Vec<u32> = (0..shape.candidates as u64)
        .map(|at| Stream::new(seed, 9).below(at, shape.catalogue) as u32)
        .collect();
    let (candidates, together) =
        least(shape.rounds, || inference.candidates(&behind, now)?.scores(&asked, shape.micro_batch, None))?;
    let scorer = inference.candidates(&behind, now)?;
    let (one_by_one, alone) = least(shape.rounds, || scorer.scores(&asked, 1, None))?;
    let turned: Vec<u32> = asked.iter().rev().copied().collect();
    let mut other = scorer.scores(&turned, 7, None)?;
    other.reverse();
    let (recomputed, by_reading) =
        by_reading(&inference, &history, now, &asked[..asked.len().min(READ_ANEW)])?;
    Ok(CacheSpeed {
        difference: apart(&state, &whole.value[(shape.events - 1) * config.width..]),
        candidate_difference: apart(&together[..by_reading.len()], &by_reading).max(apart(&together, &alone)),
        order_difference: apart(&together, &other),
        append,
        read,
        candidates,
        one_by_one,
        recomputed: recomputed * asked.len() as f64,
    })
}

/// Seconds of the newest event behind a cache of all others, and what is known after it.
fn append(
    inference: &HstuInference,
    history: &[Event],
    now: i64,
    rounds: usize,
) -> Result<(f64, Vec<f32>), RecError> {
    let (newest, before) = history.split_last().ok_or(RecError::EmptyHistory)?;
    let mut cache = inference.start()?;
    for event in before {
        inference.append(&mut cache, *event)?;
    }
    // Copies of the cache are made outside of the time.
    let mut copies: Vec<_> = (0..rounds.max(1)).map(|_| cache.clone()).collect();
    least(rounds, || {
        let mut copy = copies.pop().ok_or(RecError::EmptyHistory)?;
        inference.append(&mut copy, *newest)?;
        inference.state(&mut copy, now)
    })
}

/// The least time of some rounds, and what the last one gave.
fn least<T>(rounds: usize, mut work: impl FnMut() -> Result<T, RecError>) -> Result<(f64, T), RecError> {
    let mut best: Option<(f64, T)> = None;
    for _ in 0..rounds.max(1) {
        let begun = Instant::now();
        let made = work()?;
        let seconds = begun.elapsed().as_secs_f64();
        let seconds = best.as_ref().map_or(seconds, |(before, _)| before.min(seconds));
        best = Some((seconds, made));
    }
    best.ok_or(RecError::EmptyHistory)
}

/// The greatest difference, relative to 1 or the second number.
fn apart(a: &[f32], b: &[f32]) -> f64 {
    let each = a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs() / b.abs().max(1.0)));
    each.fold(if a.len() == b.len() { 0.0 } else { f64::INFINITY }, f64::max)
}

/// Seconds of a candidate that is read behind its history, and the scores of some.
fn by_reading(
    inference: &HstuInference,
    history: &[Event],
    now: i64,
    candidates: &[u32],
) -> Result<(f64, Vec<f32>), RecError> {
    let mut longer = history.to_vec();
    longer.push(Event { item: 0, rating: 1.0, time: now });
    let mut scores = Vec::new();
    let mut best = f64::INFINITY;
    for item in candidates {
        longer[history.len()].item = *item;
        let begun = Instant::now();
        let read = inference.read(&longer, now)?;
        best = best.min(begun.elapsed().as_secs_f64());
        scores.push(inference.score_of(read.state(), *item));
    }
    Ok((best, scores))
}

/// A history in which times between events go from seconds to weeks.
fn drawn(events: usize, catalogue: usize, seed: u64) -> Vec<Event> {
    let stream = Stream::new(seed, 8);
    let mut time = 0;
    (0..events as u64)
        .map(|at| {
            time += f64::from(14.0 * stream.uniform(2 * at)).exp() as i64;
            Event { item: stream.below(2 * at + 1, catalogue) as u32, rating: 1.0, time }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_give_the_same_numbers() {
        let shape = CacheShape {
            catalogue: 30,
            width: 8,
            blocks: 2,
            events: 20,
            candidates: 12,
            micro_batch: 5,
            rounds: 2,
        };
        let speed = measure_cache_speed(&shape, 3).unwrap();
        assert!(speed.difference < 1e-5 && speed.candidate_difference < 1e-5, "{speed:?}");
        assert_eq!(speed.order_difference, 0.0);
        assert!(speed.append > 0.0 && speed.recomputed > 0.0);
        assert!(measure_cache_speed(&CacheShape { events: 1, ..shape }, 3).is_err());
        assert!(measure_cache_speed(&CacheShape { candidates: 0, ..shape }, 3).is_err());
    }
}
