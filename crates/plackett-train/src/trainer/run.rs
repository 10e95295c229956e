//! The loop over phases and steps.

use super::accumulation::Accumulation;
use super::checkpoint::{self, Progress, State};
use super::evaluation::{Best, Evaluated, Evaluation};
use super::log::{StepLog, StepRecord};
use super::order::Order;
use super::phases::{self, PhaseMember, PhaseRecord, phase_folder};
use super::{Settings, Task};
use crate::TrainError;
use crate::nn::Mode;
use crate::objective::ENTROPY;
use crate::optimizer::{AdamW, clip};
use crate::tape::{Compute, Gradients, Parameter, Parameters, Tape};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// What an adapter does around steps.
pub trait Hooks {
    /// Before a pass, which has a number of its own.
    fn begin_pass(&mut self, _pass: u64) {}

    /// Changes gradients before they are clipped.
    fn before_step(&mut self, _parameters: &Parameters, _gradients: &mut Gradients) {}

    /// Changes parameters after a step with this learning rate.
    fn after_step(&mut self, _parameters: &mut Parameters, _rate: f32) {}

    /// Asked before each step: whether the training ends here, before all steps are done.
    fn is_done(&mut self, _parameters: &Parameters) -> bool {
        false
    }

    /// When all steps of a phase are done: whether there is another one, which has as many steps, a new optimiser and a new
    /// schedule.
    fn next_phase(&mut self, _parameters: &mut Parameters) -> bool {
        false
    }

    /// Writes what the adapter is at the end of a phase into a folder, where each phase leaves one of another size, and says what it
    /// is; `None` where there is one at the end of all alone.
    ///
    /// # Errors
    /// It cannot be written.
    fn save_phase(
        &self,
        _parameters: &Parameters,
        _folder: &Path,
    ) -> Result<Option<PhaseMember>, TrainError> {
        Ok(None)
    }

    /// What a checkpoint needs beside the parameters.
    fn state(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes over what [`Hooks::state`] gave.
    ///
    /// # Errors
    /// It does not fit.
    fn set_state(&mut self, _state: &[u8]) -> Result<(), TrainError> {
        Ok(())
    }
}

/// A training without an adapter.
struct NoHooks;

impl Hooks for NoHooks {}

/// What a training was like.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Every step, phase after phase; those of earlier runs come from the log.
    pub steps: Vec<StepRecord>,
    /// Steps of earlier runs that this one went on from.
    pub resumed: usize,
    /// Phases there are.
    pub phases: usize,
    /// Steps of all phases.
    pub total: usize,
    /// Whether [`Hooks::is_done`] ended it early.
    pub ended: bool,
    /// What evaluations found, and where the last phase was stopped for want of gain; `None` without evaluations.
    pub evaluated: Option<Evaluated>,
    /// What each phase has left in a folder of its own, where the adapter is another one after each.
    pub members: Vec<PhaseRecord>,
}

impl Report {
    /// The mean loss of the last tenth of the steps of the last phase; 0 without any.
    pub fn final_loss(&self) -> f32 {
        let phase: Vec<f32> =
            self.steps.iter().filter(|step| step.phase == self.phases).map(|step| step.loss).collect();
        let last = &phase[phase.len() - phase.len().div_ceil(10)..];
        if last.is_empty() {
            return 0.0;
        }
        last.iter().sum::<f32>() / last.len() as f32
    }

    /// The loss of the very first step; 0 without any.
    pub fn first_loss(&self) -> f32 {
        self.steps.first().map_or(0.0, |step| step.loss)
    }

    /// The median of the seconds that a step took, of an even number of steps the upper one of the two in the middle; 0 without any.
    pub fn median_seconds(&self) -> f64 {
        let mut seconds: Vec<f64> = self.steps.iter().map(|step| step.seconds).collect();
        seconds.sort_by(f64::total_cmp);
        seconds.get(seconds.len() / 2).copied().unwrap_or_default()
    }

    /// The seconds of all steps.
    pub fn seconds(&self) -> f64 {
        self.steps.iter().map(|step| step.seconds).sum()
    }

