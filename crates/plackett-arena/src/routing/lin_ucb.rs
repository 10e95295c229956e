//! LinUCB with one weight vector for prompt and arm together: what PAK-UCB is compared with.

use super::pak_ucb::{ALPHA, DELTA, ETA, check_eta};
use super::ridge::{Ridge, check_features};
use super::{Expectation, Policy, PolicySpec};
use crate::ArenaError;
use plackett_core::declaration::OptionValues;
use rand_chacha::ChaCha8Rng;

/// The declaration.
pub static SPEC: PolicySpec = PolicySpec {
    name: "lin-ucb",
    aliases: &["linucb"],
    summary: "One linear model over the prompt beside a number for each arm. It ranks arms alike for every prompt, but for the bonus.",
    paper: "Li et al., A contextual-bandit approach to personalized news article recommendation, WWW 2010; shared form as in PAK-UCB",
    options: &[ALPHA, ETA, DELTA],
    uses_context: true,
    make: |options, setting| {
        check_eta(options)?;
        check_features(setting.dimension + setting.arms)?;
        Ok(Box::new(LinUcb {
            model: Ridge::new(setting.dimension + setting.arms, options.number("alpha")),
            seen: Vec::new(),
            arms: (0..setting.arms).collect(),
            next: setting.arms,
            dimension: setting.dimension,
            alpha: options.number("alpha"),
            eta: shared_eta(options),
        }))
    },
};

/// The weight of the bonus where all arms share a model: as given, or 2 ln(2 G / δ).
pub(super) fn shared_eta(options: &OptionValues) -> SharedEta {
    match options.get_number("eta") {
        Some(eta) => SharedEta::Given(eta),
        None => SharedEta::Formula(options.number("delta")),
    }
}

/// As given, or by a formula.
#[derive(Clone, Copy, Debug)]
pub(super) enum SharedEta {
    /// As given.
    Given(f64),
    /// With this δ.
    Formula(f64),
}

impl SharedEta {
    /// For so many arms.
    pub(super) fn of(self, arms: usize) -> f64 {
        match self {
            SharedEta::Given(eta) => eta,
            SharedEta::Formula(delta) => (2.0 * (2.0 * arms as f64 / delta).ln()).max(0.0),
        }
    }
}

#[derive(Debug)]
struct LinUcb {
    model: Ridge,
    /// Observations by the lasting number of their arm, from which the model is made again when arms come.
    seen: Vec<(usize, Vec<f64>, f64)>,
    /// Lasting numbers of the arms there are.
    arms: Vec<usize>,
    /// The number of the next arm.
    next: usize,
    dimension: usize,
    alpha: f64,
    eta: SharedEta,
}

impl LinUcb {
    fn features(&self, context: &[f64], number: usize) -> Vec<f64> {
        let mut features = context.to_vec();
        features.resize(self.dimension + self.next, 0.0);
        features[self.dimension + number] = 1.0;
        features
    }
}

impl Policy for LinUcb {
    fn expectations(&self, context: &[f64], _random: &mut ChaCha8Rng) -> Vec<Expectation> {
        let eta = self.eta.of(self.arms.len());
        let of = |&number: &usize| {
            let (mean, deviation) = self.model.predict(&self.features(context, number));
            Expectation { mean, index: mean + eta * deviation }
        };
        self.arms.iter().map(of).collect()
    }

    fn update(&mut self, arm: usize, context: &[f64], reward: f64) {
        let number = self.arms[arm];
        let features = self.features(context, number);
        self.model.add(&features, reward);
        self.seen.push((number, context.to_vec(), reward));
    }

    fn add_arm(&mut self) -> Result<(), ArenaError> {
        self.arms.push(self.next);
        self.next += 1;
        // The model is wider by one: what was seen is taken in again.
        let mut model = Ridge::new(self.dimension + self.next, self.alpha);
        self.seen
            .iter()
            .for_each(|(number, context, reward)| model.add(&self.features(context, *number), *reward));
        self.model = model;
        Ok(())
    }

    fn remove_arm(&mut self, arm: usize) {
        self.arms.remove(arm);
    }
}
