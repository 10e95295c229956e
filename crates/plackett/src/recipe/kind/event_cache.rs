//! `event-cache`: what serving an HSTU costs with and without what is kept of a user.

use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, Gives};
use crate::recipe::registry::{Estimate, Made, StageKind, nothing_outside, nothing_to_check};
use crate::recipe::repeated_measures::{ROUNDS, SEEDS, of_each_seed};
use crate::recipe::task::Task;
use plackett_rec::hstu::{Hstu, HstuConfig, HstuInference};
use plackett_rec::sequential::{SequenceBatch, SequenceModel};
use plackett_rec::{Event, RecError};
use plackett_train::nn::Mode;
use plackett_train::random::Stream;
use plackett_train::{Compute, Parameters, Tape};
use std::time::Instant;

/// The declaration.
pub static EVENT_CACHE: StageKind = StageKind {
    name: "event-cache",
    help: "an HSTU with drawn weights reads drawn histories. Gives, by seed, `difference` (greatest, relative to 1, between the state from \
           the cache and that of the trainer's forward over the whole history), `candidate_difference` (between scores of candidates in \
           micro-batches and one by one), `order_difference` (between those and the same in another order and other micro-batches), and, \
           as the least of several rounds on one thread, `append_seconds` (one new event and what is known after it, from the cache), \
           `read_seconds` (the whole history anew), `candidates_seconds`, `one_by_one_seconds` (candidates one by one from the same \
           cache) and `recomputed_seconds` (a candidate with the whole history read anew, times the candidates)",
    version: 1,
    gives: Gives::Numbers,
    fields: &[
        FieldSpec::new("events", FieldKind::Whole(2, 100_000), Default::Whole(1024), "of the history"),
        FieldSpec::new("candidates", FieldKind::Whole(1, 1_000_000), Default::Whole(1000), "that are scored"),
        FieldSpec::new(
            "micro_batch",
            FieldKind::Whole(1, 1_000_000),
            Default::Whole(96),
            "candidates at a time",
        ),
        FieldSpec::new("catalogue", FieldKind::Whole(2, 10_000_000), Default::Whole(2000), "items"),
        FieldSpec::new("width", FieldKind::Whole(1, 4096), Default::Whole(50), "numbers of a state"),
        FieldSpec::new("blocks", FieldKind::Whole(1, 100), Default::Whole(2), "layers"),
        ROUNDS,
        SEEDS,
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside: nothing_outside,
    estimate: |task| {
        let seeds = task.values.count("seeds");
        Ok(Estimate {
            work: format!("{seeds} histories"),
            seconds: Some(2.0 * seeds as f64),
            ..Estimate::default()
        })
    },
    run,
};

const NUMBERS: [&str; 8] = [
    "difference",
    "candidate_difference",
    "order_difference",
    "append_seconds",
    "read_seconds",
    "candidates_seconds",
    "one_by_one_seconds",
    "recomputed_seconds",
];

fn run(task: &Task<'_>) -> Result<Made, StageError> {
    let numbers = of_each_seed(task, NUMBERS, |seed| measure(task, seed))?;
    Ok(Made { numbers, ..Made::default() })
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
fn difference(a: &[f32], b: &[f32]) -> f64 {
    let apart = a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs() / b.abs().max(1.0)));
    apart.fold(if a.len() == b.len() { 0.0 } else { f64::INFINITY }, f64::max)
}

fn measure(task: &Task<'_>, seed: u64) -> Result<[f64; NUMBERS.len()], StageError> {
    let values = task.values;
    let count = |name| values.count(name);
    let (events, rounds) = (count("events"), count("rounds"));
    let config = HstuConfig::research(count("catalogue"), count("width"), count("blocks"), events + 1);
    let mut parameters = Parameters::default();
    let model = Hstu::new(config, &mut parameters, seed)?;
    let inference = HstuInference::new(&model, &parameters);
    let history = drawn(events, count("catalogue"), seed);
    let now = history[events - 1].time + 100;
    let mut cache = inference.start()?;
    for event in &history[..events - 1] {
        inference.append(&mut cache, *event)?;
    }
    let before = cache.clone();
    let (append_seconds, state) = {
        // Copies of the cache are made outside of the time.
        let mut copies: Vec<_> = (0..rounds).map(|_| before.clone()).collect();
        least(rounds, || {
            let mut copy = copies.pop().ok_or(RecError::EmptyHistory)?;
            inference.append(&mut copy, history[events - 1])?;
            inference.state(&mut copy, now)
        })?
    };
    let (read_seconds, read) = least(rounds, || inference.read(&history, now))?;
    let tape = Tape::inference(&parameters, &Compute::new(1));
    let whole = model.forward(&tape, &SequenceBatch::new([(&history[..], now)]), Mode::default());
    let candidates: Vec<u32> = (0..count("candidates") as u64)
        .map(|at| Stream::new(seed, 9).below(at, count("catalogue")) as u32)
        .collect();
    let (candidates_seconds, together) =
        least(rounds, || inference.candidates(&read, now)?.scores(&candidates, count("micro_batch"), None))?;
    let scorer = inference.candidates(&read, now)?;
    let (one_by_one_seconds, alone) = least(rounds, || scorer.scores(&candidates, 1, None))?;
    let turned: Vec<u32> = candidates.iter().rev().copied().collect();
    let mut other = scorer.scores(&turned, 7, None)?;
    other.reverse();
    let (recomputed, by_reading) =
        by_reading(&inference, &history, now, &candidates[..candidates.len().min(5)])?;
    let candidate_difference =
        difference(&together[..by_reading.len()], &by_reading).max(difference(&together, &alone));
    Ok([
        difference(&state, &whole.value[(events - 1) * config.width..]),
        candidate_difference,
        difference(&together, &other),
        append_seconds,
        read_seconds,
        candidates_seconds,
        one_by_one_seconds,
        recomputed * candidates.len() as f64,
    ])
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
