//! Lists of candidates with their labels, and the loss of their scores: what tasks that score candidates have alike.

use super::examples::RankingExample;
use super::{StepLoss, weighted_sum};
use crate::TrainError;
use crate::objective::{Batch, Lists, Term};
use crate::tape::{Compute, Parameters, Tape, Var};
use std::ops::Range;

/// Most characters of a query in a message.
const SHOWN: usize = 60;

/// The labels of the candidates of a query.
#[derive(Clone, Debug)]
pub(super) struct LabelledList {
    query: String,
    /// One for each candidate.
    pub labels: Vec<f32>,
    /// Scores of a teacher, where all candidates have one.
    teacher: Option<Vec<f32>>,
}

impl LabelledList {
    /// Those of an example, in its order.
    pub fn new(example: &RankingExample) -> LabelledList {
        LabelledList {
            query: example.query.clone(),
            labels: example.candidates.iter().map(|candidate| candidate.label).collect(),
            teacher: example.candidates.iter().map(|candidate| candidate.teacher).collect(),
        }
    }

    /// What it is called in messages: its query, or the beginning of it.
    pub fn describe(&self) -> String {
        let more = if self.query.chars().count() > SHOWN { "…" } else { "" };
        format!("`{}{more}`", self.query.chars().take(SHOWN).collect::<String>())
    }
}

/// The loss of the scores of some lists, which stand one after another in a column; `tokens` were read for them.
///
/// # Errors
/// What the objective says of the lists.
pub(super) fn lists_loss(
    tape: &Tape,
    objective: &[Term],
    scores: &Var,
    (lists, tokens): (&[&LabelledList], usize),
) -> Result<StepLoss, TrainError> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for list in lists {
        let start = ranges.last().map_or(0, |range| range.end);
        ranges.push(start..start + list.labels.len());
    }
    let labels: Vec<f32> = lists.iter().flat_map(|list| list.labels.iter().copied()).collect();
    let teacher: Option<Vec<f32>> =
        lists.iter().map(|list| list.teacher.clone()).collect::<Option<Vec<_>>>().map(|all| all.concat());
    let batch = Lists { teacher: teacher.as_deref(), ..Lists::new(scores, &ranges, &labels) };
    weighted_sum(tape, objective, &Batch::Lists(batch), tokens)
}

/// Tries the objective on each list with scores of zero, so that hours later nothing is found to be missing.
///
/// # Errors
/// A list lacks what the objective needs, or none of them can teach it.
pub(super) fn check_lists(objective: &[Term], lists: &[&LabelledList]) -> Result<(), TrainError> {
    let (parameters, compute) = (Parameters::default(), Compute::new(1));
    let mut taught = 0;
    for list in lists.iter().copied() {
        let tape = Tape::inference(&parameters, &compute);
        let scores = tape.constant((list.labels.len(), 1), &vec![0.0; list.labels.len()]);
        let loss = lists_loss(&tape, objective, &scores, (&[list], 0));
        let named = |error| TrainError::Setting(format!("the query {}: {error}", list.describe()));
        taught += loss.map_err(named)?.used;
    }
    if taught == 0 && !lists.is_empty() {
        let objective: Vec<String> = objective.iter().map(|term| term.objective.to_string()).collect();
        return Err(TrainError::Setting(format!(
            "none of the {} queries can teach `{}`: it needs candidates of which one is better than another; give them \
             other labels, or choose another objective",
            lists.len(),
            objective.join(" + ")
        )));
    }
    Ok(())
}
