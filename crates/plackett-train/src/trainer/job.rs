//! A whole training, from a base model and examples to a directory of a model.

use super::evaluation::Evaluation;
use super::examples::RankingExample;
use super::list_ndcg::ListsMeasured;
use super::phases::{PHASE_ADAPTER, PhaseMember};
use super::run::{Hooks, Report, train_evaluated};
use super::trained::{Trained, check_mergeable, left_out, parse_objective, ranks_of};
use super::{CrossEncoder, PairModel, RankingTask, ScoredDecoder, Settings, StepRecord};
use crate::TrainError;
use crate::adapter::Attached;
use crate::objective::Term;
use crate::tape::{Compute, Gradients, ParameterId, Parameters};
use plackett_lm::decoder::{PAIR_PROMPTS, PairPrompt};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// A cross-encoder, or a decoder with a score head, that learns from lists of labelled candidates.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct RankingJob {
    /// What is minimised.
    pub objective: String,
    /// Most tokens of a pair.
    pub tokens: usize,
    /// What is trained.
    pub trained: Trained,
    /// How many of the first layers keep query and document apart (Pyramid-ERNIE); as the base does where it is not said. Models
    /// that do are run by the training engine alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub separate_layers: Option<usize>,
    /// The name of the prompt in which a decoder reads pairs ([`PAIR_PROMPTS`]), to which a score head is added; none for an encoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// How long and how fast.
    pub settings: Settings,
}

impl Default for RankingJob {
    fn default() -> RankingJob {
        let (trained, settings) = (Trained::default(), Settings::default());
        let (separate_layers, prompt) = (None, None);
        RankingJob { objective: "bce".into(), tokens: 128, trained, separate_layers, prompt, settings }
    }
}

/// What a job has done.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Its steps, phase after phase.
    pub report: Report,
    /// Numbers that were trained.
    pub trainable: usize,
    /// Numbers of the whole model.
    pub parameters: usize,
    /// The mean loss over the validation examples before and after; `None` without such.
    pub validation: Option<[f64; 2]>,
    /// nDCG@10 of each validation list that has a label above 0, before and after; `None` without such, and of trainings whose examples
    /// are no lists of candidates with scores.
    pub ndcg: Option<[Vec<f64>; 2]>,
    /// Ranks of the layers that have one, by name.
    pub ranks: Vec<(String, usize)>,
    /// What was cut of the texts.
    pub cut: CutTexts,
}

impl Outcome {
    /// Takes up what was made of the validation lists before and after.
    pub(super) fn set_measured(&mut self, measured: Option<(ListsMeasured, ListsMeasured)>) {
        let Some((before, after)) = measured else { return };
        self.validation = Some([before.loss, after.loss]);
        self.ndcg = (!before.ndcg.is_empty()).then_some([before.ndcg, after.ndcg]);
    }
}

/// Pairs of a query and a document, or other texts, of which a model reads only a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CutTexts {
    /// How many there are.
    pub pairs: usize,
    /// Of so many.
    pub of: usize,
    /// Tokens that are read.
    pub tokens: usize,
    /// What they are, in the plural.
    pub what: &'static str,
}

impl CutTexts {
    /// What is to be said of them; nothing where none was cut.
    pub fn sentence(&self) -> Option<String> {
        let CutTexts { pairs, of, tokens, what } = self;
        (*pairs > 0).then(|| {
            format!(
                "{pairs} of {of} {what} have more than {tokens} tokens, and what is more is not read; \
                 `tokens` sets how many are, up to what the model can read"
            )
        })
    }
}

impl Hooks for Attached {
    fn begin_pass(&mut self, pass: u64) {
        Attached::begin_pass(self, pass);
    }

    fn before_step(&mut self, parameters: &Parameters, gradients: &mut Gradients) {
        Attached::before_step(self, parameters, gradients);
    }

    fn after_step(&mut self, parameters: &mut Parameters, rate: f32) {
        Attached::after_step(self, parameters, rate);
    }

