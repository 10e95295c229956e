//! A whole training of a scorer of groups (Li and others, TSPRank, 2024), from vectors to a folder.

use super::evaluation::Evaluation;
use super::group_encoder::GroupEncoderShape;
use super::job::Outcome;
use super::run::{Hooks, mean_loss, train_evaluated};
use super::trained::parse_objective;
use super::{
    Embedding, GroupHead, GroupScorer, GroupShape, GroupTask, ItemGroup, RoundRobin, Settings, StepRecord,
    VectorOrigin,
};
use crate::TrainError;
use crate::objective::{Input, Term};
use crate::tape::{Compute, Parameters};
use std::path::Path;
use std::sync::Arc;

/// What stands between objectives that take turns.
pub const TURNS: char = '|';
/// The most numbers, units or heads of a part, as of the stage `order-groups`.
const MOST: usize = 4096;
/// The most layers of an encoder.
const MOST_LAYERS: usize = 24;

/// What each held-out group is worth in the order that a scorer gives it.
pub type GroupValues<'m> = &'m dyn Fn(&GroupScorer, &Parameters) -> Result<Vec<f64>, TrainError>;

/// What a training gives: its outcome, and the values of held-out groups before and after it.
pub type MeasuredOutcome = (Outcome, Option<[Vec<f64>; 2]>);

/// What the orders of held-out groups are worth.
#[derive(Clone, Copy)]
pub struct GroupMeasure<'m> {
    /// What is measured, in a user's words.
    pub name: &'static str,
    /// Measures a scorer: a number for each group, of which a greater one is better.
    pub of: GroupValues<'m>,
}

impl<'m> GroupMeasure<'m> {
    /// The mean of its values, of the weights of the moment.
    fn evaluation<'e>(self, scorer: &'e GroupScorer) -> Evaluation<'e>
    where
        'm: 'e,
    {
        let value = move |parameters: &Parameters| -> Result<f64, TrainError> {
            let values = (self.of)(scorer, parameters)?;
            Ok(values.iter().sum::<f64>() / values.len().max(1) as f64)
        };
        Evaluation { measure: self.name, greater_is_better: true, value: Box::new(value) }
    }
}

/// A scorer of successions that learns from groups with an order.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupJob {
    /// What is minimised; several sums with `|` between them take turns from batch to batch.
    pub objective: String,
    /// What vectors become.
    pub embedding: Embedding,
    /// The encoder after that.
    pub encoder: Option<GroupEncoderShape>,
    /// How long and how fast.
    pub settings: Settings,
}

impl Default for GroupJob {
    /// TSPRank's hybrid training, with the published encoder of retrieval.
    fn default() -> GroupJob {
        GroupJob {
            objective: "tsprank-local | tsprank-max-margin".into(),
            embedding: Embedding::Linear(128),
            encoder: Some(GroupEncoderShape { layers: 4, heads: 8, inner: 128 }),
            settings: Settings::default(),
        }
    }
}

impl GroupJob {
    /// Checks everything that can be wrong before vectors are made.
    ///
    /// # Errors
    /// An objective, shape or setting that cannot be.
    pub fn check(&self) -> Result<(), TrainError> {
        self.objectives()?;
        self.settings.check()?;
        let refused = |problem: &str| Err(TrainError::Setting(problem.into()));
        if self.settings.head_rate > 0.0 {
            return refused("head_rate: every part of this scorer is new; leave it out and set rate");
        }
        if self.settings.recompute {
            return refused("recompute: this scorer has no layers that could be run again; leave it out");
        }
        let is_hidden = matches!(self.embedding, Embedding::Hidden(..));
        if self.settings.dropout > 0.0 && !is_hidden && self.encoder.is_none() {
            return refused(
                "dropout: there are neither hidden units nor layers of an encoder, so that it would change nothing; leave it out",
            );
        }
        self.check_sizes()?;
        // A scorer of a few numbers and one layer shows whether the parts go together.
        let encoder =
            self.encoder.map(|encoder| GroupEncoderShape { layers: encoder.layers.min(1), ..encoder });
        let inputs = match self.embedding {
            Embedding::None => encoder.map_or(1, |encoder| encoder.heads.max(1)),
            Embedding::Linear(_) | Embedding::Hidden(..) => 1,
        };
        let shape = GroupShape { encoder, ..self.shape(inputs) };
        GroupScorer::new(&mut Parameters::default(), shape, 0).map(drop)
    }

