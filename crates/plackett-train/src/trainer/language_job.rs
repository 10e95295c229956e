//! A whole training of a decoder, from a base model and texts to a directory of a model.

use super::depth_measure::{DepthMeasure, measure_depths};
use super::evaluation::Evaluation;
use super::examples::TextExample;
use super::job::{CutTexts, Outcome};
use super::read_outs::ReadOuts;
use super::run::{Hooks, mean_loss, train_evaluated};
use super::trained::{Trained, left_out, parse_objective, ranks_of};
use super::{LanguageModel, LanguageTask, Settings, StepRecord};
use crate::TrainError;
use crate::adapter::Attached;
use crate::nn;
use crate::objective::{Input, Term};
use crate::tape::{Compute, Parameters};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// The file of output matrices that belong to one depth each, beside the weights of the model.
pub const EXIT_HEADS: &str = "exit_heads.safetensors";

/// What is trained where each depth gets an output matrix of its own.
pub const OWN_HEADS: &str = "exit-heads";

/// Texts of a pass while depths are measured.
const MEASURED_TOGETHER: usize = 4;

/// A decoder that learns to write texts after prompts, read out at one depth or at several (Sorted LLaMA, 2023).
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct LanguageJob {
    /// What is minimised at each depth.
    pub objective: String,
    /// Most tokens of a text with its prompt.
    pub tokens: usize,
    /// Layers after which the loss is taken, ascending; none for the last alone.
    pub depths: Vec<usize>,
    /// Only so many layers of the base, from the first, as a model of their own; 0 for all.
    pub layers: usize,
    /// What is trained: `full`, an adapter, or [`OWN_HEADS`].
    pub trained: Trained,
    /// How long and how fast.
    pub settings: Settings,
}

impl Default for LanguageJob {
    fn default() -> LanguageJob {
        let (trained, settings) = (Trained::default(), Settings::default());
        LanguageJob {
            objective: "language".into(),
            tokens: 512,
            depths: Vec::new(),
            layers: 0,
            trained,
            settings,
        }
    }
}

impl LanguageJob {
    /// Checks everything that can be wrong before a model is opened.
    ///
    /// # Errors
    /// An objective, adapter or setting that cannot be.
    pub fn check(&self) -> Result<(), TrainError> {
        let terms = self.terms()?;
        let others = |term: &&Term| term.objective.spec().takes != [Input::TokenLogProbabilities];
        if let Some(term) = terms.iter().find(others) {
            return Err(TrainError::Setting(format!(
                "objective: `{}` needs more than texts, or something else; for a decoder choose `language`",
                term.objective
            )));
        }
        self.settings.check()?;
        let has_own_heads = self.trained.adapter == OWN_HEADS;
        self.settings.check_decoder(has_own_heads)?;
        self.settings.check_layers(&self.trained.adapter, !has_own_heads)?;
        if self.tokens < 2 {
            return Err(TrainError::Setting("tokens: a whole number from 2 is expected".into()));
        }
        if !self.depths.is_empty() {
            super::check_depths(&self.depths, usize::MAX)?;
        }
        self.trained.check(&["full", OWN_HEADS])
    }

    fn terms(&self) -> Result<Vec<Term>, TrainError> {
        parse_objective(&self.objective)
    }

