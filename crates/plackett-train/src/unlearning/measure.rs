//! How well a decoder knows answers.

use super::answers::{AnswerBatch, TokenPair};
use crate::nn::Llama;
use crate::tape::{Compute, Parameters, Tape};
use std::sync::Arc;

/// Tokens of a pass: logits of a batch are tokens × vocabulary.
const TOKENS: usize = 2048;

/// What a decoder makes of one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AnswerMeasure {
    /// Tokens that are supervised.
    pub tokens: usize,
    /// The mean of −ln p over them.
    pub nll: f64,
    /// At how many of them the likeliest token is the right one, given the right ones before it.
    pub right: usize,
}

impl AnswerMeasure {
    /// MA, memorisation accuracy: the share of places at which the likeliest token is the right one (Tirumala and others, 2022).
    pub fn accuracy(&self) -> f64 {
        self.right as f64 / self.tokens.max(1) as f64
    }

    /// TOFU's probability of an answer: e to the minus mean negative log-likelihood, the geometric mean of its tokens'.
    pub fn probability(&self) -> f64 {
        (-self.nll).exp()
    }
}

/// Measures every answer, in some passes over all; adapters that are on the decoder take part.
pub fn measure_answers(
    llama: &Llama,
    parameters: &Parameters,
    pairs: &[TokenPair],
    compute: &Arc<Compute>,
) -> Vec<AnswerMeasure> {
    let mut measured = Vec::with_capacity(pairs.len());
    let mut rest = pairs;
    while !rest.is_empty() {
        let mut tokens = 0;
        let within = |pair: &&TokenPair| {
            tokens += pair.prompt.len() + pair.answer.len();
            tokens <= TOKENS
        };
        let count = rest.iter().take_while(within).count().max(1);
        let (now, later) = rest.split_at(count);
        measured.extend(measure_batch(llama, parameters, now, compute));
        rest = later;
    }
    measured
}

fn measure_batch(
    llama: &Llama,
    parameters: &Parameters,
    pairs: &[TokenPair],
    compute: &Arc<Compute>,
) -> Vec<AnswerMeasure> {
    let batch = AnswerBatch::new(pairs);
    let tape = Tape::inference(parameters, compute);
    let rows: Vec<usize> = batch.targets.iter().map(|(row, _)| *row).collect();
    let logits = llama.logits(&tape, &llama.hidden(&tape, &batch.tokens), &rows);
    let columns = logits.columns;
    // −ln p of each target, and 1 where it is the likeliest.
    let mut found = vec![0.0; 2 * rows.len()];
    compute.pieces(&mut found, 2, |at, found| {
        let (row, target) = (at / 2, batch.targets[at / 2].1 as usize);
        let logits = &logits.value[row * columns..][..columns];
        found[0] = -log_softmax(logits, target);
        found[1] = f32::from(likeliest(logits) == target);
    });
    let one = |range: &std::ops::Range<usize>| {
        let found = &found[2 * range.start..2 * range.end];
        let sum = |which: usize| found.chunks(2).map(|pair| f64::from(pair[which])).sum::<f64>();
        AnswerMeasure { tokens: range.len(), nll: sum(0) / range.len().max(1) as f64, right: sum(1) as usize }
    };
    batch.ranges.iter().map(one).collect()
}

/// The logarithm of a token's probability.
fn log_softmax(logits: &[f32], token: usize) -> f32 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|x| f64::from(x - most).exp()).sum();
    (f64::from(logits[token] - most) - sum.ln()) as f32
}

/// The token with the greatest logit: of equal ones the first.
pub(super) fn likeliest(logits: &[f32]) -> usize {
    (1..logits.len()).fold(0, |best, at| if logits[at] > logits[best] { at } else { best })
}
