//! A retriever with a prefix-aware decoder as constrained decoding wants it.

use super::ServedHead;
use plackett_lm::LmError;
use plackett_lm::decode::{Branch, BranchOutput, DecodeModel, LogitIds, PrefixId, log_sum_exp};
use plackett_lm::decoder::{DecoderModel, DecoderSession, OutputRequest, Positions};
use plackett_train::trainer::START_TOKEN;
use std::collections::BTreeMap;

/// Prefixes of one or more decodes, with what is written of a docid in each. A docid begins behind the token that ends a prompt.
pub(crate) struct PrefixAwareSession<'r> {
    session: DecoderSession<'r>,
    head: &'r ServedHead,
    written: BTreeMap<PrefixId, Vec<u32>>,
}

impl<'r> PrefixAwareSession<'r> {
    /// A place for prefixes, without any.
    pub fn new(engine: &'r DecoderModel, head: &'r ServedHead) -> PrefixAwareSession<'r> {
        PrefixAwareSession { session: engine.session(), head, written: BTreeMap::new() }
    }

    /// What is written of the docid after a branch.
    fn written_after(&self, index: usize, branch: &Branch<'_>) -> Result<Vec<u32>, LmError> {
        if let Some(start) = branch.tokens.iter().rposition(|token| *token == START_TOKEN) {
            return Ok(branch.tokens[start + 1..].to_vec());
        }
        let before = self.written.get(&branch.parent).ok_or_else(|| {
            LmError::Argument(format!(
                "branch {index}: a prefix-aware decoder writes behind the token that ends a prompt, and there is none"
            ))
        })?;
        Ok([&before[..], branch.tokens].concat())
    }

    /// What a branch wants of the logits of the tokens that may come next.
    fn answer(&self, branch: &Branch<'_>, tokens: &[u32], logits: &[f32]) -> (Vec<f32>, Option<f64>) {
        let of = |id: u32| tokens.binary_search(&id).map_or(f32::NEG_INFINITY, |at| logits[at]);
        let wanted = match branch.logit_ids {
            LogitIds::None => Vec::new(),
            LogitIds::Only(ids) => ids.iter().map(|id| of(*id)).collect(),
            LogitIds::All => (0..self.session.vocabulary() as u32).map(of).collect(),
        };
        (wanted, branch.normalizer.then(|| log_sum_exp(logits)))
    }
}

impl DecodeModel for PrefixAwareSession<'_> {
    fn vocabulary(&self) -> usize {
        self.session.vocabulary()
    }

    fn root(&self) -> PrefixId {
        self.session.root()
    }

    fn extend(
        &mut self,
        branches: &[Branch<'_>],
        last_use: &[PrefixId],
    ) -> Result<Vec<BranchOutput>, LmError> {
        let numbered = branches.iter().enumerate();
        let written: Vec<Vec<u32>> =
            numbered.map(|(index, branch)| self.written_after(index, branch)).collect::<Result<_, _>>()?;
        let outputs = OutputRequest { hidden: Positions::Last, ..OutputRequest::default() };
        let mut answers = self.session.forward(branches, |_| outputs.clone())?;
        let hidden: Vec<f32> = answers.iter().flat_map(|answer| answer.hidden.iter().copied()).collect();
        let prefixes: Vec<&[u32]> = written.iter().map(Vec::as_slice).collect();
        let logits = self.head.logits(&hidden, &prefixes);
        let logits = logits.map_err(|error| LmError::Argument(error.to_string()))?;
        self.release(last_use);
        let adopted = self.session.advance(&mut answers, &[]);
        let mut extended = Vec::with_capacity(branches.len());
        for (((branch, prefix), written), logits) in branches.iter().zip(adopted).zip(written).zip(logits) {
            let (logits, normalizer) = self.answer(branch, self.head.tokens(written.len()), &logits);
            self.written.insert(prefix, written);
            extended.push(BranchOutput { prefix, logits, normalizer });
        }
        Ok(extended)
    }

    fn release(&mut self, prefixes: &[PrefixId]) {
        self.session.release(prefixes);
        for prefix in prefixes {
            self.written.remove(prefix);
        }
    }
}
