//! Iterative preference alignment (algorithm 2 of the paper): of some requests the model as it was before the round writes sessions, the reward model
//! says which is best and which worst, and the model learns to prefer the one, beside writing what was logged.

use super::decode::{Generated, SessionSearch};
use super::inference::OneRecInference;
use super::model::SessionBatch;
use super::reward::{SessionReward, TARGETS};
use super::session_task::{SessionTask, as_training};
use crate::RecError;
use plackett_train::nn::Mode;
use plackett_train::objective::{Batch, Configured, Preferences};
use plackett_train::random::Stream;
use plackett_train::trainer::{StepLoss, Task};
use plackett_train::{Compute, Parameters, Tape, TrainError, Var};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

/// How a round is run.
pub struct AlignmentSettings {
    /// r_DPO, the share of the requests that preferences are made for.
    pub share: f64,
    /// How sessions are written for them.
    pub search: SessionSearch,
    /// λ, weight of the preference loss.
    pub lambda: f32,
    /// The preference loss: DPO or one of its relatives.
    pub objective: Configured,
    /// From which requests follow: each round has one of its own, and so requests of its own.
    pub seed: u64,
}

impl AlignmentSettings {
    /// Whether preferences are made for a request in this round.
    fn is_drawn(&self, request: usize) -> bool {
        f64::from(Stream::new(self.seed, 1).uniform(request as u64)) < self.share
    }
}

/// A best and a worst session of a request.
#[derive(Clone, Debug)]
struct Pair {
    sessions: [Vec<u32>; 2],
    /// Their log-probabilities under the reference.
    reference: [f32; 2],
}

/// A round: requests, the model that writes for them, the one that preferences are compared with, and the reward model.
pub struct AlignmentTask<'t> {
    task: SessionTask<'t>,
    /// M_t, which writes.
    sampler: OneRecInference,
    /// What log-ratios are taken to: M_t in the paper, or the first model.
    reference: &'t Parameters,
    reward: (&'t SessionReward, &'t Parameters),
    compute: Arc<Compute>,
    settings: AlignmentSettings,
    /// What was made of the requests so far.
    pairs: RefCell<HashMap<usize, Option<Pair>>>,
}

impl<'t> AlignmentTask<'t> {
    /// A round over the sessions of a task.
    ///
    /// # Errors
    /// The sampler's weights are not those of the task's model.
    pub fn new(
        task: SessionTask<'t>,
        [sampler, reference]: [&'t Parameters; 2],
        reward: (&'t SessionReward, &'t Parameters),
        compute: Arc<Compute>,
        settings: AlignmentSettings,
    ) -> Result<AlignmentTask<'t>, RecError> {
        let sampler = OneRecInference::new(task.model, sampler, compute.workers)?;
        Ok(AlignmentTask { task, sampler, reference, reward, compute, settings, pairs: RefCell::default() })
    }

    /// How many requests had preferences so far, and for how many there were none, since all sessions had one reward.
    pub fn counts(&self) -> [usize; 2] {
        let pairs = self.pairs.borrow();
        let found = pairs.values().filter(|pair| pair.is_some()).count();
        [found, pairs.len() - found]
    }

