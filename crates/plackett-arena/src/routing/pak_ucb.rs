//! PAK-UCB: for each arm a kernel ridge regression of its own, and a bonus for what it does not know.

use super::kernel::Kernel;
use super::kernel_ridge::KernelRidge;
use super::{Expectation, Policy, PolicySpec};
use crate::ArenaError;
use plackett_core::declaration::{OptionKind, OptionSpec, OptionValues};
use rand_chacha::ChaCha8Rng;

/// What the bonus is multiplied with.
pub(super) const ETA: OptionSpec = OptionSpec {
    name: "eta",
    kind: OptionKind::Number(0.0, f64::MAX),
    default: None,
    help: "weight of what is not known; by itself the paper's formula, which explores long. 0 is kernel ridge regression alone",
};
/// The ridge.
pub(super) const ALPHA: OptionSpec = OptionSpec {
    name: "alpha",
    kind: OptionKind::Positive,
    default: Some("1"),
    help: "strength of the ridge",
};
/// One minus the confidence of the formula.
pub(super) const DELTA: OptionSpec = OptionSpec {
    name: "delta",
    kind: OptionKind::Positive,
    default: Some("0.05"),
    help: "how often the formula's bounds may fail",
};
/// Options of kernels.
pub(super) const KERNEL: [OptionSpec; 5] = [
    OptionSpec {
        name: "kernel",
        kind: OptionKind::Choice(&["poly", "rbf", "linear"]),
        default: Some("poly"),
        help: "how alike two prompts are",
    },
    OptionSpec {
        name: "gamma",
        kind: OptionKind::Positive,
        default: Some("10"),
        help: "of poly: factor of the product",
    },
    OptionSpec {
        name: "c",
        kind: OptionKind::Number(0.0, f64::MAX),
        default: Some("1"),
        help: "of poly: what is added",
    },
    OptionSpec {
        name: "degree",
        kind: OptionKind::Integer(1, 9),
        default: Some("3"),
        help: "of poly: the power",
    },
    OptionSpec { name: "sigma", kind: OptionKind::Positive, default: Some("1"), help: "of rbf: the width" },
];

/// The kernel of these options.
pub(super) fn kernel(options: &OptionValues) -> Result<Kernel, ArenaError> {
    let choice = options.choice("kernel");
    let idle = |name: &str| options.is_given(name);
    let unused: Vec<&str> = match choice {
        "poly" => vec!["sigma"],
        "rbf" => vec!["gamma", "c", "degree"],
        _ => vec!["gamma", "c", "degree", "sigma"],
    };
    if let Some(name) = unused.into_iter().find(|name| idle(name)) {
        let problem = format!("`{name}` has no effect with kernel={choice}; leave it out");
        return Err(options.problem(problem).into());
    }
    Ok(match choice {
        "poly" => Kernel::Polynomial {
            gamma: options.number("gamma"),
            constant: options.number("c"),
            degree: options.count("degree") as i32,
        },
        "rbf" => Kernel::Rbf { sigma: options.number("sigma") },
        _ => Kernel::Linear,
    })
}

/// The declaration.
pub static SPEC: PolicySpec = PolicySpec {
    name: "pak-ucb",
    aliases: &["kernel-per-arm"],
    summary: "For each arm a kernel ridge regression over the prompts it has answered, and the upper end of its confidence.",
    paper: "Hu et al., PAK-UCB Contextual Bandit, 2024 (ICML 2025)",
    options: &[
        KERNEL[0],
        KERNEL[1],
        KERNEL[2],
        KERNEL[3],
        KERNEL[4],
        ALPHA,
        ETA,
        DELTA,
        OptionSpec {
            name: "rounds",
            kind: OptionKind::Integer(1, i64::MAX),
            default: Some("5000"),
            help: "prompts that are to come, for the formula of eta",
        },
    ],
    uses_context: true,
    make: |options, setting| {
        if options.has("eta") && (options.is_given("rounds") || options.is_given("delta")) {
            return Err(options
                .problem("`rounds` and `delta` are for the formula of eta, which is given; leave them out")
                .into());
        }
        let kernel = kernel(options)?;
        let alpha = options.number("alpha");
        Ok(Box::new(PakUcb {
            arms: (0..setting.arms).map(|_| KernelRidge::new(kernel, alpha)).collect(),
            fresh: KernelRidge::new(kernel, alpha),
            eta: options.get_number("eta"),
            rounds: options.count("rounds") as f64,
            delta: options.number("delta"),
        }))
    },
};

#[derive(Debug)]
struct PakUcb {
    arms: Vec<KernelRidge>,
    fresh: KernelRidge,
    eta: Option<f64>,
    rounds: f64,
    delta: f64,
}

impl Policy for PakUcb {
    fn expectations(&self, context: &[f64], _random: &mut ChaCha8Rng) -> Vec<Expectation> {
        // η = √(2 ln(2 T G / δ))
        let formula =
            || (2.0 * (2.0 * self.rounds * self.arms.len() as f64 / self.delta).ln()).max(0.0).sqrt();
        let eta = self.eta.unwrap_or_else(formula);
        let of = |arm: &KernelRidge| {
            let (mean, deviation) = arm.predict(context);
            Expectation { mean, index: mean + eta * deviation }
        };
        self.arms.iter().map(of).collect()
    }

    fn update(&mut self, arm: usize, context: &[f64], reward: f64) {
        self.arms[arm].add(context, reward);
    }

    fn add_arm(&mut self) -> Result<(), ArenaError> {
        self.arms.push(self.fresh.clone());
        Ok(())
    }

    fn remove_arm(&mut self, arm: usize) {
        self.arms.remove(arm);
    }
}

/// η = √(2 ln(2 G / δ)), of policies whose formula knows no number of rounds.
pub(super) fn eta_without_rounds(arms: usize, delta: f64) -> f64 {
    (2.0 * (2.0 * arms as f64 / delta).ln()).max(0.0).sqrt()
}

/// Refuses options of a formula beside a given eta.
pub(super) fn check_eta(options: &OptionValues) -> Result<(), ArenaError> {
    if options.has("eta") && options.is_given("delta") {
        return Err(options
            .problem("`delta` is for the formula of eta, which is given; leave it out")
            .into());
    }
    Ok(())
}
