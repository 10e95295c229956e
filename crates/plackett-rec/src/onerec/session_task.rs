//! Learning to write sessions token by token.

use super::item_tokens::ItemTokens;
use super::model::{OneRec, SessionBatch};
use super::sessions::Session;
use crate::RecError;
use plackett_train::nn::Mode;
use plackett_train::trainer::{StepLoss, Task};
use plackett_train::{Compute, Parameters, Tape, TrainError, Var};
use std::sync::Arc;

/// Sessions that are measured together.
const TOGETHER: usize = 64;

/// Sessions, also of different lengths, and the model that writes them: one item each is the next-item model of the paper's baselines.
pub struct SessionTask<'t> {
    pub(super) model: &'t OneRec,
    pub(super) tokens: &'t ItemTokens,
    pub(super) sessions: &'t [Session],
    /// Weight of the loss that balances experts; 0 leaves it out.
    balance: f32,
}

impl<'t> SessionTask<'t> {
    /// Of some sessions, without a loss that balances experts.
    pub fn new(model: &'t OneRec, tokens: &'t ItemTokens, sessions: &'t [Session]) -> SessionTask<'t> {
        SessionTask { model, tokens, sessions, balance: 0.0 }
    }

    /// The same with a loss of this weight that balances experts.
    pub fn balanced(mut self, weight: f32) -> SessionTask<'t> {
        self.balance = weight;
        self
    }

    /// The mean of −ln p over all tokens of the sessions (equation 5 of the paper, as a mean), with the batch.
    pub(super) fn next_token_loss(
        &self,
        tape: &Tape,
        examples: &[usize],
        mode: Mode,
    ) -> Result<(Var, SessionBatch), RecError> {
        let of = |at: &usize| {
            let session = &self.sessions[*at];
            (&session.history[..], vec![&session.items[..]])
        };
        let batch: Vec<_> = examples.iter().map(of).collect();
        let batch = SessionBatch::new(self.tokens, self.model.config.max_history, &batch)?;
        let (logs, routed) = self.model.log_probabilities(tape, &batch, mode);
        let mut value = tape.scale(&tape.mean(&logs), -1.0);
        if self.balance > 0.0 {
            for way in &routed {
                value =
                    tape.plus(&value, &tape.scale(&way.balance(tape), self.balance / routed.len() as f32));
            }
        }
        Ok((value, batch))
    }

    /// The mean of −ln p over the tokens of each session, and how many rows went through each expert of each layer.
    ///
    /// # Errors
    /// The catalogue does not have an item.
    pub fn measure(
        &self,
        parameters: &Parameters,
        compute: &Arc<Compute>,
    ) -> Result<(Vec<f64>, Vec<Vec<usize>>), RecError> {
        let (mut losses, mut loads) = (Vec::new(), Vec::<Vec<usize>>::new());
        for sessions in self.sessions.chunks(TOGETHER) {
            let tape = Tape::inference(parameters, compute);
            let of: Vec<_> =
                sessions.iter().map(|session| (&session.history[..], vec![&session.items[..]])).collect();
            let batch = SessionBatch::new(self.tokens, self.model.config.max_history, &of)?;
            let (logs, routed) = self.model.log_probabilities(&tape, &batch, Mode::default());
            let mut at = 0;
            for session in sessions {
                let count = session.items.len() * self.tokens.levels();
                let sum: f64 = logs.value[at..at + count].iter().map(|log| f64::from(*log)).sum();
                losses.push(-sum / count.max(1) as f64);
                at += count;
            }
            loads.resize(routed.len(), Vec::new());
            for (loads, way) in loads.iter_mut().zip(&routed) {
                loads.resize(way.loads.len(), 0);
                loads.iter_mut().zip(&way.loads).for_each(|(sum, load)| *sum += load);
            }
        }
        Ok((losses, loads))
    }
}

/// An error of the data as one of a training.
pub(super) fn as_training(error: RecError) -> TrainError {
    match error {
        RecError::Train(error) => error,
        other => TrainError::Setting(other.to_string()),
    }
}

impl Task for SessionTask<'_> {
    fn count(&self) -> usize {
        self.sessions.len()
    }

    fn describe(&self, example: usize) -> String {
        format!("session {}", example + 1)
    }

    fn loss(&self, tape: &Tape, examples: &[usize], mode: Mode) -> Result<StepLoss, TrainError> {
        let (value, batch) = self.next_token_loss(tape, examples, mode).map_err(as_training)?;
        let tokens = batch.sources.tokens.len() + batch.targets.tokens.len();
        Ok(StepLoss { value, tokens, used: examples.len(), skipped: 0 })
    }
}
