//! `oracle`: windows ranked by an agent that knows the judgments, or by one that changes nothing.

use super::{CANDIDATES, dataset_of, rankings_of};
use crate::recipe::data::judged_lists::{JudgedList, judged_lists};
use crate::recipe::error::{Problem, RecipeError, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::registry::{Estimate, Registry, StageKind, StageOutput, no_numbers, nothing_outside};
use crate::recipe::running::rankings::RankingLog;
use crate::recipe::task::Task;
use plackett_core::ask_tell::{TellError, run_together};
use plackett_core::permutation::Permutation;
use plackett_core::windows::{SlidingOptions, Window, WindowError, WindowSchedule};
use plackett_core::{Ranked, Ranking, Trace};

/// The declaration.
pub static ORACLE: StageKind = StageKind {
    name: "oracle",
    help: "sliding windows over candidates whose order an agent gives in place of a model; each window is a pass in the trace. Scores \
           fall with the rank",
    version: 1,
    gives: OutputKind::Rankings,
    fields: &[
        CANDIDATES,
        FieldSpec::new(
            "agent",
            FieldKind::Choice(&["judgments", "identity"]),
            Default::Text("judgments"),
            "judgments: the higher grade first, equal ones as they were; identity: as they were",
        ),
        FieldSpec::new(
            "depth",
            FieldKind::Whole(0, i64::MAX),
            Default::Whole(0),
            "only the first so many are reranked, the others keep their places; 0 for all",
        ),
        FieldSpec::new("size", FieldKind::Whole(2, 10_000), Default::Whole(20), "candidates in a window"),
        FieldSpec::new(
            "stride",
            FieldKind::Whole(1, 10_000),
            Default::Whole(10),
            "by how many places the next window is nearer to the head",
        ),
    ],
    chooses: None,
    check,
    numbers: no_numbers,
    outside: nothing_outside,
    estimate: |_| {
        Ok(Estimate { work: "ranks windows by judgments".into(), seconds: Some(1.0), ..Estimate::default() })
    },
    run,
};

fn schedule(values: &Values, items: usize) -> Result<WindowSchedule, WindowError> {
    let depth = Some(values.count("depth")).filter(|&depth| depth > 0);
    let (size, stride) = (values.count("size"), values.count("stride"));
    WindowSchedule::sliding(items, &SlidingOptions { size, stride, depth, ..SlidingOptions::default() })
}

fn check(values: &Values, _: &Registry) -> Result<(), RecipeError> {
    match schedule(values, 2) {
        Ok(_) => Ok(()),
        Err(error) => Err(values.wrong("stride", 0, Problem::Said(error.to_string()))),
    }
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let candidates = rankings_of(task, values.word("candidates"))?;
    let dataset = dataset_of(task, values.word("candidates"))?;
    let knows = values.word("agent") == "judgments";
    let mut log = RankingLog::open(task.folder)?;
    let mut new = Vec::new();
    for JudgedList { ranking, mut grades, .. } in judged_lists(&dataset, &candidates).skip(log.found.len()) {
        if !knows {
            grades.fill(0);
        }
        let schedule = schedule(values, grades.len());
        let schedule = schedule.map_err(|error| StageError::Work(error.to_string()))?;
        new.push(ranked(ranking, &grades, schedule).map_err(|error| StageError::Work(error.to_string()))?);
    }
    log.add(&new)?;
    Ok(StageOutput {
        facts: vec![("queries".into(), candidates.len().to_string())],
        ..StageOutput::default()
    })
}

/// A list in the order of an agent that prefers higher grades.
fn ranked(list: &Ranking, grades: &[i32], schedule: WindowSchedule) -> Result<Ranking, TellError> {
    let mut schedules = [schedule];
    run_together(&mut schedules, |open| {
        let answer = |window: &Window| {
            let scores: Vec<f64> = window.items.iter().map(|&item| f64::from(grades[item])).collect();
            Permutation::by_descending(&scores)
        };
        Ok::<_, TellError>(open.iter().map(|open| answer(open.question)).collect())
    })?;
    let [schedule] = schedules;
    let count = list.entries.len();
    let order = schedule.order();
    let entries = order.items().iter().enumerate().map(|(place, &item)| Ranked {
        id: list.entries[item].id.clone(),
        score: (count - place) as f64,
        rank: place + 1,
    });
    let passes = schedule.counts().windows as u64;
    Ok(Ranking {
        query_id: list.query_id.clone(),
        entries: entries.collect(),
        trace: Trace { passes, ..Trace::default() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_sorts_the_head_in_two_windows_and_leaves_the_tail() {
        let scored = (0..40).map(|nth| (format!("d{nth}"), f64::from(-nth)));
        let list = Ranking::from_scores("q", scored, Trace::default());
        // Two of the best in the tail of the head, one behind the head.
        let mut grades = vec![0; 40];
        (grades[3], grades[27], grades[29], grades[35]) = (1, 2, 3, 3);
        let options = SlidingOptions { depth: Some(30), ..SlidingOptions::default() };
        let found = ranked(&list, &grades, WindowSchedule::sliding(40, &options).unwrap()).unwrap();
        let ids: Vec<&str> = found.entries.iter().map(|entry| entry.id.as_str()).collect();
        assert_eq!(ids[..4], ["d29", "d27", "d3", "d0"]);
        assert_eq!(ids[30..], list.entries[30..].iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>());
        assert_eq!((found.trace.passes, found.entries[0].score, found.entries[39].rank), (2, 40.0, 40));
        let same = ranked(&list, &[0; 40], WindowSchedule::sliding(40, &options).unwrap()).unwrap();
        assert!(same.entries.iter().zip(&list.entries).all(|(a, b)| a.id == b.id));
    }
}
