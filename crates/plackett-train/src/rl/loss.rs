//! The clipped losses of group policies: GRPO, DAPO, GSPO, Rank-GRPO.

use crate::tape::{Tape, Var, VarRef};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Over what an importance ratio is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RatioLevel {
    /// Each token has its own (GRPO, DAPO).
    Token,
    /// The geometric mean of the tokens of a part: a whole answer (GSPO), or one item of a list (Rank-GRPO). Differs from that of each
    /// token where the policy has gone on since the answers were drawn.
    Part,
}

/// Over what the divergence from the reference is a mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DivergenceMean {
    /// All tokens of a step, each of which counts alike: long answers count more.
    Tokens,
    /// The tokens of a term, and these by the weights of the terms, as advantages are: within each answer first where all answers have the
    /// same share (GRPO, and so ReRe and MiniOneRec). Where weights go by tokens (DAPO) it is the mean over all of them.
    Answers,
}

/// Tokens of an answer that share an advantage.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Term {
    /// Rows of the log-probabilities.
    pub tokens: Range<usize>,
    /// What they are worth, compared with the other answers.
    pub advantage: f32,
    /// Its share in the loss; those of all terms sum to one where a mean is wanted.
    pub weight: f32,
}

/// The log-probabilities of the tokens of all answers, one after another.
pub struct TokenLogProbabilities<'v> {
    /// Under the policy, with gradients: tokens × 1.
    pub policy: &'v Var,
    /// Under the policy that the answers were drawn from.
    pub old: &'v [f32],
    /// Under the reference, for the divergence.
    pub reference: Option<&'v [f32]>,
}

/// The loss −Σ weight · min(w A, clip(w, 1 − low, 1 + high) A) + β · mean KL, with KL estimated by
/// exp(r) − r − 1, r = ln(π_ref/π) of a token (k3; Schulman, Approximating KL Divergence, 2020), and its mean as [`DivergenceMean`] says.
///
/// GRPO: Shao and others, DeepSeekMath, 2024, equation 3. DAPO (asymmetric clip, weights by token): Yu and others, 2025. GSPO
/// (ratio of the whole answer): Zheng and others, 2025. Rank-GRPO (ratio of an item): 2025.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PolicyLoss {
    /// What a ratio is of.
    pub level: RatioLevel,
    /// How far a ratio may go below and above 1 before it stops to teach.
    pub clip: (f32, f32),
    /// β.
    pub kl: f32,
    /// Over what the divergence is a mean.
    pub divergence: DivergenceMean,
}

impl Default for PolicyLoss {
    /// GRPO's, without a divergence.
    fn default() -> PolicyLoss {
        let (level, clip) = (RatioLevel::Token, (0.2, 0.2));
        PolicyLoss { level, clip, kl: 0.0, divergence: DivergenceMean::Tokens }
    }
}

impl PolicyLoss {
    /// The names of [`PolicyLoss::named`].
    pub const NAMES: &'static [&'static str] = &["grpo", "dapo", "gspo"];

    /// A loss by its name, and whether each token has the same share in it and not each answer: GRPO's ratios of tokens within 0.2 of 1, DAPO's, which
    /// may go up to 1.28 and count token by token, and GSPO's of the whole answer. The divergence is a mean over all tokens.
    pub fn named(name: &str, kl: f32) -> Option<(PolicyLoss, bool)> {
        let (level, clip) = match name {
            "grpo" => (RatioLevel::Token, (0.2, 0.2)),
            "dapo" => (RatioLevel::Token, (0.2, 0.28)),
            "gspo" => (RatioLevel::Part, (0.2, 0.2)),
            _ => return None,
        };
        Some((PolicyLoss { level, clip, kl, ..PolicyLoss::default() }, name == "dapo"))
    }
}

/// A group of tokens with one ratio, after [`PolicyLoss::level`].
struct RatioGroup {
    tokens: Range<usize>,
    advantage: f32,
    weight: f32,
}

