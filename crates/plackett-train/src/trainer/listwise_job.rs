//! A whole training of a decoder as a reranker of lists, from a base model and lists to a directory of a model.

use super::evaluation::Evaluation;
use super::job::Outcome;
use super::listwise_task::{ListExample, ListMeasure, ListwiseTask, check_objective, measure_lists};
use super::run::{Hooks, mean_loss, train_evaluated};
use super::trained::{Trained, left_out, parse_objective, ranks_of};
use super::{LanguageModel, Settings, StepRecord};
use crate::TrainError;
use crate::nn::LlamaConfig;
use crate::objective::Term;
use crate::tape::{Compute, Parameters};
use std::path::Path;
use std::sync::Arc;

/// The weights that a training begins with.
#[derive(Clone, Debug, PartialEq)]
pub enum ListwiseStart {
    /// Those of the base.
    Base,
    /// The first layers of the base, with its last norm and output matrix.
    FirstLayers(usize),
    /// Drawn by the seed, in a shape of its own, under the tokenizer and chat template of the base.
    Drawn {
        /// Layers.
        layers: usize,
        /// Numbers of a token.
        width: usize,
        /// Heads of attention.
        heads: usize,
    },
}

/// What a model that was saved is worth, as the inference engine runs it; a greater value is better.
#[derive(Clone, Copy)]
pub struct SavedMeasure<'e> {
    /// What is measured, in a user's words.
    pub name: &'static str,
    /// Measures the model of a folder.
    pub of: &'e dyn Fn(&Path) -> Result<f64, TrainError>,
}

impl<'e> SavedMeasure<'e> {
    /// An evaluation of a model that is saved for it in a folder of its own in `work`, which is gone after it.
    fn evaluation(self, model: &'e LanguageModel, work: &'e Path) -> Evaluation<'e> {
        let mut count = 0;
        let value = move |parameters: &Parameters| {
            // Never the same folder twice: whoever has opened a model may know it by its place.
            count += 1;
            let folder = work.join(format!("evaluated-{count}"));
            model.clone().save(&folder, parameters)?;
            let value = (self.of)(&folder);
            std::fs::remove_dir_all(&folder).map_err(|source| TrainError::file(&folder, source))?;
            value
        };
        Evaluation { measure: self.name, greater_is_better: true, value: Box::new(value) }
    }
}

/// A decoder that learns to order lists, by writing orders, by the first token, or both.
#[derive(Clone, Debug, PartialEq)]
pub struct ListwiseJob {
    /// What is minimised.
    pub objective: String,
    /// Where it begins.
    pub start: ListwiseStart,
    /// What is trained: `full`, or an adapter that can be merged.
    pub trained: Trained,
    /// Whether the answer of every list ends with the token by which the model ends a turn.
    pub ends: bool,
    /// α of NEFTune's noise on the embeddings of what is learned from; 0 for none.
    pub noise: f32,
    /// Lists of a pass while held-out ones are measured.
    pub together: usize,
    /// How long and how fast; 0 steps are none, so that a model is measured and saved as it begins.
    pub settings: Settings,
}

impl ListwiseJob {
    /// Checks everything that can be wrong before a model is opened.
    ///
    /// # Errors
    /// An objective, adapter or setting that cannot be.
    pub fn check(&self) -> Result<(), TrainError> {
        check_objective(&self.terms()?)?;
        if !(self.noise >= 0.0 && self.noise.is_finite()) {
            return Err(TrainError::Setting("noise: a number from 0 is expected".into()));
        }
        self.settings.check()?;
        self.settings.check_decoder(false)?;
        self.trained.check(&["full"])
    }

    fn terms(&self) -> Result<Vec<Term>, TrainError> {
        parse_objective(&self.objective)
    }

