//! The training, and scores of all items.

use super::layout::SetBatch;
use super::model::{ItemTables, SetRec};
use plackett_train::nn::Mode;
use plackett_train::trainer::{StepLoss, Task};
use plackett_train::{Compute, Engine, Parameters, Tape, TrainError};
use std::ops::Range;
use std::sync::Arc;

/// Histories that are scored together.
pub(super) const TOGETHER: usize = 64;

/// Users' items, of which every prefix, the empty one too, foretells the next.
pub struct SetRecTask<'t> {
    model: &'t SetRec,
    sequences: Vec<&'t [u32]>,
    /// Weight of the auto-encoder's error.
    alpha: f32,
}

impl<'t> SetRecTask<'t> {
    /// Of the newest items of each user; who has fewer than two teaches nothing, as in the authors' code.
    pub fn new(model: &'t SetRec, sequences: &'t [Vec<u32>], alpha: f32) -> SetRecTask<'t> {
        let newest = |items: &'t Vec<u32>| &items[items.len().saturating_sub(model.config.max_items + 1)..];
        SetRecTask {
            model,
            sequences: sequences.iter().filter(|items| items.len() > 1).map(newest).collect(),
            alpha,
        }
    }
}

impl Task for SetRecTask<'_> {
    fn count(&self) -> usize {
        self.sequences.len()
    }

    fn loss(&self, tape: &Tape, examples: &[usize], mode: Mode) -> Result<StepLoss, TrainError> {
        let histories: Vec<(&[u32], Range<usize>)> = examples
            .iter()
            .map(|at| self.sequences[*at])
            .map(|items| (&items[..items.len() - 1], 0..items.len()))
            .collect();
        let targets: Vec<u32> = examples.iter().flat_map(|at| self.sequences[*at].iter().copied()).collect();
        let batch = SetBatch::new(&histories, self.model.layout(None));
        let tokens = self.model.tokens(tape);
        let states = self.model.forward(tape, &tokens, &batch, mode);
        let mut losses = Vec::new();
        for (slot, table) in tokens.of_slot.iter().enumerate() {
            let wanted: Vec<(usize, u32)> =
                batch.asked.iter().zip(&targets).map(|(rows, target)| (rows[slot], *target)).collect();
            losses.push(tape.scale(&tape.mean(&tape.token_log_probabilities(&states, table, &wanted)), -1.0));
        }
        let mut value = tape.mean(&tape.stack(&losses.iter().collect::<Vec<_>>()));
        if let Some(reconstruction) = &tokens.reconstruction {
            value = tape.plus(&value, &tape.scale(reconstruction, self.alpha));
        }
        Ok(StepLoss { value, tokens: batch.tokens.len(), used: targets.len(), skipped: 0 })
    }
}

/// What the slots say of all items.
#[derive(Clone, Debug, Default)]
pub struct SlotScores {
    /// Of the slot of what users did; empty without one.
    pub collaborative: Vec<f32>,
    /// The sum of the slots of texts; empty without any.
    pub semantic: Vec<f32>,
}

impl SlotScores {
    /// (1 − β) · collaborative + β · semantic; with one kind of slot its scores.
    pub fn mixed(&self, beta: f32) -> Vec<f32> {
        match (self.collaborative.is_empty(), self.semantic.is_empty()) {
            (true, _) => self.semantic.clone(),
            (_, true) => self.collaborative.clone(),
            _ => {
                let pairs = self.collaborative.iter().zip(&self.semantic);
                pairs.map(|(c, s)| (1.0 - beta) * c + beta * s).collect()
            }
        }
    }
}

impl SetRec {
    /// What the slots say after each history (its newest items count). `shuffle` draws an order of the tokens of each item, which
    /// changes nothing where they do not see each other.
    pub fn scores(
        &self,
        parameters: &Parameters,
        compute: &Arc<Compute>,
        histories: &[&[u32]],
        shuffle: Option<u64>,
    ) -> Vec<SlotScores> {
        self.scores_by((parameters, compute), &self.tables(parameters, compute), histories, shuffle)
    }

    /// The same with tokens of items that are there already.
    pub fn scores_by(
        &self,
        (parameters, compute): (&Parameters, &Arc<Compute>),
        tables: &ItemTables,
        histories: &[&[u32]],
        shuffle: Option<u64>,
    ) -> Vec<SlotScores> {
        let mut all = Vec::with_capacity(histories.len());
        for histories in histories.chunks(TOGETHER) {
            let tape = Tape::inference(parameters, compute);
            let newest: Vec<(&[u32], Range<usize>)> = histories
                .iter()
                .map(|items| &items[items.len().saturating_sub(self.config.max_items)..])
                .map(|items| (items, items.len()..items.len() + 1))
                .collect();
            let batch = SetBatch::new(&newest, self.layout(shuffle));
            let tokens = self.given(&tape, tables);
            let states = self.forward(&tape, &tokens, &batch, Mode::default());
            let mut scores = vec![SlotScores::default(); histories.len()];
            for (slot, table) in tokens.of_slot.iter().enumerate() {
                let rows: Vec<usize> = batch.asked.iter().map(|rows| rows[slot]).collect();
                let found = Engine::linear(&tape, &tape.select_rows(&states, &rows), table, None, None);
                for (scores, found) in scores.iter_mut().zip(found.value.chunks(self.items())) {
                    if self.config.collaborative && slot == 0 {
                        scores.collaborative = found.to_vec();
                    } else if scores.semantic.is_empty() {
                        scores.semantic = found.to_vec();
                    } else {
                        scores.semantic.iter_mut().zip(found).for_each(|(sum, more)| *sum += more);
                    }
                }
            }
            all.extend(scores);
        }
        all
    }
}
