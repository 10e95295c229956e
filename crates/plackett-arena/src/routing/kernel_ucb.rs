//! KernelUCB with one regression over prompt and arm together.

use super::kernel_ridge::KernelRidge;
use super::lin_ucb::{SharedEta, shared_eta};
use super::pak_ucb::{ALPHA, DELTA, ETA, KERNEL, check_eta, kernel};
use super::{Expectation, Policy, PolicySpec};
use crate::ArenaError;
use rand_chacha::ChaCha8Rng;

/// Arms that there can ever be: the width of the part that tells them apart.
const MOST_ARMS: usize = 64;

/// The declaration.
pub static SPEC: PolicySpec = PolicySpec {
    name: "kernel-ucb",
    aliases: &["shared-kernel"],
    summary: "One kernel ridge regression over the prompt beside a number for each arm.",
    paper: "Valko et al., Finite-time analysis of kernelised contextual bandits, UAI 2013; shared form as in PAK-UCB",
    options: &[KERNEL[0], KERNEL[1], KERNEL[2], KERNEL[3], KERNEL[4], ALPHA, ETA, DELTA],
    uses_context: true,
    make: |options, setting| {
        check_eta(options)?;
        if setting.arms > MOST_ARMS {
            let problem = format!("{} arms are too many; at most {MOST_ARMS} share a model", setting.arms);
            return Err(options.problem(problem).into());
        }
        Ok(Box::new(KernelUcb {
            model: KernelRidge::new(kernel(options)?, options.number("alpha")),
            arms: (0..setting.arms).collect(),
            next: setting.arms,
            eta: shared_eta(options),
        }))
    },
};

#[derive(Debug)]
struct KernelUcb {
    model: KernelRidge,
    /// Lasting numbers of the arms there are.
    arms: Vec<usize>,
    next: usize,
    eta: SharedEta,
}

fn features(context: &[f64], number: usize) -> Vec<f64> {
    let mut features = context.to_vec();
    features.resize(context.len() + MOST_ARMS, 0.0);
    features[context.len() + number] = 1.0;
    features
}

impl Policy for KernelUcb {
    fn expectations(&self, context: &[f64], _random: &mut ChaCha8Rng) -> Vec<Expectation> {
        let eta = self.eta.of(self.arms.len());
        let of = |&number: &usize| {
            let (mean, deviation) = self.model.predict(&features(context, number));
            Expectation { mean, index: mean + eta * deviation }
        };
        self.arms.iter().map(of).collect()
    }

    fn update(&mut self, arm: usize, context: &[f64], reward: f64) {
        self.model.add(&features(context, self.arms[arm]), reward);
    }

    fn add_arm(&mut self) -> Result<(), ArenaError> {
        if self.next >= MOST_ARMS {
            let problem = format!(
                "kernel-ucb tells {MOST_ARMS} arms apart, those that are gone too; begin a new route"
            );
            return Err(ArenaError::Setting(problem));
        }
        self.arms.push(self.next);
        self.next += 1;
        Ok(())
    }

    fn remove_arm(&mut self, arm: usize) {
        self.arms.remove(arm);
    }
}
