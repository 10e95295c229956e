//! Greedy continuations, by whole passes without a cache: for the short answers of evaluations during a training.

use super::TokenPair;
use super::measure::likeliest;
use crate::nn::{Llama, TokenBatch};
use crate::tape::{Compute, Parameters, Tape};
use std::collections::HashSet;
use std::sync::Arc;

/// Tokens of a pass.
const TOKENS: usize = 4096;

/// What a decoder writes after each prompt, the likeliest token at each place, until `end`, which is left out, or as many tokens
/// as are given with the prompt. A prompt without tokens is continued with nothing.
pub fn greedy(
    llama: &Llama,
    parameters: &Parameters,
    prompts: &[(&[u32], usize)],
    end: u32,
    compute: &Arc<Compute>,
) -> Vec<Vec<u32>> {
    let mut texts: Vec<Vec<u32>> = prompts.iter().map(|(prompt, _)| prompt.to_vec()).collect();
    let longest = prompts.iter().map(|(prompt, most)| prompt.len() + most).max().unwrap_or(0);
    let together = (TOKENS / longest.max(1)).max(1);
    for (texts, prompts) in texts.chunks_mut(together).zip(prompts.chunks(together)) {
        let has_room = |at: &usize, text: &Vec<u32>| text.len() < prompts[*at].0.len() + prompts[*at].1;
        let mut open: Vec<usize> =
            (0..texts.len()).filter(|at| !prompts[*at].0.is_empty() && has_room(at, &texts[*at])).collect();
        while !open.is_empty() {
            let next = next_tokens(llama, parameters, open.iter().map(|at| &texts[*at][..]), compute);
            let mut still = Vec::with_capacity(open.len());
            for (at, token) in open.iter().zip(next).filter(|(_, token)| *token != end) {
                texts[*at].push(token);
                if has_room(at, &texts[*at]) {
                    still.push(*at);
                }
            }
            open = still;
        }
    }
    texts.into_iter().zip(prompts).map(|(mut text, (prompt, _))| text.split_off(prompt.len())).collect()
}

/// The likeliest token after each text.
fn next_tokens<'t>(
    llama: &Llama,
    parameters: &Parameters,
    texts: impl Iterator<Item = &'t [u32]>,
    compute: &Arc<Compute>,
) -> Vec<u32> {
    let batch = TokenBatch::new(texts);
    let last: Vec<usize> = batch.sequences.iter().map(|sequence| sequence.end - 1).collect();
    let tape = Tape::inference(parameters, compute);
    let logits = llama.logits(&tape, &llama.hidden(&tape, &batch), &last);
    logits.value.chunks(logits.columns).map(|logits| likeliest(logits) as u32).collect()
}

/// EL_n, extraction likelihood (Jang and others, Knowledge Unlearning for Mitigating Privacy Risks, 2023, Equation 4): the
/// mean, over `prefixes` beginnings of an answer at equal distances, of the share of the n-grams of the greedy continuation that
/// the rest of the answer has. The paper takes every beginning; 0 for an answer with fewer than n + 1 tokens.
pub fn extraction_likelihood(
    llama: &Llama,
    parameters: &Parameters,
    pairs: &[TokenPair],
    (n, prefixes, end): (usize, usize, u32),
    compute: &Arc<Compute>,
) -> Vec<f64> {
    let mut begun: Vec<(usize, usize)> = Vec::new();
    for (at, pair) in pairs.iter().enumerate() {
        // The end of a text is no part of an n-gram.
        let places = pair.answer.len().saturating_sub(1 + n.max(1));
        let count = prefixes.min(places);
        begun.extend((0..count).map(|nth| (at, nth * places / count.max(1))));
    }
    let texts: Vec<Vec<u32>> = begun
        .iter()
        .map(|(at, given)| [&pairs[*at].prompt[..], &pairs[*at].answer[..*given]].concat())
        .collect();
    // More than what is left of the answer is not compared.
    let left = begun.iter().map(|(at, given)| pairs[*at].answer.len() - given);
    let prompts: Vec<(&[u32], usize)> = texts.iter().map(Vec::as_slice).zip(left).collect();
    let written = greedy(llama, parameters, &prompts, end, compute);
    let mut sums = vec![(0.0, 0usize); pairs.len()];
    for ((at, given), written) in begun.iter().zip(&written) {
        let rest = &pairs[*at].answer[*given..];
        let rest = rest.strip_suffix(&[end]).unwrap_or(rest);
        let known: HashSet<&[u32]> = rest.windows(n.max(1)).collect();
        let grams = written[..written.len().min(rest.len())].windows(n.max(1));
        let count = grams.len();
        let shared = grams.filter(|gram| known.contains(gram)).count();
        let (sum, prefixes) = &mut sums[*at];
        *sum += if count == 0 { 0.0 } else { shared as f64 / count as f64 };
        *prefixes += 1;
    }
    sums.into_iter().map(|(sum, count)| if count == 0 { 0.0 } else { sum / count as f64 }).collect()
}
