//! Continuations of a prompt that a language model writes and a scorer chooses among: the join of `plackett_arena::choosing` with models.

use plackett_arena::choosing::{Continuation, Drawn, Samples};
use plackett_rank::model::{
    AnswerForm, CallError, Finish, Generated, GenerationOptions, GenerationRequest, LanguageModel, Prompt,
    Sampling,
};
use std::cell::Cell;
use std::time::Instant;

/// What has been written so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Draft {
    /// The text behind the prompt.
    pub text: String,
    /// The sum of its tokens' log-probabilities; 0 from servers that do not tell.
    pub log_prob: f64,
    /// Tokens.
    pub tokens: usize,
}

impl Draft {
    /// The mean log-probability of a token; 0 of none.
    pub fn mean_log_prob(&self) -> f64 {
        self.log_prob / self.tokens.max(1) as f64
    }

    fn with(&self, written: &Generated) -> Draft {
        Draft {
            text: format!("{}{}", self.text, written.text),
            log_prob: self.log_prob + written.log_prob.unwrap_or(0.0),
            tokens: self.tokens + written.usage.generated_tokens,
        }
    }
}

/// A language model that goes on after a prompt.
pub struct Writer<'m> {
    model: &'m dyn LanguageModel,
    prompt: Prompt,
    temperature: f64,
    top_p: Option<f64>,
    seconds: Cell<f64>,
}

impl<'m> Writer<'m> {
    /// Draws with a temperature from the most probable tokens whose probabilities reach `top_p`.
    pub fn new(
        model: &'m dyn LanguageModel,
        prompt: Prompt,
        (temperature, top_p): (f64, Option<f64>),
    ) -> Writer<'m> {
        Writer { model, prompt, temperature, top_p, seconds: Cell::new(0.0) }
    }

    /// Seconds that the model has written so far.
    pub fn seconds(&self) -> f64 {
        self.seconds.get()
    }

    /// The most probable token each time.
    ///
    /// # Errors
    /// The model's own.
    pub fn greedy(&self, tokens: usize) -> Result<Draft, CallError> {
        let mut written = self.write(&self.prompt, 1, tokens, None)?;
        Ok(written.pop().map_or_else(Draft::default, |written| Draft::default().with(&written)))
    }

    /// `samples` continuations of a draft, drawn from a seed.
    ///
    /// # Errors
    /// The model's own.
    pub fn draw(
        &self,
        (draft, seed): (&Draft, u64),
        samples: usize,
        tokens: usize,
    ) -> Result<Vec<Drawn<Draft>>, CallError> {
        let prompt = self.prompt.clone().with_answer(&draft.text);
        let sampling = Sampling { seed, temperature: self.temperature, top_p: self.top_p };
        let drawn = |written: &Generated| Drawn {
            draft: draft.with(written),
            tokens: written.usage.generated_tokens,
            is_done: written.finish != Finish::Length,
        };
        Ok(self.write(&prompt, samples, tokens, Some(sampling))?.iter().map(drawn).collect())
    }

    fn write(
        &self,
        prompt: &Prompt,
        samples: usize,
        tokens: usize,
        sampling: Option<Sampling>,
    ) -> Result<Vec<Generated>, CallError> {
        let begun = Instant::now();
        let options = GenerationOptions { max_tokens: tokens, sampling, ..GenerationOptions::default() };
        let request = |sample| GenerationRequest { prompt, form: &AnswerForm::Text, sample };
        let requests: Vec<GenerationRequest<'_>> = (0..samples as u64).map(request).collect();
        let written = self.model.generate(&requests, &options);
        self.seconds.set(self.seconds.get() + begun.elapsed().as_secs_f64());
        written.into_iter().collect()
    }
}

/// Says how good drafts are.
pub trait Scorer {
    /// What may go wrong.
    type Error;

    /// One number for each draft; greater is better.
    ///
    /// # Errors
    /// The scorer's own.
    fn scores(&self, drafts: &[&Draft]) -> Result<Vec<f64>, Self::Error>;

    /// The writer's failure as one of these errors.
    fn failed(&self, error: CallError) -> Self::Error;
}

/// A writer with a scorer, for [`RescoredSearch`](plackett_arena::choosing::RescoredSearch).
pub struct Scored<'w, S> {
    /// Who writes.
    pub writer: &'w Writer<'w>,
    /// Who scores.
    pub scorer: &'w S,
}

impl<S: Scorer> Continuation for Scored<'_, S> {
    type Draft = Draft;
    type Error = S::Error;

    fn start(&self) -> Draft {
        Draft::default()
    }

    fn sample(
        &self,
        drafts: &[(&Draft, u64)],
        samples: usize,
        tokens: usize,
    ) -> Result<Samples<Draft>, S::Error> {
        let draw = |own: &(&Draft, u64)| self.writer.draw(*own, samples, tokens);
        drafts.iter().map(|own| draw(own).map_err(|error| self.scorer.failed(error))).collect()
    }

    fn score(&self, drafts: &[&Draft]) -> Result<Vec<f64>, S::Error> {
        self.scorer.scores(drafts)
    }
}
