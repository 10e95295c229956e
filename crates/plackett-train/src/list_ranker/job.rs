//! A whole training of a list ranker on silver lists (Wang and others, RichRAG, 2024, the first of its stages), from vectors to a folder.

use super::model::{ListRanker, ListRankerConfig};
use super::silver::{SilverExample, SilverTask};
use crate::TrainError;
use crate::objective::{Term, parse_sum};
use crate::tape::{Compute, Parameters};
use crate::trainer::{Evaluation, Outcome, Settings, StepRecord, VectorOrigin, mean_loss, train_evaluated};
use std::path::Path;
use std::sync::Arc;

/// The most numbers and heads of a state.
const MOST: usize = 4096;
/// The most layers of the decoder.
const MOST_LAYERS: usize = 24;

/// What a training gives: its outcome, and `div` of the list of each held-out question before and after it.
pub type MeasuredLists = (Outcome, Option<[Vec<f64>; 2]>);

/// A list ranker that learns from silver lists.
#[derive(Clone, Debug, PartialEq)]
pub struct ListRankerJob {
    /// Numbers of a state.
    pub width: usize,
    /// Heads of attention.
    pub heads: usize,
    /// Layers of the decoder.
    pub layers: usize,
    /// What logits are divided by before the softmax.
    pub temperature: f32,
    /// Weight of steps after random beginnings.
    pub disturb: f64,
    /// How long and how fast.
    pub settings: Settings,
}

impl Default for ListRankerJob {
    /// A small decoder with the paper's temperature and weight of random beginnings.
    fn default() -> ListRankerJob {
        ListRankerJob {
            width: 128,
            heads: 4,
            layers: 2,
            temperature: 0.1,
            disturb: 0.5,
            settings: Settings::default(),
        }
    }
}

impl ListRankerJob {
    /// Checks everything that can be wrong before vectors are made.
    ///
    /// # Errors
    /// A shape, weight or setting that cannot be, or that would change nothing.
    pub fn check(&self) -> Result<(), TrainError> {
        let refused = |problem: &str| Err(TrainError::Setting(problem.into()));
        self.settings.check()?;
        if self.settings.head_rate > 0.0 {
            return refused("head_rate: every part of a list ranker is new; leave it out and set rate");
        }
        if self.settings.recompute {
            return refused(
                "recompute: the layers of a list ranker are too small to be run again; leave it out",
            );
        }
        if self.width > MOST || self.heads > MOST || self.layers > MOST_LAYERS {
            return Err(TrainError::Setting(format!(
                "width and heads of a list ranker are {MOST} at most, and layers {MOST_LAYERS}; give smaller ones"
            )));
        }
        if !(self.disturb >= 0.0 && self.disturb.is_finite()) {
            return refused("disturb: a number from 0 is expected");
        }
        self.config(1, 0).check()?;
        self.terms().map(drop)
    }

    /// What is minimised.
    pub fn objective(&self) -> String {
        format!("richrag(temperature={}, disturb={})", self.temperature, self.disturb)
    }

    fn terms(&self) -> Result<Vec<Term>, TrainError> {
        parse_sum(&self.objective()).map_err(|error| TrainError::Setting(format!("objective: {error}")))
    }

    fn config(&self, dimension: usize, extra: usize) -> ListRankerConfig {
        let ListRankerJob { width, heads, layers, temperature, .. } = *self;
        ListRankerConfig { dimension, extra, width, heads, layers, temperature }
    }

