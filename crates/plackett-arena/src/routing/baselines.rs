//! What every policy is compared with: no choice at all, means, means by cluster.

use super::{Expectation, Policy, PolicySpec};
use crate::ArenaError;
use plackett_core::clustering::squared_distance;
use plackett_core::declaration::{OptionKind, OptionSpec};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// The declaration.
pub static RANDOM: PolicySpec = PolicySpec {
    name: "random",
    aliases: &[],
    summary: "Any arm.",
    paper: "–",
    options: &[],
    uses_context: false,
    make: |_, setting| Ok(Box::new(Means::new(setting.arms, Explore::Always))),
};

/// The declaration.
pub static GREEDY: PolicySpec = PolicySpec {
    name: "greedy",
    aliases: &["best-arm"],
    summary: "The arm with the greatest mean reward so far, whatever the prompt.",
    paper: "–",
    options: &[],
    uses_context: false,
    make: |_, setting| Ok(Box::new(Means::new(setting.arms, Explore::Never))),
};

/// The declaration.
pub static EPSILON: PolicySpec = PolicySpec {
    name: "epsilon-greedy",
    aliases: &["epsilon"],
    summary: "The arm with the greatest mean reward so far, and now and then any.",
    paper: "Sutton and Barto, Reinforcement Learning, 1998",
    options: &[OptionSpec {
        name: "epsilon",
        kind: OptionKind::Number(0.0, 1.0),
        default: Some("0.1"),
        help: "how often any arm is asked",
    }],
    uses_context: false,
    make: |options, setting| {
        Ok(Box::new(Means::new(setting.arms, Explore::Share(options.number("epsilon")))))
    },
};

/// The declaration.
pub static CLUSTERS: PolicySpec = PolicySpec {
    name: "clusters",
    aliases: &["per-cluster"],
    summary: "For each cluster of prompts the arm with the greatest mean reward in it, and now and then any.",
    paper: "–",
    options: &[
        OptionSpec {
            name: "count",
            kind: OptionKind::Integer(1, 100_000),
            default: Some("10"),
            help: "clusters at most; a prompt far from all begins one until there are so many",
        },
        OptionSpec {
            name: "radius",
            kind: OptionKind::Positive,
            default: Some("0.8"),
            help: "how far from the middle of its cluster a prompt may be, for contexts of length 1",
        },
        OptionSpec {
            name: "epsilon",
            kind: OptionKind::Number(0.0, 1.0),
            default: Some("0.1"),
            help: "how often any arm is asked",
        },
    ],
    uses_context: true,
    make: |options, setting| {
        Ok(Box::new(Clusters {
            middles: Vec::new(),
            arms: setting.arms,
            most: options.count("count"),
            radius: options.number("radius"),
            epsilon: options.number("epsilon"),
        }))
    },
};

/// How often any arm is asked.
#[derive(Clone, Copy, Debug)]
enum Explore {
    Never,
    Always,
    Share(f64),
}

/// Sum and number of an arm's rewards.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    sum: f64,
    count: f64,
}

impl Mean {
    /// The mean; of nothing, without an end above.
    fn expectation(self) -> Expectation {
        match self.count > 0.0 {
            true => Expectation { mean: self.sum / self.count, index: self.sum / self.count },
            false => Expectation { mean: 0.0, index: f64::INFINITY },
        }
    }

    fn add(&mut self, reward: f64) {
        self.sum += reward;
        self.count += 1.0;
    }
}

/// Indices that a draw has made equal with this probability, so that any arm is chosen.
fn explored(mut expectations: Vec<Expectation>, share: f64, random: &mut ChaCha8Rng) -> Vec<Expectation> {
    if random.random::<f64>() < share {
        expectations.iter_mut().for_each(|expectation| expectation.index = 0.0);
    }
    expectations
}

#[derive(Debug)]
struct Means {
    arms: Vec<Mean>,
    explore: Explore,
}

impl Means {
    fn new(arms: usize, explore: Explore) -> Means {
        Means { arms: vec![Mean::default(); arms], explore }
    }
}

impl Policy for Means {
    fn expectations(&self, _context: &[f64], random: &mut ChaCha8Rng) -> Vec<Expectation> {
        let all = self.arms.iter().map(|arm| arm.expectation()).collect();
        let share = match self.explore {
            Explore::Never => 0.0,
            Explore::Always => 1.0,
            Explore::Share(share) => share,
        };
        explored(all, share, random)
    }

    fn update(&mut self, arm: usize, _context: &[f64], reward: f64) {
        self.arms[arm].add(reward);
    }

    fn add_arm(&mut self) -> Result<(), ArenaError> {
        self.arms.push(Mean::default());
        Ok(())
    }

    fn remove_arm(&mut self, arm: usize) {
        self.arms.remove(arm);
    }

    fn asks_all_first(&self) -> bool {
        !matches!(self.explore, Explore::Always)
    }
}

/// A cluster: the mean of its prompts, how many there were, and each arm's rewards in it.
#[derive(Debug)]
struct Cluster {
    middle: Vec<f64>,
    count: f64,
    arms: Vec<Mean>,
}

#[derive(Debug)]
struct Clusters {
    middles: Vec<Cluster>,
    arms: usize,
    most: usize,
    radius: f64,
    epsilon: f64,
}

impl Clusters {
    /// The nearest cluster and the distance to its middle.
    fn nearest(&self, context: &[f64]) -> Option<(usize, f64)> {
        let distance = |cluster: &Cluster| squared_distance(&cluster.middle, context).sqrt();
        let all = self.middles.iter().map(distance).enumerate();
        all.min_by(|(_, a), (_, b)| a.total_cmp(b))
    }
}

impl Policy for Clusters {
    fn expectations(&self, context: &[f64], random: &mut ChaCha8Rng) -> Vec<Expectation> {
        let known =
            self.nearest(context).filter(|(_, far)| *far <= self.radius || self.middles.len() >= self.most);
        let all = match known {
            Some((at, _)) => self.middles[at].arms.iter().map(|arm| arm.expectation()).collect(),
            None => vec![Mean::default().expectation(); self.arms],
        };
        explored(all, self.epsilon, random)
    }

    fn update(&mut self, arm: usize, context: &[f64], reward: f64) {
        let known =
            self.nearest(context).filter(|(_, far)| *far <= self.radius || self.middles.len() >= self.most);
        let at = match known {
            Some((at, _)) => at,
            None => {
                let arms = vec![Mean::default(); self.arms];
                self.middles.push(Cluster { middle: vec![0.0; context.len()], count: 0.0, arms });
                self.middles.len() - 1
            }
        };
        let cluster = &mut self.middles[at];
        cluster.count += 1.0;
        let share = 1.0 / cluster.count;
        cluster.middle.iter_mut().zip(context).for_each(|(middle, x)| *middle += share * (x - *middle));
        cluster.arms[arm].add(reward);
    }

    fn add_arm(&mut self) -> Result<(), ArenaError> {
        self.arms += 1;
        self.middles.iter_mut().for_each(|cluster| cluster.arms.push(Mean::default()));
        Ok(())
    }

    fn remove_arm(&mut self, arm: usize) {
        self.arms -= 1;
        self.middles.iter_mut().for_each(|cluster| {
            cluster.arms.remove(arm);
        });
    }
}
