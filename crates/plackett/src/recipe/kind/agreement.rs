//! `agreement`: how alike rankings are, such as those of one list in two orders.

use super::{each_run, rankings_of};
use crate::recipe::data::dataset::COPY;
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{StageKind, StageOutput, a_moment, nothing_outside, nothing_to_check};
use crate::recipe::task::Task;
use plackett_core::Ranking;
use plackett_core::permutation::Permutation;
use std::collections::{HashMap, HashSet};

const NUMBERS: [&str; 4] = ["tau", "overlap", "tail", "apart"];

/// The declaration.
pub static AGREEMENT: StageKind = StageKind {
    name: "agreement",
    help: "how alike rankings are to a first one, query by query; gives RUN/tau (Kendall's, over documents that both have), \
           RUN/overlap (shared documents among the best), RUN/tail (the share of places behind the best that hold the same document in \
           both) and RUN/apart (the greatest difference between the scores of a document, as a part of the greatest score of the first \
           one). Copies count where the first one has them too",
    version: 2,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required(
            "base",
            FieldKind::Stage(&[OutputKind::Data, OutputKind::Rankings]),
            "the first one",
        ),
        FieldSpec::required(
            "runs",
            FieldKind::Stages(&[OutputKind::Data, OutputKind::Rankings]),
            "the others",
        ),
        FieldSpec::new("top", FieldKind::Whole(1, i64::MAX), Default::Whole(10), "how many are the best"),
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |values, _| each_run(values, &NUMBERS),
    outside: nothing_outside,
    estimate: a_moment,
    run,
};

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let base = rankings_of(task, task.values.word("base"))?;
    let top = task.values.count("top");
    let mut made = StageOutput::default();
    for run in task.values.texts("runs") {
        let others: HashMap<String, Ranking> =
            rankings_of(task, run)?.into_iter().map(|ranking| (ranking.query_id.clone(), ranking)).collect();
        let (mut keys, mut columns) = (Vec::new(), [const { Vec::new() }; NUMBERS.len()]);
        let mut without = 0;
        for first in &base {
            let Some(other) = others.get(&first.query_id) else {
                let problem = format!("`{run}` has no ranking for query `{}`", first.query_id);
                return Err(StageError::Field { field: "runs", problem });
            };
            let other = &without_copies(first, other);
            let Some(tau) = tau(first, other) else {
                without += 1;
                continue;
            };
            keys.push(first.query_id.clone());
            let found = [tau, overlap(first, other, top), tail(first, other, top), apart(first, other)];
            columns.iter_mut().zip(found).for_each(|(column, value)| column.push(value));
        }
        if without > 0 {
            made.warnings
                .push(format!("{run}: {without} queries with fewer than two documents in both are left out"));
        }
        let named = NUMBERS.iter().zip(columns);
        made.numbers.extend(
            named.map(|(number, values)| Quantity::by_query(format!("{run}/{number}"), keys.clone(), values)),
        );
    }
    Ok(made)
}

fn ids(ranking: &Ranking) -> Vec<&str> {
    ranking.entries.iter().map(|entry| entry.id.as_str()).collect()
}

/// A ranking without those copies of documents that the first one does not have: nothing can be said about them.
fn without_copies(first: &Ranking, other: &Ranking) -> Ranking {
    let known: HashSet<&str> = ids(first).into_iter().collect();
    let mut kept = other.clone();
    kept.entries.retain(|entry| !entry.id.ends_with(COPY) || known.contains(entry.id.as_str()));
    kept
}

/// The share of places behind the best at which both have the same document; 1 where there are none.
fn tail(first: &Ranking, other: &Ranking, top: usize) -> f64 {
    let (first, other) = (ids(first), ids(other));
    let places = first.len().max(other.len());
    let same = (top..places).filter(|&place| first.get(place) == other.get(place)).count();
    if places > top { same as f64 / (places - top) as f64 } else { 1.0 }
}

/// The greatest difference between two scores of a document, in units of the greatest score (by size) of the first ranking.
fn apart(first: &Ranking, other: &Ranking) -> f64 {
    let others: HashMap<&str, f64> =
        other.entries.iter().map(|entry| (entry.id.as_str(), entry.score)).collect();
    let most = first.entries.iter().map(|entry| entry.score.abs()).fold(0.0, f64::max);
    let shared = first
        .entries
        .iter()
        .filter_map(|entry| others.get(entry.id.as_str()).map(|score| (entry.score - score).abs()));
    let apart = shared.fold(0.0, f64::max);
    if most > 0.0 { apart / most } else { apart }
}

/// Kendall's tau over the documents that both have; `None` with fewer than two.
fn tau(first: &Ranking, other: &Ranking) -> Option<f64> {
    let (first, other) = (ids(first), ids(other));
    let places: HashMap<&str, usize> = other.iter().enumerate().map(|(place, &id)| (id, place)).collect();
    let shared: Vec<f64> =
        first.iter().filter_map(|id| places.get(id)).map(|&place| -(place as f64)).collect();
    let count = shared.len();
    if count < 2 {
        return None;
    }
    let distance =
        Permutation::by_descending(&shared).kendall_distance(&Permutation::identity(count)).ok()?;
    Some(1.0 - 4.0 * distance as f64 / (count * (count - 1)) as f64)
}

/// The share of the best documents that both have.
fn overlap(first: &Ranking, other: &Ranking, top: usize) -> f64 {
    let (first, other) = (ids(first), ids(other));
    let best: HashSet<&str> = first.iter().take(top).copied().collect();
    let shared = other.iter().take(top).filter(|id| best.contains(*id)).count();
    shared as f64 / top.min(first.len()).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_core::Trace;

    fn ranking(ids: &str) -> Ranking {
        let count = ids.len();
        let scored = ids.chars().enumerate().map(|(i, c)| (c.to_string(), (count - i) as f64));
        Ranking::from_scores("q", scored, Trace::default())
    }

    #[test]
    fn tau_and_overlap_by_hand() {
        let first = ranking("abcd");
        assert_eq!(tau(&first, &ranking("abcd")), Some(1.0));
        assert_eq!(tau(&first, &ranking("dcba")), Some(-1.0));
        // One of six pairs turned round: 1 - 2/6.
        assert!((tau(&first, &ranking("bacd")).unwrap() - (1.0 - 2.0 / 6.0)).abs() < 1e-12);
        assert_eq!(tau(&first, &ranking("xay")), None);
        assert_eq!(overlap(&first, &ranking("badc"), 2), 1.0);
        assert_eq!(overlap(&first, &ranking("cdab"), 2), 0.0);
    }

    #[test]
    fn tails_and_scores_by_hand() {
        let first = ranking("abcd");
        assert_eq!(tail(&first, &ranking("bacd"), 2), 1.0);
        assert_eq!(tail(&first, &ranking("bacd"), 1), 2.0 / 3.0);
        assert_eq!(tail(&first, &ranking("dcba"), 4), 1.0);
        // a has 4 and 1, d has 1 and 4.
        assert_eq!(apart(&first, &ranking("dcba")), 0.75);
        assert_eq!(apart(&first, &first), 0.0);
        let copied = Ranking::from_scores(
            "q",
            [("a~copy", 9.0), ("a", 4.0), ("b", 3.0)].map(|(id, score)| (id.to_string(), score)),
            Trace::default(),
        );
        assert_eq!(ids(&without_copies(&first, &copied)), ["a", "b"]);
        assert_eq!(ids(&without_copies(&copied, &copied)), ["a~copy", "a", "b"]);
    }
}
