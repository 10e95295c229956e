//! What the rollouts of steps were like, and how they outlive a kill.

use super::task::PolicyTask;
use super::updates::{Updates, Waiting};
use crate::TrainError;
use crate::trainer::Hooks;
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, PoisonError};

/// What the rollouts of a step were like.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct RolloutRecord {
    /// Mean reward.
    pub reward: f64,
    /// The variance of the rewards of all answers.
    pub variance: f64,
    /// Share of the prompts whose answers have no advantage over each other.
    pub without_advantage: f64,
    /// Share of the prompts of which no answer is the right one, where there is one.
    #[serde(default)]
    pub misses: f64,
    /// Share of the answers that keep the form.
    pub well_formed: f64,
    /// Mean divergence from the reference, a token.
    pub divergence: f64,
    /// The greatest distance of an importance ratio from 1: 0 where the policy that learns is the one that answered.
    #[serde(default)]
    pub ratio_apart: f64,
    /// Mean tokens of an answer.
    pub tokens: f64,
    /// Seconds of the rollouts.
    pub seconds: f64,
}

/// Steps, from 1, in which no answer had an advantage over another one to its prompt: their rewards were all the same, and nothing was
/// learned there.
pub fn constant_steps(records: &[RolloutRecord]) -> Vec<usize> {
    let steps = records.iter().enumerate();
    steps.filter(|(_, record)| record.without_advantage == 1.0).map(|(at, _)| at + 1).collect()
}

/// Keeps the records of the steps that are done, and the answers that wait for theirs, in the checkpoints of a training, so that one which goes
/// on after a kill has them all. A training with several updates for each rollout needs it to go on to the same bits.
pub struct KeptRecords<'r> {
    records: &'r Mutex<Vec<RolloutRecord>>,
    updates: &'r Updates,
}

impl<'r> KeptRecords<'r> {
    /// Those of a policy.
    pub fn of(task: &'r PolicyTask<'_>) -> KeptRecords<'r> {
        KeptRecords { records: &task.records, updates: &task.updates }
    }
}

/// What stands in a checkpoint.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum State {
    /// The next step begins with a rollout of its own examples.
    Between(Vec<RolloutRecord>),
    /// The next step goes on with answers of the last one, or its rollout has examples that were passed over.
    Within {
        /// Of the steps that are done.
        records: Vec<RolloutRecord>,
        /// What is left of the last rollout.
        waiting: Waiting,
    },
}

impl Hooks for KeptRecords<'_> {
    fn state(&self) -> Vec<u8> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let waiting = self.updates.waiting();
        let state = match waiting.lots.is_empty() && waiting.passed.is_empty() {
            true => State::Between(records),
            false => State::Within { records, waiting },
        };
        serde_json::to_vec(&state).unwrap_or_default()
    }

    fn set_state(&mut self, state: &[u8]) -> Result<(), TrainError> {
        let read = serde_json::from_slice::<State>(state).map_err(|error| {
            TrainError::Setting(format!(
                "the checkpoint's records of rollouts cannot be read ({error}); delete it, and the training begins anew"
            ))
        });
        let (records, waiting) = match read? {
            State::Between(records) => (records, Waiting::default()),
            State::Within { records, waiting } => (records, waiting),
        };
        *self.records.lock().unwrap_or_else(PoisonError::into_inner) = records;
        self.updates.fill(waiting);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_from_a_checkpoint_and_constant_steps_are_named() {
        let of =
            |without_advantage| RolloutRecord { reward: 0.1, without_advantage, ..RolloutRecord::default() };
        let records = vec![of(1.0), of(0.5), of(1.0)];
        let (written, read) = (Mutex::new(records.clone()), Mutex::default());
        let updates = [Updates::default(), Updates::new(2)];
        let state = KeptRecords { records: &written, updates: &updates[0] }.state();
        let mut kept = KeptRecords { records: &read, updates: &updates[1] };
        kept.set_state(&state).unwrap();
        assert_eq!(*read.lock().unwrap(), records);
        assert_eq!(constant_steps(&records), [1, 3]);
        assert!(kept.set_state(b"{").is_err());
        updates[1].pass_over(&[3, 1]);
        let state = kept.state();
        let again = Updates::new(2);
        KeptRecords { records: &read, updates: &again }.set_state(&state).unwrap();
        assert_eq!(again.due(&[0, 2]), (vec![3, 1], vec![0, 2]), "between two rollouts too");
    }
}
