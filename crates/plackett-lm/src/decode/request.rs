//! What a decode is asked and what it leads to.

use crate::decode::model::PrefixId;

/// One decode of a call.
#[derive(Debug)]
pub struct DecodeRequest<'a, C> {
    /// A cached prefix, which stays the caller's: it is not dropped.
    pub prefix: PrefixId,
    /// Tokens after the prefix that are not computed yet, at least one: the end of the prompt.
    pub prompt: &'a [u32],
    /// What may be written.
    pub constraint: &'a C,
    /// Names the request in random draws, so that a request draws the same whatever call it is part of.
    pub index: u64,
}

// Derived, these would demand the same of the constraint.
impl<C> Clone for DecodeRequest<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for DecodeRequest<'_, C> {}

/// What a request led to.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded<O> {
    /// Results: for searches the best first (equal scores by tokens), for sampling one for each sample, in order.
    pub hypotheses: Vec<Hypothesis<O>>,
    /// Branches that were alive when `max_tokens` was reached; none of them is among the results.
    pub unfinished: usize,
    /// Branches that the model ran for this request.
    pub branches: usize,
    /// Steps of the search; each is at most one call of the model for all requests together.
    pub steps: usize,
}

/// One output.
#[derive(Clone, Debug, PartialEq)]
pub struct Hypothesis<O> {
    /// Generated tokens.
    pub tokens: Vec<u32>,
    /// Sum of log-probabilities, see [`crate::decode::Normalize`].
    pub log_prob: f64,
    /// The sum after length normalisation; the same without one.
    pub score: f64,
    /// Number of tokens that were forced and not asked of the model.
    pub forced: usize,
    /// The sample or the group of diverse beam search, from 0.
    pub group: usize,
    /// What was written.
    pub output: O,
}
