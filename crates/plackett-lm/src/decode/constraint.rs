//! What a decode may write.

use std::sync::Arc;

/// The tokens that may come next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// These ids, ascending and without repetition.
    Only(Arc<[u32]>),
    /// All ids below a bound but some.
    Except {
        /// The bound: the size of the tokenizer's vocabulary, which may be smaller than the model's.
        below: u32,
        /// Ids that may not come next, ascending and without repetition.
        banned: Arc<[u32]>,
    },
}

impl Allowed {
    /// Those ids, sorted here and without repetition.
    pub fn only(mut ids: Vec<u32>) -> Allowed {
        ids.sort_unstable();
        ids.dedup();
        Allowed::Only(ids.into())
    }

    /// Whether a token may come next.
    pub fn contains(&self, token: u32) -> bool {
        match self {
            Allowed::Only(ids) => ids.binary_search(&token).is_ok(),
            Allowed::Except { below, banned } => token < *below && banned.binary_search(&token).is_err(),
        }
    }

    /// The only token that may come next, where there is but one.
    pub fn forced(&self) -> Option<u32> {
        match self {
            Allowed::Only(ids) if ids.len() == 1 => Some(ids[0]),
            _ => None,
        }
    }
}

/// What a token leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition<S> {
    /// More tokens are needed.
    Continue(S),
    /// The output is complete; nothing follows.
    Finished(S),
}

/// A language of outputs, as a machine over tokens.
///
/// The contract that makes every output well-formed: from every state reached by allowed tokens, some allowed token
/// exists, and a run of allowed tokens ends in [`Transition::Finished`] after a bounded number of tokens.
pub trait Constraint: Sync {
    /// Where in an output a branch is. Cloned for each branch of a search, so it is kept small.
    type State: Clone + Send + Sync;
    /// What a finished output means.
    type Output: Send;

    /// Before the first token.
    fn start(&self) -> Self::State;

    /// Tokens that may come next.
    fn allowed(&self, state: &Self::State) -> Allowed;

    /// The state after a token; `None` for a token that is not allowed.
    fn advance(&self, state: &Self::State, token: u32) -> Option<Transition<Self::State>>;

    /// What was written, from the state in [`Transition::Finished`]. `None` before the output is complete.
    fn output(&self, state: &Self::State) -> Option<Self::Output>;
}
