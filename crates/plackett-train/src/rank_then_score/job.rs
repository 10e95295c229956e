//! The training: order first, then scale.

use super::LabelledItem;
use super::curriculum::{Curriculum, CurriculumState};
use super::losses::{contrastive_regression, margin_rank};
use super::model::LevelScorer;
use crate::TrainError;
use crate::optimizer::AdamW;
use crate::tape::{Compute, Gradients, Parameters, Tape, Var, VarRef};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// Which stages there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stages {
    /// Order, then scale: the paper's.
    RankThenScore,
    /// Order alone.
    Rank,
    /// Scale alone, for as many epochs as both stages have.
    Score,
}

/// The numbers of a training.
#[derive(Clone, Debug)]
pub struct RankThenScore {
    /// Which stages there are.
    pub stages: Stages,
    /// Items of a batch.
    pub batch: usize,
    /// Epochs of the first stage.
    pub rank_epochs: usize,
    /// Epochs of the second stage.
    pub score_epochs: usize,
    /// The learning rate, which falls by a tenth every five epochs.
    pub rate: f32,
    /// Weight decay.
    pub decay: f32,
    /// By how much the better of a pair must be ahead.
    pub margin: f32,
    /// The weight of the contrastive loss; 0 for none.
    pub contrast: f32,
    /// Its temperature.
    pub tau: f64,
    /// From easy to hard.
    pub curriculum: Curriculum,
    /// From which the batches follow.
    pub seed: u64,
    /// The rank correlation of two lists, by which the curriculum moves; of what has none, 0.
    pub correlation: fn(&[f64], &[f64]) -> f64,
}

/// An epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct EpochRecord {
    /// Whether it was of the first stage.
    pub ranks: bool,
    /// The mean loss.
    pub loss: f32,
    /// Where the knobs stood.
    pub state: CurriculumState,
    /// Pairs of items and dimensions that counted.
    pub pairs: usize,
}

/// What a training was like.
#[derive(Clone, Debug, Default)]
pub struct Trained {
    /// Its epochs.
    pub epochs: Vec<EpochRecord>,
}

impl RankThenScore {
    /// Trains a scorer.
    ///
    /// # Errors
    /// No item, items of another shape than the scorer's, or a loss that is no number.
    pub fn run(
        &self,
        scorer: &LevelScorer,
        parameters: &mut Parameters,
        items: &[LabelledItem],
        compute: &Arc<Compute>,
    ) -> Result<Trained, TrainError> {
        let fits = |item: &LabelledItem| {
            item.labels.len() == scorer.dimensions() && item.features.len() == scorer.features()
        };
        if let Some(at) = items.iter().position(|item| !fits(item)) {
            return Err(TrainError::Setting(format!(
                "item {} has {} features and {} labels, and the scorer {} features and {} dimensions",
                at + 1,
                items[at].features.len(),
                items[at].labels.len(),
                scorer.features(),
                scorer.dimensions()
            )));
        }
        if items.is_empty() || self.batch == 0 {
            return Err(TrainError::Setting("there are no items to learn from, or batches of none".into()));
        }
        let mut by_group = vec![Vec::new(); items.iter().map(|item| item.group + 1).max().unwrap_or(0)];
        items.iter().enumerate().for_each(|(at, item)| by_group[item.group].push(at));
        by_group.retain(|group| !group.is_empty());
        let mut run = Run {
            job: self,
            scorer,
            items,
            by_group,
            compute,
            random: ChaCha8Rng::seed_from_u64(self.seed),
            state: self.curriculum.start(),
            trained: Trained::default(),
        };
        let (rank, score) = match self.stages {
            Stages::RankThenScore => (self.rank_epochs, self.score_epochs),
            Stages::Rank => (self.rank_epochs, 0),
            Stages::Score => (0, self.rank_epochs + self.score_epochs),
        };
        run.stage(parameters, true, rank)?;
        let levels = scorer.level_parameters();
        if rank > 0 {
            levels.iter().for_each(|id| parameters[*id].trainable = false);
        }
        run.stage(parameters, false, score)?;
        levels.iter().for_each(|id| parameters[*id].trainable = true);
        Ok(run.trained)
    }
}

