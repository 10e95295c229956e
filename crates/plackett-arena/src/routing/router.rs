//! A policy with names for its arms, and a choice that follows from what was seen alone.

use super::{Configured, Expectation, Policy, Setting};
use crate::ArenaError;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Greatest reward and number of a context: beyond it sums of squares lose what is small.
const GREATEST: f64 = 1e9;

fn is_usable(x: f64) -> bool {
    x.is_finite() && x.abs() <= GREATEST
}

/// What was chosen for a prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// The place of the arm.
    pub arm: usize,
    /// What was expected of each arm.
    pub expectations: Vec<Expectation>,
    /// Whether it was chosen only because it has no reward yet.
    pub first_time: bool,
}

/// Arms by name, and the policy that chooses among them. The same rewards in the same order give the same choices.
#[derive(Debug)]
pub struct Router {
    policy: Box<dyn Policy>,
    names: Vec<String>,
    rewarded: Vec<usize>,
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
        if names.iter().any(|name| name.trim().is_empty() || name.chars().any(char::is_control)) {
            return Err(ArenaError::Setting(
                "the name of an arm is empty or has characters that are not printed".into(),
            ));
        }
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
        let rewarded = vec![0; names.len()];
        Ok(Router { policy, names, rewarded, dimension, seed, rounds: 0 })
    }

    /// Names of the arms there are.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How often each of them was rewarded.
    pub fn rewarded(&self) -> &[usize] {
        &self.rewarded
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
        if let Some(arm) = expectations.iter().position(|expectation| !expectation.mean.is_finite()) {
            return Err(ArenaError::Setting(format!(
                "what is expected of `{}` is no number: contexts or rewards are too large for this policy; give contexts of length 1, or a kernel \
                 and ridge that fit them",
                self.names[arm]
            )));
        }
        let never: Vec<usize> = (0..self.names.len()).filter(|&arm| self.rewarded[arm] == 0).collect();
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
        if !is_usable(reward) {
            let problem = format!("the reward is {reward}; a number from −10⁹ to 10⁹ is expected");
            return Err(ArenaError::Setting(problem));
        }
        if arm >= self.names.len() {
            return Err(ArenaError::Setting(format!(
                "there are {} arms, and none at place {arm}",
                self.names.len()
            )));
        }
        self.policy.update(arm, context, reward);
        self.rewarded[arm] += 1;
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
        self.policy.add_arm()?;
        self.names.push(name.to_string());
        self.rewarded.push(0);
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
        self.rewarded.remove(arm);
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
        match context.iter().find(|x| !is_usable(**x)) {
            Some(wrong) => {
                let problem =
                    format!("a number of the context is {wrong}; numbers from −10⁹ to 10⁹ are expected");
                Err(ArenaError::Setting(problem))
            }
            None => Ok(()),
        }
    }
}

/// Places of the greatest index; what is no number is never the greatest. All, where none is a number.
fn best(expectations: &[Expectation]) -> Vec<usize> {
    let index = |arm: usize| expectations[arm].index;
    let top = (0..expectations.len()).map(index).filter(|x| !x.is_nan()).fold(f64::NEG_INFINITY, f64::max);
    let places: Vec<usize> = (0..expectations.len()).filter(|&arm| index(arm) == top).collect();
    if places.is_empty() { (0..expectations.len()).collect() } else { places }
}
