//! The training of a model of sequences: at every place the next item.

use super::{
    LearningSettings, NegativeSamples, SequenceBatch, SequenceModel, StochasticLength, normalize_rows,
    place_key, sampled_softmax,
};
use crate::Event;
use plackett_train::nn::Mode;
use plackett_train::random::Stream;
use plackett_train::trainer::{StepLoss, Task};
use plackett_train::{Engine, Tape, TrainError};

/// Streams of what a step draws beside dropout.
const NEGATIVES: u64 = 1 << 40;
const LENGTHS: u64 = 2 << 40;

/// Users' sequences and a model that learns at every place which item comes next (generative training: one pass over a
/// user has the losses of all places).
pub struct NextItemTask<'t, M: SequenceModel + ?Sized> {
    model: &'t M,
    sequences: Vec<&'t [Event]>,
    learning: LearningSettings,
    catalogue: usize,
}

impl<'t, M: SequenceModel + ?Sized> NextItemTask<'t, M> {
    /// Of the newest events of each user; who has fewer than two events teaches nothing.
    pub fn new(
        model: &'t M,
        sequences: &'t [&'t [Event]],
        learning: &LearningSettings,
        catalogue: usize,
    ) -> NextItemTask<'t, M> {
        let newest = |events: &'t [Event]| &events[events.len().saturating_sub(model.max_length() + 1)..];
        let sequences = sequences.iter().copied().filter(|events| events.len() > 1).map(newest).collect();
        NextItemTask { model, sequences, learning: learning.clone(), catalogue }
    }

    /// Events of the longest sequence.
    pub fn longest(&self) -> usize {
        self.sequences.iter().map(|events| events.len()).max().unwrap_or(0)
    }

    /// The events of a user that this step learns from.
    fn part(&self, user: usize, key: u64) -> Vec<Event> {
        let events = self.sequences[user];
        if self.learning.alpha >= 2.0 {
            return events.to_vec();
        }
        let sampler = StochasticLength { alpha: self.learning.alpha, max_length: self.model.max_length() };
        let times: Vec<i64> = events.iter().map(|event| event.time).collect();
        let kept = sampler.choose(&times, Stream::new(key, LENGTHS + user as u64));
        kept.into_iter().map(|at| events[at]).collect()
    }
}

impl<M: SequenceModel + ?Sized> Task for NextItemTask<'_, M> {
    fn count(&self) -> usize {
        self.sequences.len()
    }

    fn describe(&self, example: usize) -> String {
        format!("the sequence of user {}", example + 1)
    }

    fn loss(&self, tape: &Tape, examples: &[usize], mode: Mode) -> Result<StepLoss, TrainError> {
        let parts: Vec<Vec<Event>> = examples.iter().map(|user| self.part(*user, mode.key)).collect();
        let inputs = parts.iter().filter(|part| part.len() > 1);
        let batch = SequenceBatch::new(
            inputs.clone().map(|part| (&part[..part.len() - 1], part[part.len() - 1].time)),
        );
        let targets: Vec<u32> = inputs.flat_map(|part| part[1..].iter().map(|event| event.item)).collect();
        if targets.is_empty() {
            let value = tape.constant((1, 1), &[0.0]);
            return Ok(StepLoss { value, tokens: 0, used: 0, skipped: examples.len() });
        }
        let states = normalize_rows(tape, &self.model.forward(tape, &batch, mode));
        let items = normalize_rows(tape, &Engine::parameter(tape, self.model.items()));
        let stream = Stream::new(place_key(mode, 0), NEGATIVES);
        let negatives =
            NegativeSamples::draw(stream, (targets.len(), self.learning.negatives), self.catalogue);
        let losses = sampled_softmax(tape, (&states, &items), &targets, negatives, self.learning.temperature);
        let skipped = parts.iter().filter(|part| part.len() < 2).count();
        Ok(StepLoss { value: tape.mean(&losses), tokens: targets.len(), used: targets.len(), skipped })
    }
}
