//! Thompson sampling with a linear model for each arm: the arm whose drawn weights promise most.

use super::kernel::dot;
use super::pak_ucb::ALPHA;
use super::ridge::{Ridge, check_features};
use super::{Expectation, Policy, PolicySpec};
use crate::ArenaError;
use nalgebra::{Cholesky, DMatrix, DVector};
use plackett_core::declaration::{OptionKind, OptionSpec};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// The declaration.
pub static SPEC: PolicySpec = PolicySpec {
    name: "thompson",
    aliases: &["linear-thompson"],
    summary: "For each arm a linear model of the prompt, whose weights are drawn from what is known of them.",
    paper: "Agrawal and Goyal, Thompson sampling for contextual bandits with linear payoffs, ICML 2013",
    options: &[
        ALPHA,
        OptionSpec {
            name: "noise",
            kind: OptionKind::Number(0.0, f64::MAX),
            default: Some("0.3"),
            help: "deviation of a reward around its expectation: how wide weights are drawn",
        },
    ],
    uses_context: true,
    make: |options, setting| {
        check_features(setting.dimension + 1)?;
        let fresh = Ridge::new(setting.dimension + 1, options.number("alpha"));
        Ok(Box::new(Thompson {
            arms: vec![fresh.clone(); setting.arms],
            fresh,
            noise: options.number("noise"),
        }))
    },
};

#[derive(Debug)]
struct Thompson {
    arms: Vec<Ridge>,
    fresh: Ridge,
    noise: f64,
}

/// The context with a constant behind it.
fn with_constant(context: &[f64]) -> Vec<f64> {
    context.iter().copied().chain([1.0]).collect()
}

/// z·w for weights drawn from N(ŵ, noise² A); where rounding has made A indefinite, the normal distribution of z·w alone.
fn draw(arm: &Ridge, z: &[f64], noise: f64, random: &mut ChaCha8Rng) -> f64 {
    let size = z.len();
    let rows = arm.inverse();
    let normal: Vec<f64> = (0..size).map(|_| StandardNormal.sample(random)).collect();
    let (mean, deviation) = arm.predict(z);
    match Cholesky::new(DMatrix::from_fn(size, size, |i, j| rows[i][j])) {
        Some(factor) => {
            let step = factor.l() * DVector::from_vec(normal);
            mean + noise * dot(z, step.as_slice())
        }
        None => mean + noise * deviation * normal.first().copied().unwrap_or_default(),
    }
}

impl Policy for Thompson {
    fn expectations(&self, context: &[f64], random: &mut ChaCha8Rng) -> Vec<Expectation> {
        let z = with_constant(context);
        let mut of =
            |arm: &Ridge| Expectation { mean: arm.predict(&z).0, index: draw(arm, &z, self.noise, random) };
        self.arms.iter().map(&mut of).collect()
    }

    fn update(&mut self, arm: usize, context: &[f64], reward: f64) {
        self.arms[arm].add(&with_constant(context), reward);
    }

    fn add_arm(&mut self) -> Result<(), ArenaError> {
        self.arms.push(self.fresh.clone());
        Ok(())
    }

    fn remove_arm(&mut self, arm: usize) {
        self.arms.remove(arm);
    }
}
