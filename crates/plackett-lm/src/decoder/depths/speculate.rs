//! Self-speculative decoding: the first layers of a model draft tokens, and the whole model checks them in one pass that
//! goes on from their states (Sorted LLaMA, 2023; Leviathan, Kalman and Matias, Fast Inference from Transformers via
//! Speculative Decoding, 2023).
//!
//! Logits are always those of the whole model after the tokens that were really chosen, so what is decoded is the same,
//! bit for bit, however good the drafts are; they only save passes.

use super::pick::{best, check_ids, wanted, wants_logits};
use super::prefix::{StageInput, StagedModel, StagedPrefix};
use super::prefixes::Prefixes;
use super::stages::Stages;
use crate::adapter::lora::Adapter;
use crate::decode::model::{Branch, BranchOutput, DecodeModel, PrefixId};
use crate::decoder::model::DecoderModel;
use crate::error::LmError;
use std::collections::VecDeque;

/// Drafts of the first round.
const FIRST_WINDOW: usize = 4;
/// By how much a round in which all drafts were right is longer than the one before it, and by how much another is shorter.
const WINDOW_STEPS: (usize, usize) = (2, 1);
/// Most drafts of a round.
const MOST_DRAFTS: usize = 64;

/// What became of drafts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DraftCounts {
    /// Layers that draft.
    pub depth: usize,
    /// Passes through the rest of the layers.
    pub rounds: u64,
    /// Tokens that were drafted.
    pub drafted: u64,
    /// Those that were chosen.
    pub accepted: u64,
    /// Rounds of which a draft was not chosen; what came after it was drafted for nothing.
    pub rejected: u64,
}

/// A prefix with what is known beyond its end.
#[derive(Clone, Debug)]
struct DraftedPrefix {
    staged: StagedPrefix,
    /// Tokens that were really chosen; keys and values may be there of more.
    length: usize,
    /// Drafts beyond them that are checked, each with the logits after it.
    ahead: VecDeque<(u32, Vec<f32>)>,
    /// Drafts of the next round.
    window: usize,
}

/// Prefixes of decodes with drafts.
pub struct SpeculativeSession<'a> {
    model: &'a DecoderModel,
    adapter: Option<&'a Adapter>,
    stages: Stages,
    counts: DraftCounts,
    prefixes: Prefixes<DraftedPrefix>,
}

impl DecoderModel {
    /// A place for prefixes of which the first `depth` layers draft the next tokens.
    ///
    /// # Errors
    /// [`LmError::Argument`] for a depth that is not before the last layer; [`LmError::Config`] for an adapter of another
    /// model.
    pub fn speculative_session<'a>(
        &'a self,
        depth: usize,
        adapter: Option<&'a Adapter>,
    ) -> Result<SpeculativeSession<'a>, LmError> {
        if let Some(adapter) = adapter {
            self.decoder.shape.check_adapter(adapter)?;
        }
        let stages = Stages::cut([depth], self.info().layers)?;
        let staged = StagedPrefix::new(&stages);
        let root = DraftedPrefix { staged, length: 0, ahead: VecDeque::new(), window: FIRST_WINDOW };
        let counts = DraftCounts { depth, ..DraftCounts::default() };
        Ok(SpeculativeSession { model: self, adapter, stages, counts, prefixes: Prefixes::new(root) })
    }
}