    /// Makes the pairs that some requests lack.
    fn make(&self, requests: &[usize]) -> Result<(), RecError> {
        let missing: Vec<usize> =
            requests.iter().copied().filter(|request| !self.pairs.borrow().contains_key(request)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let SessionTask { tokens, sessions, .. } = &self.task;
        let histories: Vec<&[u32]> = missing.iter().map(|at| &sessions[*at].history[..]).collect();
        let length = missing.first().map_or(1, |at| sessions[*at].items.len());
        let search = match self.settings.search {
            SessionSearch::Sample { count, temperature, seed } => {
                // Each request has draws of its own.
                let seed = seed.wrapping_mul(0x9E37_79B9).wrapping_add(missing[0] as u64);
                SessionSearch::Sample { count, temperature, seed }
            }
            beam => beam,
        };
        let written = self.sampler.generate(tokens, &histories, length, search)?;
        for ((request, history), written) in missing.iter().zip(&histories).zip(written) {
            let pair = self.choose(history, &written)?;
            self.pairs.borrow_mut().insert(*request, pair);
        }
        Ok(())
    }

    /// The best session, and the worst of the likelier half: the least likely ones are bad in ways that teach nothing.
    fn choose(&self, history: &[u32], written: &[Generated]) -> Result<Option<Pair>, RecError> {
        let asked: Vec<(&[u32], &[u32])> = written.iter().map(|own| (history, &own.written[..])).collect();
        let (reward, parameters) = self.reward;
        let rewards = reward.rewards((parameters, &self.compute), &asked)?;
        let mean = |rewards: &[f64; TARGETS.len()]| rewards.iter().sum::<f64>() / TARGETS.len() as f64;
        let totals: Vec<f64> = rewards.iter().map(mean).collect();
        let likelihoods: Vec<f64> = written.iter().map(|own| own.log_probability).collect();
        let Some(places) = best_and_worst(&totals, &likelihoods) else { return Ok(None) };
        let sessions = places.map(|at| written[at].written.clone());
        let tape = Tape::inference(self.reference, &self.compute);
        let logs = self.log_probabilities(&tape, &[(history, &sessions)], Mode::default())?;
        let reference = [logs[0].value[0], logs[1].value[0]];
        Ok(Some(Pair { sessions, reference }))
    }

    /// The log-probabilities of both sessions of each request: the best ones and the worst ones, each requests × 1.
    fn log_probabilities(
        &self,
        tape: &Tape,
        of: &[(&[u32], &[Vec<u32>; 2])],
        mode: Mode,
    ) -> Result<[Var; 2], RecError> {
        let batch: Vec<_> =
            of.iter().map(|(history, pair)| (*history, pair.iter().map(Vec::as_slice).collect())).collect();
        let model = self.task.model;
        let batch = SessionBatch::new(self.task.tokens, model.config.max_history, &batch)?;
        let (logs, _) = model.log_probabilities(tape, &batch, mode);
        // All sessions have equally many tokens.
        let sums = tape.sum_rows(&tape.reshape(&logs, (2 * of.len(), logs.rows / (2 * of.len()).max(1))));
        Ok([0, 1].map(|side| {
            let places: Vec<usize> = (0..of.len()).map(|at| 2 * at + side).collect();
            tape.gather(&sums, &places, (of.len(), 1))
        }))
    }

    /// The preference loss of some requests, as a mean; `None` where none of them has a pair.
    fn preference_loss(
        &self,
        tape: &Tape,
        requests: &[usize],
        mode: Mode,
    ) -> Result<Option<Var>, TrainError> {
        self.make(requests).map_err(as_training)?;
        let pairs = self.pairs.borrow();
        let known: Vec<(&[u32], &Pair)> = requests
            .iter()
            .filter_map(|at| Some((&self.task.sessions[*at].history[..], pairs.get(at)?.as_ref()?)))
            .collect();
        if known.is_empty() {
            return Ok(None);
        }
        let of: Vec<(&[u32], &[Vec<u32>; 2])> =
            known.iter().map(|(history, pair)| (*history, &pair.sessions)).collect();
        let [chosen, rejected] = self.log_probabilities(tape, &of, mode).map_err(as_training)?;
        let side = |at: usize| known.iter().map(|(_, pair)| pair.reference[at]).collect::<Vec<f32>>();
        let (reference_chosen, reference_rejected) = (side(0), side(1));
        let length = |at: usize| {
            known
                .iter()
                .map(|(_, pair)| pair.sessions[at].len() * self.task.tokens.levels())
                .collect::<Vec<_>>()
        };
        let (chosen_lengths, rejected_lengths) = (length(0), length(1));
        let preferences = Preferences {
            chosen: &chosen,
            rejected: &rejected,
            reference_chosen: Some(&reference_chosen),
            reference_rejected: Some(&reference_rejected),
            lengths: Some((&chosen_lengths, &rejected_lengths)),
        };
        let loss = self.settings.objective.loss(tape, &Batch::Preferences(preferences));
        Ok(Some(loss.map_err(|error| TrainError::Model(error.to_string()))?.value))
    }
}

/// The places of the best of some sessions and of the worst of the likelier half of them, by their rewards and log-probabilities, of equal ones the
/// first; `None` where the one is worth no more than the other.
fn best_and_worst(rewards: &[f64], likelihoods: &[f64]) -> Option<[usize; 2]> {
    let mut order: Vec<usize> = (0..rewards.len()).collect();
    order.sort_by(|a, b| likelihoods[*b].total_cmp(&likelihoods[*a]).then(a.cmp(b)));
    let by_reward = |a: usize, b: usize| rewards[a].total_cmp(&rewards[b]);
    let best = order.iter().copied().max_by(|a, b| by_reward(*a, *b).then(b.cmp(a)))?;
    let half = order.iter().copied().take(order.len().div_ceil(2));
    let worst = half.min_by(|a, b| by_reward(*a, *b).then(a.cmp(b)))?;
    (rewards[best] > rewards[worst]).then_some([best, worst])
}

impl Task for AlignmentTask<'_> {
    fn count(&self) -> usize {
        self.task.count()
    }

