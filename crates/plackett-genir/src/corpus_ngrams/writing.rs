//! A model writes n-grams of a corpus.

use super::constraint::CorpusConstraint;
use super::index::NgramRange;
use crate::GenirError;
use plackett_lm::LmError;
use plackett_lm::decode::{
    Beam, Branch, BranchOutput, DecodeModel, DecodeOptions, DecodeRequest, EarlyStop, LogitIds, Normalize,
    PrefixId, Strategy, decode,
};
use std::collections::HashMap;

/// An n-gram of the corpus that a model found probable.
#[derive(Clone, Debug, PartialEq)]
pub struct Ngram {
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// ln P(n|q): the sum of the log-probabilities of its tokens after the prompt, over the whole vocabulary.
    pub log_prob: f64,
    /// Where it occurs.
    pub run: NgramRange,
}

/// What a model wrote for a query.
#[derive(Clone, Debug, PartialEq)]
pub struct WrittenNgrams {
    /// N-grams, in no particular order, each once.
    pub ngrams: Vec<Ngram>,
    /// Sequences that went through the model.
    pub branches: usize,
}

/// Lets a model write n-grams of a corpus behind a prompt (the end of which is not computed yet, at least one token) by a beam search. As in SEAL
/// the n-grams are all that the search took up, also those on the way to the ones of full length.
///
/// # Errors
/// A beam of width 0, a token of the corpus that the model does not know, and what the model says.
pub fn write_ngrams<M: DecodeModel + ?Sized>(
    model: &mut M,
    (prefix, prompt): (PrefixId, &[u32]),
    constraint: &CorpusConstraint<'_>,
    beams: usize,
) -> Result<WrittenNgrams, GenirError> {
    // An n-gram that a text ends is no better than those that go on.
    let strategy = Strategy::Beam(Beam { stop: EarlyStop::Never, ..Beam::new(beams) });
    let options = DecodeOptions {
        normalize: Normalize::Vocabulary,
        score_forced: true,
        max_tokens: constraint.length(),
        ..DecodeOptions::new(strategy)
    };
    let mut recorded = Recorded { model, begun: HashMap::new(), seen: Vec::new() };
    let request = DecodeRequest { prefix, prompt, constraint, index: 0 };
    let decoded = decode(&mut recorded, &[request], &options)?.pop().transpose().map_err(LmError::from)?;
    let mut found = recorded.seen;
    let branches = decoded.as_ref().map_or(0, |decoded| decoded.branches);
    let whole = decoded.into_iter().flat_map(|decoded| decoded.hypotheses);
    found.extend(whole.map(|hypothesis| (hypothesis.tokens, hypothesis.log_prob)));
    let ngrams = found.into_iter().filter_map(|(tokens, log_prob)| {
        let run = constraint.index().find(&tokens)?;
        Some(Ngram { tokens, log_prob, run })
    });
    Ok(WrittenNgrams { ngrams: ngrams.collect(), branches })
}

/// A model that remembers what a search continues, and how probable that was.
struct Recorded<'m, M: ?Sized> {
    model: &'m mut M,
    begun: HashMap<PrefixId, Begun>,
    /// Written tokens and the sum of their log-probabilities.
    seen: Vec<(Vec<u32>, f64)>,
}

/// What was written so far, and the model's answer behind it.
struct Begun {
    tokens: Vec<u32>,
    log_prob: f64,
    ids: Vec<u32>,
    logits: Vec<f32>,
    normalizer: f64,
}

impl Begun {
    /// The tokens with one more, and the sum of their log-probabilities.
    fn followed_by(&self, token: u32) -> Option<(Vec<u32>, f64)> {
        let logit = *self.logits.get(self.ids.binary_search(&token).ok()?)?;
        let mut tokens = self.tokens.clone();
        tokens.push(token);
        Some((tokens, self.log_prob + f64::from(logit) - self.normalizer))
    }
}

impl<M: DecodeModel + ?Sized> Recorded<'_, M> {
    /// What a branch begins; a parent that is not known is the prompt's. As forced tokens are asked for too, every later branch is one token.
    fn begun(&self, branch: &Branch<'_>, answer: &BranchOutput) -> Option<Begun> {
        let LogitIds::Only(ids) = branch.logit_ids else { return None };
        let (tokens, log_prob) = match (self.begun.get(&branch.parent), branch.tokens) {
            (None, _) => (Vec::new(), 0.0),
            (Some(parent), [token]) => parent.followed_by(*token)?,
            (Some(_), _) => return None,
        };
        let (ids, logits) = (ids.to_vec(), answer.logits.clone());
        Some(Begun { tokens, log_prob, ids, logits, normalizer: answer.normalizer? })
    }
}

