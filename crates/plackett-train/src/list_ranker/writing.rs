//! Lists are written: greedily or by draws, from the beginning or after one; and how likely a list is.

use super::decoder::Walk;
use super::model::{ListQuestion, ListRanker, Memory};
use crate::TrainError;
use crate::nn::Mode;
use crate::random::Stream;
use crate::tape::{Compute, Parameters, Tape, Var};
use std::sync::Arc;

/// How candidates are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// Where draws come from; list `l` of a call draws its step `t` at the place 4096 · l + t.
    pub stream: Stream,
    /// What logits are divided by beside the ranker's own temperature: above 1 lists differ more.
    pub temperature: f32,
}

/// Places of draws of one list.
const DRAWS: u64 = 4096;

impl ListRanker {
    /// The best list of `most` candidates, or of all there are: at each step the greatest logit, of equal ones the first.
    ///
    /// # Errors
    /// Vectors that do not fit.
    pub fn best(
        &self,
        parameters: &Parameters,
        compute: &Arc<Compute>,
        question: &ListQuestion,
        most: usize,
    ) -> Result<Vec<usize>, TrainError> {
        let lists = self.go_on(parameters, compute, question, vec![Vec::new()], most, None)?;
        Ok(lists.into_iter().next().unwrap_or_default())
    }

    /// Goes on with some beginnings until each has `most` candidates, or all there are; without `draw` greedily. A beginning that
    /// is long enough already stays as it is.
    ///
    /// # Errors
    /// Vectors that do not fit, or a beginning with a candidate that is not there or stands twice.
    pub fn go_on(
        &self,
        parameters: &Parameters,
        compute: &Arc<Compute>,
        question: &ListQuestion,
        mut lists: Vec<Vec<usize>>,
        most: usize,
        draw: Option<Draw>,
    ) -> Result<Vec<Vec<usize>>, TrainError> {
        let tape = Tape::inference(parameters, compute);
        let memory = self.read(&tape, &[question])?;
        let most = most.min(question.count());
        loop {
            let open: Vec<usize> = (0..lists.len()).filter(|at| lists[*at].len() < most).collect();
            if open.is_empty() {
                return Ok(lists);
            }
            let walk = |at: &usize| Walk { question: 0, chosen: &lists[*at], first: lists[*at].len() };
            let walks: Vec<Walk<'_>> = open.iter().map(walk).collect();
            let pointed = self.point(&tape, &memory, &walks, Mode::default())?;
            let mut next = Vec::with_capacity(open.len());
            for ((at, step), free) in open.iter().zip(&pointed.steps).zip(&pointed.free) {
                let logits = &pointed.logits.value[step.clone()];
                let chosen = match draw {
                    None => greatest(logits),
                    Some(draw) => {
                        let place = DRAWS * *at as u64 + lists[*at].len() as u64;
                        drawn(logits, self.config.temperature * draw.temperature, draw.stream.uniform(place))
                    }
                };
                next.push((*at, free[chosen]));
            }
            next.into_iter().for_each(|(at, candidate)| lists[at].push(candidate));
        }
    }

    /// Logarithms of the probabilities of lists, each of one of the questions that were read: lists × 1. That of a list is the sum over
    /// its steps.
    ///
    /// # Errors
    /// An empty list, or one with a candidate that is not there or stands twice.
    pub fn log_probabilities(
        &self,
        tape: &Tape,
        memory: &Memory,
        lists: &[(usize, &[usize])],
        mode: Mode,
    ) -> Result<Var, TrainError> {
        let mut walks = Vec::with_capacity(lists.len());
        for (question, list) in lists {
            let Some((_, chosen)) = list.split_last() else {
                return Err(TrainError::Model("a list of no candidates has no probability".into()));
            };
            walks.push(Walk { question: *question, chosen, first: 0 });
        }
        let pointed = self.point(tape, memory, &walks, mode)?;
        let scaled = tape.scale(&pointed.logits, 1.0 / self.config.temperature);
        let mut steps = pointed.steps.iter().zip(&pointed.free);
        let mut sums = Vec::with_capacity(lists.len());
        for (_, list) in lists {
            let mut logs = Vec::with_capacity(list.len());
            for (wanted, (step, free)) in list.iter().zip(steps.by_ref().take(list.len())) {
                let Ok(place) = free.binary_search(wanted) else {
                    let problem = format!("candidate {wanted} stands twice in a list, or is not there");
                    return Err(TrainError::Model(problem));
                };
                let rows: Vec<usize> = step.clone().collect();
                let row = tape.log_softmax(&tape.gather(&scaled, &rows, (1, rows.len())));
                logs.push(tape.gather(&row, &[place], (1, 1)));
            }
            sums.push(tape.sum(&tape.stack(&logs.iter().collect::<Vec<_>>())));
        }
        Ok(tape.stack(&sums.iter().collect::<Vec<_>>()))
    }

    /// [`ListRanker::log_probabilities`] of lists of one question, without gradients.
    ///
    /// # Errors
    /// As there.
    pub fn log_probabilities_of(
        &self,
        parameters: &Parameters,
        compute: &Arc<Compute>,
        question: &ListQuestion,
        lists: &[&[usize]],
    ) -> Result<Vec<f32>, TrainError> {
        let tape = Tape::inference(parameters, compute);
        let memory = self.read(&tape, &[question])?;
        let lists: Vec<(usize, &[usize])> = lists.iter().map(|list| (0, *list)).collect();
        Ok(self.log_probabilities(&tape, &memory, &lists, Mode::default())?.value.to_vec())
    }
}

/// The place of the greatest number, of equal ones the first.
fn greatest(logits: &[f32]) -> usize {
    (1..logits.len()).fold(0, |best, at| if logits[at] > logits[best] { at } else { best })
}

/// A place drawn by the softmax of logits over a temperature, by a number of \[0, 1).
fn drawn(logits: &[f32], temperature: f32, uniform: f32) -> usize {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f64> = logits.iter().map(|x| f64::from((x - most) / temperature).exp()).collect();
    let mut left = f64::from(uniform) * weights.iter().sum::<f64>();
    for (at, weight) in weights.iter().enumerate() {
        if left < *weight {
            return at;
        }
        left -= weight;
    }
    // Rounding alone leads here.
    logits.len() - 1
}
