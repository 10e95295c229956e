//! Rollouts: what a decoder writes after prompts, by the inference engine.

use super::Form;
use crate::TrainError;
use crate::tape::Parameters;
use crate::trainer::LanguageModel;
use plackett_lm::decode::{
    Allowed, Beam, Constraint, DecodeModel, DecodeOptions, DecodeRequest, Normalize, Sampling, Strategy,
    TokenTrie, Transition, TrieConstraint, decode,
};
use plackett_lm::decoder::{DecoderModel, DecoderOptions};
use plackett_lm::{LmError, Precision};
use std::path::Path;

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampled {
    /// Its tokens, with that which ends it.
    pub tokens: Vec<u32>,
    /// Whether it ended by itself, and not because it had become too long.
    pub is_ended: bool,
    /// The sum of the log-probabilities of its tokens.
    pub log_probability: f64,
}

/// A decoder in the inference engine, with the weights that it has in the training.
pub struct Rollouts {
    model: DecoderModel,
}

impl Rollouts {
    /// Writes the weights into a folder and opens it.
    ///
    /// # Errors
    /// A file cannot be written or read.
    pub fn open(
        model: &LanguageModel,
        parameters: &Parameters,
        folder: &Path,
    ) -> Result<Rollouts, TrainError> {
        model.clone().save(folder, parameters)?;
        let options = DecoderOptions { precision: Precision::F32, ..DecoderOptions::default() };
        let model = DecoderModel::open(folder, &options).map_err(of_engine)?;
        Ok(Rollouts { model })
    }

    /// `sampling.samples` answers to each prompt, drawn from the whole distribution; each ends with the token `end` or with as many
    /// tokens as `most`.
    ///
    /// # Errors
    /// A prompt without tokens, or one that leaves no room for an answer.
    pub fn sample(
        &self,
        prompts: &[&[u32]],
        sampling: Sampling,
        (end, most): (u32, usize),
    ) -> Result<Vec<Vec<Sampled>>, TrainError> {
        self.free(prompts, Strategy::Sample(sampling), (end, most))
    }

    /// The answer to each prompt whose every token is the most probable one.
    ///
    /// # Errors
    /// As [`Rollouts::sample`].
    pub fn greedy(&self, prompts: &[&[u32]], end: (u32, usize)) -> Result<Vec<Sampled>, TrainError> {
        let answers = self.free(prompts, Strategy::Greedy, end)?;
        Ok(answers.into_iter().filter_map(|mut answers| answers.pop()).collect())
    }

    fn free(
        &self,
        prompts: &[&[u32]],
        strategy: Strategy,
        (end, most): (u32, usize),
    ) -> Result<Vec<Vec<Sampled>>, TrainError> {
        let vocabulary = self.model.info().vocabulary as u32;
        let constraint = UntilEnd { end, most, vocabulary };
        let options = DecodeOptions { max_tokens: most, ..DecodeOptions::new(strategy) };
        let sampled = |tokens: Vec<u32>, log_probability| Sampled {
            is_ended: tokens.last() == Some(&end),
            tokens,
            log_probability,
        };
        self.decode(prompts, &constraint, &options, |tokens, logs, _| sampled(tokens, logs))
    }

    /// The `width` most probable sequences of a trie that a beam search of this width finds after each prompt, the best first, with
    /// their ranks in the trie. Probabilities are those over all tokens, as the losses have them.
    ///
    /// # Errors
    /// A prompt without tokens, or a trie that cannot constrain (empty, or with sequences that go on after one that needs no end).
    pub fn beams(
        &self,
        prompts: &[&[u32]],
        (trie, end): (&TokenTrie, Option<u32>),
        width: usize,
    ) -> Result<Vec<Vec<(usize, Sampled)>>, TrainError> {
        let constraint = trie_constraint(trie, end)?;
        self.in_trie(prompts, &constraint, Strategy::Beam(Beam::new(width)))
    }

    /// Sequences of a trie that are drawn token by token, with their ranks in the trie.
    ///
    /// # Errors
    /// As [`Rollouts::beams`].
    pub fn sample_trie(
        &self,
        prompts: &[&[u32]],
        (trie, end): (&TokenTrie, Option<u32>),
        sampling: Sampling,
    ) -> Result<Vec<Vec<(usize, Sampled)>>, TrainError> {
        let constraint = trie_constraint(trie, end)?;
        self.in_trie(prompts, &constraint, Strategy::Sample(sampling))
    }

