//! Learning from pairs of lists, of which a reader has made more of the one than of the other.

use super::model::{ListQuestion, ListRanker};
use crate::TrainError;
use crate::nn::Mode;
use crate::objective::{Batch, Preferences, Term};
use crate::tape::{Compute, Parameters, Tape};
use crate::trainer::{StepLoss, Task, weighted_sum};
use std::sync::Arc;

/// Two lists of one question.
#[derive(Clone, Debug, PartialEq)]
pub struct ListPair {
    /// Which of the questions.
    pub question: usize,
    /// The list that was worth more.
    pub chosen: Vec<usize>,
    /// The other.
    pub rejected: Vec<usize>,
    /// Logarithms of the probabilities of both under the ranker that the training begins with.
    pub reference: [f32; 2],
}

impl ListPair {
    /// A pair with the probabilities that a ranker gives both.
    ///
    /// # Errors
    /// Vectors that do not fit, or a list that cannot be.
    pub fn new(
        (ranker, parameters, compute): (&ListRanker, &Parameters, &Arc<Compute>),
        questions: &[&ListQuestion],
        question: usize,
        [chosen, rejected]: [Vec<usize>; 2],
    ) -> Result<ListPair, TrainError> {
        let logs =
            ranker.log_probabilities_of(parameters, compute, questions[question], &[&chosen, &rejected])?;
        Ok(ListPair { question, chosen, rejected, reference: [logs[0], logs[1]] })
    }

    /// How much more than the reference a ranker prefers the chosen list: ln(π/π_ref)(chosen) − ln(π/π_ref)(rejected).
    ///
    /// # Errors
    /// As [`ListPair::new`].
    pub fn margin(
        &self,
        (ranker, parameters, compute): (&ListRanker, &Parameters, &Arc<Compute>),
        questions: &[&ListQuestion],
    ) -> Result<f64, TrainError> {
        let lists = [&self.chosen[..], &self.rejected[..]];
        let logs = ranker.log_probabilities_of(parameters, compute, questions[self.question], &lists)?;
        let gained = |at: usize| f64::from(logs[at]) - f64::from(self.reference[at]);
        Ok(gained(0) - gained(1))
    }
}

/// Pairs by which a [`ListRanker`] is aligned.
pub struct PreferenceTask<'p> {
    /// What is trained.
    pub ranker: ListRanker,
    /// Questions that pairs are of.
    pub questions: &'p [&'p ListQuestion],
    /// Pairs.
    pub pairs: &'p [ListPair],
    /// What is minimised, such as `dpo(beta=0.1)`.
    pub objective: Vec<Term>,
}

impl Task for PreferenceTask<'_> {
    fn count(&self) -> usize {
        self.pairs.len()
    }

    fn describe(&self, example: usize) -> String {
        format!("pair {} of `{}`", example + 1, self.questions[self.pairs[example].question].name)
    }

    fn loss(&self, tape: &Tape, examples: &[usize], mode: Mode) -> Result<StepLoss, TrainError> {
        let pairs: Vec<&ListPair> = examples.iter().map(|at| &self.pairs[*at]).collect();
        let questions: Vec<&ListQuestion> = pairs.iter().map(|pair| self.questions[pair.question]).collect();
        let memory = self.ranker.read(tape, &questions)?;
        let side = |of: fn(&ListPair) -> &[usize]| {
            let lists: Vec<(usize, &[usize])> =
                pairs.iter().enumerate().map(|(nth, pair)| (nth, of(pair))).collect();
            self.ranker.log_probabilities(tape, &memory, &lists, mode)
        };
        let (chosen, rejected) = (side(|pair| &pair.chosen)?, side(|pair| &pair.rejected)?);
        let reference = |at: usize| pairs.iter().map(|pair| pair.reference[at]).collect::<Vec<f32>>();
        let (reference_chosen, reference_rejected) = (reference(0), reference(1));
        let batch = Batch::Preferences(Preferences {
            chosen: &chosen,
            rejected: &rejected,
            reference_chosen: Some(&reference_chosen),
            reference_rejected: Some(&reference_rejected),
            lengths: None,
        });
        weighted_sum(tape, &self.objective, &batch, pairs.len())
    }
}
