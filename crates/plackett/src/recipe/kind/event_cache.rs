//! `event-cache`: what serving an HSTU costs with and without what is kept of a user.

use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::models::repeated_measures::{ROUNDS, SEEDS, of_each_seed};
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_outside, nothing_to_check};
use crate::recipe::task::Task;
use plackett_rec::hstu::{CacheShape, measure_cache_speed};

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
    gives: OutputKind::Numbers,
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

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let numbers = of_each_seed(task, NUMBERS, |seed| measure(task, seed))?;
    Ok(StageOutput { numbers, ..StageOutput::default() })
}

fn measure(task: &Task<'_>, seed: u64) -> Result<[f64; NUMBERS.len()], StageError> {
    let count = |name| task.values.count(name);
    let shape = CacheShape {
        catalogue: count("catalogue"),
        width: count("width"),
        blocks: count("blocks"),
        events: count("events"),
        candidates: count("candidates"),
        micro_batch: count("micro_batch"),
        rounds: count("rounds"),
    };
    let speed = measure_cache_speed(&shape, seed)?;
    Ok([
        speed.difference,
        speed.candidate_difference,
        speed.order_difference,
        speed.append,
        speed.read,
        speed.candidates,
        speed.one_by_one,
        speed.recomputed,
    ])
}