impl PolicyLoss {
    /// The loss, 1 × 1, and the mean divergence from the reference (0 without one).
    pub fn loss(&self, tape: &Tape, logs: &TokenLogProbabilities, terms: &[Term]) -> (Var, f64) {
        let policy = logs.policy;
        let mut slopes = vec![0f32; policy.rows];
        let mut total = 0f64;
        for group in terms.iter().flat_map(|term| self.groups(term)) {
            total -= self.add_group(logs, &group, &mut slopes);
        }
        let divergence = self.add_divergence(logs, terms, &mut slopes);
        total += f64::from(self.kl) * divergence;
        let mut value = tape.buffer(1);
        value[0] = total as f32;
        let of = VarRef::from(policy);
        let loss = tape.record(&[policy], (1, 1), value, move |flow, gradient| {
            flow.accumulate(&of, |sum| {
                sum.iter_mut().zip(&slopes).for_each(|(sum, slope)| *sum += gradient[0] * slope);
            });
        });
        (loss, divergence)
    }

    /// The greatest distance of a ratio from 1.
    pub fn ratio_apart(&self, logs: &TokenLogProbabilities, terms: &[Term]) -> f64 {
        let groups = terms.iter().flat_map(|term| self.groups(term));
        let apart = |group: RatioGroup| f64::from((ratio_of(logs, &group.tokens) - 1.0).abs());
        groups.map(apart).fold(0.0, f64::max)
    }

    fn groups(&self, term: &Term) -> Vec<RatioGroup> {
        let Term { tokens, advantage, weight } = term.clone();
        match self.level {
            RatioLevel::Part => vec![RatioGroup { tokens, advantage, weight }],
            RatioLevel::Token => {
                let weight = weight / tokens.len().max(1) as f32;
                tokens.map(|at| RatioGroup { tokens: at..at + 1, advantage, weight }).collect()
            }
        }
    }

    /// What a group adds to the objective, and its slopes to those of the loss.
    fn add_group(&self, logs: &TokenLogProbabilities, group: &RatioGroup, slopes: &mut [f32]) -> f64 {
        let count = group.tokens.len();
        if count == 0 {
            return 0.0;
        }
        let ratio = ratio_of(logs, &group.tokens);
        let (low, high) = self.clip;
        let plain = ratio * group.advantage;
        let clipped = ratio.clamp(1.0 - low, 1.0 + high) * group.advantage;
        if plain <= clipped {
            let slope = -group.weight * plain / count as f32;
            slopes[group.tokens.clone()].iter_mut().for_each(|sum| *sum += slope);
        }
        f64::from(group.weight) * f64::from(plain.min(clipped))
    }

    /// The mean divergence, and its slopes.
    fn add_divergence(&self, logs: &TokenLogProbabilities, terms: &[Term], slopes: &mut [f32]) -> f64 {
        let Some(reference) = logs.reference else { return 0.0 };
        let count = match self.divergence {
            DivergenceMean::Tokens => terms.iter().map(|term| term.tokens.len()).sum::<usize>().max(1),
            DivergenceMean::Answers => 1,
        };
        let mut sum = 0f64;
        for term in terms {
            let share = match self.divergence {
                DivergenceMean::Tokens => 1.0,
                DivergenceMean::Answers => term.weight / term.tokens.len().max(1) as f32,
            };
            for at in term.tokens.clone() {
                let ratio = reference[at] - logs.policy.value[at];
                sum += f64::from(share) * f64::from(ratio.exp() - ratio - 1.0);
                slopes[at] += self.kl * share * (1.0 - ratio.exp()) / count as f32;
            }
        }
        sum / count as f64
    }
}