    /// The names of the examples that teach nothing, since all candidates that may come next are worth the same at each step.
    ///
    /// # Errors
    /// All of them are such.
    pub fn idle<'e>(&self, examples: &'e [SilverExample]) -> Result<Vec<&'e str>, TrainError> {
        let mut idle = Vec::new();
        for example in examples {
            if !example.can_teach(self.disturb > 0.0)? {
                idle.push(example.question.name.as_str());
            }
        }
        match idle.first() {
            Some(first) if idle.len() == examples.len() => Err(TrainError::Setting(format!(
                "none of the {} lists can teach a list ranker, the first is `{first}`: all candidates of a list cover its sides alike; \
                 give some that answer a side better than others",
                examples.len()
            ))),
            _ => Ok(idle),
        }
    }

    /// A new ranker of the vectors of these examples, and what it learns from them.
    ///
    /// # Errors
    /// No example, or a shape that cannot be.
    pub fn task<'e>(
        &self,
        examples: &'e [SilverExample],
        parameters: &mut Parameters,
    ) -> Result<SilverTask<'e>, TrainError> {
        let sizes = |SilverExample { question, .. }: &SilverExample| {
            (question.question.len(), question.extra.len() / question.count().max(1))
        };
        let (dimension, extra) = examples.first().map_or((0, 0), sizes);
        let ranker = ListRanker::new(parameters, self.config(dimension, extra), self.settings.seed)?;
        Ok(SilverTask { ranker, examples, objective: self.terms()?, disturbed: self.disturb > 0.0 })
    }

    /// Trains a ranker of vectors that the model `origin` made, and writes it to `output`. In `work` lie the log and checkpoints, from
    /// which a run that was killed goes on; `identity` tells this training from others. With held-out examples the weights of the best
    /// `div` are kept where the settings evaluate, and the outcome has their mean loss before and after.
    ///
    /// # Errors
    /// A setting or example that cannot be, or examples that all teach nothing; a file that cannot be written, or a loss that is no number.
    pub fn run(
        &self,
        (examples, validation): (&[SilverExample], &[SilverExample]),
        origin: &VectorOrigin,
        (work, output): (&Path, &Path),
        identity: &str,
        compute: &Arc<Compute>,
        progress: &mut dyn FnMut(&StepRecord, usize),
    ) -> Result<MeasuredLists, TrainError> {
        self.check()?;
        self.idle(examples)?;
        std::fs::create_dir_all(work).map_err(|source| TrainError::file(work, source))?;
        let mut parameters = Parameters::default();
        let task = self.task(examples, &mut parameters)?;
        let held = Held { task: &task, examples: validation, batch: self.settings.batch, compute };
        let (trainable, count) = (parameters.trainable_count(), parameters.count());
        let mut outcome = Outcome { trainable, parameters: count, ..Outcome::default() };
        let (loss, before) = (held.loss(&parameters, self.terms()?)?, held.divs(&parameters)?);
        let evaluation = match validation.is_empty() {
            true => None,
            false => Some(Evaluation {
                measure: "validation div",
                greater_is_better: true,
                value: Box::new(|parameters: &Parameters| held.mean_div(parameters)),
            }),
        };
        let place = (Some(work), identity);
        outcome.report = train_evaluated(
            &task,
            compute,
            &mut parameters,
            &self.settings,
            place,
            (None, evaluation),
            progress,
        )?;
        let (loss_after, after) = (held.loss(&parameters, self.terms()?)?, held.divs(&parameters)?);
        outcome.validation = loss.zip(loss_after).map(|(before, after)| [before, after]);
        task.ranker.save_with_origin(&parameters, output, origin)?;
        Ok((outcome, (!validation.is_empty()).then_some([before, after])))
    }
}

/// Questions that are not learned from.
struct Held<'h> {
    task: &'h SilverTask<'h>,
    examples: &'h [SilverExample],
    batch: usize,
    compute: &'h Arc<Compute>,
}

impl Held<'_> {
    /// Their mean loss; `None` without any.
    fn loss(&self, parameters: &Parameters, objective: Vec<Term>) -> Result<Option<f64>, TrainError> {
        if self.examples.is_empty() {
            return Ok(None);
        }
        let SilverTask { ranker, disturbed, .. } = self.task;
        let (ranker, examples) = (ranker.clone(), self.examples);
        let task = SilverTask { ranker, examples, objective, disturbed: *disturbed };
        mean_loss(&task, self.compute, parameters, self.batch).map(Some)
    }

    /// `div` of the list of each, as long as its silver list.
    fn divs(&self, parameters: &Parameters) -> Result<Vec<f64>, TrainError> {
        let of = |example: &SilverExample| -> Result<f64, TrainError> {
            let SilverExample { question, coverage, silver } = example;
            let list = self.task.ranker.best(parameters, self.compute, question, silver.len())?;
            coverage.div(&list).map_err(|error| TrainError::Model(format!("{}: {error}", question.name)))
        };
        self.examples.iter().map(of).collect()
    }

    fn mean_div(&self, parameters: &Parameters) -> Result<f64, TrainError> {
        let values = self.divs(parameters)?;
        Ok(values.iter().sum::<f64>() / values.len().max(1) as f64)
    }
}
