//! The model as the decoding engine sees it: a prefix is a history and what was written behind it, whose keys and values are kept; those of a
//! history are made once for all of its sessions.

use super::attention::{EPSILON, buckets, within};
use super::item_tokens::ItemTokens;
use super::model::OneRec;
use crate::cached_attention::{Kept, cached_attention};
use plackett_kernel::{distance_bucket, log_sum_exp};
use plackett_lm::LmError;
use plackett_lm::decode::{Branch, BranchOutput, DecodeError, DecodeModel, LogitIds, PrefixId};
use plackett_train::nn::{Mode, TokenBatch};
use plackett_train::tape::Buffer;
use plackett_train::{Compute, Engine, Parameters, Tape};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// What the decoder needs of the histories.
struct Across {
    /// Keys and values of each layer.
    layers: Vec<[Arc<Buffer>; 2]>,
    rows: usize,
    sources: Arc<[Range<usize>]>,
}

/// What was written behind a history.
#[derive(Clone)]
struct Written {
    /// The place of the history.
    history: usize,
    /// Codes of the item that is being written.
    codes: usize,
    /// Keys and values of each layer.
    kept: Vec<[Vec<f32>; 2]>,
}

/// A branch while it is fed.
struct Fed {
    written: Written,
    tokens: Vec<u32>,
    /// Logits after the last token.
    logits: Vec<f32>,
}

/// Writes codes behind some histories. The token that begins an item is fed by itself behind each whole item but where it is in the prompt.
pub(super) struct SessionDecoder<'w> {
    model: &'w OneRec,
    parameters: &'w Parameters,
    compute: &'w Arc<Compute>,
    tokens: &'w ItemTokens,
    across: Across,
    prefixes: HashMap<PrefixId, Written>,
    next: u64,
}

impl<'w> SessionDecoder<'w> {
    /// Behind histories that are given as the encoder's tokens.
    pub(super) fn new(
        model: &'w OneRec,
        (parameters, compute): (&'w Parameters, &'w Arc<Compute>),
        tokens: &'w ItemTokens,
        sources: &[Vec<u32>],
    ) -> SessionDecoder<'w> {
        let tape = Tape::inference(parameters, compute);
        let sources = TokenBatch::new(sources.iter().map(Vec::as_slice));
        let encoded = model.encode(&tape, &sources, Mode::default());
        let crosses = model.decoder.blocks.iter().filter_map(|block| block.cross.as_ref());
        let layers = crosses.map(|cross| [1, 2].map(|at| cross.project(&tape, &encoded, at).value)).collect();
        let across = Across { layers, rows: encoded.rows, sources: sources.sequences.clone() };
        let blocks = model.decoder.blocks.len();
        let nothing = |history: usize| {
            let kept = vec![[Vec::new(), Vec::new()]; blocks];
            (PrefixId(history as u64), Written { history, codes: 0, kept })
        };
        let count = across.sources.len();
        let prefixes = (0..count).map(nothing).collect();
        SessionDecoder { model, parameters, compute, tokens, across, prefixes, next: count as u64 }
    }

    /// The prefix of a history behind which nothing is written.
    pub(super) fn history(&self, place: usize) -> PrefixId {
        PrefixId(place as u64)
    }

    /// A branch with all that is to be fed.
    fn fed(&self, branch: &Branch<'_>) -> Result<Fed, DecodeError> {
        let unknown = || DecodeError::Argument(format!("there is no prefix {:?}", branch.parent));
        let mut written = self.prefixes.get(&branch.parent).ok_or_else(unknown)?.clone();
        if branch.tokens.is_empty() {
            return Err(DecodeError::Argument("a branch without tokens".into()));
        }
        let vocabulary = self.tokens.vocabulary();
        let ids = if let LogitIds::Only(ids) = branch.logit_ids { ids } else { &[] };
        if let Some(id) = branch.tokens.iter().chain(ids).find(|id| **id as usize >= vocabulary) {
            let problem = format!("token {id} is beyond the vocabulary of {vocabulary}");
            return Err(DecodeError::Argument(problem));
        }
        let begin = self.tokens.begin();
        let mut tokens = Vec::with_capacity(branch.tokens.len() + 1);
        for token in branch.tokens {
            tokens.push(*token);
            written.codes = if *token == begin { 0 } else { written.codes + 1 };
            if written.codes == self.tokens.levels() {
                tokens.push(begin);
                written.codes = 0;
            }
        }
        Ok(Fed { written, tokens, logits: Vec::new() })
    }

    /// Feeds the token at a place of those of each branch of `now`, which stand history by history; gives the logits of all tokens, branch after
    /// branch.
    fn step(&self, all: &mut [Fed], now: &[usize], place: usize) -> Vec<f32> {
        let model = self.model;
        let (width, heads) = (model.config.width, model.config.heads);
        let tape = Tape::inference(self.parameters, self.compute);
        let fed: Vec<u32> = now.iter().map(|at| all[*at].tokens[place]).collect();
        let groups = self.groups(now.iter().map(|at| all[*at].written.history));
        let across = within(&groups, Some(&self.across.sources), (width, heads), false);
        let table = tape.parameter(model.decoder.bias);
        let sizes = buckets(false);
        let bias = |head: usize, back: usize| {
            let bucket = distance_bucket(-(back as i64), sizes.count, sizes.reach, sizes.both);
            table.value[bucket * heads + head]
        };
        let mut x = model.embed(&tape, &fed, Mode::default(), 1);
        for (layer, block) in model.decoder.blocks.iter().enumerate() {
            let normal = block.attention.normal(&tape, &x);
            let sides = block.attention.sides(&tape, &normal, &normal);
            let attended = {
                let flat: Vec<&Written> = now.iter().map(|at| &all[*at].written).collect();
                let kept =
                    |row: usize| -> Kept<'_> { flat[row].kept[layer].each_ref().map(|side| &side[..]) };
                cached_attention(&tape, sides.each_ref(), &kept, heads, &bias)
            };
            for (row, at) in now.iter().enumerate() {
                for (kept, side) in all[*at].written.kept[layer].iter_mut().zip(&sides[1..]) {
                    kept.extend_from_slice(&side.value[row * width..][..width]);
                }
            }
            x = Engine::add(&tape, &x, &block.attention.project(&tape, &attended, 3));
            if let Some(cross) = &block.cross {
                let query = cross.project(&tape, &cross.normal(&tape, &x), 0);
                let [key, value] = self.across.layers[layer]
                    .each_ref()
                    .map(|side| tape.shared((self.across.rows, width), side));
                let attended = Engine::attention(&tape, &query, &key, &value, None, &across);
                x = Engine::add(&tape, &x, &cross.project(&tape, &attended, 3));
            }
            x = model.feed_forward(&tape, block, &x, (Mode::default(), 0)).0;
        }
        let states = Engine::rms_norm(&tape, &x, &tape.parameter(model.decoder.norm), EPSILON);
        Engine::linear(&tape, &states, &tape.parameter(model.head), None, None).value.to_vec()
    }

    /// The rows of each history, of rows that stand history by history; none of one that has no row.
    fn groups(&self, histories: impl Iterator<Item = usize>) -> Arc<[Range<usize>]> {
        let mut counts = vec![0; self.across.sources.len()];
        histories.for_each(|history| counts[history] += 1);
        let mut start = 0;
        let group = |count: usize| {
            start += count;
            start - count..start
        };
        counts.into_iter().map(group).collect()
    }
}

