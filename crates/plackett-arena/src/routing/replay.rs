//! What policies would have been worth on prompts whose rewards are known for every arm.

use super::{Configured, Router};
use crate::ArenaError;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use std::time::Instant;

/// Prompts with the rewards of every arm.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplayTable {
    /// Names of the arms.
    pub arms: Vec<String>,
    /// A context for each prompt.
    pub contexts: Vec<Vec<f64>>,
    /// For each prompt and arm its rewards: several where the arm was asked several times.
    pub rewards: Vec<Vec<Vec<f64>>>,
}

impl ReplayTable {
    /// Checks that every prompt has a reward of every arm, and contexts the same length.
    ///
    /// # Errors
    /// What is missing, with the prompt, from 1.
    pub fn check(&self) -> Result<(), ArenaError> {
        let wrong = |problem: String| Err(ArenaError::Setting(problem));
        if self.contexts.is_empty() || self.contexts.len() != self.rewards.len() {
            return wrong("there are no prompts with rewards".into());
        }
        let dimension = self.contexts[0].len();
        for (at, (context, rewards)) in self.contexts.iter().zip(&self.rewards).enumerate() {
            if context.len() != dimension {
                return wrong(format!(
                    "prompt {}: {} numbers, and the first has {dimension}",
                    at + 1,
                    context.len()
                ));
            }
            let arm = (0..self.arms.len()).find(|&arm| {
                rewards.get(arm).is_none_or(|all| all.is_empty() || all.iter().any(|x| !x.is_finite()))
            });
            if let Some(arm) = arm {
                return wrong(format!("prompt {}: no finite reward of `{}`", at + 1, self.arms[arm]));
            }
        }
        Ok(())
    }

    /// The reward that is expected of an arm on a prompt.
    pub fn expected(&self, prompt: usize, arm: usize) -> f64 {
        let rewards = &self.rewards[prompt][arm];
        rewards.iter().sum::<f64>() / rewards.len() as f64
    }

    /// The arm with the greatest mean over all prompts; of equal ones the first.
    pub fn best_arm(&self) -> usize {
        let total = |arm: usize| (0..self.contexts.len()).map(|at| self.expected(at, arm)).sum::<f64>();
        let totals: Vec<f64> = (0..self.arms.len()).map(total).collect();
        (0..totals.len()).fold(0, |best, arm| if totals[arm] > totals[best] { arm } else { best })
    }
}

/// A run of a policy over a table.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Trajectory {
    /// The arm of each round.
    pub chosen: Vec<usize>,
    /// Its reward.
    pub rewards: Vec<f64>,
    /// The mean of what a round got more than the arm that is best on average would be expected to on the same prompt: above 0 the
    /// prompt was worth looking at (O2B).
    pub outscores_best: f64,
    /// Share of rounds in which the arm with the greatest expected reward for this prompt was asked (OPR).
    pub optimal: f64,
    /// After each round the sum of what was expected of the best arm for each prompt, less what was expected of the one that was asked.
    pub regret: Vec<f64>,
    /// Share of rounds of each arm.
    pub visits: Vec<f64>,
    /// Seconds of all choices and updates.
    pub seconds: f64,
}

/// A stream of prompts from a table.
#[derive(Clone, Debug)]
pub struct Replay<'t> {
    table: &'t ReplayTable,
    order: Vec<usize>,
    /// Arms that come later: place and round.
    joining: Vec<(usize, usize)>,
}

impl<'t> Replay<'t> {
    /// All prompts once, in an order that follows from the seed.
    pub fn shuffled(table: &'t ReplayTable, seed: u64) -> Replay<'t> {
        let mut order: Vec<usize> = (0..table.contexts.len()).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        Replay { table, order, joining: Vec::new() }
    }

    /// Lets the last arm of the table come in only at a round.
    pub fn last_arm_from(mut self, round: usize) -> Replay<'t> {
        self.joining = vec![(self.table.arms.len() - 1, round)];
        self
    }

    /// Runs a policy.
    ///
    /// # Errors
    /// The table lacks something, or the policy's options do not fit.
    pub fn run(&self, policy: &Configured, seed: u64) -> Result<Trajectory, ArenaError> {
        let table = self.table;
        table.check()?;
        let at_start = table.arms.len() - self.joining.len();
        let names = table.arms[..at_start].to_vec();
        let mut router = Router::new(policy, names, table.contexts[0].len(), seed)?;
        let best = table.best_arm();
        let mut draw = ChaCha8Rng::seed_from_u64(seed ^ 0x5851_F42D_4C95_7F2D);
        let mut run = Trajectory { visits: vec![0.0; table.arms.len()], ..Trajectory::default() };
        let (mut regret, begun) = (0.0, Instant::now());
        for (round, &prompt) in self.order.iter().enumerate() {
            for (arm, _) in self.joining.iter().filter(|(_, from)| *from == round) {
                router.add(&table.arms[*arm])?;
            }
            let context = &table.contexts[prompt];
            let arm = router.select(context)?.arm;
            let rewards = &table.rewards[prompt][arm];
            let reward = rewards[draw.random_range(0..rewards.len())];
            router.update(arm, context, reward)?;
            let there = router.names().len();
            let expected: Vec<f64> = (0..there).map(|arm| table.expected(prompt, arm)).collect();
            let most = expected.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            regret += most - expected[arm];
            run.outscores_best += reward - table.expected(prompt, best);
            run.optimal += f64::from(u8::from(expected[arm] == most));
            run.visits[arm] += 1.0;
            run.chosen.push(arm);
            run.rewards.push(reward);
            run.regret.push(regret);
        }
        run.seconds = begun.elapsed().as_secs_f64();
        let rounds = self.order.len() as f64;
        run.outscores_best /= rounds;
        run.optimal /= rounds;
        run.visits.iter_mut().for_each(|visits| *visits /= rounds);
        Ok(run)
    }
}
