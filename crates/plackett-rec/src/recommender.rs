//! What can be fitted to interactions and asked for the next item: the registry.

use crate::floors::{bpr, ease, ials, item_knn, popularity};
use crate::{Codebook, Event, RecError, hstu, minionerec, onerec, p5, sequential, setrec, synergen, tiger};
use plackett_core::declaration::{self, Expression, OptionSpec, OptionValues, suggestion};
use plackett_train::trainer::{Checkpointing, Settings, StepRecord, Task, train};
use plackett_train::{Compute, Parameters};
use std::fmt;
use std::sync::Arc;

/// Every recommender. A new one is a declaration in a file of its own and a line here.
pub static RECOMMENDERS: &[&RecommenderSpec] = &[
    &popularity::SPEC,
    &item_knn::SPEC,
    &ease::SPEC,
    &ials::SPEC,
    &bpr::SPEC,
    &sequential::gru4rec::SPEC,
    &sequential::sas_rec::SPEC,
    &hstu::SPEC,
    &tiger::SPEC,
    &p5::SPEC,
    &minionerec::SPEC,
    &onerec::SPEC,
    &setrec::SPEC,
    &synergen::SPEC,
];

/// What somebody did, and when it is asked what comes next.
#[derive(Clone, Copy, Debug)]
pub struct Request<'h> {
    /// The events of a user, the oldest first; may be empty.
    pub history: &'h [Event],
    /// The time at which it is asked.
    pub now: i64,
}

/// Gives every item of a catalogue a score.
pub trait Recommender: Send + Sync {
    /// How many items there are.
    fn catalogue(&self) -> usize;

    /// The scores of all items for each request: requests × catalogue. What one request gives does not depend on the others.
    ///
    /// # Errors
    /// A history has an item that the catalogue does not have.
    fn scores(&self, requests: &[Request<'_>]) -> Result<Vec<f32>, RecError>;

    /// What was fitted, as named matrices: what its declaration restores it from.
    fn parameters(&self) -> Parameters;

    /// The same, where each score has to be a number.
    ///
    /// # Errors
    /// As [`Recommender::scores`], or a score is none: the weights are damaged, or the training has diverged.
    fn finite_scores(&self, requests: &[Request<'_>]) -> Result<Vec<f32>, RecError> {
        check_scores(self.scores(requests)?)
    }

    /// The scores of some items for a request, in their order: those that they have among all items, or what the recommender says of them alone
    /// where it would otherwise give a score to a few items only.
    ///
    /// # Errors
    /// As [`Recommender::finite_scores`]; the catalogue does not have one of them.
    fn candidate_scores(&self, request: &Request<'_>, candidates: &[u32]) -> Result<Vec<f32>, RecError> {
        let scores = self.finite_scores(&[*request])?;
        let score = |item: &u32| {
            let unknown = RecError::UnknownItem { item: *item, catalogue: scores.len() };
            scores.get(*item as usize).copied().ok_or(unknown)
        };
        candidates.iter().map(score).collect()
    }

    /// The codes by which it writes items; `None` where it does not.
    fn codebook(&self) -> Option<&Codebook> {
        None
    }

    /// How often each expert of each layer was computed for a sample of what was just learned from: layers × experts. Empty where there are no
    /// experts, and of what comes from a folder, which does not keep it.
    fn expert_loads(&self) -> &[Vec<usize>] {
        &[]
    }
}

/// Refuses scores that are no numbers.
pub(crate) fn check_scores(scores: Vec<f32>) -> Result<Vec<f32>, RecError> {
    match scores.iter().find(|score| !score.is_finite()) {
        Some(score) => Err(RecError::Diverged(format!("an item has the score {score}"))),
        None => Ok(scores),
    }
}

/// What a recommender is fitted to.
#[derive(Clone, Copy, Debug)]
pub struct FitData<'d> {
    /// How many items there are.
    pub catalogue: usize,
    /// The events of each user, the oldest first.
    pub sequences: &'d [&'d [Event]],
    /// Vectors of the items' texts, catalogue × width, one after another, for recommenders that read texts ([`Configured::encoder`]); others leave
    /// them. Empty where there are none.
    pub texts: &'d [f32],
}

impl FitData<'_> {
    /// Refuses an empty catalogue, items outside it, and vectors of texts that are not those of all items.
    pub(crate) fn check(&self) -> Result<(), RecError> {
        if self.catalogue == 0 || self.sequences.iter().all(|events| events.is_empty()) {
            return Err(RecError::Setting("there are no events to learn from".into()));
        }
        if !self.texts.len().is_multiple_of(self.catalogue) {
            return Err(RecError::Setting(format!(
                "{} numbers are not vectors of one width of {} items; give one for each item",
                self.texts.len(),
                self.catalogue
            )));
        }
        if let Some(number) = self.texts.iter().find(|number| !number.is_finite()) {
            return Err(RecError::Setting(format!(
                "the vector of an item's text has the number {number}; take another encoder"
            )));
        }
        crate::evaluation::check_items(self.sequences.iter().copied().flatten(), self.catalogue)
    }

