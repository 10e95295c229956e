//! `cost`: what rankings took, from their traces.

use super::rankings_of;
use crate::recipe::error::StageError;
use crate::recipe::field::{FieldKind, FieldSpec, OutputKind};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{StageKind, StageOutput, a_moment, nothing_outside, nothing_to_check};
use crate::recipe::task::Task;
use plackett_core::Trace;

/// A number that every trace has.
type Cost = (&'static str, fn(&Trace) -> f64);

/// What is read off a trace, for each query.
const COSTS: &[Cost] = &[
    ("passes", |trace| trace.passes as f64),
    ("prompt_tokens", |trace| trace.prompt_tokens as f64),
    ("generated_tokens", |trace| trace.generated_tokens as f64),
    ("cache_hits", |trace| trace.cache_hits as f64),
    ("truncated", |trace| trace.truncated.len() as f64),
    ("seconds", |trace| trace.seconds),
];

/// The declaration.
pub static COST: StageKind = StageKind {
    name: "cost",
    help: "model passes, tokens and seconds of rankings, query by query; gives RUN/passes, RUN/prompt_tokens, RUN/generated_tokens, \
           RUN/cache_hits, RUN/truncated, RUN/seconds",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[FieldSpec::required("runs", FieldKind::Stages(&[OutputKind::Rankings]), "whose cost")],
    chooses: None,
    check: nothing_to_check,
    numbers: |values, _| {
        values
            .texts("runs")
            .iter()
            .flat_map(|run| COSTS.iter().map(move |(name, _)| format!("{run}/{name}")))
            .collect()
    },
    outside: nothing_outside,
    estimate: a_moment,
    run: |task| {
        let mut made = StageOutput::default();
        for run in task.values.texts("runs") {
            made.numbers.extend(of_run(task, run)?);
        }
        Ok(made)
    },
};

fn of_run(task: &Task<'_>, run: &str) -> Result<Vec<Quantity>, StageError> {
    let rankings = rankings_of(task, run)?;
    let keys: Vec<String> = rankings.iter().map(|ranking| ranking.query_id.clone()).collect();
    let of = |(name, cost): &Cost| {
        let values = rankings.iter().map(|ranking| cost(&ranking.trace)).collect();
        Quantity::by_query(format!("{run}/{name}"), keys.clone(), values)
    };
    Ok(COSTS.iter().map(of).collect())
}