struct Run<'r> {
    job: &'r RankThenScore,
    scorer: &'r LevelScorer,
    items: &'r [LabelledItem],
    by_group: Vec<Vec<usize>>,
    compute: &'r Arc<Compute>,
    random: ChaCha8Rng,
    state: CurriculumState,
    trained: Trained,
}

impl Run<'_> {
    /// The epochs of a stage, with an optimiser of its own.
    fn stage(&mut self, parameters: &mut Parameters, ranks: bool, epochs: usize) -> Result<(), TrainError> {
        let mut optimizer = AdamW::default();
        optimizer.decay = self.job.decay;
        let largest = self.by_group.iter().map(Vec::len).max().unwrap_or(0);
        let batches = (self.by_group.len() * largest / self.job.batch).max(1);
        for epoch in 0..epochs {
            let rate = self.job.rate * 0.9f32.powi((epoch / 5) as i32);
            let (mut loss, mut pairs) = (0.0, 0);
            for _ in 0..batches {
                // The second stage has items of all groups, as a regression has.
                let state = match ranks {
                    true => self.state,
                    false => self.state.of_all_groups(self.job.batch),
                };
                let batch = state.batch(&self.by_group, self.job.batch, &mut self.random);
                let mut gradients = Gradients::default();
                let (value, used) = self.pass(parameters, &batch, ranks, &mut gradients);
                if !value.is_finite() {
                    return Err(TrainError::Setting(format!(
                        "the loss is {value} in epoch {}; give a lower rate",
                        epoch + 1
                    )));
                }
                optimizer.step(self.compute, parameters, &gradients, |_| rate);
                loss += value / batches as f32;
                pairs += used;
            }
            self.trained.epochs.push(EpochRecord { ranks, loss, state: self.state, pairs });
            if ranks {
                let order = self.orders(parameters);
                let job = self.job;
                self.state = job.curriculum.next(&self.state, order, (epoch, epochs), job.batch);
            }
        }
        Ok(())
    }

    /// Loss and gradients of a batch, and how many pairs counted.
    fn pass(
        &self,
        parameters: &Parameters,
        batch: &[usize],
        ranks: bool,
        gradients: &mut Gradients,
    ) -> (f32, usize) {
        let tape = Tape::new(parameters, self.compute);
        let rows: Vec<f32> = batch.iter().flat_map(|at| self.items[*at].features.iter().copied()).collect();
        let x = tape.constant((batch.len(), rows.len() / batch.len().max(1)), &rows);
        let all: Vec<(Var, Var)> =
            (0..self.scorer.dimensions()).map(|d| self.scorer.forward(&tape, &x, d)).collect();
        let labels: Vec<&[Option<f32>]> = batch.iter().map(|at| self.items[*at].labels.as_slice()).collect();
        let (loss, used) = match ranks {
            true => self.rank_loss(&tape, batch, &labels, &all),
            false => (squared_error(&tape, &labels, &all), 0),
        };
        let value = loss.item();
        tape.backward(&loss, gradients);
        (value, used)
    }

    fn rank_loss(
        &self,
        tape: &Tape,
        batch: &[usize],
        labels: &[&[Option<f32>]],
        all: &[(Var, Var)],
    ) -> (Var, usize) {
        let dimensions = all.len();
        let scores: Vec<f32> =
            (0..batch.len()).flat_map(|item| all.iter().map(move |(_, scores)| scores.value[item])).collect();
        let uses = |i: usize, j: usize| self.state.uses(&self.items[batch[i]], &self.items[batch[j]]);
        let (value, slopes, used) = margin_rank(&scores, labels, self.job.margin, &uses);
        let of = |d: usize| slopes.iter().skip(d).step_by(dimensions).copied().collect::<Vec<f32>>();
        let mut loss = with_gradient(tape, &all[0].1, value, of(0));
        for (d, (_, scores)) in all.iter().enumerate().skip(1) {
            loss = tape.plus(&loss, &with_gradient(tape, scores, 0.0, of(d)));
        }
        if self.job.contrast > 0.0 {
            let terms = |d: usize| {
                let known = labels.iter().filter(|labels| labels[d].is_some()).count();
                if known < 3 { 0 } else { known * (known - 1) }
            };
            let total = (0..dimensions).map(terms).sum::<usize>().max(1) as f32;
            for (d, (vectors, _)) in all.iter().enumerate() {
                let own: Vec<Option<f32>> = labels.iter().map(|labels| labels[d]).collect();
                let (value, slopes) =
                    contrastive_regression(&vectors.value, self.scorer.width(), &own, self.job.tau);
                // A mean over all terms: a dimension that few items have counts as much as it has terms.
                let weight = self.job.contrast * terms(d) as f32 / total;
                let slopes = slopes.into_iter().map(|slope| weight * slope).collect();
                loss = tape.plus(&loss, &with_gradient(tape, vectors, weight * value, slopes));
            }
        }
        (loss, used)
    }

    /// Rank correlation over all training items, and the agreement of pairs that are at least the gap apart, both as means over
    /// dimensions.
    fn orders(&self, parameters: &Parameters) -> (f64, f64) {
        let features: Vec<&[f32]> = self.items.iter().map(|item| item.features.as_slice()).collect();
        let scores = self.scorer.scores(parameters, self.compute, &features);
        let dimensions = self.scorer.dimensions();
        let (mut order, mut easy) = (0.0, 0.0);
        for d in 0..dimensions {
            let known: Vec<(f64, f64)> = self
                .items
                .iter()
                .enumerate()
                .filter_map(|(at, item)| {
                    Some((f64::from(scores[at * dimensions + d]), f64::from(item.labels[d]?)))
                })
                .collect();
            let (ours, theirs): (Vec<f64>, Vec<f64>) = known.iter().copied().unzip();
            order += (self.job.correlation)(&ours, &theirs) / dimensions as f64;
            easy += agreement(&known, self.state.gap) / dimensions as f64;
        }
        (order, easy)
    }
}

