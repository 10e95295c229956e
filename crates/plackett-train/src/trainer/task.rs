//! What is trained: examples and their loss.

use crate::TrainError;
use crate::nn::Mode;
use crate::objective::{Batch, Term};
use crate::tape::{Tape, Var};

/// The loss of a batch.
pub struct StepLoss {
    /// 1 × 1, a mean; without a gradient where nothing could teach.
    pub value: Var,
    /// Tokens that were read.
    pub tokens: usize,
    /// Lists, pairs or tokens that it is the mean of.
    pub used: usize,
    /// Those that could not teach.
    pub skipped: usize,
}

/// Examples and a model.
pub trait Task {
    /// How many examples there are.
    fn count(&self) -> usize;

    /// What an example is called in messages.
    fn describe(&self, example: usize) -> String {
        (example + 1).to_string()
    }

    /// Whether a parameter is part of the head, which may have a learning rate of its own.
    fn is_head(&self, _parameter: &str) -> bool {
        false
    }

    /// Whether its model is one whose layers can be run once more on the way back ([`Settings::recompute`](super::Settings::recompute)):
    /// they go through [`Tape::recomputed`].
    fn recomputes(&self) -> bool {
        false
    }

    /// The loss of some examples.
    ///
    /// # Errors
    /// Labels without a meaning for the objective.
    fn loss(&self, tape: &Tape, examples: &[usize], mode: Mode) -> Result<StepLoss, TrainError>;
}

/// The weighted sum of the objectives of a batch, by which every task of the trainer mixes its losses.
///
/// # Errors
/// What an objective says of the batch.
pub fn weighted_sum(
    tape: &Tape,
    objective: &[Term],
    batch: &Batch,
    tokens: usize,
) -> Result<StepLoss, TrainError> {
    let mut sum = StepLoss { value: tape.constant((1, 1), &[0.0]), tokens, used: 0, skipped: 0 };
    for term in objective {
        let loss = term.objective.loss(tape, batch).map_err(|error| TrainError::Model(error.to_string()))?;
        sum.value = tape.plus(&sum.value, &tape.scale(&loss.value, term.weight));
        sum.used = sum.used.max(loss.used);
        sum.skipped = sum.skipped.max(loss.skipped);
    }
    Ok(sum)
}
