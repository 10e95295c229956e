//! What a decoder says of prompts in blocks: by attention, and by what it would write.

use super::task::{InContextPrompt, InContextSettings};
use crate::TrainError;
use crate::nn::{BlockBatch, Llama};
use crate::tape::{Compute, Parameters, Tape};
use std::sync::Arc;

/// Prompts that are read together.
const TOGETHER: usize = 32;

/// What is read of a prompt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InContextReading {
    /// The share of attention of each passage; they sum to 1.
    pub shares: Vec<f32>,
    /// The logit of each passage's identifier as the first token of the answer.
    pub logits: Vec<f32>,
}

impl InContextReading {
    /// The passage with the greatest share, the first of equal ones.
    pub fn attended(&self) -> usize {
        greatest(&self.shares)
    }

    /// The passage whose identifier would be written, among the identifiers alone; the first of equal ones.
    pub fn written(&self) -> usize {
        greatest(&self.logits)
    }
}

/// The place of the greatest number, the first of equal ones.
fn greatest(numbers: &[f32]) -> usize {
    (0..numbers.len()).fold(0, |best, at| if numbers[at] > numbers[best] { at } else { best })
}

/// Reads prompts; passage k of each has the token `identifiers[k]` as its identifier.
///
/// # Errors
/// A layer that there is not, or more passages than identifiers.
pub fn read_prompts(
    (llama, parameters, compute): (&Llama, &Parameters, &Arc<Compute>),
    prompts: &[InContextPrompt],
    identifiers: &[u32],
    settings: &InContextSettings,
) -> Result<Vec<InContextReading>, TrainError> {
    settings.check(llama)?;
    if let Some(prompt) = prompts.iter().find(|prompt| prompt.passages.len() > identifiers.len()) {
        return Err(TrainError::Setting(format!(
            "a prompt has {} passages, and there are {} identifiers",
            prompt.passages.len(),
            identifiers.len()
        )));
    }
    let mut all = Vec::with_capacity(prompts.len());
    for prompts in prompts.chunks(TOGETHER) {
        let tape = Tape::inference(parameters, compute);
        let blocks =
            BlockBatch::new(prompts.iter().map(|prompt| prompt.blocks(false)), settings.query_position);
        let reading = llama.read_blocks(&tape, &blocks, settings.layer);
        let shares = llama.block_shares(&tape, &blocks, &reading);
        let hidden = llama.read_on(&tape, &blocks, &reading);
        let logits = llama.logits(&tape, &hidden, &blocks.openers);
        for (list, row) in blocks.lists().into_iter().zip(logits.value.chunks(logits.columns.max(1))) {
            let written = identifiers.iter().take(list.len()).map(|token| row[*token as usize]).collect();
            all.push(InContextReading { shares: shares.value[list].to_vec(), logits: written });
        }
    }
    Ok(all)
}