    /// Refuses sizes that no memory holds.
    fn check_sizes(&self) -> Result<(), TrainError> {
        let (hidden, width) = match self.embedding {
            Embedding::None => (0, 0),
            Embedding::Linear(width) => (0, width),
            Embedding::Hidden(hidden, width) => (hidden, width),
        };
        let (layers, heads, inner) =
            self.encoder.map_or((0, 0, 0), |encoder| (encoder.layers, encoder.heads, encoder.inner));
        if [hidden, width, heads, inner].iter().any(|size| *size > MOST) || layers > MOST_LAYERS {
            return Err(TrainError::Setting(format!(
                "width, hidden, heads and inner of a scorer are {MOST} at most, and layers {MOST_LAYERS}; give smaller ones"
            )));
        }
        Ok(())
    }

    fn shape(&self, inputs: usize) -> GroupShape {
        let GroupJob { embedding, encoder, .. } = *self;
        GroupShape { inputs, embedding, encoder, head: GroupHead::Successor }
    }

    /// The objectives that take turns.
    fn objectives(&self) -> Result<Vec<Vec<Term>>, TrainError> {
        let known = [Input::PairScores, Input::Ranks];
        let is_other = |term: &&Term| term.objective.spec().takes.iter().any(|input| !known.contains(input));
        let sum = |text: &str| {
            let terms = parse_objective(text.trim())?;
            match terms.iter().find(is_other) {
                None => Ok(terms),
                Some(term) => Err(TrainError::Setting(format!(
                    "objective: `{}` is not of scores of ordered pairs; choose tsprank-local, tsprank-max-margin, or both in turn, \
                     as \"tsprank-local | tsprank-max-margin\"",
                    term.objective
                ))),
            }
        };
        self.objective.split(TURNS).map(sum).collect()
    }

    /// Trains a scorer of vectors of so many numbers, made by the model `origin`, and writes it to `output`. In `work` lie the
    /// log and checkpoints, from which a run that was killed goes on; `identity` tells this training from others. Gives beside
    /// the outcome, which has the mean loss over `validation` before and after, what the measure says before and after.
    ///
    /// # Errors
    /// A setting or group that cannot be, a file that cannot be written, a loss that is no number, or what the measure says.
    pub fn run(
        &self,
        (groups, validation): (&[ItemGroup], &[ItemGroup]),
        (inputs, origin): (usize, &VectorOrigin),
        (work, output): (&Path, &Path),
        identity: &str,
        compute: &Arc<Compute>,
        progress: &mut dyn FnMut(&StepRecord, usize),
        measure: Option<GroupMeasure<'_>>,
    ) -> Result<MeasuredOutcome, TrainError> {
        self.check()?;
        std::fs::create_dir_all(work).map_err(|source| TrainError::file(work, source))?;
        let mut parameters = Parameters::default();
        let scorer = GroupScorer::new(&mut parameters, self.shape(inputs), self.settings.seed)?;
        let (trainable, count) = (parameters.trainable_count(), parameters.count());
        let mut outcome = Outcome { trainable, parameters: count, ..Outcome::default() };
        let validate = |parameters: &Parameters| self.validate(validation, (&scorer, parameters), compute);
        let measured = |parameters: &Parameters| -> Result<Option<Vec<f64>>, TrainError> {
            measure.map(|measure| (measure.of)(&scorer, parameters)).transpose()
        };
        let (loss, before) = (validate(&parameters)?, measured(&parameters)?);
        let mut turns = RoundRobin::default();
        let objectives = self.objectives()?;
        let task = GroupTask { scorer: scorer.clone(), groups, objectives, turns: turns.clone() };
        let evaluation = match measure {
            Some(measure) => Some(measure.evaluation(&scorer)),
            None if validation.is_empty() => None,
            None => Some(Evaluation {
                measure: "validation loss",
                greater_is_better: false,
                value: Box::new(|parameters| Ok(validate(parameters)?.unwrap_or_default())),
            }),
        };
        let hooks: Option<&mut dyn Hooks> = Some(&mut turns);
        let (place, hooks) = ((Some(work), identity), (hooks, evaluation));
        outcome.report =
            train_evaluated(&task, compute, &mut parameters, &self.settings, place, hooks, progress)?;
        let (loss_after, after) = (validate(&parameters)?, measured(&parameters)?);
        outcome.validation = loss.zip(loss_after).map(|(before, after)| [before, after]);
        scorer.save(output, &parameters, origin)?;
        Ok((outcome, before.zip(after).map(|(before, after)| [before, after])))
    }

