//! `scores`: what the scores of rankings are like, whatever the judgments.

use super::{each_run, rankings_of};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{StageKind, StageOutput, a_moment, nothing_outside, nothing_to_check};
use std::collections::HashMap;

const NUMBERS: [&str; 5] = ["sum", "spread", "distinct", "tied", "saturated"];

/// The declaration.
pub static SCORES: StageKind = StageKind {
    name: "scores",
    help: "what the scores of rankings are like, query by query; gives RUN/sum, RUN/spread (the greatest less the least), RUN/distinct \
           (how many different ones), RUN/tied (the share of documents whose score another one has too) and RUN/saturated (the share of \
           scores no further than `near` from 0 or from 1; those of `without` are left out of it)",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required("runs", FieldKind::Stages(&[OutputKind::Rankings]), "whose scores"),
        FieldSpec::new(
            "near",
            FieldKind::Number(0.0, 0.5),
            Default::Number(0.00001),
            "how near to 0 or 1 a score is that counts as saturated",
        ),
        // Absent and not a number, which would stand in the keys of all stages.
        FieldSpec::new(
            "without",
            FieldKind::Number(f64::MIN, f64::MAX),
            Default::Absent,
            "what documents have whose answer could not be read, as 0 of erank",
        ),
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |values, _| each_run(values, &NUMBERS),
    outside: nothing_outside,
    estimate: a_moment,
    run: |task| {
        let (near, without) = (task.values.real("near"), task.values.number("without"));
        let mut made = StageOutput::default();
        for run in task.values.texts("runs") {
            let rankings = rankings_of(task, run)?;
            let keys: Vec<String> = rankings.iter().map(|ranking| ranking.query_id.clone()).collect();
            let rows: Vec<[f64; NUMBERS.len()]> = rankings
                .iter()
                .map(|ranking| {
                    let scores: Vec<f64> = ranking.entries.iter().map(|entry| entry.score).collect();
                    of(&scores, (near, without))
                })
                .collect();
            for (nth, number) in NUMBERS.iter().enumerate() {
                let values = rows.iter().map(|row| row[nth]).collect();
                made.numbers.push(Quantity::by_query(format!("{run}/{number}"), keys.clone(), values));
            }
        }
        Ok(made)
    },
};

/// The numbers of one list, in the order of their names.
fn of(scores: &[f64], (near, without): (f64, Option<f64>)) -> [f64; NUMBERS.len()] {
    // -0 and 0 are one score.
    let mut counts: HashMap<u64, usize> = HashMap::new();
    scores.iter().for_each(|score| *counts.entry((score + 0.0).to_bits()).or_default() += 1);
    let tied: usize = counts.values().filter(|count| **count > 1).sum();
    let (least, most) =
        scores.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), s| (low.min(*s), high.max(*s)));
    let read: Vec<f64> = scores.iter().copied().filter(|score| Some(*score) != without).collect();
    let saturated = read.iter().filter(|score| score.abs() <= near || (1.0 - **score).abs() <= near).count();
    let share = |count: usize, of: &[f64]| count as f64 / of.len().max(1) as f64;
    let spread = if scores.is_empty() { 0.0 } else { most - least };
    [scores.iter().sum(), spread, counts.len() as f64, share(tied, scores), share(saturated, &read)]
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn numbers_of_scores_by_hand() {
        assert_eq!(of(&[3.0, 1.0, 1.0, 0.0], (0.1, None)), [5.0, 3.0, 3.0, 0.5, 0.75]);
        assert_eq!(of(&[0.0, -0.0], (0.0, None)), [0.0, 0.0, 1.0, 1.0, 1.0]);
        assert_eq!(of(&[0.5, 0.25], (0.1, None)), [0.75, 0.25, 2.0, 0.0, 0.0]);
        assert_eq!(of(&[], (0.1, None)), [0.0; 5]);
        // Two answers that could be read, of which one is certain; a list without any is certain of nothing.
        assert_eq!(of(&[1.0, 0.0, 0.5, 0.0], (0.1, Some(0.0)))[4], 0.5);
        assert_eq!(of(&[0.0, 0.0], (0.1, Some(0.0)))[4], 0.0);
    }
}
