//! What is learned: vectors that come back.

use super::model::ResidualCodes;
use crate::TrainError;
use crate::nn::Mode;
use crate::tape::Tape;
use crate::trainer::{StepLoss, Task};

/// Items' vectors that a quantiser learns from.
pub struct ResidualTask<'m> {
    model: &'m ResidualCodes,
    items: &'m [f32],
}

impl<'m> ResidualTask<'m> {
    /// Of vectors one after another.
    ///
    /// # Errors
    /// There is none, or a part of one.
    pub fn new(model: &'m ResidualCodes, items: &'m [f32]) -> Result<ResidualTask<'m>, TrainError> {
        match !items.is_empty() && items.len().is_multiple_of(model.inputs()) {
            true => Ok(ResidualTask { model, items }),
            false => Err(TrainError::Setting(format!(
                "residual codes: vectors of {} numbers are expected, and there are {} numbers",
                model.inputs(),
                items.len()
            ))),
        }
    }
}

impl Task for ResidualTask<'_> {
    fn count(&self) -> usize {
        self.items.len() / self.model.inputs()
    }

    /// The mean squared error of what comes back, plus the losses of the codebooks.
    fn loss(&self, tape: &Tape, examples: &[usize], _mode: Mode) -> Result<StepLoss, TrainError> {
        let width = self.model.inputs();
        let rows: Vec<f32> =
            examples.iter().flat_map(|at| self.items[at * width..(at + 1) * width].iter().copied()).collect();
        let x = tape.constant((examples.len(), width), &rows);
        let quantized = self.model.quantize(tape, &self.model.encode(tape, &x));
        let back = self.model.decode(tape, &quantized.vectors);
        let error = tape.mean(&tape.square(&tape.minus(&back, &x)));
        let value = tape.plus(&error, &quantized.loss);
        Ok(StepLoss { value, tokens: examples.len(), used: examples.len(), skipped: 0 })
    }
}
