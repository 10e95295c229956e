//! What a search may write: runs of tokens that occur.

use super::index::{NgramIndex, NgramRange};
use crate::GenirError;
use plackett_lm::decode::{Allowed, Constraint, Transition};

/// Runs of tokens that occur in the corpus, of one length, or shorter where the text ends everywhere.
#[derive(Clone, Copy, Debug)]
pub struct CorpusConstraint<'i> {
    index: &'i NgramIndex,
    length: usize,
}

impl<'i> CorpusConstraint<'i> {
    /// Runs of so many tokens.
    ///
    /// # Errors
    /// [`GenirError::Setting`] for 0 tokens, or more than the index knows runs of.
    pub fn new(index: &'i NgramIndex, length: usize) -> Result<CorpusConstraint<'i>, GenirError> {
        if length == 0 || length > index.longest() {
            return Err(GenirError::Setting(format!(
                "n-grams of {length} tokens; the index has those of 1 to {}",
                index.longest()
            )));
        }
        Ok(CorpusConstraint { index, length })
    }

    /// The corpus.
    pub fn index(&self) -> &'i NgramIndex {
        self.index
    }

    /// Tokens of a run.
    pub fn length(&self) -> usize {
        self.length
    }

    fn is_whole(&self, run: NgramRange) -> bool {
        run.length() >= self.length || self.index.is_final(run)
    }
}

impl Constraint for CorpusConstraint<'_> {
    type State = NgramRange;
    type Output = NgramRange;

    fn start(&self) -> NgramRange {
        self.index.root()
    }

    fn allowed(&self, state: &NgramRange) -> Allowed {
        if self.is_whole(*state) {
            return Allowed::Only([].into());
        }
        Allowed::Only(self.index.follow(*state))
    }

    fn advance(&self, state: &NgramRange, token: u32) -> Option<Transition<NgramRange>> {
        let run = self.index.extend(*state, token)?;
        Some(if self.is_whole(run) { Transition::Finished(run) } else { Transition::Continue(run) })
    }

    fn output(&self, state: &NgramRange) -> Option<NgramRange> {
        self.is_whole(*state).then_some(*state)
    }
}
