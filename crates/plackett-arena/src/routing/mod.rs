//! Routing: for each prompt the arm (a model, a ranker, a pipeline) that is likely to answer it best, learned while it is asked.
//!
//! A policy is a declaration, [`PolicySpec`], in a file of its own and a line in [`POLICIES`]. A [`Router`] gives it names of
//! arms, and a [`RouteLog`] keeps what was seen, so that nothing is lost by a kill.

mod baselines;
mod features;
mod kernel;
mod kernel_ridge;
mod kernel_ucb;
mod lin_ucb;
mod log;
pub mod off_policy;
mod pak_ucb;
mod parse;
mod replay;
mod rff_ucb;
mod ridge;
mod router;
#[cfg(test)]
mod tests;
mod thompson;

pub use features::{FeatureForm, RandomFeatures};
pub use kernel::Kernel;
pub use kernel_ridge::KernelRidge;
pub use log::{RouteAccess, RouteEncoder, RouteLog};
pub use parse::{find, parse};
pub use replay::{Replay, ReplayTable, Trajectory};
pub use ridge::Ridge;
pub use router::Router;

use crate::ArenaError;
use plackett_core::declaration::{OptionSpec, OptionValues};
use rand_chacha::ChaCha8Rng;
use std::fmt;

/// All policies. A new one is a declaration in a file beside this one, and a line here.
pub static POLICIES: &[&PolicySpec] = &[
    &pak_ucb::SPEC,
    &rff_ucb::SPEC,
    &thompson::SPEC,
    &kernel_ucb::SPEC,
    &lin_ucb::SPEC,
    &baselines::CLUSTERS,
    &baselines::EPSILON,
    &baselines::GREEDY,
    &baselines::RANDOM,
];

/// Makes a policy from its options.
type Make = fn(&OptionValues, Setting) -> Result<Box<dyn Policy>, ArenaError>;

/// A policy: everything that is said of it, and how it is made.
pub struct PolicySpec {
    /// The name in expressions.
    pub name: &'static str,
    /// Other names for the same.
    pub aliases: &'static [&'static str],
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// Where it is described.
    pub paper: &'static str,
    /// Its options.
    pub options: &'static [OptionSpec],
    /// Whether it looks at the prompt.
    pub uses_context: bool,
    /// Makes it for contexts of so many numbers and some arms; what it draws once follows from the seed.
    make: Make,
}

/// What a policy is made for.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Numbers of a context.
    pub dimension: usize,
    /// Arms at the start.
    pub arms: usize,
    /// From which what is drawn once follows.
    pub seed: u64,
}

/// A policy with options, ready to be made.
#[derive(Clone, Debug)]
pub struct Configured {
    /// The declaration.
    pub spec: &'static PolicySpec,
    /// Its options.
    pub options: OptionValues,
}

impl Configured {
    /// Makes the policy.
    ///
    /// # Errors
    /// Options that do not fit the setting.
    pub fn make(&self, setting: Setting) -> Result<Box<dyn Policy>, ArenaError> {
        (self.spec.make)(&self.options, setting)
    }
}

impl fmt::Display for Configured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given: Vec<String> =
            self.options.given().iter().map(|(name, value)| format!("{name}={value}")).collect();
        match given.is_empty() {
            true => f.write_str(self.spec.name),
            false => write!(f, "{}({})", self.spec.name, given.join(", ")),
        }
    }
}

/// What a policy expects of an arm for a context.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expectation {
    /// The reward that is expected.
    pub mean: f64,
    /// What is chosen by: the mean with a bonus for what is not known, or a draw.
    pub index: f64,
}

/// Learns from rewards which arm to ask. Arms are places, from 0.
pub trait Policy: fmt::Debug + Send {
    /// What is expected of each arm. Who draws, draws from `random`.
    fn expectations(&self, context: &[f64], random: &mut ChaCha8Rng) -> Vec<Expectation>;

    /// Takes in the reward that an arm got.
    fn update(&mut self, arm: usize, context: &[f64], reward: f64);

    /// Adds an arm behind the others.
    ///
    /// # Errors
    /// The policy cannot have more.
    fn add_arm(&mut self) -> Result<(), ArenaError>;

    /// Takes an arm out; later ones move up.
    fn remove_arm(&mut self, arm: usize);

    /// Whether each arm is to be asked once before any is asked again.
    fn asks_all_first(&self) -> bool {
        true
    }
}

plackett_core::impl_declaration!(PolicySpec);