    fn describe(&self, example: usize) -> String {
        self.task.describe(example)
    }

    /// L_NTP of all requests, plus λ times the mean preference loss of those that are drawn.
    fn loss(&self, tape: &Tape, examples: &[usize], mode: Mode) -> Result<StepLoss, TrainError> {
        let mut step = self.task.loss(tape, examples, mode)?;
        let is_drawn = |request: &usize| self.settings.is_drawn(*request);
        let drawn: Vec<usize> = examples.iter().copied().filter(is_drawn).collect();
        if let Some(loss) = self.preference_loss(tape, &drawn, Mode { dropout: 0.0, ..mode })? {
            step.value = tape.plus(&step.value, &tape.scale(&loss, self.settings.lambda));
        }
        Ok(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_draws_requests_of_its_own() {
        let drawn = |seed: u64| {
            let objective = plackett_train::objective::parse("dpo(beta=0.1)").unwrap();
            let search = SessionSearch::Beam(2);
            let settings = AlignmentSettings { share: 0.25, search, lambda: 1.0, objective, seed };
            (0..4000).filter(|request| settings.is_drawn(*request)).collect::<Vec<usize>>()
        };
        let [first, second] = [drawn(1001), drawn(1002)];
        // A share of 4000 with a standard deviation of 27; both have a quarter of that again.
        assert!(first.len().abs_diff(1000) < 140 && second.len().abs_diff(1000) < 140);
        let both = first.iter().filter(|request| second.contains(request)).count();
        assert!(both.abs_diff(250) < 80, "{both} are drawn twice");
        assert_eq!(first, drawn(1001));
    }

    #[test]
    fn the_best_wins_and_the_worst_of_the_likelier_half_loses() {
        // Likelier are the first, the fourth and the fifth; the third is the worst of all and too unlikely to teach.
        let (rewards, likelihoods) = ([0.2, 0.9, 0.1, 0.5, 0.4], [-1.0, -5.0, -6.0, -2.0, -3.0]);
        assert_eq!(best_and_worst(&rewards, &likelihoods), Some([1, 0]));
        // Of equal ones the first.
        assert_eq!(best_and_worst(&[0.5, 0.5, 0.1], &[-2.0, -1.0, -1.5]), Some([0, 2]));
        assert_eq!(best_and_worst(&[0.5, 0.5], &[-2.0, -1.0]), None);
        assert_eq!((best_and_worst(&[0.5], &[-1.0]), best_and_worst(&[], &[])), (None, None));
    }
}