    /// How many lists, pairs or tokens of all steps could not teach.
    pub fn skipped(&self) -> usize {
        self.steps.iter().map(|step| step.skipped).sum()
    }
}

/// Trains what is trainable, through all phases of an adapter. With a folder there are a log and checkpoints in it, from which a
/// run that was killed goes on to the same numbers; `identity` says what the training is.
///
/// # Errors
/// Settings that cannot be, labels that the objective cannot use, a file that cannot be written, or a loss that is no number.
pub fn train(
    task: &dyn Task,
    compute: &Arc<Compute>,
    parameters: &mut Parameters,
    settings: &Settings,
    place: (Option<&Path>, &str),
    hooks: Option<&mut dyn Hooks>,
    progress: &mut dyn FnMut(&StepRecord, usize),
) -> Result<Report, TrainError> {
    train_evaluated(task, compute, parameters, settings, place, (hooks, None), progress)
}

/// The same with an evaluation every [`Settings::evaluate`] steps and after the last one. Each phase stops when
/// [`Settings::patience`] evaluations have brought no gain, and leaves the weights that were best in it. What is measured is part of what the
/// training is: a checkpoint is of this measure alone.
///
/// # Errors
/// As [`train`]; there is nothing to evaluate on, or an evaluation fails.
pub fn train_evaluated(
    task: &dyn Task,
    compute: &Arc<Compute>,
    parameters: &mut Parameters,
    settings: &Settings,
    (folder, identity): (Option<&Path>, &str),
    (hooks, evaluation): (Option<&mut dyn Hooks>, Option<Evaluation<'_>>),
    progress: &mut dyn FnMut(&StepRecord, usize),
) -> Result<Report, TrainError> {
    settings.check()?;
    if task.count() == 0 {
        return Err(TrainError::Setting("there are no examples to train on".into()));
    }
    if settings.evaluate > 0 && evaluation.is_none() {
        let problem = "evaluate: there are no examples to evaluate on; name a file as validation, or leave evaluate out";
        return Err(TrainError::Setting(problem.into()));
    }
    if settings.recompute && !task.recomputes() {
        let problem = "recompute: this model has no transformer layers that could be run again; leave it out (BERT, Llama and T5 have)";
        return Err(TrainError::Setting(problem.into()));
    }
    // A best value is one of its measure: another one does not go on from it.
    let identity = match &evaluation {
        Some(evaluation) if settings.evaluate > 0 => {
            format!("{identity}\nevaluated by {}", evaluation.measure)
        }
        _ => identity.to_string(),
    };
    let mut none = NoHooks;
    let mut run = Run {
        task,
        compute,
        parameters,
        settings,
        place: (folder, identity.as_str()),
        hooks: hooks.unwrap_or(&mut none),
        evaluation,
        best: None,
        optimizer: new_optimizer(settings),
        gradients: Gradients::default(),
        order: Order::new(settings.seed, task.count()),
        log: None,
        steps: settings.steps_over(task.count()),
        done: Progress::START,
        saved: None,
        report: Report::default(),
    };
    run.resume()?;
    loop {
        run.phase(progress)?;
        run.take_best();
        run.keep_phase()?;
        if run.report.ended || !run.next_phase() {
            break;
        }
    }
    run.report.phases = run.done.phase;
    run.report.total = run.count();
    Ok(run.report)
}

fn new_optimizer(settings: &Settings) -> AdamW {
    let mut optimizer = AdamW::default();
    (optimizer.beta2, optimizer.decay) = (settings.beta2, settings.decay);
    optimizer
}

/// A training on its way.
struct Run<'r> {
    task: &'r dyn Task,
    compute: &'r Arc<Compute>,
    parameters: &'r mut Parameters,
    settings: &'r Settings,
    /// The folder of log and checkpoint, and what the training is.
    place: (Option<&'r Path>, &'r str),
    hooks: &'r mut dyn Hooks,
    evaluation: Option<Evaluation<'r>>,
    /// The best weights of the phase, once it was evaluated.
    best: Option<Best>,
    optimizer: AdamW,
    gradients: Gradients,
    order: Order,
    log: Option<StepLog>,
    /// Steps of a phase.
    steps: usize,
    done: Progress,
    /// How far the training is that the checkpoint has.
    saved: Option<Progress>,
    report: Report,
}