impl DecodeModel for SessionDecoder<'_> {
    fn vocabulary(&self) -> usize {
        self.tokens.vocabulary()
    }

    /// A prefix that cannot be extended: there is nothing without a history.
    fn root(&self) -> PrefixId {
        PrefixId(u64::MAX)
    }

    fn extend(
        &mut self,
        branches: &[Branch<'_>],
        last_use: &[PrefixId],
    ) -> Result<Vec<BranchOutput>, LmError> {
        let mut all = branches.iter().map(|branch| self.fed(branch)).collect::<Result<Vec<Fed>, _>>()?;
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.sort_by_key(|at| all[*at].written.history);
        let longest = all.iter().map(|fed| fed.tokens.len()).max().unwrap_or(0);
        for place in 0..longest {
            let now: Vec<usize> = order.iter().copied().filter(|at| place < all[*at].tokens.len()).collect();
            let logits = self.step(&mut all, &now, place);
            for (own, at) in logits.chunks(self.tokens.vocabulary()).zip(&now) {
                all[*at].logits = own.to_vec();
            }
        }
        self.release(last_use);
        let answer = |(branch, fed): (&Branch<'_>, Fed)| {
            let prefix = PrefixId(self.next);
            self.next += 1;
            self.prefixes.insert(prefix, fed.written);
            let normalizer = branch.normalizer.then(|| log_sum_exp(self.compute.isa, &fed.logits));
            let logits = match branch.logit_ids {
                LogitIds::None => Vec::new(),
                LogitIds::Only(ids) => ids.iter().map(|id| fed.logits[*id as usize]).collect(),
                LogitIds::All => fed.logits,
            };
            BranchOutput { prefix, logits, normalizer }
        };
        Ok(branches.iter().zip(all).map(answer).collect())
    }

    fn release(&mut self, prefixes: &[PrefixId]) {
        for prefix in prefixes {
            self.prefixes.remove(prefix);
        }
    }
}
