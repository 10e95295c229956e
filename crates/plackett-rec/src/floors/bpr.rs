//! BPR-MF: vectors of users and items such that what a user had has a greater product than what the user had not.

use crate::evaluation::check_items;
use crate::recommender::{item_set, matrix};
use crate::{FitData, FitStep, Fitting, RecError, Recommender, RecommenderSpec, Request};
use plackett_core::declaration::{OptionKind, OptionSpec, OptionValues};
use plackett_train::Parameters;
use plackett_train::nn::init;
use plackett_train::random::Stream;
use rayon::prelude::*;

/// How often another item is drawn where the user had the one that was.
const TRIES: u64 = 16;
/// Rounds in which the vector of a history is found.
const FOLD_IN_ROUNDS: usize = 20;

/// The declaration.
pub static SPEC: RecommenderSpec = RecommenderSpec {
    name: "bpr",
    aliases: &["bpr-mf"],
    summary: "Vectors of users and items, by gradient steps over pairs of an item that a user had and a drawn one that the user had not; \
              the vector of a history is found by the same steps with the items fixed.",
    paper: "Rendle et al., BPR: Bayesian personalized ranking from implicit feedback, UAI 2009",
    options: &[
        OptionSpec {
            name: "width",
            kind: OptionKind::Integer(1, 4096),
            default: Some("64"),
            help: "numbers of a vector",
        },
        OptionSpec {
            name: "epochs",
            kind: OptionKind::Integer(1, 10_000),
            default: Some("30"),
            help: "how often as many pairs are drawn as there are events",
        },
        OptionSpec {
            name: "rate",
            kind: OptionKind::Number(1e-6, 10.0),
            default: Some("0.05"),
            help: "the learning rate",
        },
        OptionSpec {
            name: "l2",
            kind: OptionKind::Number(0.0, 100.0),
            default: Some("0.01"),
            help: "how much long vectors cost",
        },
    ],
    draws: true,
    reads_time: |_| false,
    check: |_, _| Ok(()),
    fit: |options, data, fitting| Ok(Box::new(Bpr::fit(options, data, fitting))),
    restore: |options, catalogue, parameters| {
        let width = options.count("width");
        Ok(Box::new(Bpr {
            items: matrix(parameters, "items", (catalogue, width))?,
            steps: Steps::of(options),
            catalogue,
        }))
    },
};

/// How a step is made.
#[derive(Clone, Copy, Debug)]
struct Steps {
    width: usize,
    rate: f32,
    l2: f32,
}

impl Steps {
    fn of(options: &OptionValues) -> Steps {
        Steps {
            width: options.count("width"),
            rate: options.number("rate") as f32,
            l2: options.number("l2") as f32,
        }
    }

    /// σ(−x) with x the difference of the products: the size of the step (section 4.3.1 of the paper).
    fn slope(user: &[f32], better: &[f32], worse: &[f32]) -> f32 {
        let x: f32 = user.iter().zip(better.iter().zip(worse)).map(|(u, (b, w))| u * (b - w)).sum();
        1.0 / (1.0 + x.exp())
    }

    /// A step of the user's vector alone.
    fn move_user(&self, user: &mut [f32], better: &[f32], worse: &[f32]) {
        let slope = Steps::slope(user, better, worse);
        for (u, (b, w)) in user.iter_mut().zip(better.iter().zip(worse)) {
            *u += self.rate * (slope * (b - w) - self.l2 * *u);
        }
    }
}

/// Vectors of items; a user's vector follows from the history.
pub struct Bpr {
    /// items × width.
    items: Vec<f32>,
    steps: Steps,
    catalogue: usize,
}

