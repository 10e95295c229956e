//! `floor`: a recommender on the very cases of a stage that writes items.

use super::recommend::{MODEL, SEEDS, check_model};
use super::{
    film_lists, next_code, next_item, next_title, search_recommend, set_identifiers, write_sessions,
};
use crate::recipe::error::StageError;
use crate::recipe::field::{FieldKind, FieldSpec, OutputKind};
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_outside};
use crate::recipe::task::{Input, Task};
use crate::recipe::worlds::recommending::floor_cases::{FloorCases, events_of, floor_names};
use plackett_rec::{Event, FitData, FitStep, Fitting, borrowed, parse};
use plackett_train::Compute;

/// The declaration.
pub static FLOOR: StageKind = StageKind {
    name: "floor",
    help: "a recommender that writes nothing (popularity, item-knn, ease, sasrec …) on what another stage has learned from and is asked: the same \
           people, items and histories, and what is in a history is left out of the ranking where that stage leaves it out. Gives, with the keys \
           of that stage, `recall@1`, `recall@5`, `recall@10` and `recall@16` (share of what is asked for; of one item its hit), `ndcg@5` and \
           `ndcg@10` (mean of the seeds)",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required(
            "of",
            FieldKind::Stage(&[OutputKind::Model, OutputKind::Numbers]),
            "a stage `next-title`, `next-code`, `next-item`, `film-lists`, `write-sessions`, `set-identifiers` or `search-recommend`",
        ),
        MODEL,
        SEEDS,
    ],
    chooses: None,
    check: check_model,
    numbers: |_, _| floor_names(),
    outside: nothing_outside,
    estimate: |task| {
        let work = format!("{} fits of {}", task.values.count("seeds"), task.values.word("model"));
        Ok(Estimate { work, ..Estimate::default() })
    },
    run,
};

/// The cases of a stage.
type Source = fn(&Task<'_>, &Input<'_>) -> Result<FloorCases, StageError>;

fn cases_of(task: &Task<'_>) -> Result<FloorCases, StageError> {
    let input = task.input(task.values.word("of"))?;
    let sources: [(&str, Source); 7] = [
        (next_title::NEXT_TITLE.name, next_title::floor_cases),
        (next_code::NEXT_CODE.name, next_code::floor_cases),
        (next_item::NEXT_ITEM.name, next_item::floor_cases),
        (film_lists::FILM_LISTS.name, film_lists::floor_cases),
        (write_sessions::WRITE_SESSIONS.name, write_sessions::floor_cases),
        (set_identifiers::SET_IDENTIFIERS.name, set_identifiers::floor_cases),
        (search_recommend::SEARCH_RECOMMEND.name, search_recommend::floor_cases),
    ];
    input.check_kind("of", &sources.map(|(name, _)| name))?;
    let source = sources.into_iter().find(|(name, _)| *name == input.kind.name);
    match source {
        Some((_, cases)) => cases(task, input),
        None => Err(StageError::Work(format!("a stage `{}` has no cases", input.kind.name))),
    }
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let cases = cases_of(task)?;
    let configured = parse(task.values.word("model"))?;
    let learned: Vec<Vec<Event>> = cases.learned.iter().map(|items| events_of(items)).collect();
    let data = FitData { catalogue: cases.catalogue, sequences: &borrowed(&learned), texts: &[] };
    let mut seeds = Vec::new();
    for seed in 1..=task.values.count("seeds") {
        let name = format!("{}, seed {seed}", task.name);
        let mut progress = |step: FitStep| (task.progress)(&name, step.done as u64, step.total as u64);
        let compute = Compute::new(rayon::current_num_threads());
        let mut fitting = Fitting { compute, seed: seed as u64, kept: None, progress: &mut progress };
        seeds.push(cases.ranks(&*configured.fit(&data, &mut fitting)?)?);
    }
    let facts = [
        ("items", cases.catalogue),
        ("sequences to learn from", cases.learned.len()),
        ("cases", cases.cases.len()),
    ];
    Ok(StageOutput {
        numbers: cases.numbers(&seeds),
        facts: facts.into_iter().map(|(name, count)| (name.to_string(), count.to_string())).collect(),
        ..StageOutput::default()
    })
}