    /// Trains the model of `base` and writes it to `output`. In `work` lie the log and checkpoints, from which a run that was
    /// killed goes on; `identity` tells this training from others. Gives beside the outcome what each depth makes of the
    /// validation examples before and after.
    ///
    /// # Errors
    /// A setting that cannot be, a model or file that cannot be read or written, or a loss that is no number.
    pub fn run(
        &self,
        base: &Path,
        (examples, validation): (&[TextExample], &[TextExample]),
        (work, output): (&Path, &Path),
        identity: &str,
        compute: &Arc<Compute>,
        progress: &mut dyn FnMut(&StepRecord, usize),
    ) -> Result<(Outcome, [Vec<DepthMeasure>; 2]), TrainError> {
        self.check()?;
        std::fs::create_dir_all(work).map_err(|source| TrainError::file(work, source))?;
        let mut parameters = Parameters::default();
        let mut model = self.open(base, &mut parameters)?;
        let count = parameters.count();
        let (read_outs, mut attached) = self.prepare(&mut model, &mut parameters)?;
        let mut outcome =
            Outcome { trainable: parameters.trainable_count(), parameters: count, ..Outcome::default() };
        let learned = match self.trained.adapter == OWN_HEADS {
            true => read_outs.trained(&parameters),
            false => read_outs.clone(),
        };
        let of = |examples: &[TextExample], read_outs: ReadOuts| {
            let task = LanguageTask::new(&model, examples, self.terms()?, self.tokens.min(model.context()))?;
            Ok::<_, TrainError>(task.with_read_outs(read_outs))
        };
        let task = of(examples, learned.clone())?;
        let held_out = (!validation.is_empty()).then(|| of(validation, learned)).transpose()?;
        let measured = of(validation, read_outs)?;
        let (cut, all) = [Some(&task), held_out.as_ref()]
            .into_iter()
            .flatten()
            .map(LanguageTask::cut)
            .fold((0, 0), |(cut, all), (more, of)| (cut + more, all + of));
        let tokens = self.tokens.min(model.context());
        outcome.cut = CutTexts { pairs: cut, of: all, tokens, what: "texts with their prompts" };
        let measure = |parameters: &Parameters| -> Result<_, TrainError> {
            let loss =
                held_out.as_ref().map(|task| mean_loss(task, compute, parameters, self.settings.batch));
            Ok((loss.transpose()?, measure_depths(&measured, compute, parameters, MEASURED_TOGETHER)))
        };
        let (before, depths) = measure(&parameters)?;
        let hooks = attached.as_mut().map(|attached| attached as &mut dyn Hooks);
        let evaluation =
            held_out.as_ref().map(|task| Evaluation::of_loss(task, compute, self.settings.batch));
        let (place, hooks) = ((Some(work), identity), (hooks, evaluation));
        outcome.report =
            train_evaluated(&task, compute, &mut parameters, &self.settings, place, hooks, progress)?;
        let (after, depths_after) = measure(&parameters)?;
        outcome.validation = before.zip(after).map(|(before, after)| [before, after]);
        outcome.trainable -= left_out(attached.as_ref());
        outcome.ranks = ranks_of(attached.as_ref(), &parameters);
        drop((task, held_out, measured));
        model.save(output, &parameters)?;
        self.trained.save(attached.as_ref(), (&parameters, &[]), "CAUSAL_LM", (base, output))?;
        if self.trained.adapter == OWN_HEADS {
            let own = |name: &str| ReadOuts::is_own_head(name).then(|| name.to_string());
            nn::save(&output.join(EXIT_HEADS), &parameters, own)?;
        }
        Ok((outcome, [depths, depths_after]))
    }

    /// The base, or its first layers.
    fn open(&self, base: &Path, parameters: &mut Parameters) -> Result<LanguageModel, TrainError> {
        if self.layers == 0 {
            return LanguageModel::open(base, parameters);
        }
        let mut whole = Parameters::default();
        LanguageModel::open(base, &mut whole)?.first_layers(&whole, self.layers, parameters)
    }

    /// Where the model is read out; lets what is to be trained be trained.
    fn prepare(
        &self,
        model: &mut LanguageModel,
        parameters: &mut Parameters,
    ) -> Result<(ReadOuts, Option<Attached>), TrainError> {
        let depths = match self.depths.is_empty() {
            true => vec![model.llama.layers.len()],
            false => self.depths.clone(),
        };
        if self.trained.adapter == OWN_HEADS {
            return Ok((ReadOuts::own_heads(model, &depths, parameters)?, None));
        }
        let attached = self.trained.attach_or_full(parameters, &mut model.llama, self.settings.seed)?;
        Ok((ReadOuts::shared(model, &depths)?, attached))
    }
}