    /// The vectors of the items' texts, for a recommender that cannot do without.
    ///
    /// # Errors
    /// There are none.
    pub(crate) fn texts_for(&self, owner: &str) -> Result<&[f32], RecError> {
        match self.texts.is_empty() {
            true => Err(RecError::Setting(format!(
                "{owner} reads the texts of the items, and there are none; give titles, or take sasrec"
            ))),
            false => Ok(self.texts),
        }
    }

    /// The different items of each user, rising.
    pub(crate) fn sets(&self) -> Vec<Vec<u32>> {
        self.sequences.iter().map(|sequence| item_set(sequence)).collect()
    }
}

/// The different items of a history, rising.
pub(crate) fn item_set(history: &[Event]) -> Vec<u32> {
    distinct(history.iter().map(|event| event.item))
}

/// The different ones of some items, rising.
pub(crate) fn distinct(items: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut items: Vec<u32> = items.collect();
    items.sort_unstable();
    items.dedup();
    items
}

/// How far a fit is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitStep {
    /// Steps done.
    pub done: usize,
    /// Steps there are.
    pub total: usize,
    /// The mean loss of this step, where one is known.
    pub loss: Option<f64>,
    /// In a training by rewards the histories of this step behind which all that was written was worth the same, which teaches nothing.
    pub flat: usize,
}

impl FitStep {
    /// Of the trainer's record of a step.
    pub(crate) fn of(record: &StepRecord, total: usize) -> FitStep {
        FitStep { done: record.step, total, loss: Some(f64::from(record.loss)), flat: 0 }
    }
}

/// How a fit is run.
pub struct Fitting<'f> {
    /// Instruction set and threads.
    pub compute: Arc<Compute>,
    /// From which what is drawn follows.
    pub seed: u64,
    /// Where models that are trained in steps keep checkpoints, from which a fit that was killed goes on.
    pub kept: Option<Checkpointing<'f>>,
    /// Told of each step.
    pub progress: &'f mut dyn FnMut(FitStep),
}

impl Fitting<'_> {
    /// Trains a model in steps, which are told and kept.
    ///
    /// # Errors
    /// The training fails, or a checkpoint cannot be kept or is of another training.
    pub(crate) fn train(
        &mut self,
        task: &dyn Task,
        parameters: &mut Parameters,
        settings: Settings,
    ) -> Result<(), RecError> {
        self.train_told(task, parameters, settings, &FitStep::of)
    }

    /// As [`Fitting::train`], where the examples that a step passes over are histories whose rewards were all the same.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn train_by_rewards(
        &mut self,
        task: &dyn Task,
        parameters: &mut Parameters,
        settings: Settings,
    ) -> Result<(), RecError> {
        let told = |record: &StepRecord, total: usize| FitStep {
            flat: record.skipped,
            ..FitStep::of(record, total)
        };
        self.train_told(task, parameters, settings, &told)
    }

    fn train_told(
        &mut self,
        task: &dyn Task,
        parameters: &mut Parameters,
        mut settings: Settings,
        told: &dyn Fn(&StepRecord, usize) -> FitStep,
    ) -> Result<(), RecError> {
        let folder = self.kept.map(|kept| kept.begin("", &mut settings)).transpose()?;
        let place = (folder.as_deref(), self.kept.map_or("", |kept| kept.identity));
        let mut progress = |record: &StepRecord, total: usize| (self.progress)(told(record, total));
        train(task, &self.compute, parameters, &settings, place, None, &mut progress)?;
        Ok(())
    }

    /// Runs the fit of a part, whose checkpoints lie in a folder of their own. The losses of the whole are one curve, to which those of the part
    /// do not belong.
    ///
    /// # Errors
    /// What the fit says.
    pub(crate) fn part<T>(
        &mut self,
        name: &str,
        fit: impl FnOnce(&mut Fitting<'_>) -> Result<T, RecError>,
    ) -> Result<T, RecError> {
        let folder = self.kept.map(|kept| kept.folder.join(name));
        let kept = match (&self.kept, &folder) {
            (Some(kept), Some(folder)) => {
                Some(Checkpointing { folder, identity: kept.identity, every: kept.every })
            }
            _ => None,
        };
        let mut progress = |step: FitStep| (self.progress)(FitStep { loss: None, ..step });
        fit(&mut Fitting { compute: self.compute.clone(), seed: self.seed, kept, progress: &mut progress })
    }
}

