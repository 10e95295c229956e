//! `timing`: the times of several rerankings, measured so that they can be compared on a machine that does other things too.

use super::rank;
use crate::pipeline::Pipeline;
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_to_check};
use crate::recipe::task::Task;
use plackett_core::RankRequest;
use std::time::Instant;

/// The declaration.
pub static TIMING: StageKind = StageKind {
    name: "timing",
    help: "repeats what stages of the kind `rank` did, one query at a time and all stages in turn, so that what else the machine does \
           falls on all alike; gives RUN/seconds, the least time of `rounds` rounds for each query",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required("runs", FieldKind::Stages(&[OutputKind::Rankings]), "stages of the kind `rank`"),
        FieldSpec::new(
            "rounds",
            FieldKind::Whole(1, 1000),
            Default::Whole(3),
            "how often each query is asked",
        ),
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |values, _| values.texts("runs").iter().map(|run| format!("{run}/seconds")).collect(),
    // Weights are in the keys of the stages that are repeated.
    outside: |_, _| Ok(Vec::new()),
    estimate,
    run,
};

/// The fields of a stage of the kind `rank`.
fn ranked<'a>(task: &'a Task<'_>, run: &str) -> Result<&'a Values, StageError> {
    let input = task.input(run)?;
    if input.kind.name != rank::RANK.name {
        let problem =
            format!("`{run}` is of the kind `{}`; only stages of the kind `rank` are timed", input.kind.name);
        return Err(StageError::Field { field: "runs", problem });
    }
    Ok(input.values)
}

fn estimate(task: &Task<'_>) -> Result<Estimate, StageError> {
    let mut whole = Estimate { seconds: Some(0.0), ..Estimate::default() };
    let rounds = task.values.count("rounds");
    for run in task.values.texts("runs") {
        let one = rank::estimate(&Task { values: ranked(task, run)?, ..*task })?;
        whole.seconds = whole.seconds.zip(one.seconds).map(|(all, one)| all + one * rounds as f64);
        whole.memory = whole.memory.max(one.memory);
        whole.missing.extend(one.missing);
    }
    whole.work = format!("{} rerankings, {rounds} times", task.values.texts("runs").len());
    Ok(whole)
}

/// A reranking that is timed.
struct Timed {
    name: String,
    pipeline: Pipeline,
    requests: Vec<RankRequest>,
    /// The least time of each query so far.
    seconds: Vec<f64>,
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let mut timed = Vec::new();
    for name in task.values.texts("runs") {
        let values = ranked(task, name)?;
        let (requests, _) = rank::requests(task, values)?;
        let seconds = vec![f64::INFINITY; requests.len()];
        timed.push(Timed { name: name.into(), pipeline: rank::pipeline(task, values)?, requests, seconds });
    }
    let most = timed.iter().map(|one| one.requests.len()).max().unwrap_or(0);
    let rounds = task.values.count("rounds");
    for query in 0..most {
        for round in 0..rounds {
            (task.progress)(task.name, (query * rounds + round) as u64, (most * rounds) as u64);
            for one in &mut timed {
                let Some(request) = one.requests.get(query) else { continue };
                let begun = Instant::now();
                let found = one.pipeline.rerank(std::slice::from_ref(request));
                let seconds = begun.elapsed().as_secs_f64();
                for ranking in found {
                    ranking?;
                }
                one.seconds[query] = one.seconds[query].min(seconds);
            }
        }
    }
    let numbers = timed.into_iter().map(|one| {
        let keys = one.requests.iter().map(|request| request.query.id.clone()).collect();
        Quantity::by_query(format!("{}/seconds", one.name), keys, one.seconds)
    });
    let mut made = StageOutput { numbers: numbers.collect(), ..StageOutput::default() };
    made.facts.push(("rounds".into(), rounds.to_string()));
    Ok(made)
}