impl SpeculativeSession<'_> {
    /// What became of the drafts so far.
    pub fn counts(&self) -> DraftCounts {
        self.counts
    }

    /// Bytes of keys and values of all prefixes; what prefixes share counts for each.
    pub fn bytes(&self) -> usize {
        self.prefixes.iter().map(|prefix| prefix.staged.bytes()).sum()
    }

    fn staged(&self) -> StagedModel<'_> {
        StagedModel { model: self.model, adapter: self.adapter, stages: &self.stages }
    }

    /// The logits after the tokens of a branch, from a draft that was checked or from a new round.
    fn follow(
        &self,
        prefix: &mut DraftedPrefix,
        branch: &Branch,
        counts: &mut DraftCounts,
    ) -> Result<Vec<f32>, LmError> {
        if let [token] = branch.tokens
            && prefix.ahead.front().is_some_and(|(draft, _)| draft == token)
            && let Some((_, logits)) = prefix.ahead.pop_front()
        {
            prefix.length += 1;
            counts.accepted += 1;
            if prefix.ahead.is_empty() {
                prefix.window = (prefix.window + WINDOW_STEPS.0).min(MOST_DRAFTS);
            }
            return Ok(logits);
        }
        if !prefix.ahead.is_empty() {
            counts.rejected += 1;
            prefix.ahead.clear();
            prefix.window = prefix.window.saturating_sub(WINDOW_STEPS.1).max(1);
            prefix.staged.truncate(prefix.length);
        }
        prefix.length += branch.tokens.len();
        if !wants_logits(branch) {
            self.staged().pass(
                0,
                &mut [StageInput { prefix: &mut prefix.staged, tokens: branch.tokens, logits: 0 }],
            )?;
            return Ok(Vec::new());
        }
        self.round(prefix, branch.tokens, counts)
    }

    /// Drafts after new tokens, and one pass of all of them through the rest of the layers.
    fn round(
        &self,
        prefix: &mut DraftedPrefix,
        tokens: &[u32],
        counts: &mut DraftCounts,
    ) -> Result<Vec<f32>, LmError> {
        let (staged, info) = (self.staged(), self.model.info());
        let room = info.positions.saturating_sub(prefix.length);
        let ends = self.model.tokenizer().ends();
        let mut drafts: Vec<u32> = Vec::new();
        let mut next = tokens.to_vec();
        loop {
            let more = drafts.len() < prefix.window.min(room);
            let mut input =
                [StageInput { prefix: &mut prefix.staged, tokens: &next, logits: usize::from(more) }];
            let logits = staged.pass(0, &mut input)?.pop().and_then(|mut rows| rows.pop());
            let Some(logits) = logits else { break };
            let (draft, _) = best(info.isa, &logits);
            // Nothing is asked after the end of a text.
            if ends.contains(&draft) {
                break;
            }
            drafts.push(draft);
            next = vec![draft];
        }
        let mut input = [StageInput { prefix: &mut prefix.staged, tokens: &[], logits: drafts.len() + 1 }];
        let rows = staged.pass(1, &mut input)?.pop().unwrap_or_default();
        counts.rounds += 1;
        counts.drafted += drafts.len() as u64;
        let mut rows = rows.into_iter();
        let first = rows.next().unwrap_or_default();
        prefix.ahead = drafts.into_iter().zip(rows).collect();
        Ok(first)
    }
}

impl DecodeModel for SpeculativeSession<'_> {
    fn vocabulary(&self) -> usize {
        self.model.info().vocabulary
    }

    fn root(&self) -> PrefixId {
        Prefixes::<DraftedPrefix>::ROOT
    }

    fn extend(
        &mut self,
        branches: &[Branch<'_>],
        last_use: &[PrefixId],
    ) -> Result<Vec<BranchOutput>, LmError> {
        check_ids(branches, self.vocabulary())?;
        let mut prefixes = self.prefixes.parents(branches)?;
        let mut counts = self.counts;
        let follow =
            |(branch, prefix): (&Branch, &mut DraftedPrefix)| self.follow(prefix, branch, &mut counts);
        let rows = branches.iter().zip(&mut prefixes).map(follow).collect::<Result<Vec<_>, LmError>>()?;
        self.counts = counts;
        self.prefixes.release(last_use);
        let isa = self.model.info().isa;
        let mut outputs = Vec::with_capacity(branches.len());
        for ((branch, mut prefix), row) in branches.iter().zip(prefixes).zip(rows) {
            prefix.staged.join(prefix.length);
            let (logits, normalizer) = wanted(isa, branch, &row);
            outputs.push(BranchOutput { prefix: self.prefixes.add(prefix), logits, normalizer });
        }
        Ok(outputs)
    }

    fn release(&mut self, prefixes: &[PrefixId]) {
        self.prefixes.release(prefixes);
    }
}
