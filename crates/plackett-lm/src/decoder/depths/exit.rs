//! Early exit token by token: the first depth whose most probable token is probable enough answers (Sorted LLaMA, 2023,
//! "instance-aware dynamic inference").

use super::pick::{best, check_ids, wanted, wants_logits};
use super::prefix::{StageInput, StagedModel, StagedPrefix};
use super::prefixes::Prefixes;
use super::stages::Stages;
use crate::adapter::lora::Adapter;
use crate::decode::model::{Branch, BranchOutput, DecodeModel, PrefixId};
use crate::decoder::model::DecoderModel;
use crate::error::LmError;

/// After so many layers the model is left when its most probable token has at least this probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExitThreshold {
    /// Layers, from 1 to one less than the model has.
    pub depth: usize,
    /// The least probability, from 0; above 1 nothing is left here.
    pub threshold: f64,
}

/// What a token does about layers that earlier tokens have not passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingKeys {
    /// They pass them now, all together: keys and values are those of a pass of all tokens through these layers.
    #[default]
    Computed,
    /// Keys and values are made from the states with which they left, as if the layers changed nothing: an approximation
    /// that costs less.
    Copied,
}

/// How many tokens were answered at each depth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitCounts {
    /// Depths, ascending, with the tokens that were answered there; the last one is that of the whole model.
    pub answered: Vec<(usize, u64)>,
}

impl ExitCounts {
    /// All tokens that were answered.
    pub fn tokens(&self) -> u64 {
        self.answered.iter().map(|(_, count)| count).sum()
    }

    /// The mean depth of an answer; 0 of none.
    pub fn mean_depth(&self) -> f64 {
        let sum: f64 = self.answered.iter().map(|(depth, count)| *depth as f64 * *count as f64).sum();
        sum / (self.tokens().max(1)) as f64
    }
}

/// Prefixes of decodes that leave the model early.
pub struct ExitSession<'a> {
    model: &'a DecoderModel,
    adapter: Option<&'a Adapter>,
    stages: Stages,
    thresholds: Vec<f64>,
    missing: MissingKeys,
    answered: Vec<u64>,
    prefixes: Prefixes<StagedPrefix>,
}

impl DecoderModel {
    /// A place for prefixes whose tokens leave the model at the first of `exits` that is sure enough, else after the last
    /// layer.
    ///
    /// # Errors
    /// [`LmError::Argument`] for no exit, depths that are not ascending or not before the last layer, or a threshold
    /// that is no number from 0; [`LmError::Config`] for an adapter of another model.
    pub fn exit_session<'a>(
        &'a self,
        exits: &[ExitThreshold],
        missing: MissingKeys,
        adapter: Option<&'a Adapter>,
    ) -> Result<ExitSession<'a>, LmError> {
        if exits.is_empty() {
            return Err(LmError::Argument(
                "there is no depth to leave the model at; name at least one".into(),
            ));
        }
        if let Some(exit) = exits.iter().find(|exit| !(exit.threshold >= 0.0 && exit.threshold.is_finite())) {
            return Err(LmError::Argument(format!(
                "the threshold of depth {} is {}; a number from 0 is expected",
                exit.depth, exit.threshold
            )));
        }
        if let Some(adapter) = adapter {
            self.decoder.shape.check_adapter(adapter)?;
        }
        let stages = Stages::cut(exits.iter().map(|exit| exit.depth), self.info().layers)?;
        let prefixes = Prefixes::new(StagedPrefix::new(&stages));
        let thresholds = exits.iter().map(|exit| exit.threshold).collect();
        let answered = vec![0; stages.count()];
        Ok(ExitSession { model: self, adapter, stages, thresholds, missing, answered, prefixes })
    }
}

/// The stage in which a token was answered, and its logits.
type Answer = (usize, Vec<f32>);

impl ExitSession<'_> {
    /// Where tokens were answered so far.
    pub fn counts(&self) -> ExitCounts {
        let depth = |(stage, count): (usize, &u64)| (self.stages.layers(stage).end, *count);
        ExitCounts { answered: self.answered.iter().enumerate().map(depth).collect() }
    }

    /// Bytes of keys, values and waiting states of all prefixes; what prefixes share counts for each.
    pub fn bytes(&self) -> usize {
        self.prefixes.iter().map(StagedPrefix::bytes).sum()
    }

    /// Takes branches through the stages until each is answered.
    fn answer(
        &self,
        branches: &[Branch<'_>],
        prefixes: &mut [StagedPrefix],
    ) -> Result<Vec<Option<Answer>>, LmError> {
        let (isa, last) = (self.model.info().isa, self.stages.count() - 1);
        let staged = StagedModel { model: self.model, adapter: self.adapter, stages: &self.stages };
        let mut answers: Vec<Option<Answer>> = branches.iter().map(|_| None).collect();
        let mut open: Vec<usize> = (0..branches.len()).collect();
        for stage in 0..=last {
            if stage > 0 && self.missing == MissingKeys::Copied {
                for index in &open {
                    staged.copy_states(stage, &mut prefixes[*index], branches[*index].tokens.len())?;
                }
            }
            let mut steps: Vec<StageInput> = Vec::with_capacity(open.len());
            for (index, prefix) in prefixes.iter_mut().enumerate().filter(|(index, _)| open.contains(index)) {
                let logits = usize::from(wants_logits(&branches[index]));
                steps.push(StageInput { prefix, tokens: branches[index].tokens, logits });
            }
            let logits = staged.pass(stage, &mut steps)?;
            let mut left = Vec::new();
            for (index, mut rows) in open.into_iter().zip(logits) {
                // What nobody asks after waits here.
                let Some(row) = rows.pop() else { continue };
                match stage == last || best(isa, &row).1 >= self.thresholds[stage] {
                    true => answers[index] = Some((stage, row)),
                    false => left.push(index),
                }
            }
            open = left;
            if open.is_empty() {
                break;
            }
        }
        Ok(answers)
    }
}

impl DecodeModel for ExitSession<'_> {
    fn vocabulary(&self) -> usize {
        self.model.info().vocabulary
    }

    fn root(&self) -> PrefixId {
        Prefixes::<StagedPrefix>::ROOT
    }

    fn extend(
        &mut self,
        branches: &[Branch<'_>],
        last_use: &[PrefixId],
    ) -> Result<Vec<BranchOutput>, LmError> {
        check_ids(branches, self.vocabulary())?;
        let mut prefixes = self.prefixes.parents(branches)?;
        let answers = self.answer(branches, &mut prefixes)?;
        self.prefixes.release(last_use);
        let isa = self.model.info().isa;
        let mut outputs = Vec::with_capacity(branches.len());
        for ((branch, mut prefix), answer) in branches.iter().zip(prefixes).zip(answers) {
            prefix.join(prefix.tokens());
            let (logits, normalizer) = match answer {
                Some((stage, row)) => {
                    self.answered[stage] += 1;
                    wanted(isa, branch, &row)
                }
                None => (Vec::new(), None),
            };
            outputs.push(BranchOutput { prefix: self.prefixes.add(prefix), logits, normalizer });
        }
        Ok(outputs)
    }

    fn release(&mut self, prefixes: &[PrefixId]) {
        self.prefixes.release(prefixes);
    }
}