impl Bpr {
    fn fit(options: &OptionValues, data: &FitData<'_>, fitting: &mut Fitting<'_>) -> Bpr {
        let steps = Steps::of(options);
        let (width, seed) = (steps.width, fitting.seed);
        let sets = data.sets();
        let mut users = init::normal(Stream::new(seed, 1), sets.len() * width, 0.1);
        let items = init::normal(Stream::new(seed, 2), data.catalogue * width, 0.1);
        let mut model = Bpr { items, steps, catalogue: data.catalogue };
        let pairs: Vec<(usize, u32)> = sets
            .iter()
            .enumerate()
            .flat_map(|(user, set)| set.iter().map(move |item| (user, *item)))
            .collect();
        let epochs = options.count("epochs");
        for epoch in 0..epochs {
            let draws = Stream::new(seed, 3 + epoch as u64);
            for at in 0..pairs.len() {
                let (user, better) = pairs[draws.below(2 * at as u64, pairs.len())];
                let others = Stream::new(seed ^ (2 * at as u64 + 1), (1 << 40) + epoch as u64);
                if let Some(worse) = model.other(&sets[user], others) {
                    model.step(&mut users[user * width..][..width], better, worse);
                }
            }
            (fitting.progress)(FitStep { done: epoch + 1, total: epochs, loss: None, flat: 0 });
        }
        model
    }

    /// An item that a user had not; `None` where none is drawn, as for somebody who had all.
    fn other(&self, set: &[u32], draws: Stream) -> Option<u32> {
        let mut drawn = (0..TRIES).map(|again| draws.below(again, self.catalogue) as u32);
        drawn.find(|item| set.binary_search(item).is_err())
    }

    fn item(&self, item: u32) -> &[f32] {
        &self.items[item as usize * self.steps.width..][..self.steps.width]
    }

    /// A step of all three vectors.
    fn step(&mut self, user: &mut [f32], better: u32, worse: u32) {
        let Steps { width, rate, l2 } = self.steps;
        let slope = Steps::slope(user, self.item(better), self.item(worse));
        let (better, worse) = (better as usize * width, worse as usize * width);
        for (at, u) in user.iter_mut().enumerate() {
            let (b, w) = (self.items[better + at], self.items[worse + at]);
            self.items[better + at] += rate * (slope * *u - l2 * b);
            self.items[worse + at] += rate * (-slope * *u - l2 * w);
            *u += rate * (slope * (b - w) - l2 * *u);
        }
    }

    /// The vector of a history, which depends on nothing else.
    fn user(&self, set: &[u32]) -> Vec<f32> {
        let mut user = vec![0.0; self.steps.width];
        for round in 0..FOLD_IN_ROUNDS as u64 {
            for item in set {
                if let Some(other) = self.other(set, Stream::new(u64::from(*item), round)) {
                    self.steps.move_user(&mut user, self.item(*item), self.item(other));
                }
            }
        }
        user
    }
}

impl Recommender for Bpr {
    fn catalogue(&self) -> usize {
        self.catalogue
    }

    fn scores(&self, requests: &[Request<'_>]) -> Result<Vec<f32>, RecError> {
        for request in requests {
            check_items(request.history.iter(), self.catalogue)?;
        }
        let scores = |request: &Request<'_>| -> Vec<f32> {
            let user = self.user(&item_set(request.history));
            let product = |item: &[f32]| item.iter().zip(&user).map(|(i, u)| i * u).sum();
            self.items.chunks(self.steps.width).map(product).collect()
        };
        Ok(requests.par_iter().map(scores).collect::<Vec<_>>().concat())
    }

    fn parameters(&self) -> Parameters {
        let mut parameters = Parameters::default();
        parameters.add("items", (self.catalogue, self.steps.width), self.items.clone());
        parameters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_goes_up_the_gradient_of_the_papers_criterion() {
        let steps = Steps { width: 2, rate: 1e-3, l2: 0.3 };
        let (better, worse) = ([0.4f32, -0.2], [0.1, 0.5]);
        let criterion = |user: &[f32]| {
            let x: f32 = user.iter().zip(better.iter().zip(&worse)).map(|(u, (b, w))| u * (b - w)).sum();
            let length: f32 = user.iter().map(|u| u * u).sum();
            -f64::from((-x).exp()).ln_1p() - 0.5 * 0.3 * f64::from(length)
        };
        let user = [0.7f32, -0.3];
        let mut moved = user;
        steps.move_user(&mut moved, &better, &worse);
        for at in 0..2 {
            let mut beside = [user, user];
            beside[0][at] += 1e-2;
            beside[1][at] -= 1e-2;
            let slope = (criterion(&beside[0]) - criterion(&beside[1])) / 2e-2;
            let made = f64::from(moved[at] - user[at]) / 1e-3;
            assert!((slope - made).abs() < 1e-3, "{at}: {made} and not {slope}");
        }
    }
}
