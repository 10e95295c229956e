//! A whole training of an encoder–decoder as a reranker, from a base model and lists of prompts to a directory of a model.

use super::encoder_decoder::{EncoderDecoderModel, FirstToken};
use super::evaluation::Evaluation;
use super::first_token_task::{FirstTokenTask, PromptedList, check_objective};
use super::job::Outcome;
use super::list_ndcg::ListsMeasured;
use super::run::{Hooks, train_evaluated};
use super::trained::{Trained, left_out, parse_objective, ranks_of};
use super::{Settings, StepRecord};
use crate::TrainError;
use crate::objective::Term;
use crate::tape::{Compute, Parameters};
use std::path::Path;
use std::sync::Arc;

/// An encoder–decoder that learns to rank by the first token of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct FirstTokenJob {
    /// What is minimised: `language` for the words that are written, or objectives of scores.
    pub objective: String,
    /// What is trained: `full`, or an adapter that can be merged.
    pub trained: Trained,
    /// How long and how fast.
    pub settings: Settings,
}

impl FirstTokenJob {
    /// Checks everything that can be wrong before a model is opened.
    ///
    /// # Errors
    /// An objective, adapter or setting that cannot be.
    pub fn check(&self) -> Result<(), TrainError> {
        check_objective(&self.terms()?)?;
        self.settings.check()?;
        if self.settings.head_rate > 0.0 {
            return Err(TrainError::Setting(format!(
                "head_rate = {}: no part of an encoder–decoder is new, so that it would change nothing; leave it out and set rate",
                self.settings.head_rate
            )));
        }
        self.trained.check(&["full"])
    }

    fn terms(&self) -> Result<Vec<Term>, TrainError> {
        parse_objective(&self.objective)
    }

    /// Trains the model of `base` and writes it to `output`; `read` is what of the first token is the score. In `work` lie the log
    /// and checkpoints, from which a run that was killed goes on; `identity` tells this training from others.
    ///
    /// # Errors
    /// A setting or list that cannot be, a model or file that cannot be read or written, or a loss that is no number.
    pub fn run(
        &self,
        base: &Path,
        (lists, validation, read): (&[PromptedList], &[PromptedList], FirstToken),
        (work, output): (&Path, &Path),
        identity: &str,
        compute: &Arc<Compute>,
        progress: &mut dyn FnMut(&StepRecord, usize),
    ) -> Result<Outcome, TrainError> {
        self.check()?;
        std::fs::create_dir_all(work).map_err(|source| TrainError::file(work, source))?;
        let mut parameters = Parameters::default();
        let mut model = EncoderDecoderModel::open(base, &mut parameters)?;
        let count = parameters.count();
        let mut attached = self.trained.attach_or_full(&mut parameters, &mut model.t5, self.settings.seed)?;
        let mut outcome =
            Outcome { trainable: parameters.trainable_count(), parameters: count, ..Outcome::default() };
        let task = FirstTokenTask::new(&model, lists, read, self.terms()?)?;
        let held_out = match validation.is_empty() {
            true => None,
            false => {
                let task = FirstTokenTask::new(&model, validation, read, self.terms()?);
                Some(task.map_err(|error| TrainError::Setting(format!("validation: {error}")))?)
            }
        };
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
        self.trained.save(attached.as_ref(), (&parameters, &[]), "SEQ_2_SEQ_LM", (base, output))?;
        Ok(outcome)
    }
}