/// Refuses options that do not go together, or not with a catalogue of so many items.
type Check = fn(&OptionValues, usize) -> Result<(), RecError>;
/// Fits a recommender with its options.
type Fit = fn(&OptionValues, &FitData<'_>, &mut Fitting<'_>) -> Result<Box<dyn Recommender>, RecError>;
/// Makes a recommender of what was fitted, for a catalogue of so many items.
type Restore = fn(&OptionValues, usize, &Parameters) -> Result<Box<dyn Recommender>, RecError>;

/// A recommender: everything that is said of it, and how it is made.
pub struct RecommenderSpec {
    /// The name in expressions.
    pub name: &'static str,
    /// Other names for the same.
    pub aliases: &'static [&'static str],
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// Where it is described.
    pub paper: &'static str,
    /// Its options.
    pub options: &'static [OptionSpec],
    /// Whether the same seed matters: it draws.
    pub draws: bool,
    /// Whether the time at which it is asked matters, with such options.
    pub(crate) reads_time: fn(&OptionValues) -> bool,
    pub(crate) check: Check,
    pub(crate) fit: Fit,
    pub(crate) restore: Restore,
}

plackett_core::impl_declaration!(RecommenderSpec);

/// A recommender with its options, ready to be fitted.
#[derive(Clone, Debug)]
pub struct Configured {
    /// The declaration.
    pub spec: &'static RecommenderSpec,
    /// Its options.
    pub options: OptionValues,
}

impl Configured {
    /// The encoder that is to read the items' texts, of recommenders that read some: their option `encoder`.
    pub fn encoder(&self) -> Option<&str> {
        self.options.get_text("encoder")
    }

    /// Whether the time at which it is asked matters.
    pub fn reads_time(&self) -> bool {
        (self.spec.reads_time)(&self.options)
    }

    /// Refuses a recommender that reads times, for histories that have none.
    ///
    /// # Errors
    /// It reads some; beside it what does not.
    pub fn check_without_times(&self) -> Result<(), RecError> {
        if !self.reads_time() {
            return Ok(());
        }
        Err(RecError::Setting(format!(
            "{} reads times, and histories here have an order alone; fit it with time-bias=false or time=false, whichever it has, or take sasrec",
            self.spec.name
        )))
    }

    /// Whether it can be fitted to a catalogue of so many items, as far as its options say: before any work.
    ///
    /// # Errors
    /// Options that do not go together, or a model that would be too large.
    pub fn check(&self, catalogue: usize) -> Result<(), RecError> {
        (self.spec.check)(&self.options, catalogue)
    }

    /// Fits it.
    ///
    /// # Errors
    /// No events, items outside the catalogue, options that do not go together, or a training that fails.
    pub fn fit(
        &self,
        data: &FitData<'_>,
        fitting: &mut Fitting<'_>,
    ) -> Result<Box<dyn Recommender>, RecError> {
        data.check()?;
        self.check(data.catalogue)?;
        let fitted = (self.spec.fit)(&self.options, data, fitting)?;
        check_finite(&fitted.parameters())?;
        Ok(fitted)
    }

