//! Questions with their answers as tokens, and learning to write the answers.

use crate::TrainError;
use crate::nn::{Llama, Mode, TokenBatch};
use crate::tape::Tape;
use crate::trainer::{StepLoss, Task};
use std::ops::Range;

/// A question with its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenPair {
    /// What is given; it is not supervised. May be empty: the answer's first token is then given.
    pub prompt: Vec<u32>,
    /// What is supervised, with the token that ends it.
    pub answer: Vec<u32>,
}

impl TokenPair {
    /// How many tokens are supervised.
    pub fn supervised(&self) -> usize {
        match self.prompt.is_empty() {
            true => self.answer.len().saturating_sub(1),
            false => self.answer.len(),
        }
    }
}

/// Pairs one after another, and which of their tokens are supervised.
#[derive(Clone, Debug)]
pub struct AnswerBatch {
    /// All tokens.
    pub tokens: TokenBatch,
    /// The row before each supervised token, and that token.
    pub targets: Vec<(usize, u32)>,
    /// The targets of each pair.
    pub ranges: Vec<Range<usize>>,
}

impl AnswerBatch {
    /// A batch of some pairs.
    pub fn new<'p>(pairs: impl IntoIterator<Item = &'p TokenPair>) -> AnswerBatch {
        let pairs: Vec<&TokenPair> = pairs.into_iter().collect();
        let whole: Vec<Vec<u32>> =
            pairs.iter().map(|pair| [&pair.prompt[..], &pair.answer[..]].concat()).collect();
        let tokens = TokenBatch::new(whole.iter().map(Vec::as_slice));
        let (mut targets, mut ranges) = (Vec::new(), Vec::new());
        for (pair, (text, sequence)) in pairs.iter().zip(whole.iter().zip(tokens.sequences.iter())) {
            let start = targets.len();
            for place in pair.prompt.len().max(1)..text.len() {
                targets.push((sequence.start + place - 1, text[place]));
            }
            ranges.push(start..targets.len());
        }
        AnswerBatch { tokens, targets, ranges }
    }
}

/// Learning to write answers: the mean negative log-likelihood of the supervised tokens of a batch.
pub struct AnswerTask<'m> {
    /// The decoder.
    pub llama: &'m Llama,
    /// What it learns.
    pub pairs: &'m [TokenPair],
}

impl Task for AnswerTask<'_> {
    fn count(&self) -> usize {
        self.pairs.len()
    }

    fn recomputes(&self) -> bool {
        true
    }

    fn loss(&self, tape: &Tape, examples: &[usize], _mode: Mode) -> Result<StepLoss, TrainError> {
        let batch = AnswerBatch::new(examples.iter().map(|at| &self.pairs[*at]));
        let hidden = self.llama.hidden(tape, &batch.tokens);
        let logs = self.llama.log_probabilities(tape, &hidden, &batch.targets);
        let value = tape.scale(&tape.mean(&logs), -1.0);
        Ok(StepLoss { value, tokens: batch.tokens.tokens.len(), used: batch.targets.len(), skipped: 0 })
    }
}