    /// Trains the model of `base` and writes it to `output`. In `work` lie the log and checkpoints, from which a run that was
    /// killed goes on; `identity` tells this training from others. Gives beside the outcome how probable the right orders of
    /// `held` are after it; the outcome has the mean loss over `validation` before and after. Where it is evaluated while it is trained, that is by
    /// `measure` of a saved model, of which a greater value is better; without one by the mean loss over `validation`.
    ///
    /// # Errors
    /// A setting or list that cannot be, a model or file that cannot be read or written, a loss that is no number, or what the measure says.
    pub fn run(
        &self,
        base: &Path,
        (lists, held, validation): (&[ListExample], &[ListExample], &[ListExample]),
        (work, output): (&Path, &Path),
        identity: &str,
        compute: &Arc<Compute>,
        progress: &mut dyn FnMut(&StepRecord, usize),
        measure: Option<SavedMeasure<'_>>,
    ) -> Result<(Outcome, Vec<ListMeasure>), TrainError> {
        self.check()?;
        std::fs::create_dir_all(work).map_err(|source| TrainError::file(work, source))?;
        let mut parameters = Parameters::default();
        let mut model = self.open(base, &mut parameters)?;
        let count = parameters.count();
        let mut attached =
            self.trained.attach_or_full(&mut parameters, &mut model.llama, self.settings.seed)?;
        let mut outcome =
            Outcome { trainable: parameters.trainable_count(), parameters: count, ..Outcome::default() };
        let [lists, held, validation] = [lists, held, validation].map(|lists| self.ended(lists, model.end()));
        let before = self.validate(&validation, (&model, &parameters), compute)?;
        if self.settings.steps > 0 {
            let task = ListwiseTask::new(&model, &lists, self.terms()?)?.with_noise(self.noise);
            let hooks = attached.as_mut().map(|attached| attached as &mut dyn Hooks);
            let evaluation = match measure {
                Some(measure) => Some(measure.evaluation(&model, work)),
                None if validation.is_empty() => None,
                None => Some(Evaluation {
                    measure: "validation loss",
                    greater_is_better: false,
                    value: Box::new(|parameters| {
                        let loss = self.validate(&validation, (&model, parameters), compute)?;
                        Ok(loss.unwrap_or_default())
                    }),
                }),
            };
            let (place, hooks) = ((Some(work), identity), (hooks, evaluation));
            outcome.report =
                train_evaluated(&task, compute, &mut parameters, &self.settings, place, hooks, progress)?;
        }
        let after = self.validate(&validation, (&model, &parameters), compute)?;
        outcome.validation = before.zip(after).map(|(before, after)| [before, after]);
        outcome.trainable -= left_out(attached.as_ref());
        outcome.ranks = ranks_of(attached.as_ref(), &parameters);
        let measures = measure_lists(&model, &held, (compute, &parameters), self.together)?;
        model.save(output, &parameters)?;
        self.trained.save(attached.as_ref(), (&parameters, &[]), "CAUSAL_LM", (base, output))?;
        Ok((outcome, measures))
    }

    /// The mean loss over lists that are not learned from; `None` without such.
    fn validate(
        &self,
        lists: &[ListExample],
        (model, parameters): (&LanguageModel, &Parameters),
        compute: &Arc<Compute>,
    ) -> Result<Option<f64>, TrainError> {
        if lists.is_empty() {
            return Ok(None);
        }
        // Objective by objective: some are means over tokens, others over lists, and batches weigh differently for each.
        let mut sum = 0.0;
        for Term { weight, objective } in self.terms()? {
            let task = ListwiseTask::new(model, lists, vec![Term { weight: 1.0, objective }])?;
            sum += f64::from(weight) * mean_loss(&task, compute, parameters, self.settings.batch)?;
        }
        Ok(Some(sum))
    }

    fn open(&self, base: &Path, parameters: &mut Parameters) -> Result<LanguageModel, TrainError> {
        match self.start {
            ListwiseStart::Base => LanguageModel::open(base, parameters),
            ListwiseStart::FirstLayers(layers) => {
                let mut whole = Parameters::default();
                LanguageModel::open(base, &mut whole)?.first_layers(&whole, layers, parameters)
            }
            ListwiseStart::Drawn { layers, width, heads } => {
                let config = LlamaConfig::small(0, layers, (width, 3 * width), heads);
                let config = LlamaConfig { tie_word_embeddings: true, ..config };
                LanguageModel::drawn_like(base, &config, self.settings.seed, parameters)
            }
        }
    }

    /// Lists whose answers end as the job says.
    fn ended(&self, lists: &[ListExample], end: Option<u32>) -> Vec<ListExample> {
        let mut lists = lists.to_vec();
        if let (true, Some(end)) = (self.ends, end) {
            for list in &mut lists {
                list.answer.push(end);
                list.ranks.push(None);
            }
        }
        lists
    }
}
