//! The two losses of prompts in blocks.

use crate::TrainError;
use crate::nn::{BlockBatch, BlockPrompt, Llama, Mode, QUERY_POSITION};
use crate::objective::{Batch, Lists, Loss, Term, Tokens, parse_sum};
use crate::tape::{Tape, Var};
use crate::trainer::{StepLoss, Task};
use std::ops::Range;

/// A prompt whose passages are labelled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InContextPrompt {
    /// What all passages see.
    pub instruction: Vec<u32>,
    /// The passages, each with its identifier.
    pub passages: Vec<Vec<u32>>,
    /// What is asked behind them; its last token opens the answer.
    pub question: Vec<u32>,
    /// What is to be written: identifiers of relevant passages.
    pub answer: Vec<u32>,
    /// One label a passage; above 0 it is relevant.
    pub labels: Vec<f32>,
}

impl InContextPrompt {
    /// Its blocks; without the answer where nothing is learned from it.
    pub(super) fn blocks(&self, answered: bool) -> BlockPrompt<'_> {
        BlockPrompt {
            instruction: &self.instruction,
            passages: &self.passages,
            question: &self.question,
            answer: if answered { &self.answer } else { &[] },
        }
    }

    /// What cannot be read by a model with so many tokens.
    fn problem(&self, vocabulary: usize) -> Option<String> {
        let texts = self.passages.iter().chain([&self.instruction, &self.question, &self.answer]);
        if let Some(token) = texts.flatten().find(|token| **token as usize >= vocabulary) {
            return Some(format!("token {token} is beyond the vocabulary of {vocabulary}"));
        }
        if self.passages.is_empty() || self.passages.iter().any(Vec::is_empty) {
            return Some("it has no passage, or an empty one; at least one token each is expected".into());
        }
        if self.labels.len() != self.passages.len() {
            return Some(format!("{} labels for {} passages", self.labels.len(), self.passages.len()));
        }
        if self.question.len() < 2 || self.answer.is_empty() {
            return Some("a question of two tokens at least and an answer are expected".into());
        }
        None
    }
}

/// Where attention is read, and what counts how much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InContextSettings {
    /// The layer whose attention is read, from 1.
    pub layer: usize,
    /// Position of the first token of the question.
    pub query_position: u32,
    /// Weight of the loss on the answer; 0 leaves it out, and the layers after `layer` with it.
    pub answer: f32,
    /// Weight of the loss on attention; 0 leaves it out.
    pub auxiliary: f32,
    /// What shares of attention are divided by in that loss.
    pub temperature: f32,
}

impl InContextSettings {
    /// The paper's weights and temperature, at a layer.
    pub fn at(layer: usize) -> InContextSettings {
        InContextSettings {
            layer,
            query_position: QUERY_POSITION,
            answer: 1.0,
            auxiliary: 0.1,
            temperature: 0.05,
        }
    }

    /// Refuses a layer that the model does not have.
    pub(super) fn check(&self, llama: &Llama) -> Result<(), TrainError> {
        let layers = llama.layers.len();
        match (1..=layers).contains(&self.layer) {
            true => Ok(()),
            false => Err(TrainError::Setting(format!(
                "layer: {} of a model with {layers} is wanted; a whole number from 1 to {layers} is expected",
                self.layer
            ))),
        }
    }
}

/// Labelled prompts and a decoder.
pub struct InContextTask<'m> {
    llama: &'m Llama,
    prompts: &'m [InContextPrompt],
    settings: InContextSettings,
    language: Vec<Term>,
    attention: Vec<Term>,
}