    fn next_phase(&mut self, parameters: &mut Parameters) -> bool {
        Attached::next_phase(self, parameters)
    }

    fn save_phase(&self, parameters: &Parameters, folder: &Path) -> Result<Option<PhaseMember>, TrainError> {
        let Some((setting, size)) = self.member(parameters) else { return Ok(None) };
        std::fs::create_dir_all(folder).map_err(|source| TrainError::file(folder, source))?;
        let own = self.parameters();
        let heads = parameters.iter().filter(|(id, parameter)| parameter.trainable && !own.contains(id));
        let heads: Vec<ParameterId> = heads.map(|(id, _)| id).collect();
        self.save(parameters, &folder.join(PHASE_ADAPTER), &heads)?;
        Ok(Some(PhaseMember { setting, size, ranks: ranks_of(Some(self), parameters) }))
    }

    fn state(&self) -> Vec<u8> {
        Attached::state(self)
    }

    fn set_state(&mut self, state: &[u8]) -> Result<(), TrainError> {
        Attached::set_state(self, state)
    }
}

/// Fewest tokens of a pair: fewer have no room for a word of both beside the separators.
const FEWEST_TOKENS: usize = 8;

impl RankingJob {
    /// Checks everything that can be wrong before a model is opened.
    ///
    /// # Errors
    /// An objective, adapter or setting that cannot be.
    pub fn check(&self) -> Result<(), TrainError> {
        self.terms()?;
        self.settings.check()?;
        self.settings.check_layers(&self.trained.adapter, self.trained.adapter != "head")?;
        if self.tokens < FEWEST_TOKENS {
            let problem = format!("tokens: a whole number from {FEWEST_TOKENS} is expected");
            return Err(TrainError::Setting(problem));
        }
        self.trained.check(&["full", "head"])?;
        let Some(prompt) = &self.prompt else { return Ok(()) };
        pair_prompt(prompt)?;
        self.settings.check_decoder(true)?;
        match self.separate_layers {
            None => Ok(()),
            Some(_) => Err(TrainError::Setting(
                "separate_layers: is for encoders, and a `prompt` is for decoders; leave one of them out"
                    .into(),
            )),
        }
    }

    /// What is minimised, term by term.
    pub(super) fn terms(&self) -> Result<Vec<Term>, TrainError> {
        parse_objective(&self.objective)
    }

    /// Trains the model of `base` and writes it to `output`. In `work` lie the log and checkpoints, from which a run that was
    /// killed goes on; `identity` tells this training from others.
    ///
    /// # Errors
    /// A setting that cannot be, a model or file that cannot be read or written, or a loss that is no number.
    pub fn run(
        &self,
        base: &Path,
        (examples, validation): (&[RankingExample], &[RankingExample]),
        (work, output): (&Path, &Path),
        identity: &str,
        compute: &Arc<Compute>,
        progress: &mut dyn FnMut(&StepRecord, usize),
    ) -> Result<Outcome, TrainError> {
        self.check()?;
        std::fs::create_dir_all(work).map_err(|source| TrainError::file(work, source))?;
        let mut parameters = Parameters::default();
        let mut model = self.open_any(base, &mut parameters)?;
        let count = parameters.count();
        let mut attached = self.attach(&mut parameters, model.as_mut())?;
        if let Some(attached) = &attached {
            check_mergeable(attached, &parameters)?;
        }
        let mut outcome =
            Outcome { trainable: parameters.trainable_count(), parameters: count, ..Outcome::default() };
        let task = RankingTask::new(model.as_ref(), examples, self.terms()?)?;
        let held_out = match validation.is_empty() {
            true => None,
            false => {
                let task = RankingTask::new(model.as_ref(), validation, self.terms()?);
                Some(task.map_err(|error| TrainError::Setting(format!("validation: {error}")))?)
            }
        };
        outcome.cut = cut_texts(std::iter::once(&task).chain(&held_out), model.most_tokens());
        let batch = self.settings.batch;
        let measure =
            |parameters: &Parameters| ListsMeasured::of(held_out.as_ref(), compute, parameters, batch);
        let before = measure(&parameters)?;
        let hooks = attached.as_mut().map(|attached| attached as &mut dyn Hooks);
        let evaluation = held_out.as_ref().map(|task| Evaluation::of_lists(task, compute, batch));
        let (place, hooks) = ((Some(work), identity), (hooks, evaluation));
        outcome.report =
            train_evaluated(&task, compute, &mut parameters, &self.settings, place, hooks, progress)?;
        outcome.set_measured(before.zip(measure(&parameters)?));
        outcome.trainable -= left_out(attached.as_ref());
        outcome.ranks = ranks_of(attached.as_ref(), &parameters);
        model.save(output, &parameters)?;
        let heads = parameters.iter().filter(|(_, parameter)| model.is_head(&parameter.name));
        let heads: Vec<ParameterId> = heads.map(|(id, _)| id).collect();
        let learned = (&parameters, heads.as_slice());
        self.trained.save(attached.as_ref(), learned, "SEQ_CLS", (base, output))?;
        Ok(outcome)
    }