/// The geometric mean of the ratios of some tokens; 1 of none.
fn ratio_of(logs: &TokenLogProbabilities, tokens: &Range<usize>) -> f32 {
    let difference = |at: usize| logs.policy.value[at] - logs.old[at];
    (tokens.clone().map(difference).sum::<f32>() / tokens.len().max(1) as f32).exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::{Compute, Gradients, Parameters, assert_gradients};

    const CLIP: (f32, f32) = (0.2, 0.2);

    /// The loss and the gradients of some log-probabilities.
    fn of(loss: PolicyLoss, now: &[f32], old: &[f32], terms: &[Term]) -> (f64, Vec<f32>) {
        let mut parameters = Parameters::default();
        let id = parameters.add("logs", (now.len(), 1), now.to_vec());
        let tape = Tape::new(&parameters, &Compute::new(1));
        let policy = tape.parameter(id);
        let logs = TokenLogProbabilities { policy: &policy, old, reference: None };
        let value = loss.loss(&tape, &logs, terms).0;
        let number = f64::from(value.item());
        let mut gradients = Gradients::default();
        tape.backward(&value, &mut gradients);
        (number, gradients.get(id).map_or_else(|| vec![0.0; now.len()], <[f32]>::to_vec))
    }

    fn term(tokens: Range<usize>, advantage: f32, weight: f32) -> Term {
        Term { tokens, advantage, weight }
    }

    #[test]
    fn on_policy_the_ratio_is_one_and_the_gradient_is_the_advantage() {
        let logs = [-1.0, -2.0, -0.5, -0.1];
        let terms = [term(0..3, 1.5, 0.5), term(3..4, -1.0, 0.5)];
        for level in [RatioLevel::Token, RatioLevel::Part] {
            let loss = PolicyLoss { level, clip: CLIP, ..PolicyLoss::default() };
            let (value, slopes) = of(loss, &logs, &logs, &terms);
            assert!((value + 0.25).abs() < 1e-6, "−(0.5·1.5 − 0.5·1)");
            assert_eq!(slopes, [-0.25, -0.25, -0.25, 0.5]);
        }
    }

    #[test]
    fn every_name_is_a_loss() {
        let all: Vec<(PolicyLoss, bool)> =
            PolicyLoss::NAMES.iter().map(|name| PolicyLoss::named(name, 0.1).unwrap()).collect();
        assert_eq!(all[1], (PolicyLoss { clip: (0.2, 0.28), kl: 0.1, ..PolicyLoss::default() }, true));
        assert_eq!((all[0].0.level, all[2].0.level, all[2].1), (RatioLevel::Token, RatioLevel::Part, false));
        assert_eq!(PolicyLoss::named("ppo", 0.1), None);
    }

    #[test]
    fn the_greatest_distance_of_a_ratio_is_told() {
        let tape_of = |now: &[f32], old: &[f32], level| {
            let parameters = Parameters::default();
            let tape = Tape::new(&parameters, &Compute::new(1));
            let policy = tape.constant((now.len(), 1), now);
            let logs = TokenLogProbabilities { policy: &policy, old, reference: None };
            let loss = PolicyLoss { level, clip: CLIP, ..PolicyLoss::default() };
            loss.ratio_apart(&logs, &[term(0..2, 1.0, 1.0)])
        };
        let (now, old) = ([-1.0, -2.0], [-1.2, -2.0]);
        assert_eq!(tape_of(&now, &now, RatioLevel::Token), 0.0);
        assert!((tape_of(&now, &old, RatioLevel::Token) - (0.2f64.exp() - 1.0)).abs() < 1e-6);
        assert!((tape_of(&now, &old, RatioLevel::Part) - (0.1f64.exp() - 1.0)).abs() < 1e-6);
    }

    #[test]
    fn a_ratio_beyond_the_clip_teaches_only_back() {
        let loss = PolicyLoss { clip: (0.06, 0.08), ..PolicyLoss::default() };
        // The ratio is e^0.5: a good answer is likely enough already, a bad one is not unlikely enough.
        let (value, slopes) = of(loss, &[-0.5], &[-1.0], &[term(0..1, 1.0, 1.0)]);
        assert!((value + 1.08).abs() < 1e-6);
        assert_eq!(slopes, [0.0]);
        let (value, slopes) = of(loss, &[-0.5], &[-1.0], &[term(0..1, -1.0, 1.0)]);
        assert!((value - 0.5f64.exp()).abs() < 1e-5);
        assert!((slopes[0] - 0.5f32.exp()).abs() < 1e-5);
    }

    #[test]
    fn an_item_has_the_geometric_mean_of_its_tokens() {
        let loss = PolicyLoss { level: RatioLevel::Part, clip: (0.5, 0.5), ..PolicyLoss::default() };
        let (value, slopes) = of(loss, &[-1.0, -2.0], &[-1.2, -2.0], &[term(0..2, 1.0, 1.0)]);
        assert!((value + 0.1f64.exp()).abs() < 1e-6);
        assert!(slopes.iter().all(|slope| (slope + 0.1f32.exp() / 2.0).abs() < 1e-6));
    }

    #[test]
    fn gradients_are_those_of_the_formula() {
        let column = |values: &[f32]| ((values.len(), 1), values.to_vec());
        let terms = [term(0..2, 1.0, 0.4), term(2..5, -0.7, 0.6)];
        let means = [DivergenceMean::Tokens, DivergenceMean::Answers];
        for (level, divergence) in [RatioLevel::Token, RatioLevel::Part].into_iter().zip(means) {
            assert_gradients(&[column(&[-1.0, -0.3, -2.0, -0.9, -1.4])], |tape, inputs| {
                let old = [-1.1, -0.25, -2.05, -0.8, -1.45];
                let reference = Some(&[-1.3, -0.5, -1.0, -1.2, -1.5][..]);
                let logs = TokenLogProbabilities { policy: &inputs[0], old: &old, reference };
                PolicyLoss { level, clip: (5.0, 5.0), kl: 0.3, divergence }.loss(tape, &logs, &terms).0
            });
        }
    }

    #[test]
    fn the_divergence_is_zero_for_the_reference_itself_and_positive_else() {
        let parameters = Parameters::default();
        let tape = Tape::new(&parameters, &Compute::new(1));
        let policy = tape.constant((2, 1), &[-1.0, -2.0]);
        let divergence = |reference: &[f32]| {
            let logs =
                TokenLogProbabilities { policy: &policy, old: &[-1.0, -2.0], reference: Some(reference) };
            let level = RatioLevel::Part;
            let loss = PolicyLoss { level, clip: CLIP, kl: 1.0, ..PolicyLoss::default() };
            loss.loss(&tape, &logs, &[term(0..2, 0.0, 1.0)])
        };
        assert_eq!(divergence(&[-1.0, -2.0]).1, 0.0);
        let (loss, mean) = divergence(&[-2.0, -1.0]);
        // (e^−1 + e − 2) / 2, the same on both sides of 0.
        assert!((mean - ((-1f64).exp() + 1f64.exp() - 2.0) / 2.0).abs() < 1e-6);
        assert!((f64::from(loss.item()) - mean).abs() < 1e-6);
    }
    #[test]
    fn the_divergence_is_a_mean_over_tokens_or_within_each_answer_first() {
        let parameters = Parameters::default();
        let tape = Tape::new(&parameters, &Compute::new(1));
        // A short answer has left the reference, with a k3 of e − 2 (r = 1), and a longer one has not.
        let policy = tape.constant((4, 1), &[-1.0, -2.0, -0.5, -0.7]);
        let reference = Some(&[0.0, -2.0, -0.5, -0.7][..]);
        let logs = TokenLogProbabilities { policy: &policy, old: &[-1.0, -2.0, -0.5, -0.7], reference };
        let mean = |divergence: DivergenceMean, weights: [f32; 2]| {
            let terms = [term(0..1, 0.0, weights[0]), term(1..4, 0.0, weights[1])];
            let (loss, mean) =
                PolicyLoss { kl: 2.0, divergence, ..PolicyLoss::default() }.loss(&tape, &logs, &terms);
            assert!((f64::from(loss.item()) - 2.0 * mean).abs() < 1e-6);
            mean / (std::f64::consts::E - 2.0)
        };
        let is = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-6, "{found}, {expected}");
        is(mean(DivergenceMean::Tokens, [0.5, 0.5]), 0.25);
        is(mean(DivergenceMean::Answers, [0.5, 0.5]), 0.5);
        // Weights that go by tokens make them the same.
        is(mean(DivergenceMean::Answers, [0.25, 0.75]), 0.25);
    }
}