impl<M: DecodeModel + ?Sized> DecodeModel for Recorded<'_, M> {
    fn vocabulary(&self) -> usize {
        self.model.vocabulary()
    }

    fn root(&self) -> PrefixId {
        self.model.root()
    }

    fn extend(
        &mut self,
        branches: &[Branch<'_>],
        last_use: &[PrefixId],
    ) -> Result<Vec<BranchOutput>, LmError> {
        let answers = self.model.extend(branches, last_use)?;
        let begun: Vec<Option<Begun>> =
            branches.iter().zip(&answers).map(|(branch, answer)| self.begun(branch, answer)).collect();
        for prefix in last_use {
            self.begun.remove(prefix);
        }
        for (answer, begun) in answers.iter().zip(begun) {
            let Some(begun) = begun else { continue };
            if !begun.tokens.is_empty() {
                self.seen.push((begun.tokens.clone(), begun.log_prob));
            }
            self.begun.insert(answer.prefix, begun);
        }
        Ok(answers)
    }

    fn release(&mut self, prefixes: &[PrefixId]) {
        for prefix in prefixes {
            self.begun.remove(prefix);
        }
        self.model.release(prefixes);
    }
}

#[cfg(test)]
mod tests {
    use super::super::index::{NgramIndex, NgramIndexBuilder};
    use super::*;
    use plackett_lm::decode::{RandomModel, log_sum_exp};
    use std::collections::BTreeSet;

    fn index_of(documents: &[&[u32]], longest: usize) -> NgramIndex {
        let mut builder = NgramIndexBuilder::new(longest).unwrap();
        for document in documents {
            builder.push(&[document]).unwrap();
        }
        builder.finish().unwrap()
    }

    fn written(model: &mut RandomModel, index: &NgramIndex, length: usize, beams: usize) -> WrittenNgrams {
        let constraint = CorpusConstraint::new(index, length).unwrap();
        let root = model.root();
        write_ngrams(model, (root, &[7, 0][..]), &constraint, beams).unwrap()
    }

    /// Where every token is as probable as any other, n tokens of a vocabulary of 8 have the probability 8⁻ⁿ.
    #[test]
    fn all_beginnings_are_kept_with_their_probability() {
        let index = index_of(&[&[1, 2, 3], &[1, 2, 4]], 2);
        let mut model = RandomModel::with_spread(8, 1, 0.0);
        let found = written(&mut model, &index, 2, 10);
        let tokens: BTreeSet<Vec<u32>> = found.ngrams.iter().map(|ngram| ngram.tokens.clone()).collect();
        let expected = [vec![1], vec![1, 2], vec![2], vec![2, 3], vec![2, 4], vec![3], vec![4]];
        assert_eq!(tokens, BTreeSet::from(expected), "3 and 4 end their texts");
        assert_eq!(found.ngrams.len(), 7, "each once");
        for ngram in &found.ngrams {
            let log_prob = -(ngram.tokens.len() as f64) * 8f64.ln();
            assert!((ngram.log_prob - log_prob).abs() < 1e-6, "{ngram:?}");
        }
        // The prompt, then [1] and [2].
        assert_eq!(found.branches, 3);
        assert_eq!(model.live_prefixes(), 0);
    }

    #[test]
    fn what_is_written_occurs_and_has_the_probability_of_its_tokens() {
        let documents: [&[u32]; 4] =
            [&[5, 1, 4, 1, 5], &[2, 6, 5, 3, 5, 8], &[9, 7, 9, 3, 2, 3], &[8, 4, 6, 2, 6, 4, 3]];
        let index = index_of(&documents, 4);
        for seed in 0..20 {
            let mut model = RandomModel::new(11, seed);
            let found = written(&mut model, &index, 4, 3);
            assert!(!found.ngrams.is_empty());
            let different: BTreeSet<&[u32]> = found.ngrams.iter().map(|n| n.tokens.as_slice()).collect();
            assert_eq!(different.len(), found.ngrams.len(), "each once");
            for ngram in &found.ngrams {
                let length = ngram.tokens.len();
                let mut runs = documents.iter().flat_map(|text| text.windows(length));
                assert!(runs.any(|run| run == ngram.tokens.as_slice()), "{:?}", ngram.tokens);
                let mut before = vec![7, 0];
                let mut expected = 0.0;
                for token in &ngram.tokens {
                    let logits: Vec<f32> = (0..11).map(|id| model.logit(&before, id)).collect();
                    expected += f64::from(model.logit(&before, *token)) - log_sum_exp(&logits);
                    before.push(*token);
                }
                assert!((ngram.log_prob - expected).abs() < 1e-5, "{} {expected}", ngram.log_prob);
            }
        }
    }

    #[test]
    fn lengths_that_the_index_does_not_know_and_strange_tokens_are_refused() {
        let index = index_of(&[&[1, 20]], 2);
        for length in [0, 3] {
            let error = CorpusConstraint::new(&index, length).unwrap_err().to_string();
            assert!(error.contains("those of 1 to 2"), "{error}");
        }
        let constraint = CorpusConstraint::new(&index, 2).unwrap();
        let mut model = RandomModel::new(8, 1);
        let root = model.root();
        let error = write_ngrams(&mut model, (root, &[0][..]), &constraint, 2).unwrap_err().to_string();
        assert!(error.contains("the constraint allows token 20, the model has 8"), "{error}");
        let index = index_of(&[&[1, 2]], 2);
        let constraint = CorpusConstraint::new(&index, 2).unwrap();
        assert!(write_ngrams(&mut model, (root, &[0][..]), &constraint, 0).is_err(), "a beam of width 0");
    }
}