impl Run<'_> {
    /// Goes to where the checkpoint of the folder is.
    fn resume(&mut self) -> Result<(), TrainError> {
        let (Some(folder), identity) = self.place else { return Ok(()) };
        if let Some(state) = checkpoint::load(folder, self.parameters, &mut self.optimizer, identity)? {
            self.hooks.set_state(&state.adapter)?;
            (self.done, self.saved) = (state.progress, Some(state.progress));
            (self.best, self.report.members) = (state.best, phases::before(folder, state.progress.phase)?);
            // What had a gradient once has one of zeros in a step that does not reach it, and the optimiser moves it on.
            for (id, [first, _]) in self.optimizer.moments() {
                self.gradients.insert(id, vec![0.0; first.len()]);
            }
        }
        let (log, steps) = StepLog::open(folder, self.done)?;
        (self.log, self.report.steps) = (Some(log), steps);
        self.report.resumed = self.count();
        Ok(())
    }

    /// Steps that are done. Phases that were stopped early have only those of the log.
    fn count(&self) -> usize {
        match self.settings.patience {
            0 => (self.done.phase - 1) * self.steps + self.done.step,
            _ => self.report.steps.len(),
        }
    }

    /// The steps of a phase, up to its end or where it is stopped.
    fn phase(&mut self, progress: &mut dyn FnMut(&StepRecord, usize)) -> Result<(), TrainError> {
        while self.done.step < self.steps && !self.is_stopped() {
            if self.hooks.is_done(self.parameters) {
                self.report.ended = true;
                break;
            }
            let mut record = self.step()?;
            self.evaluate(&mut record)?;
            self.keep(&record)?;
            progress(&record, self.steps);
            self.report.steps.push(record);
        }
        Ok(())
    }

    /// Evaluates the model after a step where it is time to, and remembers the best weights.
    fn evaluate(&mut self, record: &mut StepRecord) -> Result<(), TrainError> {
        let (every, step) = (self.settings.evaluate, self.done.step);
        if every == 0 || !(step.is_multiple_of(every) || step == self.steps) {
            return Ok(());
        }
        let Some((value, greater_is_better)) = self.measure()? else { return Ok(()) };
        let best = Best::after(self.best.take(), (step, value), greater_is_better, self.parameters);
        (record.evaluation, self.best) = (Some(value), Some(best));
        Ok(())
    }

    /// What the evaluation makes of the weights as they are, and whether a greater value is better; `None` without one.
    fn measure(&mut self) -> Result<Option<(f64, bool)>, TrainError> {
        let Some(evaluation) = &mut self.evaluation else { return Ok(None) };
        let parameters: &Parameters = self.parameters;
        let step = self.done.step;
        let value = (evaluation.value)(parameters)?;
        match value.is_finite() {
            true => Ok(Some((value, evaluation.greater_is_better))),
            false => Err(TrainError::Model(format!(
                "the {} after step {step} is {value}, which is no number: lower the learning rate or clip gradients, and train into \
                 another folder",
                evaluation.measure
            ))),
        }
    }

    /// Keeps what the adapter is at the end of a phase, with its size and worth, where each phase leaves another one.
    fn keep_phase(&mut self) -> Result<(), TrainError> {
        let Some(folder) = self.place.0 else { return Ok(()) };
        let phase = self.done.phase;
        let own = phase_folder(folder, phase);
        let Some(member) = self.hooks.save_phase(self.parameters, &own)? else { return Ok(()) };
        let value = self.measure()?.map(|(value, _)| value);
        let measure = self.evaluation.as_ref().map(|evaluation| evaluation.measure.to_string());
        let PhaseMember { setting, size, ranks } = member;
        let record = PhaseRecord { phase, setting, size, measured: measure.zip(value), ranks };
        record.write(&own)?;
        self.report.members.push(record);
        Ok(())
    }

    /// Whether the phase ends here for want of gain.
    fn is_stopped(&self) -> bool {
        let patience = self.settings.patience;
        patience > 0 && self.best.as_ref().is_some_and(|best| best.since >= patience)
    }

    /// Puts the best weights of the phase back at its end.
    fn take_best(&mut self) {
        let (Some(best), Some(evaluation)) = (&self.best, &self.evaluation) else { return };
        best.put_into(self.parameters);
        self.report.evaluated = Some(Evaluated {
            measure: evaluation.measure,
            phase: self.done.phase,
            best: best.step,
            value: best.value,
            stopped: self.is_stopped().then_some(self.done.step),
        });
    }

    /// One step of the optimiser.
    fn step(&mut self) -> Result<StepRecord, TrainError> {
        let (settings, step) = (self.settings, self.done.step);
        let begun = Instant::now();
        let share = settings.schedule.share(step, settings.warmup, self.steps);
        let mut record = StepRecord {
            phase: self.done.phase,
            step: step + 1,
            loss: 0.0,
            entropy: None,
            rate: settings.rate * share,
            gradient_norm: 0.0,
            tokens: 0,
            skipped: 0,
            seconds: 0.0,
            evaluation: None,
        };
        let (mut examples, mut batches) = (Vec::new(), Accumulation::default());
        for part in 0..settings.accumulate {
            let first = (step * settings.accumulate + part) * settings.batch;
            examples = (first..first + settings.batch).map(|place| self.order.at(place)).collect();
            self.pass(&examples, first, (&mut record, &mut batches))?;
        }
        (record.loss, record.entropy) = (batches.loss(), batches.entropy());
        if settings.accumulate > 1 {
            self.gradients.scale(batches.share());
        }
        self.hooks.before_step(self.parameters, &mut self.gradients);
        record.gradient_norm = match settings.clip > 0.0 {
            true => clip(&mut self.gradients, settings.clip),
            false => self.gradients.norm(),
        };
        if !record.gradient_norm.is_finite() {
            return Err(self.diverged("the norm of the gradients", record.gradient_norm, &examples));
        }
        let head = if settings.head_rate > 0.0 { settings.head_rate * share } else { record.rate };
        let task = self.task;
        let rate = |parameter: &Parameter| if task.is_head(&parameter.name) { head } else { record.rate };
        self.optimizer.step(self.compute, self.parameters, &self.gradients, rate);
        self.hooks.after_step(self.parameters, record.rate);
        self.gradients.clear();
        self.done.step += 1;
        record.seconds = begun.elapsed().as_secs_f64();
        Ok(record)
    }

    /// Adds the gradients of a batch whose first example has a place in the row of epochs.
    fn pass(
        &mut self,
        examples: &[usize],
        first: usize,
        (record, batches): (&mut StepRecord, &mut Accumulation),
    ) -> Result<(), TrainError> {
        let settings = self.settings;
        let key = settings.seed.wrapping_mul(1 << 20).wrapping_add((first + 1) as u64);
        self.hooks.begin_pass(key);
        let tape = Tape::new(self.parameters, self.compute).recomputing(settings.recompute);
        let mode = Mode { dropout: settings.dropout, key, is_training: true };
        let loss = self.task.loss(&tape, examples, mode);
        let loss = loss.map_err(|error| self.failed(error, examples))?;
        let value = loss.value.item();
        batches.tell_entropies(tape.told(ENTROPY));
        record.tokens += loss.tokens;
        record.skipped += loss.skipped;
        if !value.is_finite() {
            return Err(self.diverged("the loss", f64::from(value), examples));
        }
        let weight = batches.add(value, loss.used);
        if weight == 1.0 {
            tape.backward(&loss.value, &mut self.gradients);
        } else if weight > 0.0 {
            let share = tape.scale(&loss.value, weight);
            tape.backward(&share, &mut self.gradients);
        }
        Ok(())
    }

    fn diverged(&self, what: &'static str, value: f64, examples: &[usize]) -> TrainError {
        let (step, checkpoint) = (self.done.step + 1, self.saved.map(|saved| saved.step));
        TrainError::Diverged { step, what, value, examples: self.named(examples), checkpoint }
    }

    /// The error of a batch with its step, and where the task does not say more with its examples.
    fn failed(&self, error: TrainError, examples: &[usize]) -> TrainError {
        let (step, checkpoint) = (self.done.step + 1, self.saved.map(|saved| saved.step));
        match error {
            TrainError::Model(problem) => {
                TrainError::Step { step, problem, examples: self.named(examples), checkpoint }
            }
            error => error.at_step(step),
        }
    }

    fn named(&self, examples: &[usize]) -> String {
        let examples: Vec<String> = examples.iter().map(|at| self.task.describe(*at)).collect();
        examples.join(", ")
    }

    /// Writes a step down, and from time to time a checkpoint.
    fn keep(&mut self, record: &StepRecord) -> Result<(), TrainError> {
        if let Some(log) = &mut self.log {
            log.add(record)?;
        }
        let (every, step) = (self.settings.checkpoint, self.done.step);
        let is_due = every > 0 && (step.is_multiple_of(every) || step == self.steps || self.is_stopped());
        let (Some(folder), identity) = self.place else { return Ok(()) };
        if is_due {
            let state = State { progress: self.done, adapter: self.hooks.state(), best: self.best.clone() };
            checkpoint::save(folder, (self.parameters, &self.optimizer), &state, identity)?;
            self.saved = Some(self.done);
        }
        Ok(())
    }

    /// Goes on to the next phase, if there is one.
    fn next_phase(&mut self) -> bool {
        let more = self.hooks.next_phase(self.parameters);
        if more {
            self.done = Progress { phase: self.done.phase + 1, step: 0 };
            self.best = None;
            (self.optimizer, self.gradients) = (new_optimizer(self.settings), Gradients::default());
        }
        more
    }
}

