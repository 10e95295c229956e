//! A trained model of sequences as a recommender.

use super::settings::check_next_items;
use super::{LearningSettings, NextItemTask, SequenceBatch, SequenceModel, normalize_rows};
use crate::evaluation::check_items;
use crate::{Event, FitData, Fitting, RecError, Recommender, Request};
use plackett_kernel::{Panels, Start, multiply_panels};
use plackett_train::nn::Mode;
use plackett_train::trainer::{Settings, Task};
use plackett_train::{Compute, Engine, Parameters, Tape};
use std::sync::Arc;

/// A model of sequences with its parameters. Scores are cosines between what the model knows after the last event and the items.
pub struct SequenceRecommender<M: SequenceModel> {
    model: M,
    parameters: Parameters,
    compute: Arc<Compute>,
    /// Item vectors of length 1: width × catalogue.
    items: Panels,
}

impl<M: SequenceModel> SequenceRecommender<M> {
    /// Of a model that is trained.
    pub fn new(model: M, parameters: Parameters, compute: Arc<Compute>) -> SequenceRecommender<M> {
        let mut items = Panels::default();
        {
            let tape = Tape::inference(&parameters, &compute);
            let table = normalize_rows(&tape, &Engine::parameter(&tape, model.items()));
            items.pack(compute.workers, &table.value, table.columns, table.rows, true);
        }
        SequenceRecommender { model, parameters, compute, items }
    }

    /// Trains a model.
    ///
    /// # Errors
    /// Nobody has two events, or the training fails.
    pub fn fit(
        model: M,
        mut parameters: Parameters,
        learning: &LearningSettings,
        data: &FitData<'_>,
        fitting: &mut Fitting<'_>,
    ) -> Result<SequenceRecommender<M>, RecError> {
        let task = NextItemTask::new(&model, data.sequences, learning, data.catalogue);
        check_next_items("a model of sequences", task.count())?;
        let settings =
            Settings { batch: learning.settings.batch.min(task.count()), ..learning.settings.clone() };
        check_step(&task, &settings, learning.negatives)?;
        fitting.train(&task, &mut parameters, settings)?;
        Ok(SequenceRecommender::new(model, parameters, fitting.compute.clone()))
    }

    /// The model and its parameters.
    pub fn into_parts(self) -> (M, Parameters) {
        (self.model, self.parameters)
    }
}

/// The most scores that a step holds: 4 GB.
pub(crate) const MOST_SCORES: u128 = 1 << 30;

/// Refuses a step before its memory is asked for.
fn check_step<M: SequenceModel>(
    task: &NextItemTask<'_, M>,
    settings: &Settings,
    negatives: usize,
) -> Result<(), RecError> {
    let rows = settings.batch as u128 * task.longest() as u128;
    match rows * (negatives as u128 + 1) > MOST_SCORES {
        true => Err(RecError::Setting(format!(
            "a step of {} users with up to {} events each and {negatives} negatives has more than {MOST_SCORES} scores; give a smaller \
             batch, fewer negatives or a smaller max-length",
            settings.batch,
            task.longest()
        ))),
        false => Ok(()),
    }
}

impl<M: SequenceModel> Recommender for SequenceRecommender<M> {
    fn catalogue(&self) -> usize {
        self.items.columns()
    }

    /// Without any event all items have the score 0.
    fn scores(&self, requests: &[Request<'_>]) -> Result<Vec<f32>, RecError> {
        let catalogue = self.catalogue();
        let most = self.model.max_length();
        let newest: Vec<(&[Event], i64)> = requests
            .iter()
            .map(|request| (&request.history[request.history.len().saturating_sub(most)..], request.now))
            .collect();
        check_items(newest.iter().flat_map(|(events, _)| *events), catalogue)?;
        let asked: Vec<usize> = (0..newest.len()).filter(|at| !newest[*at].0.is_empty()).collect();
        let mut scores = vec![0.0; requests.len() * catalogue];
        if asked.is_empty() {
            return Ok(scores);
        }
        let batch = SequenceBatch::new(asked.iter().map(|at| newest[*at]));
        let tape = Tape::inference(&self.parameters, &self.compute);
        let states = self.model.forward(&tape, &batch, Mode::default());
        let last: Vec<usize> = batch.sequences.iter().map(|rows| rows.end - 1).collect();
        let states = normalize_rows(&tape, &Engine::select_rows(&tape, &states, &last));
        let mut found = vec![0.0; asked.len() * catalogue];
        let (isa, workers) = (self.compute.isa, self.compute.workers);
        let sizes = (asked.len(), states.columns);
        multiply_panels(isa, workers, &states.value, sizes, &self.items, &mut found, Start::Zero, None);
        for (at, found) in asked.iter().zip(found.chunks(catalogue)) {
            scores[at * catalogue..][..catalogue].copy_from_slice(found);
        }
        Ok(scores)
    }

    fn parameters(&self) -> Parameters {
        self.parameters.clone()
    }
}