    /// The mean loss over groups that are not learned from, of objectives that take turns their mean; `None` without such groups.
    fn validate(
        &self,
        groups: &[ItemGroup],
        (scorer, parameters): (&GroupScorer, &Parameters),
        compute: &Arc<Compute>,
    ) -> Result<Option<f64>, TrainError> {
        if groups.is_empty() {
            return Ok(None);
        }
        let objectives = self.objectives()?;
        let (count, mut sum) = (objectives.len(), 0.0);
        for terms in objectives {
            let (objectives, turns) = (vec![terms], RoundRobin::default());
            let task = GroupTask { scorer: scorer.clone(), groups, objectives, turns };
            sum += mean_loss(&task, compute, parameters, self.settings.batch)?;
        }
        Ok(Some(sum / count as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_core::tsp::{TspOptions, solve};

    /// Four items that are their own names, in the order 0, 1, 2, 3, given in several orders.
    fn groups() -> Vec<ItemGroup> {
        let group = |order: [usize; 4]| {
            let mut items = vec![0.0; 16];
            order.iter().enumerate().for_each(|(row, item)| items[row * 4 + item] = 1.0);
            ItemGroup { name: format!("{order:?}"), items, ranks: order.map(|item| item + 1).to_vec() }
        };
        [[3, 0, 2, 1], [1, 0, 3, 2], [0, 2, 1, 3]].map(group).to_vec()
    }

    fn job(objective: &str) -> GroupJob {
        let settings = Settings { batch: 3, steps: 200, rate: 0.03, checkpoint: 0, ..Settings::default() };
        GroupJob { objective: objective.into(), embedding: Embedding::Linear(4), encoder: None, settings }
    }

    #[test]
    fn a_scorer_learns_in_turns_and_is_left_in_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (work, output) = (folder.path().join("work"), folder.path().join("scorer"));
        let (groups, compute) = (groups(), Compute::new(1));
        let right = |scorer: &GroupScorer, parameters: &Parameters| -> Result<Vec<f64>, TrainError> {
            let of = |group: &ItemGroup| {
                let scores = scorer.successor_scores(parameters, &compute, group).unwrap();
                let path = solve(&scores, &TspOptions::default());
                let ranks: Vec<usize> = path.order.items().iter().map(|item| group.ranks[*item]).collect();
                f64::from(u8::from(ranks == [1, 2, 3, 4]))
            };
            Ok(groups.iter().map(of).collect())
        };
        let origin = VectorOrigin { name: "names".into(), fingerprint: String::new() };
        let (outcome, measured) = job("tsprank-local | tsprank-max-margin")
            .run(
                (&groups, &groups),
                (4, &origin),
                (&work, &output),
                "a training",
                &compute,
                &mut |_, _| {},
                Some(GroupMeasure { name: "right", of: &right }),
            )
            .unwrap();
        let [before, after] = outcome.validation.unwrap();
        assert!(after < before, "{before} {after}");
        assert_eq!(measured.unwrap()[1], [1.0; 3]);
        let mut parameters = Parameters::default();
        let (scorer, found) = GroupScorer::open(&output, &mut parameters).unwrap();
        assert_eq!((right(&scorer, &parameters).unwrap(), found), (vec![1.0; 3], origin));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |job: GroupJob| job.check().unwrap_err().to_string();
        assert!(GroupJob::default().check().is_ok());
        assert!(refused(job("ranknet")).contains("`ranknet` is not of scores of ordered pairs"));
        assert!(refused(job("tsprank-local |")).contains("objective"));
        let with = |change: fn(&mut GroupJob)| {
            let mut job = job("tsprank-local");
            change(&mut job);
            refused(job)
        };
        assert!(with(|job| job.settings.head_rate = 1.0).contains("head_rate"));
        assert!(with(|job| job.settings.dropout = 0.1).contains("dropout"));
        let embedding = Embedding::Linear(1 << 40);
        assert!(refused(GroupJob { embedding, ..job("tsprank-local") }).contains("4096 at most"));
        let encoder = Some(GroupEncoderShape { layers: 1, heads: 3, inner: 2 });
        assert!(refused(GroupJob { encoder, ..job("tsprank-local") }).contains("heads divide the width"));
    }
}
