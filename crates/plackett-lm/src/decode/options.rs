//! How to search.

use crate::error::decode::DecodeError;

/// Options of a decode.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodeOptions {
    /// How tokens are chosen.
    pub strategy: Strategy,
    /// Over which tokens probabilities sum to one.
    pub normalize: Normalize,
    /// Ask the model also for tokens without an alternative. Without it such a token costs no call and counts as
    /// certain. Under [`Normalize::Allowed`] it *is* certain, and this changes nothing.
    pub score_forced: bool,
    /// Most generated tokens. What is not finished by then is counted in [`crate::decode::Decoded::unfinished`], not returned.
    pub max_tokens: usize,
}

impl DecodeOptions {
    /// A strategy with probabilities over the allowed tokens and at most 4096 tokens.
    pub fn new(strategy: Strategy) -> DecodeOptions {
        DecodeOptions { strategy, normalize: Normalize::Allowed, score_forced: false, max_tokens: 4096 }
    }
}

/// Over which tokens the probabilities of a step sum to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalize {
    /// Over the allowed tokens: the model's distribution given that the constraint holds at this step. Forced tokens are
    /// certain, so long identifiers are not punished for their length.
    Allowed,
    /// Over the whole vocabulary: the probability that the model would have written exactly this by itself. Forced
    /// tokens count only with [`DecodeOptions::score_forced`].
    Vocabulary,
}

/// How tokens are chosen. Equal candidates are ordered by the smaller token id, then by the better parent.
#[derive(Clone, Debug, PartialEq)]
pub enum Strategy {
    /// The most probable token at each step.
    Greedy,
    /// Independent draws.
    Sample(Sampling),
    /// The most probable sequences that a search of limited width finds.
    Beam(Beam),
    /// Beam search in groups that avoid each other's tokens (Vijayakumar et al. 2016, diverse beam search with Hamming
    /// diversity). At each step the groups choose in turn; a token that groups before chose `n` times at this step
    /// loses `n` times the penalty. The penalty acts on that choice only: sums and scores are the model's.
    DiverseBeam {
        /// Widths and rules; the width is that of all groups together.
        beam: Beam,
        /// Number of groups, a divisor of the width.
        groups: usize,
        /// Strength of the penalty (λ), in units of log-probability.
        penalty: f64,
    },
}

/// Random draws, the same for the same seed, request index, sample and step, whatever else is in the call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Seed of all draws.
    pub seed: u64,
    /// Outputs for each request. Samples with a common beginning share its computation.
    pub samples: usize,
    /// Logits are divided by it; above 0. The reported log-probabilities are those at temperature 1.
    pub temperature: f64,
    /// Only that many of the most probable tokens.
    pub top_k: Option<usize>,
    /// Only the most probable tokens whose probabilities reach this sum (after `top_k`), at least one.
    pub top_p: Option<f64>,
}

impl Sampling {
    /// One draw from the model's own distribution.
    pub fn new(seed: u64) -> Sampling {
        Sampling { seed, samples: 1, temperature: 1.0, top_k: None, top_p: None }
    }
}

/// Beam search.
///
/// At each step the continuations of all live branches are sorted by their sum of log-probabilities. Of the best
/// `2 × width`, those that are complete are kept as results when they are among the first `width`, and the first
/// `width` others live on. Branches with a forced token wait for no model call and stay in step with the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Beam {
    /// Number of live branches and of results.
    pub width: usize,
    /// How sums of different lengths are compared among results.
    pub length: LengthNorm,
    /// When to stop before no branch lives.
    pub stop: EarlyStop,
}

impl Beam {
    /// Sums as they are, exact stop.
    pub fn new(width: usize) -> Beam {
        Beam { width, length: LengthNorm::None, stop: EarlyStop::Exact }
    }
}

/// The score of a result from its sum of log-probabilities and its number of tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LengthNorm {
    /// The sum.
    None,
    /// sum / lengthᵃ; 1 is the mean per token.
    Power(f64),
    /// sum / ((5 + length) / 6)ᵃ (Wu et al. 2016, section 7).
    Gnmt(f64),
}

impl LengthNorm {
    /// The score of a sum over that many tokens.
    pub fn score(self, sum: f64, tokens: usize) -> f64 {
        match self {
            LengthNorm::None => sum,
            LengthNorm::Power(alpha) => sum / (tokens.max(1) as f64).powf(alpha),
            LengthNorm::Gnmt(alpha) => sum / ((5.0 + tokens as f64) / 6.0).powf(alpha),
        }
    }

    fn alpha(self) -> f64 {
        match self {
            LengthNorm::None => 0.0,
            LengthNorm::Power(alpha) | LengthNorm::Gnmt(alpha) => alpha,
        }
    }
}

/// When a beam search stops before no branch lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlyStop {
    /// When there are `width` results and no live branch can beat the worst of them, even if all of its further tokens
    /// were certain and it became as long as allowed. Changes no result.
    Exact,
    /// As soon as there are `width` results.
    Full,
    /// Never.
    Never,
}

impl DecodeOptions {
    pub(super) fn check(&self) -> Result<(), DecodeError> {
        let bad = |problem: &str| Err(DecodeError::Argument(problem.into()));
        if self.max_tokens == 0 {
            return bad("max_tokens is 0; nothing can be generated");
        }
        let positive = |value: f64| value.is_finite() && value >= 0.0;
        let check_beam = |beam: &Beam| {
            if beam.width == 0 {
                return bad("a beam of width 0");
            }
            if !positive(beam.length.alpha()) {
                return bad("the exponent of length normalisation must be 0 or more");
            }
            Ok(())
        };
        match &self.strategy {
            Strategy::Greedy => Ok(()),
            Strategy::Sample(sampling) => sampling.check(),
            Strategy::Beam(beam) => check_beam(beam),
            Strategy::DiverseBeam { beam, groups, penalty } => {
                if *groups == 0 || !beam.width.is_multiple_of(*groups) {
                    return bad("the number of groups must divide the beam's width");
                }
                if !positive(*penalty) {
                    return bad("the diversity penalty must be 0 or more");
                }
                check_beam(beam)
            }
        }
    }

    /// Number of groups, and the beam of each.
    pub(super) fn groups(&self) -> (usize, Beam) {
        let one = Beam { stop: EarlyStop::Full, ..Beam::new(1) };
        match &self.strategy {
            Strategy::Greedy => (1, one),
            Strategy::Sample(sampling) => (sampling.samples, one),
            Strategy::Beam(beam) => (1, *beam),
            Strategy::DiverseBeam { beam, groups, .. } => {
                (*groups, Beam { width: beam.width / groups, ..*beam })
            }
        }
    }

    pub(super) fn penalty(&self) -> f64 {
        if let Strategy::DiverseBeam { penalty, .. } = self.strategy { penalty } else { 0.0 }
    }
}

impl Sampling {
    fn check(&self) -> Result<(), DecodeError> {
        let bad = |problem: &str| Err(DecodeError::Argument(problem.into()));
        if self.samples == 0 {
            return bad("0 samples");
        }
        if !(self.temperature.is_finite() && self.temperature > 0.0) {
            return bad("the temperature must be above 0; for the most probable token use Strategy::Greedy");
        }
        if self.top_k == Some(0) {
            return bad("top_k is 0; leave it out or keep at least one token");
        }
        if self.top_p.is_some_and(|p| !(p > 0.0 && p <= 1.0)) {
            return bad("top_p must be above 0 and at most 1");
        }
        Ok(())
    }
}