    /// `sampling.samples` answers of a form to each prompt, each token drawn among those that may stand at its place. Probabilities
    /// are those among these tokens.
    ///
    /// # Errors
    /// As [`Rollouts::sample`], or a form with tokens beyond the vocabulary.
    pub fn sample_form(
        &self,
        prompts: &[&[u32]],
        form: &Form,
        sampling: Sampling,
    ) -> Result<Vec<Vec<Sampled>>, TrainError> {
        self.in_form(prompts, form, Strategy::Sample(sampling))
    }

    /// The answer of a form to each prompt whose every token is the most probable one that may stand at its place.
    ///
    /// # Errors
    /// As [`Rollouts::sample_form`].
    pub fn greedy_form(&self, prompts: &[&[u32]], form: &Form) -> Result<Vec<Sampled>, TrainError> {
        let answers = self.in_form(prompts, form, Strategy::Greedy)?;
        Ok(answers.into_iter().filter_map(|mut answers| answers.pop()).collect())
    }

    fn in_form(
        &self,
        prompts: &[&[u32]],
        form: &Form,
        strategy: Strategy,
    ) -> Result<Vec<Vec<Sampled>>, TrainError> {
        let options = DecodeOptions { max_tokens: form.len(), ..DecodeOptions::new(strategy) };
        self.decode(prompts, form, &options, |tokens, log_probability, ()| Sampled {
            tokens,
            is_ended: true,
            log_probability,
        })
    }

    fn in_trie(
        &self,
        prompts: &[&[u32]],
        constraint: &TrieConstraint<&TokenTrie>,
        strategy: Strategy,
    ) -> Result<Vec<Vec<(usize, Sampled)>>, TrainError> {
        let options = DecodeOptions {
            normalize: Normalize::Vocabulary,
            score_forced: true,
            ..DecodeOptions::new(strategy)
        };
        self.decode(prompts, constraint, &options, |tokens, log_probability, rank| {
            (rank, Sampled { tokens, is_ended: true, log_probability })
        })
    }

    fn decode<C: Constraint, O>(
        &self,
        prompts: &[&[u32]],
        constraint: &C,
        options: &DecodeOptions,
        answer: impl Fn(Vec<u32>, f64, C::Output) -> O,
    ) -> Result<Vec<Vec<O>>, TrainError> {
        let mut session = self.model.session();
        let prefix = session.root();
        let request = |(at, prompt): (usize, &&'_ [u32])| (at as u64, prompt.to_vec());
        let prompts: Vec<(u64, Vec<u32>)> = prompts.iter().enumerate().map(request).collect();
        let requests: Vec<DecodeRequest<'_, C>> = prompts
            .iter()
            .map(|(index, prompt)| DecodeRequest { prefix, prompt, constraint, index: *index })
            .collect();
        let decoded = decode(&mut session, &requests, options).map_err(of_engine)?;
        decoded
            .into_iter()
            .map(|decoded| {
                let decoded = decoded.map_err(|error| of_engine(error.into()))?;
                let hypotheses = decoded.hypotheses.into_iter();
                Ok(hypotheses.map(|found| answer(found.tokens, found.log_prob, found.output)).collect())
            })
            .collect()
    }
}

fn trie_constraint(trie: &TokenTrie, end: Option<u32>) -> Result<TrieConstraint<&TokenTrie>, TrainError> {
    TrieConstraint::new(trie, end).map_err(|error| of_engine(error.into()))
}

/// The engine's error as one of a training.
fn of_engine(error: LmError) -> TrainError {
    TrainError::Model(format!("rollouts: {error}"))
}

/// Any tokens until one that ends, or until there are as many as may be.
struct UntilEnd {
    end: u32,
    most: usize,
    vocabulary: u32,
}

impl Constraint for UntilEnd {
    /// Tokens so far.
    type State = usize;
    type Output = ();

    fn start(&self) -> usize {
        0
    }

    fn allowed(&self, _: &usize) -> Allowed {
        Allowed::Except { below: self.vocabulary, banned: [].into() }
    }

    fn advance(&self, tokens: &usize, token: u32) -> Option<Transition<usize>> {
        let tokens = tokens + 1;
        let is_over = token == self.end || tokens >= self.most;
        Some(if is_over { Transition::Finished(tokens) } else { Transition::Continue(tokens) })
    }

    fn output(&self, _: &usize) -> Option<()> {
        Some(())
    }
}