    /// The base model of either kind.
    fn open_any(&self, base: &Path, parameters: &mut Parameters) -> Result<Box<dyn PairModel>, TrainError> {
        let Some(prompt) = &self.prompt else { return Ok(Box::new(self.open(base, parameters)?)) };
        let (prompt, seed) = (pair_prompt(prompt)?, self.settings.seed);
        Ok(Box::new(ScoredDecoder::open(base, parameters, prompt, self.tokens, seed)?))
    }

    /// The base model where it is an encoder, with as many layers kept apart as is asked.
    pub(super) fn open(&self, base: &Path, parameters: &mut Parameters) -> Result<CrossEncoder, TrainError> {
        if let Some(prompt) = &self.prompt {
            return Err(TrainError::Setting(format!(
                "prompt = \"{prompt}\": an encoder reads pairs without one; leave it out"
            )));
        }
        let mut model = CrossEncoder::open(base, parameters, self.tokens, self.settings.seed)?;
        if let Some(layers) = self.separate_layers {
            model.keep_apart(layers)?;
        }
        Ok(model)
    }

    /// Lets what is to be trained be trained.
    pub(super) fn attach(
        &self,
        parameters: &mut Parameters,
        model: &mut dyn PairModel,
    ) -> Result<Option<Attached>, TrainError> {
        let heads: Vec<String> = parameters.iter().map(|(_, parameter)| parameter.name.clone()).collect();
        let heads: Vec<String> = heads.into_iter().filter(|name| model.is_head(name)).collect();
        let is_head = |name: &str| heads.iter().any(|head| head == name);
        match self.trained.adapter.as_str() {
            "full" => Ok(None),
            "head" => {
                parameters.train_only(|parameter| is_head(&parameter.name));
                Ok(None)
            }
            _ => self.trained.attach(parameters, model.adaptable(), self.settings.seed, is_head).map(Some),
        }
    }
}

/// The prompt of a name.
fn pair_prompt(name: &str) -> Result<&'static PairPrompt, TrainError> {
    PairPrompt::find(name).ok_or_else(|| {
        let known = PAIR_PROMPTS.map(|prompt| prompt.name).join(", ");
        TrainError::Setting(format!("prompt: there is no `{name}`; there are {known}"))
    })
}

/// What is cut of the texts of all examples.
pub(super) fn cut_texts<'t>(tasks: impl Iterator<Item = &'t RankingTask<'t>>, tokens: usize) -> CutTexts {
    tasks.fold(
        CutTexts { tokens, what: "pairs of a query and a document", ..CutTexts::default() },
        |all, task| {
            let (pairs, of) = task.cut();
            CutTexts { pairs: all.pairs + pairs, of: all.of + of, ..all }
        },
    )
}
