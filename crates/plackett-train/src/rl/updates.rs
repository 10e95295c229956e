//! Several steps from one rollout: answers that wait for theirs.

use super::loss::Term;
use super::record::RolloutRecord;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Answers that one step learns from.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub(super) struct Lot {
    /// Prompt and answer, one after another.
    pub sequences: Vec<Vec<u32>>,
    /// Tokens of the prompt of each.
    pub given: Vec<usize>,
    /// What the tokens of all answers are worth.
    pub terms: Vec<Term>,
    /// Answers, or tokens with a credit, that the loss is the mean of.
    pub used: usize,
    /// Prompts whose answers do not differ in any advantage.
    pub flat: usize,
    /// Log-probabilities of the tokens of all answers under the policy that wrote them. Empty for the first step of a rollout, whose policy
    /// that is.
    pub old: Vec<f32>,
}

/// What is left of a rollout.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub(super) struct Waiting {
    /// What the next steps learn from.
    pub lots: VecDeque<Lot>,
    /// What the rollout was like.
    pub record: RolloutRecord,
    /// Examples that steps brought while they learned from a rollout of others, each once, the oldest first: later rollouts have them, so that
    /// every example has its turn.
    #[serde(default)]
    pub passed: Vec<usize>,
}

/// How many steps learn from one rollout (DeepSeekMath's µ, by mini-batches as the published trainers have them), and the answers that wait.
/// Each step has its part of the rollout's examples, and every answer is learned from once. In the first step ratios are 1; in those after it the
/// policy has gone on, and the clip acts. Examples that the trainer brings meanwhile are rolled out later, in their order: once
/// through all of them takes so many times the steps.
#[derive(Debug)]
pub struct Updates {
    count: usize,
    waiting: Mutex<Waiting>,
}

impl Default for Updates {
    fn default() -> Updates {
        Updates::new(1)
    }
}

impl Updates {
    /// So many steps for each rollout, at least one.
    pub fn new(count: usize) -> Updates {
        Updates { count: count.max(1), waiting: Mutex::default() }
    }

    /// Steps for each rollout.
    pub fn count(&self) -> usize {
        self.count
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a rollout is due.
    pub(super) fn are_done(&self) -> bool {
        self.lock().lots.is_empty()
    }

    /// Keeps the examples of a step that learns from a rollout of others.
    pub(super) fn pass_over(&self, examples: &[usize]) {
        put_off(&mut self.lock().passed, examples);
    }

    /// The examples of a rollout, as many as its step brings, those that were passed over first; and those that are passed over then.
    pub(super) fn due(&self, examples: &[usize]) -> (Vec<usize>, Vec<usize>) {
        let all = [&self.lock().passed[..], examples].concat();
        let (due, later) = all.split_at(examples.len());
        let mut passed = Vec::new();
        put_off(&mut passed, later);
        (due.to_vec(), passed)
    }

    /// Takes over what steps are to learn from.
    pub(super) fn fill(&self, waiting: Waiting) {
        *self.lock() = waiting;
    }

    /// What waits, as a checkpoint keeps it.
    pub(super) fn waiting(&self) -> Waiting {
        self.lock().clone()
    }

    /// What the next step learns from, and the record of its rollout, whose seconds count for its first step alone.
    pub(super) fn take(&self) -> (Lot, RolloutRecord) {
        let mut waiting = self.lock();
        let record = waiting.record;
        waiting.record.seconds = 0.0;
        (waiting.lots.pop_front().unwrap_or_default(), record)
    }
}

/// Puts examples behind those that wait, unless they wait already.
fn put_off(passed: &mut Vec<usize>, examples: &[usize]) {
    for example in examples {
        if !passed.contains(example) {
            passed.push(*example);
        }
    }
}
