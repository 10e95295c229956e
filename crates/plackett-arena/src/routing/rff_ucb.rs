//! RFF-UCB: PAK-UCB with a Gaussian kernel through random Fourier features, so that no round costs more than another.

use super::features::{FeatureForm, RandomFeatures};
use super::pak_ucb::{ALPHA, DELTA, ETA, check_eta, eta_without_rounds};
use super::ridge::{Ridge, check_features};
use super::{Expectation, Policy, PolicySpec};
use crate::ArenaError;
use plackett_core::declaration::{OptionKind, OptionSpec};
use rand_chacha::ChaCha8Rng;

/// The declaration.
pub static SPEC: PolicySpec = PolicySpec {
    name: "rff-ucb",
    aliases: &["rff"],
    summary: "For each arm a ridge regression over random Fourier features of the prompt, and the upper end of its confidence.",
    paper: "Hu et al., PAK-UCB Contextual Bandit, 2024 (ICML 2025)",
    options: &[
        OptionSpec {
            name: "draws",
            kind: OptionKind::Integer(1, 100_000),
            default: Some("100"),
            help: "frequencies that are drawn, once for all arms",
        },
        OptionSpec {
            name: "form",
            kind: OptionKind::Choice(&["2d", "d"]),
            default: Some("2d"),
            help: "2d for cosine and sine of each, d for one cosine with a phase",
        },
        OptionSpec {
            name: "sigma",
            kind: OptionKind::Positive,
            default: Some("1"),
            help: "width of the Gaussian kernel, for contexts of length 1",
        },
        ALPHA,
        ETA,
        DELTA,
    ],
    uses_context: true,
    make: |options, setting| {
        check_eta(options)?;
        let form = if options.choice("form") == "2d" { FeatureForm::TwoD } else { FeatureForm::D };
        check_features(options.count("draws") * if form == FeatureForm::TwoD { 2 } else { 1 })?;
        let shape = (setting.dimension, options.count("draws"));
        let features = RandomFeatures::new(form, shape, options.number("sigma"), setting.seed);
        let fresh = Ridge::new(features.count(), options.number("alpha"));
        Ok(Box::new(RffUcb {
            arms: vec![fresh.clone(); setting.arms],
            fresh,
            features,
            eta: options.get_number("eta"),
            delta: options.number("delta"),
        }))
    },
};

#[derive(Debug)]
struct RffUcb {
    features: RandomFeatures,
    arms: Vec<Ridge>,
    fresh: Ridge,
    eta: Option<f64>,
    delta: f64,
}

impl Policy for RffUcb {
    fn expectations(&self, context: &[f64], _random: &mut ChaCha8Rng) -> Vec<Expectation> {
        let eta = self.eta.unwrap_or_else(|| eta_without_rounds(self.arms.len(), self.delta));
        let z = self.features.of(context);
        let of = |arm: &Ridge| {
            let (mean, deviation) = arm.predict(&z);
            Expectation { mean, index: mean + eta * deviation }
        };
        self.arms.iter().map(of).collect()
    }

    fn update(&mut self, arm: usize, context: &[f64], reward: f64) {
        let z = self.features.of(context);
        self.arms[arm].add(&z, reward);
    }

    fn add_arm(&mut self) -> Result<(), ArenaError> {
        self.arms.push(self.fresh.clone());
        Ok(())
    }

    fn remove_arm(&mut self, arm: usize) {
        self.arms.remove(arm);
    }
}
