//! The engine's decoder as the searches see it where sessions are written: the token that begins an item is no choice and is fed by itself.

use super::item_tokens::ItemTokens;
use plackett_lm::LmError;
use plackett_lm::decode::{Branch, BranchOutput, DecodeModel, PrefixId};
use plackett_lm::seq2seq::{EncoderDecoder, Session};
use std::collections::HashMap;

/// Writes codes behind some histories. The token that begins an item is fed behind each whole item; the first one is in the prompt.
pub(super) struct SessionDecoder<'w> {
    session: Session<'w>,
    tokens: &'w ItemTokens,
    histories: Vec<PrefixId>,
    /// Codes of the item that is being written behind each prefix; behind a history there are none.
    codes: HashMap<PrefixId, usize>,
}

impl<'w> SessionDecoder<'w> {
    /// Behind histories that are given as the encoder's tokens.
    ///
    /// # Errors
    /// The model does not know a token.
    pub(super) fn new(
        engine: &'w EncoderDecoder,
        tokens: &'w ItemTokens,
        sources: &[Vec<u32>],
    ) -> Result<SessionDecoder<'w>, LmError> {
        let sources: Vec<&[u32]> = sources.iter().map(Vec::as_slice).collect();
        let mut session = engine.session();
        let histories = session.sources(&sources)?;
        Ok(SessionDecoder { session, tokens, histories, codes: HashMap::new() })
    }

    /// The prefix of a history behind which nothing is written.
    pub(super) fn history(&self, place: usize) -> PrefixId {
        self.histories[place]
    }

    /// All tokens that a branch feeds, and how many codes of an item are then there.
    fn fed(&self, branch: &Branch<'_>) -> (Vec<u32>, usize) {
        let begin = self.tokens.begin();
        let mut codes = self.codes.get(&branch.parent).copied().unwrap_or_default();
        let mut fed = Vec::with_capacity(branch.tokens.len() + 1);
        for token in branch.tokens {
            fed.push(*token);
            codes = if *token == begin { 0 } else { codes + 1 };
            if codes == self.tokens.levels() {
                fed.push(begin);
                codes = 0;
            }
        }
        (fed, codes)
    }

    fn forget(&mut self, prefixes: &[PrefixId]) {
        for prefix in prefixes {
            self.codes.remove(prefix);
        }
    }
}

impl DecodeModel for SessionDecoder<'_> {
    fn vocabulary(&self) -> usize {
        self.session.vocabulary()
    }

    /// A prefix that cannot be extended: there is nothing without a history.
    fn root(&self) -> PrefixId {
        self.session.root()
    }

    fn extend(
        &mut self,
        branches: &[Branch<'_>],
        last_use: &[PrefixId],
    ) -> Result<Vec<BranchOutput>, LmError> {
        let fed: Vec<(Vec<u32>, usize)> = branches.iter().map(|branch| self.fed(branch)).collect();
        let whole: Vec<Branch<'_>> =
            branches.iter().zip(&fed).map(|(branch, (tokens, _))| Branch { tokens, ..*branch }).collect();
        let answers = self.session.extend(&whole, last_use)?;
        self.codes.extend(answers.iter().zip(&fed).map(|(answer, (_, codes))| (answer.prefix, *codes)));
        self.forget(last_use);
        Ok(answers)
    }

    fn release(&mut self, prefixes: &[PrefixId]) {
        self.session.release(prefixes);
        self.forget(prefixes);
    }
}