    /// Makes it of what was fitted.
    ///
    /// # Errors
    /// The matrices are not those of such a model, or have entries that are no numbers; the catalogue is empty.
    pub fn restore(
        &self,
        catalogue: usize,
        parameters: &Parameters,
    ) -> Result<Box<dyn Recommender>, RecError> {
        if catalogue == 0 {
            return Err(RecError::Setting("the catalogue has no item; fit the model again".into()));
        }
        check_finite(parameters)?;
        let restored = (self.spec.restore)(&self.options, catalogue, parameters)?;
        let own = restored.parameters();
        match parameters.iter().find(|(_, parameter)| own.find(&parameter.name).is_none()) {
            Some((_, parameter)) => Err(RecError::Setting(format!(
                "`{}` is no part of {self}: the weights are of another model",
                parameter.name
            ))),
            None => Ok(restored),
        }
    }
}

impl fmt::Display for Configured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given: Vec<String> =
            self.options.given().iter().map(|(name, value)| format!("{name}={value}")).collect();
        match given.is_empty() {
            true => f.write_str(self.spec.name),
            false => write!(f, "{}({})", self.spec.name, given.join(", ")),
        }
    }
}

/// The declaration of a name or alias; case and `_` for `-` do not matter.
///
/// # Errors
/// There is none; the message has the names there are and the nearest one.
pub fn find(name: &str) -> Result<&'static RecommenderSpec, RecError> {
    declaration::find(RECOMMENDERS, name).map_err(|unknown| {
        let (known, suggested) = (unknown.known, suggestion(&unknown.nearest));
        RecError::Setting(format!("`{name}` is not a recommender ({known}){suggested}"))
    })
}

/// Reads `name` or `name(option=value, …)`.
///
/// # Errors
/// A recommender or option is unknown, a value is not allowed, or the text has another form.
pub fn parse(text: &str) -> Result<Configured, RecError> {
    let form = |problem: String| {
        RecError::Setting(format!(
            "cannot read `{text}`: {problem}; write a recommender as name(option=value, …)"
        ))
    };
    let expression = Expression::split(text).map_err(form)?;
    let spec = find(expression.name)?;
    let options = OptionValues::parse(spec.name, spec.options, expression.options().map_err(form)?)?;
    Ok(Configured { spec, options })
}

/// Refuses matrices with entries that are no numbers.
fn check_finite(parameters: &Parameters) -> Result<(), RecError> {
    let is_bad = |values: &[f32]| values.iter().any(|value| !value.is_finite());
    match parameters.iter().find(|(_, parameter)| is_bad(&parameter.value)) {
        Some((_, parameter)) => {
            Err(RecError::Diverged(format!("`{}` has entries that are no numbers", parameter.name)))
        }
        None => Ok(()),
    }
}

/// The matrix of the vectors of the items' texts among what is kept, of recommenders that read texts.
pub(crate) const TEXT_VECTORS: &str = "text_vectors";

/// A matrix of what was fitted, of a known shape.
///
/// # Errors
/// It is missing or has another shape.
pub(crate) fn matrix(
    parameters: &Parameters,
    name: &str,
    (rows, columns): (usize, usize),
) -> Result<Vec<f32>, RecError> {
    let found = parameters.find(name).map(|id| &parameters[id]);
    match found {
        Some(found) if (found.rows, found.columns) == (rows, columns) => Ok(found.value.to_vec()),
        Some(found) => Err(RecError::Setting(format!(
            "`{name}` of the model is {} × {}, and {rows} × {columns} are expected: it was fitted with another catalogue or \
             other options",
            found.rows, found.columns
        ))),
        None => {
            Err(RecError::Setting(format!("the model has no `{name}`: it is of another kind or damaged")))
        }
    }
}

/// The columns of a matrix of what was fitted, one at least.
///
/// # Errors
/// It is missing or empty.
pub(crate) fn width_of(parameters: &Parameters, name: &str) -> Result<usize, RecError> {
    let found = parameters.find(name).map(|id| parameters[id].columns).filter(|columns| *columns > 0);
    found.ok_or_else(|| {
        RecError::Setting(format!("the model has no `{name}`: it is of another kind or damaged"))
    })
}

#[cfg(test)]
mod tests;
