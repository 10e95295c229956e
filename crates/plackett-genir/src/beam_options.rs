//! How beams inside a tree are scored: by sums among the allowed tokens or all of them, or by the mean of a token.

use plackett_lm::decode::{Beam, DecodeOptions, LengthNorm, Normalize, Strategy};

/// Beams of that width by sums of log-probabilities.
pub(crate) fn by_sum(width: usize, normalize: Normalize) -> DecodeOptions {
    DecodeOptions { normalize, ..DecodeOptions::new(Strategy::Beam(Beam::new(width))) }
}

/// Beams of that width by the mean log-probability of a token, as fairseq normalises lengths. Probabilities are those over the whole vocabulary,
/// and tokens without an alternative are asked for like all others: among the allowed tokens alone they would be certain, and outputs with many
/// of them would win by their length.
pub(crate) fn by_token(width: usize) -> DecodeOptions {
    let beam = Beam { length: LengthNorm::Power(1.0), ..Beam::new(width) };
    DecodeOptions {
        normalize: Normalize::Vocabulary,
        score_forced: true,
        ..DecodeOptions::new(Strategy::Beam(beam))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::GenerativeRetriever;
    use plackett_lm::LmError;
    use plackett_lm::decode::{
        Branch, BranchOutput, DecodeModel, DecodeRequest, LogitIds, PrefixId, TokenTrie, TrieConstraint,
        decode,
    };

    /// The log-probability over the whole vocabulary of what is written after what was read, one token after the other.
    pub(crate) fn log_prob(retriever: &GenerativeRetriever, read: &[u32], written: &[u32]) -> f64 {
        let mut session = retriever.engine().session();
        let (mut tokens, mut sum) = (read.to_vec(), 0.0);
        for token in written {
            let parent = session.root();
            let branch = Branch { parent, tokens: &tokens, logit_ids: LogitIds::All, normalizer: false };
            let answer = session.extend(&[branch], &[]).unwrap().remove(0);
            let total: f64 = answer.logits.iter().map(|logit| f64::from(*logit).exp()).sum();
            sum += f64::from(answer.logits[*token as usize]) - total.ln();
            tokens.push(*token);
        }
        sum
    }

    /// The same probabilities, which sum to one, after every prefix.
    struct Unigrams([f32; 6]);

    impl DecodeModel for Unigrams {
        fn vocabulary(&self) -> usize {
            self.0.len()
        }

        fn root(&self) -> PrefixId {
            PrefixId(0)
        }

        fn extend(&mut self, branches: &[Branch<'_>], _: &[PrefixId]) -> Result<Vec<BranchOutput>, LmError> {
            let answer = |branch: &Branch<'_>| {
                let logits = match branch.logit_ids {
                    LogitIds::None => Vec::new(),
                    LogitIds::Only(ids) => ids.iter().map(|id| self.0[*id as usize].ln()).collect(),
                    LogitIds::All => self.0.map(f32::ln).to_vec(),
                };
                BranchOutput { prefix: PrefixId(1), logits, normalizer: branch.normalizer.then_some(0.0) }
            };
            Ok(branches.iter().map(answer).collect())
        }

        fn release(&mut self, _: &[PrefixId]) {}
    }

    #[test]
    fn a_forced_tail_counts_as_much_as_it_lengthens() {
        // The longer one has the likelier first token and a tail without alternatives.
        let trie = TokenTrie::build([vec![2, 1], vec![3, 4, 5, 1]]).unwrap().trie;
        let constraint = TrieConstraint::new(&trie, None).unwrap();
        let mut model = Unigrams([0.1, 0.2, 0.2, 0.3, 0.1, 0.1]);
        let prefix = model.root();
        let request = DecodeRequest { prefix, prompt: &[0], constraint: &constraint, index: 0 };
        let found = decode(&mut model, &[request], &by_token(4)).unwrap().remove(0).unwrap();
        let scores: Vec<(usize, f64)> = found.hypotheses.iter().map(|one| (one.output, one.score)).collect();
        let short = (0.2f64.ln() + 0.2f64.ln()) / 2.0;
        let long = (0.3f64.ln() + 0.1f64.ln() + 0.1f64.ln() + 0.2f64.ln()) / 4.0;
        assert_eq!(scores.iter().map(|(rank, _)| *rank).collect::<Vec<_>>(), [0, 1], "{scores:?}");
        assert!((scores[0].1 - short).abs() < 1e-6 && (scores[1].1 - long).abs() < 1e-6, "{scores:?}");
    }
}
