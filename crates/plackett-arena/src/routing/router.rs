//! A policy with names for its arms, and a choice that follows from what was seen alone.

use super::{Configured, Expectation, Policy, Setting};
use crate::ArenaError;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What was chosen for a prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// The place of the arm.
    pub arm: usize,
    /// What was expected of each arm.
    pub expectations: Vec<Expectation>,
    /// Whether it was chosen only because it was never asked before.
    pub first_time: bool,
}

/// Arms by name, and the policy that chooses among them. The same rewards in the same order give the same choices.
#[derive(Debug)]
pub struct Router {
    policy: Box<dyn Policy>,
    names: Vec<String>,
    asked: Vec<usize>,
    dimension: usize,
    seed: u64,
    rounds: u64,
}

impl Router {
    /// A router over arms, for contexts of so many numbers.
    ///
    /// # Errors
    /// No arm, a name twice, or options that do not fit.
    pub fn new(
        configured: &Configured,
        names: Vec<String>,
        dimension: usize,
        seed: u64,
    ) -> Result<Router, ArenaError> {
        if names.is_empty() {
            return Err(ArenaError::Setting("there is no arm to choose; name at least one".into()));
        }
        if let Some(at) = (0..names.len()).find(|&at| names[..at].contains(&names[at])) {
            return Err(ArenaError::Setting(format!("the arm `{}` stands twice", names[at])));
        }
        if dimension == 0 && configured.spec.uses_context {
            let problem =
                format!("{} looks at the prompt, and its context has no numbers", configured.spec.name);
            return Err(ArenaError::Setting(problem));
        }
        let policy = configured.make(Setting { dimension, arms: names.len(), seed })?;
        let asked = vec![0; names.len()];
        Ok(Router { policy, names, asked, dimension, seed, rounds: 0 })
    }

    /// Names of the arms there are.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How often each of them was rewarded.
    pub fn asked(&self) -> &[usize] {
        &self.asked
    }

    /// Rewards that were taken in.
    pub fn rounds(&self) -> u64 {
        self.rounds
    }

    /// Chooses an arm; of equal ones any, by the seed and the number of rewards so far.
    ///
    /// # Errors
    /// The context has another number of numbers, or one that is not finite.
    pub fn select(&self, context: &[f64]) -> Result<Selection, ArenaError> {
        self.check(context)?;
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(self.rounds);
        let expectations = self.policy.expectations(context, &mut random);
        let never: Vec<usize> = (0..self.names.len()).filter(|&arm| self.asked[arm] == 0).collect();
        let first_time = self.policy.asks_all_first() && !never.is_empty();
        let among = if first_time { never } else { best(&expectations) };
        let arm = among[random.random_range(0..among.len())];
        Ok(Selection { arm, expectations, first_time })
    }

    /// Takes in the reward of an arm.
    ///
    /// # Errors
    /// The context does not fit, the reward is not finite, or there is no such arm.
    pub fn update(&mut self, arm: usize, context: &[f64], reward: f64) -> Result<(), ArenaError> {
        self.check(context)?;
        if !reward.is_finite() {
            return Err(ArenaError::Setting(format!("the reward is {reward}; a finite number is expected")));
        }
        if arm >= self.names.len() {
            return Err(ArenaError::Setting(format!(
                "there are {} arms, and none at place {arm}",
                self.names.len()
            )));
        }
        self.policy.update(arm, context, reward);
        self.asked[arm] += 1;
        self.rounds += 1;
        Ok(())
    }

    /// Adds an arm; it is asked next.
    ///
    /// # Errors
    /// The name is there already.
    pub fn add(&mut self, name: &str) -> Result<(), ArenaError> {
        if self.names.iter().any(|known| known == name) {
            return Err(ArenaError::Setting(format!("there is an arm `{name}` already")));
        }
        self.policy.add_arm();
        self.names.push(name.to_string());
        self.asked.push(0);
        Ok(())
    }

    /// Takes an arm out.
    ///
    /// # Errors
    /// There is none of this name, or it is the last one.
    pub fn remove(&mut self, name: &str) -> Result<(), ArenaError> {
        let arm = self.arm(name)?;
        if self.names.len() == 1 {
            return Err(ArenaError::Setting(format!("`{name}` is the only arm; add another one first")));
        }
        self.policy.remove_arm(arm);
        self.names.remove(arm);
        self.asked.remove(arm);
        Ok(())
    }

    /// The place of an arm.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn arm(&self, name: &str) -> Result<usize, ArenaError> {
        self.names.iter().position(|known| known == name).ok_or_else(|| {
            let known = self.names.join(", ");
            ArenaError::Setting(format!("there is no arm `{name}`; there are: {known}"))
        })
    }

    fn check(&self, context: &[f64]) -> Result<(), ArenaError> {
        if context.len() != self.dimension {
            let problem =
                format!("the context has {} numbers, and {} are expected", context.len(), self.dimension);
            return Err(ArenaError::Setting(problem));
        }
        match context.iter().find(|x| !x.is_finite()) {
            Some(wrong) => Err(ArenaError::Setting(format!("a number of the context is {wrong}"))),
            None => Ok(()),
        }
    }
}

/// Places of the greatest index.
fn best(expectations: &[Expectation]) -> Vec<usize> {
    let top = expectations.iter().map(|e| e.index).fold(f64::NEG_INFINITY, f64::max);
    (0..expectations.len()).filter(|&arm| expectations[arm].index == top).collect()
}
