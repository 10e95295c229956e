//! Learning from silver lists: what is worth choosing next, after the greedy list that knows the answers and after random beginnings.

use super::decoder::Walk;
use super::model::{ListQuestion, ListRanker};
use crate::TrainError;
use crate::nn::Mode;
use crate::objective::{Batch, Lists, Steps, Term};
use crate::random::Stream;
use crate::tape::Tape;
use crate::trainer::{StepLoss, Task, weighted_sum};
use plackett_core::diversity::Coverage;

/// A question of which it is known how far each candidate covers each side.
#[derive(Clone, Debug)]
pub struct SilverExample {
    /// Its vectors.
    pub question: ListQuestion,
    /// Sides × candidates.
    pub coverage: Coverage,
    /// The greedy list; not empty.
    pub silver: Vec<usize>,
}

impl SilverExample {
    /// Whether there is something to learn: whether on the way of the silver list, or with `disturbed` after another first candidate, two
    /// candidates that may come next differ in utility.
    ///
    /// # Errors
    /// The silver list names what is no candidate.
    pub fn can_teach(&self, disturbed: bool) -> Result<bool, TrainError> {
        let silver = (0..self.silver.len()).map(|length| self.silver[..length].to_vec());
        let others = if disturbed && self.silver.len() > 1 { self.coverage.candidates() } else { 0 };
        for chosen in silver.chain((0..others).map(|candidate| vec![candidate])) {
            let utilities = self.coverage.utilities(&chosen);
            let utilities = utilities.map_err(|error| TrainError::Model(error.to_string()))?;
            // In the precision in which they are learned.
            let mut free =
                (0..utilities.len()).filter(|at| !chosen.contains(at)).map(|at| utilities[at] as f32);
            let first = free.next();
            if free.any(|utility| Some(utility) != first) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Examples by which a [`ListRanker`] learns.
pub struct SilverTask<'e> {
    /// What is trained.
    pub ranker: ListRanker,
    /// Examples.
    pub examples: &'e [SilverExample],
    /// What is minimised, `richrag` with the ranker's temperature.
    pub objective: Vec<Term>,
    /// Whether a step after a random beginning is learned too; the objective says how much it counts.
    pub disturbed: bool,
}

impl SilverTask<'_> {
    /// A random beginning, shorter than the list of an example; `None` where a list has one candidate alone.
    fn beginning(&self, example: &SilverExample, stream: Stream) -> Option<Vec<usize>> {
        let longest = (example.silver.len() - 1).min(example.question.count() - 1);
        if !self.disturbed || longest == 0 {
            return None;
        }
        let mut drawn = stream.permutation(example.question.count());
        // The permutation has taken the places below the number of candidates.
        drawn.truncate(1 + stream.below(example.question.count() as u64, longest));
        Some(drawn)
    }
}

impl Task for SilverTask<'_> {
    fn count(&self) -> usize {
        self.examples.len()
    }

    fn describe(&self, example: usize) -> String {
        format!("`{}`", self.examples[example].question.name)
    }

    fn loss(&self, tape: &Tape, examples: &[usize], mode: Mode) -> Result<StepLoss, TrainError> {
        let chosen: Vec<&SilverExample> = examples.iter().map(|at| &self.examples[*at]).collect();
        let questions: Vec<&ListQuestion> = chosen.iter().map(|example| &example.question).collect();
        let memory = self.ranker.read(tape, &questions)?;
        let begun = |(nth, example): (usize, &&SilverExample)| {
            Some((nth, self.beginning(example, Stream::new(mode.key, nth as u64))?))
        };
        let beginnings: Vec<(usize, Vec<usize>)> = chosen.iter().enumerate().filter_map(begun).collect();
        let mut walks: Vec<Walk<'_>> = Vec::with_capacity(chosen.len() + beginnings.len());
        for (question, example) in chosen.iter().enumerate() {
            let before = &example.silver[..example.silver.len() - 1];
            walks.push(Walk { question, chosen: before, first: 0 });
        }
        for (question, chosen) in &beginnings {
            walks.push(Walk { question: *question, chosen, first: chosen.len() });
        }
        let pointed = self.ranker.point(tape, &memory, &walks, mode)?;
        let (mut labels, mut disturbed, mut step) = (Vec::new(), Vec::new(), 0);
        for (nth, walk) in walks.iter().enumerate() {
            for length in walk.first..=walk.chosen.len() {
                let coverage = &chosen[walk.question].coverage;
                let utilities = coverage
                    .utilities(&walk.chosen[..length])
                    .map_err(|error| TrainError::Model(error.to_string()))?;
                labels.extend(pointed.free[step].iter().map(|candidate| utilities[*candidate] as f32));
                disturbed.push(nth >= chosen.len());
                step += 1;
            }
        }
        let lists = Lists::new(&pointed.logits, &pointed.steps, &labels);
        let batch = Batch::Steps(Steps { lists, disturbed: &disturbed });
        weighted_sum(tape, &self.objective, &batch, labels.len())
    }
}
