//! A whole unlearning: importance, adapter, steps.

use super::answers::TokenPair;
use super::importance::{ImportancePass, measure_importance};
use super::task::{Reference, UnlearningTask, token_objectives};
use crate::TrainError;
use crate::adapter::{self, Attached, Targets};
use crate::nn::{Llama, TokenBatch};
use crate::tape::{Compute, Parameters, Tape};
use crate::trainer::{
    Hooks, Joined, Report, Settings, StepRecord, Trained, check_mergeable, left_out, train,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Unlearning of answers by a decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct UnlearningJob {
    /// What is minimised, as `inverted-hinge` or `gradient-ascent + reference-kl`.
    pub objective: String,
    /// What is trained.
    pub trained: Trained,
    /// How long and how fast; the batch is one of answers to be forgotten, and as many to be kept stand beside them.
    pub settings: Settings,
    /// Answers of a batch of the importance pass.
    pub importance_batch: usize,
}

impl Default for UnlearningJob {
    /// LoKU's: the inverted hinge loss, FILA of rank 16, five epochs' worth of 60 steps with 16 pairs each.
    fn default() -> UnlearningJob {
        UnlearningJob {
            objective: "inverted-hinge".into(),
            trained: Trained { adapter: "fila(rank=16)".into(), ..Trained::default() },
            settings: Settings {
                batch: 16,
                steps: 60,
                warmup: 12,
                rate: 1e-4,
                decay: 0.01,
                checkpoint: 0,
                seed: 42,
                ..Settings::default()
            },
            importance_batch: 2,
        }
    }
}

/// Looks at the model after each step, whose number it is told; where it gives `true` the training ends.
pub type Observer<'o> = dyn FnMut(usize, &Llama, &Parameters) -> bool + 'o;

/// How the adapter began, where it began from weights of the model.
#[derive(Clone, Debug)]
pub struct Rebase {
    /// Which weights matter for which texts.
    pub pass: ImportancePass,
    /// The greatest difference of a logit, over the answers to be forgotten, that moving weights into the adapter has made.
    pub difference: f32,
}

/// What an unlearning has done.
#[derive(Debug)]
pub struct UnlearningOutcome {
    /// Its steps.
    pub report: Report,
    /// Numbers that were trained.
    pub trainable: usize,
    /// The adapter, which is still on the decoder; `None` where everything was trained.
    pub attached: Option<Attached>,
    /// How it began.
    pub rebase: Option<Rebase>,
    /// Seconds of all steps, without those of who looked on.
    pub seconds: f64,
}

/// Where and with what an unlearning runs.
pub(super) struct Course<'c, 'o> {
    /// The folder of the log and the checkpoints, where there is one, and what tells this training from all others.
    pub place: (Option<&'c Path>, &'c str),
    /// The threads.
    pub compute: &'c Arc<Compute>,
    /// Looks on.
    pub observe: &'c mut Observer<'o>,
    /// Is told each step, and how many there are.
    pub progress: &'c mut dyn FnMut(&StepRecord, usize),
}

impl UnlearningJob {
    /// Checks everything that can be wrong before a model is opened.
    ///
    /// # Errors
    /// An objective, adapter or setting that cannot be.
    pub fn check(&self) -> Result<(), TrainError> {
        token_objectives(&self.objective)?;
        self.settings.check()?;
        if self.importance_batch == 0 {
            let problem = "the batch of the importance pass: a whole number from 1 is expected";
            return Err(TrainError::Setting(problem.into()));
        }
        match self.trained.adapter.as_str() {
            "full" => Ok(()),
            text => adapter::parse(text).map(drop),
        }
    }

    /// Trains the decoder to forget. What the adapter learned stays on it; [`crate::nn::merged`] puts it into the weights.
    ///
    /// # Errors
    /// A setting that cannot be, `save_adapter` among them, for there is no folder to save it in; an adapter that cannot be put into the weights;
    /// nothing to forget or to keep, or a loss that is no number.
    pub fn run(
        &self,
        llama: &mut Llama,
        parameters: &mut Parameters,
        texts: (&[TokenPair], &[TokenPair]),
        refusals: &[Vec<u32>],
        compute: &Arc<Compute>,
        observe: &mut Observer,
    ) -> Result<UnlearningOutcome, TrainError> {
        self.check()?;
        if self.trained.save_adapter {
            let problem =
                "save_adapter: a model that unlearns in memory is saved by whoever has it; leave it out";
            return Err(TrainError::Setting(problem.into()));
        }
        let mut quiet = |_: &StepRecord, _: usize| {};
        let run = Course { place: (None, ""), compute, observe, progress: &mut quiet };
        self.learn(llama, parameters, texts, refusals, run)
    }

    /// The same in a folder, with somebody who is told each step.
    ///
    /// # Errors
    /// As [`UnlearningJob::run`], `save_adapter` aside, which whoever called it does; or a file that cannot be written.
    pub(super) fn learn(
        &self,
        llama: &mut Llama,
        parameters: &mut Parameters,
        texts: (&[TokenPair], &[TokenPair]),
        refusals: &[Vec<u32>],
        run: Course<'_, '_>,
    ) -> Result<UnlearningOutcome, TrainError> {
        let Course { place, compute, observe, progress } = run;
        let reference = Reference { llama: llama.clone(), parameters: parameters.clone() };
        let (mut attached, rebase) = self.attach(llama, parameters, texts, compute)?;
        if let Some(attached) = &attached {
            check_mergeable(attached, parameters)?;
        }
        let trainable = parameters.trainable_count();
        let llama = &*llama;
        let seed = self.settings.seed;
        let task = UnlearningTask::new(llama, texts, &self.objective, seed, reference, refusals)?;
        let adapter = attached.as_mut().map(|attached| attached as &mut dyn Hooks);
        let other = Watched { llama, observe, step: 0, done: false, seconds: 0.0 };
        let mut joined = Joined { adapter, other };
        let hooks: Option<&mut dyn Hooks> = Some(&mut joined);
        let report = train(&task, compute, parameters, &self.settings, place, hooks, progress)?;
        let seconds = report.steps.iter().map(|step| step.seconds).sum::<f64>() - joined.other.seconds;
        let trainable = trainable - left_out(attached.as_ref());
        Ok(UnlearningOutcome { report, trainable, attached, rebase, seconds })
    }

    /// Puts the adapter on the decoder and lets it begin where it begins.
    fn attach(
        &self,
        llama: &mut Llama,
        parameters: &mut Parameters,
        texts: (&[TokenPair], &[TokenPair]),
        compute: &Arc<Compute>,
    ) -> Result<(Option<Attached>, Option<Rebase>), TrainError> {
        if self.trained.adapter == "full" {
            return Ok((None, None));
        }
        let configured = adapter::parse(&self.trained.adapter)?;
        let seed = self.settings.seed;
        let (targets, needs_importance) =
            (Targets::parse(&self.trained.targets), configured.spec.needs_importance);
        let mut attached = configured.attach(parameters, llama, &targets, seed, |_| false)?;
        if !needs_importance {
            return Ok((Some(attached), None));
        }
        let weights: Vec<_> = attached.sites().iter().map(|site| site.weight).collect();
        // The adapter is nothing yet; the pass is as fast without it.
        attached.set_active(false);
        let batch = (self.importance_batch, seed);
        let pass = measure_importance(llama, parameters, &weights, texts, batch, compute);
        attached.set_active(true);
        let pass = pass?;
        let before = all_logits(llama, parameters, texts.0, compute);
        attached.rebase(parameters, &pass.importance)?;
        let after = all_logits(llama, parameters, texts.0, compute);
        let difference = before.iter().zip(&after).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        Ok((Some(attached), Some(Rebase { pass, difference })))
    }
}

/// Answers over which the logits before and after re-basing are compared.
const COMPARED: usize = 16;

/// The logits at every token of some answers.
fn all_logits(
    llama: &Llama,
    parameters: &Parameters,
    pairs: &[TokenPair],
    compute: &Arc<Compute>,
) -> Vec<f32> {
    let texts: Vec<Vec<u32>> =
        pairs.iter().take(COMPARED).map(|pair| [&pair.prompt[..], &pair.answer[..]].concat()).collect();
    let batch = TokenBatch::new(texts.iter().map(Vec::as_slice));
    let tape = Tape::inference(parameters, compute);
    let rows: Vec<usize> = (0..batch.tokens.len()).collect();
    llama.logits(&tape, &llama.hidden(&tape, &batch), &rows).value.to_vec()
}

/// Someone who looks on.
struct Watched<'w, 'o> {
    llama: &'w Llama,
    observe: &'w mut Observer<'o>,
    step: usize,
    done: bool,
    /// Seconds of looking on.
    seconds: f64,
}

impl Hooks for Watched<'_, '_> {
    fn after_step(&mut self, parameters: &mut Parameters, _rate: f32) {
        self.step += 1;
        let begun = Instant::now();
        self.done = (self.observe)(self.step, self.llama, parameters);
        self.seconds += begun.elapsed().as_secs_f64();
    }

    fn is_done(&mut self, _parameters: &Parameters) -> bool {
        self.done
    }
}
