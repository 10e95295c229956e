//! The module of ranking: learned from judgments in one language, on top of that language's module.

use super::Module;
use crate::TrainError;
use crate::adapter::{self, Attached, Stage, Targets, compose};
use crate::objective;
use crate::tape::{Compute, ParameterId, Parameters};
use crate::trainer::{CrossEncoder, Hooks, RankingExample, RankingTask, Settings, StepRecord, train};
use std::path::Path;
use std::sync::Arc;

/// How a module of ranking is learned.
#[derive(Clone, Debug)]
pub struct RankingModuleJob {
    /// `bottleneck(…)` or `lt-sft(…)` with options, as in training files.
    pub module: String,
    /// What is minimised.
    pub objective: String,
    /// Most tokens of a pair.
    pub tokens: usize,
    /// How long and how fast.
    pub settings: Settings,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RankingOutcome {
    /// Numbers of the module, heads left out.
    pub trainable: usize,
    /// The mean loss of the last tenth of the steps.
    pub loss: f64,
    /// Pairs that were cut, and how many there are.
    pub cut: (usize, usize),
}

impl RankingModuleJob {
    /// Learns the module with its head, and writes it to `output`. The module of the language of the examples is put below it and stays as it
    /// is.
    ///
    /// # Errors
    /// A model, module or example that cannot be read, modules of two kinds, or a loss that is no number.
    pub fn run(
        &self,
        (base, language): (&Path, Option<&Path>),
        examples: &[RankingExample],
        output: &Path,
        compute: &Arc<Compute>,
        progress: &mut dyn FnMut(&StepRecord, usize),
    ) -> Result<RankingOutcome, TrainError> {
        let terms = objective::parse_sum(&self.objective)
            .map_err(|error| TrainError::Setting(format!("objective: {error}")))?;
        let mut parameters = Parameters::default();
        let mut model = CrossEncoder::open(base, &mut parameters, self.tokens, self.settings.seed)?;
        let below = language.map(|path| Module::open(path, &mut parameters, &mut model.bert)).transpose()?;
        let start = parameters.clone();
        if let Some(Module::Sparse(difference)) = &below {
            difference.apply(&mut parameters, false)?;
        }
        let heads = heads_of(&model, &parameters);
        let mut attached = self.attach(&mut model, &mut parameters, below.as_ref(), &heads)?;
        let mut outcome =
            RankingOutcome { trainable: attached.trainable_count(&parameters), ..RankingOutcome::default() };
        let task = RankingTask::new(&model, examples, terms)?;
        outcome.cut = task.cut();
        let hooks: &mut dyn Hooks = &mut attached;
        let report =
            train(&task, compute, &mut parameters, &self.settings, (None, ""), Some(hooks), progress)?;
        outcome.loss = f64::from(report.final_loss());
        // Of a sparse module what has changed counts, which may be less than it was given.
        match attached.difference(&parameters) {
            Ok(difference) => {
                outcome.trainable = difference.count();
                // It is for the encoder, with whichever language below it.
                difference.with_base(&start).save(output)?;
            }
            Err(_) => attached.save(&parameters, output, &heads)?,
        }
        Ok(outcome)
    }

    fn attach(
        &self,
        model: &mut CrossEncoder,
        parameters: &mut Parameters,
        below: Option<&Module>,
        heads: &[ParameterId],
    ) -> Result<Attached, TrainError> {
        let names: Vec<String> = heads.iter().map(|id| parameters[*id].name.clone()).collect();
        let is_head = |name: &str| names.iter().any(|head| head == name);
        let configured = adapter::parse(&self.module)?;
        let attached =
            configured.attach(parameters, &mut model.bert, &Targets::All, self.settings.seed, is_head)?;
        let is_sparse = attached.difference(parameters).is_ok();
        match below {
            Some(module @ Module::Adapter(_)) if is_sparse => {
                Err(other_kind("language", module, "a sparse difference"))
            }
            Some(module @ Module::Sparse(_)) if !is_sparse => {
                Err(other_kind("language", module, "a bottleneck adapter"))
            }
            Some(Module::Adapter(language)) => {
                compose(&mut model.bert, &[Stage::All(language), Stage::All(&attached)])?;
                Ok(attached)
            }
            _ => Ok(attached),
        }
    }
}

/// Modules of two kinds cannot be put together.
pub(super) fn other_kind(whose: &str, module: &Module, wanted: &str) -> TrainError {
    TrainError::Setting(format!(
        "the module of {whose} is {}, and {wanted} is expected: modules of one kind go together",
        module.kind()
    ))
}

/// The parameters of the head: the classifier, and the pooler where the encoder had none.
fn heads_of(model: &CrossEncoder, parameters: &Parameters) -> Vec<ParameterId> {
    parameters.iter().filter(|(_, parameter)| model.is_head(&parameter.name)).map(|(id, _)| id).collect()
}