/// The mean loss over all examples, without training on them: the weight of a batch is what its loss is the mean of. Of a sum of
/// objectives that are means of different things, as of tokens and of lists, it is the larger number.
///
/// # Errors
/// Labels that the objective cannot use.
pub fn mean_loss(
    task: &dyn Task,
    compute: &Arc<Compute>,
    parameters: &Parameters,
    batch: usize,
) -> Result<f64, TrainError> {
    let (mut total, mut weight) = (0f64, 0f64);
    let all: Vec<usize> = (0..task.count()).collect();
    for examples in all.chunks(batch.max(1)) {
        let tape = Tape::inference(parameters, compute);
        let loss = task.loss(&tape, examples, Mode::default())?;
        total += f64::from(loss.value.item()) * loss.used as f64;
        weight += loss.used as f64;
    }
    Ok(total / weight.max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_sums_its_steps_up() {
        let step = |(phase, loss, seconds, skipped): (usize, f32, f64, usize)| StepRecord {
            phase,
            step: 1,
            loss,
            entropy: None,
            rate: 0.0,
            gradient_norm: 0.0,
            tokens: 0,
            skipped,
            seconds,
            evaluation: None,
        };
        let steps = [(1, 8.0, 9.0, 1), (1, 4.0, 1.0, 0), (2, 3.0, 4.0, 2), (2, 2.0, 2.0, 0)];
        let report = Report { steps: steps.map(step).to_vec(), phases: 2, ..Report::default() };
        // A tenth of the two steps of the last phase is one; of 1, 2, 4 and 9 seconds the upper one in the middle is 4.
        assert_eq!((report.first_loss(), report.final_loss()), (8.0, 2.0));
        assert_eq!((report.median_seconds(), report.seconds(), report.skipped()), (4.0, 16.0, 3));
        let none = Report::default();
        assert_eq!((none.first_loss(), none.final_loss(), none.median_seconds()), (0.0, 0.0, 0.0));
    }
}
