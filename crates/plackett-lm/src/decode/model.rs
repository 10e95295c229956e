//! What decoding needs of a model: batches of branches over shared prefixes.

use crate::error::LmError;

/// Names a cached prefix: a sequence of tokens whose keys and values the model keeps.
///
/// Ids are given out by the model and mean nothing outside it. A prefix stays usable until it is released; extending it
/// makes new prefixes and leaves it as it was, so any number of branches may share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrefixId(pub u64);

/// Token ids for which logits are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogitIds<'a> {
    /// No logits: the tokens only enter the cache.
    None,
    /// Logits of these ids, in this order (the rows of the output matrix that are multiplied).
    Only(&'a [u32]),
    /// Logits of the whole vocabulary, in the order of ids.
    All,
}

impl LogitIds<'_> {
    /// How many logits an answer holds for a vocabulary of that size.
    pub fn len(&self, vocabulary: usize) -> usize {
        match self {
            LogitIds::None => 0,
            LogitIds::Only(ids) => ids.len(),
            LogitIds::All => vocabulary,
        }
    }
}

/// One branch of a batch: a cached prefix and the tokens that follow it.
#[derive(Clone, Copy, Debug)]
pub struct Branch<'a> {
    /// The prefix.
    pub parent: PrefixId,
    /// New tokens, at least one. Logits are those after the last of them.
    pub tokens: &'a [u32],
    /// Ids whose logits are wanted.
    pub logit_ids: LogitIds<'a>,
    /// Also give the logarithm of the sum of exponentials over the whole vocabulary, so that probabilities of a few
    /// ids can be those of the whole distribution. Costs the whole output matrix, but not its transport.
    pub normalizer: bool,
}

/// The model's answer for one branch.
#[derive(Clone, Debug, PartialEq)]
pub struct BranchOutput {
    /// The prefix and the new tokens together; to be released by the caller.
    pub prefix: PrefixId,
    /// Logits after the last token, in the order of [`Branch::logit_ids`]. `-inf` means impossible; NaN and `inf` are
    /// errors of the model.
    pub logits: Vec<f32>,
    /// ln Σ exp(logit) over the whole vocabulary, present when [`Branch::normalizer`] asked for it.
    pub normalizer: Option<f64>,
}

/// A model that continues many branches at once.
///
/// Contract: the answer for a branch depends on the tokens of its prefix, its new tokens and what it wants, and on
/// nothing else of the batch: not on its order, its size or the number of threads. A search of width 512 is one call of
/// [`DecodeModel::extend`] per step.
pub trait DecodeModel {
    /// Number of token ids; logits of [`LogitIds::All`] have that length.
    fn vocabulary(&self) -> usize;

    /// The empty prefix. It always exists and is not released.
    fn root(&self) -> PrefixId;

    /// Continues every branch and gives one answer for each, in the same order.
    ///
    /// `last_use` names prefixes which the caller will not use after this call: the model releases them when the call
    /// succeeds, and may move a cache into its only child instead of copying it. On failure no prefix is made or
    /// released.
    ///
    /// # Errors
    /// Whatever the model says; unknown prefixes, ids beyond the vocabulary and branches without tokens are refused.
    fn extend(
        &mut self,
        branches: &[Branch<'_>],
        last_use: &[PrefixId],
    ) -> Result<Vec<BranchOutput>, LmError>;

    /// Drops prefixes. Unknown ones and the root are ignored.
    fn release(&mut self, prefixes: &[PrefixId]);
}