impl<'m> InContextTask<'m> {
    /// Prompts to learn from.
    ///
    /// # Errors
    /// A prompt that cannot be read, a layer that there is not, or weights that leave nothing to learn.
    pub fn new(
        llama: &'m Llama,
        prompts: &'m [InContextPrompt],
        settings: InContextSettings,
    ) -> Result<InContextTask<'m>, TrainError> {
        settings.check(llama)?;
        let vocabulary = llama.config.vocab_size;
        for (at, prompt) in prompts.iter().enumerate() {
            if let Some(problem) = prompt.problem(vocabulary) {
                return Err(TrainError::Setting(format!("prompt {}: {problem}", at + 1)));
            }
        }
        let is_weight = |weight: f32| weight.is_finite() && weight >= 0.0;
        let InContextSettings { answer, auxiliary, temperature, .. } = settings;
        if !is_weight(answer) || !is_weight(auxiliary) || answer + auxiliary == 0.0 {
            return Err(TrainError::Setting(
                "answer and auxiliary: weights from 0 are expected, and one above 0".into(),
            ));
        }
        let read = |text: &str| parse_sum(text).map_err(|error| TrainError::Setting(error.to_string()));
        let attention = read(&format!("blockrank-auxiliary(temperature={temperature})"))?;
        Ok(InContextTask { llama, prompts, settings, language: read("language")?, attention })
    }

    /// The loss on what is written after the openers.
    fn answer_loss(
        &self,
        tape: &Tape,
        (prompts, blocks): (&[&InContextPrompt], &BlockBatch),
        hidden: &Var,
    ) -> Result<Loss, TrainError> {
        let (mut targets, mut ranges): (Vec<(usize, u32)>, Vec<Range<usize>>) = Default::default();
        for (prompt, opener) in prompts.iter().zip(&blocks.openers) {
            let start = targets.len();
            targets.extend(prompt.answer.iter().enumerate().map(|(at, token)| (opener + at, *token)));
            ranges.push(start..targets.len());
        }
        let log_probabilities = self.llama.log_probabilities(tape, hidden, &targets);
        loss_of(tape, &self.language, &Batch::Tokens(Tokens::new(&log_probabilities, &ranges)))
    }
}

/// The loss of the first objective of a sum of one.
fn loss_of(tape: &Tape, terms: &[Term], batch: &Batch) -> Result<Loss, TrainError> {
    match terms.first() {
        Some(term) => term.objective.loss(tape, batch).map_err(|error| TrainError::Model(error.to_string())),
        None => Err(TrainError::Setting("an objective is expected".into())),
    }
}

impl Task for InContextTask<'_> {
    fn count(&self) -> usize {
        self.prompts.len()
    }

    fn recomputes(&self) -> bool {
        true
    }

    /// answer · L_language + auxiliary · L_attention, from one pass.
    fn loss(&self, tape: &Tape, examples: &[usize], _mode: Mode) -> Result<StepLoss, TrainError> {
        let InContextSettings { layer, query_position, answer, auxiliary, .. } = self.settings;
        let prompts: Vec<&InContextPrompt> = examples.iter().map(|at| &self.prompts[*at]).collect();
        let blocks =
            BlockBatch::new(prompts.iter().map(|prompt| prompt.blocks(answer > 0.0)), query_position);
        let reading = self.llama.read_blocks(tape, &blocks, layer);
        let mut losses = Vec::new();
        if answer > 0.0 {
            let hidden = self.llama.read_on(tape, &blocks, &reading);
            losses.push((answer, self.answer_loss(tape, (&prompts, &blocks), &hidden)?));
        }
        if auxiliary > 0.0 {
            let shares = self.llama.block_shares(tape, &blocks, &reading);
            let labels: Vec<f32> = prompts.iter().flat_map(|prompt| prompt.labels.iter().copied()).collect();
            let lists = blocks.lists();
            let batch = Batch::Lists(Lists::new(&shares, &lists, &labels));
            losses.push((auxiliary, loss_of(tape, &self.attention, &batch)?));
        }
        let tokens = blocks.batch.tokens.len();
        let mut sum = StepLoss { value: tape.constant((1, 1), &[0.0]), tokens, used: 0, skipped: 0 };
        for (weight, loss) in losses {
            sum.value = tape.plus(&sum.value, &tape.scale(&loss.value, weight));
            sum.used = sum.used.max(loss.used);
            sum.skipped = sum.skipped.max(loss.skipped);
        }
        Ok(sum)
    }
}