/// Kendall's correlation over pairs whose labels are different and at least so far apart.
fn agreement(known: &[(f64, f64)], gap: f64) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for (at, (score, label)) in known.iter().enumerate() {
        for (other_score, other_label) in &known[at + 1..] {
            let apart = label - other_label;
            if apart != 0.0 && apart.abs() >= gap {
                let sign = (score - other_score) * apart;
                sum += if sign > 0.0 {
                    1.0
                } else if sign < 0.0 {
                    -1.0
                } else {
                    0.0
                };
                count += 1.0;
            }
        }
    }
    if count > 0.0 { sum / count } else { 0.0 }
}

/// The mean squared difference over labels that there are.
fn squared_error(tape: &Tape, labels: &[&[Option<f32>]], all: &[(Var, Var)]) -> Var {
    let count = labels.iter().flat_map(|labels| labels.iter()).flatten().count().max(1) as f32;
    let mut loss = tape.constant((1, 1), &[0.0]);
    for (d, (_, scores)) in all.iter().enumerate() {
        let own: Vec<f32> = labels.iter().map(|labels| labels[d].unwrap_or(0.0)).collect();
        let known: Vec<f32> = labels.iter().map(|labels| f32::from(u8::from(labels[d].is_some()))).collect();
        let apart = tape.minus(scores, &tape.constant((own.len(), 1), &own));
        let apart = tape.times(&apart, &tape.constant((known.len(), 1), &known));
        loss = tape.plus(&loss, &tape.scale(&tape.sum(&tape.square(&apart)), 1.0 / count));
    }
    loss
}

/// A number whose gradient by a matrix is known.
fn with_gradient(tape: &Tape, x: &Var, value: f32, slopes: Vec<f32>) -> Var {
    let mut number = tape.buffer(1);
    number[0] = value;
    let of = VarRef::from(x);
    tape.record(&[x], (1, 1), number, move |flow, gradient| {
        flow.accumulate(&of, |sum| {
            sum.iter_mut().zip(&slopes).for_each(|(sum, slope)| *sum += gradient[0] * slope)
        });
    })
}
