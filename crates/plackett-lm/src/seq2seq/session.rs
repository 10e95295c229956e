//! Sources and the outputs that grow from them.

use crate::decode::log_sum_exp;
use crate::decode::model::{Branch, BranchOutput, DecodeModel, LogitIds, PrefixId};
use crate::error::LmError;
use crate::seq2seq::dense::dense;
use crate::seq2seq::model::EncoderDecoder;
use crate::seq2seq::pass::{BranchInput, DecoderPass, KvPiece};
use plackett_kernel::LinearScratch;
use rayon::prelude::*;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

/// Pieces of a prefix after which they are joined: a long chain would be slow to walk.
const MOST_PIECES: usize = 32;

/// A source, or an output so far.
struct Prefix {
    source: Arc<KvPiece>,
    parent: Option<Arc<Prefix>>,
    /// Of this piece alone.
    keys: KvPiece,
    /// Pieces up to here.
    pieces: usize,
    /// Tokens up to here.
    tokens: usize,
}

impl Prefix {
    /// All pieces in the order of their tokens.
    fn chain(&self) -> Vec<&KvPiece> {
        let mut chain = Vec::with_capacity(self.pieces);
        let mut at = Some(self);
        while let Some(prefix) = at {
            chain.push(&prefix.keys);
            at = prefix.parent.as_deref();
        }
        chain.reverse();
        chain
    }
}

/// Sources and outputs of one caller, as a model that decoding can drive. Outputs that share a beginning share its keys
/// and values, and all of them those of their source.
pub struct Session<'m> {
    model: &'m EncoderDecoder,
    prefixes: HashMap<PrefixId, Arc<Prefix>>,
    next: u64,
}

impl EncoderDecoder {
    /// Sources and outputs of one caller.
    pub fn session(&self) -> Session<'_> {
        Session::new(self)
    }
}

impl<'m> Session<'m> {
    pub(super) fn new(model: &'m EncoderDecoder) -> Session<'m> {
        Session { model, prefixes: HashMap::new(), next: 1 }
    }

    fn step(&self) -> DecoderPass<'m> {
        DecoderPass { decoder: self.model.decoder.as_ref(), isa: self.model.isa }
    }

    fn insert(&mut self, prefix: Prefix) -> PrefixId {
        let id = PrefixId(self.next);
        self.next += 1;
        self.prefixes.insert(id, Arc::new(prefix));
        id
    }

    /// Reads sources and gives a prefix for the empty output of each. An output begins with
    /// [`EncoderDecoder::start`] as its first token.
    ///
    /// # Errors
    /// An empty or too long source, an id beyond the vocabulary; the memory budget.
    pub fn sources(&mut self, sources: &[&[u32]]) -> Result<Vec<PrefixId>, LmError> {
        if let Some(budget) = self.model.memory_budget {
            let tokens = sources.iter().map(|source| source.len()).sum();
            let keys = tokens * self.model.decoder.parts().key_bytes();
            let needed = self.model.weight_bytes() + self.bytes() + keys;
            if needed > budget {
                return Err(LmError::MemoryBudget { tokens, needed, budget });
            }
        }
        let states = self.model.states(sources)?;
        let step = self.step();
        let keys: Vec<KvPiece> =
            self.model.pool.install(|| states.iter().map(|states| step.read(states)).collect());
        let empty = |source| Prefix {
            source: Arc::new(source),
            parent: None,
            keys: KvPiece::default(),
            pieces: 0,
            tokens: 0,
        };
        Ok(keys.into_iter().map(|source| self.insert(empty(source))).collect())
    }

    /// Handles that are in use.
    pub fn live_prefixes(&self) -> usize {
        self.prefixes.len()
    }

    /// Bytes of the keys and values of all sources and outputs; what several share counts once.
    pub fn bytes(&self) -> usize {
        let mut seen = HashSet::new();
        let mut sum = 0;
        let mut count = |keys: &KvPiece| {
            if seen.insert(std::ptr::from_ref(keys)) {
                sum += 4 * keys.numbers.len();
            }
        };
        for prefix in self.prefixes.values() {
            count(&prefix.source);
            prefix.chain().into_iter().for_each(&mut count);
        }
        sum
    }

    /// Consecutive branches that go through the decoder together, such that the memory budget is kept.
    fn groups(&self, branches: &[Branch<'_>]) -> Result<Vec<Range<usize>>, LmError> {
        let Some(budget) = self.model.memory_budget else {
            return Ok(std::iter::once(0..branches.len()).collect());
        };
        let parts = self.model.decoder.parts();
        let new: usize = branches.iter().map(|branch| branch.tokens.len() * parts.key_bytes()).sum();
        let taken = self.model.weight_bytes() + self.bytes() + new;
        let row = parts.row_bytes();
        let (mut groups, mut used) = (Vec::<Range<usize>>::new(), 0);
        for (index, branch) in branches.iter().enumerate() {
            let all = if whole(branch) { 4 * parts.vocabulary } else { 0 };
            let needed = branch.tokens.len() * row + all;
            if taken + needed > budget {
                return Err(LmError::MemoryBudget {
                    tokens: branch.tokens.len(),
                    needed: taken + needed,
                    budget,
                });
            }
            match groups.last_mut() {
                Some(group) if taken + used + needed <= budget => {
                    group.end = index + 1;
                    used += needed;
                }
                _ => {
                    groups.push(index..index + 1);
                    used = needed;
                }
            }
        }
        Ok(groups)
    }

    /// What a branch goes on from, when everything about it can be done.
    fn check(&self, index: usize, branch: &Branch<'_>) -> Result<Arc<Prefix>, LmError> {
        let wrong = |problem: String| Err(LmError::Argument(format!("branch {index}: {problem}")));
        let Some(parent) = self.prefixes.get(&branch.parent) else {
            return match branch.parent {
                PrefixId(0) => wrong("it has no source; go on from a prefix of Session::sources".into()),
                PrefixId(other) => wrong(format!("the prefix {other} is not in use")),
            };
        };
        let (vocabulary, most) = (self.model.vocabulary(), self.model.output_tokens());
        let ids = if let LogitIds::Only(ids) = branch.logit_ids { ids } else { &[] };
        if branch.tokens.is_empty() {
            return wrong("it has no new tokens".into());
        }
        if let Some(id) = branch.tokens.iter().chain(ids).find(|id| **id as usize >= vocabulary) {
            return wrong(format!("the id {id} is not below {vocabulary}"));
        }
        if parent.tokens + branch.tokens.len() > most {
            return wrong(format!(
                "{} tokens after {} are more than the {most} that the model writes",
                branch.tokens.len(),
                parent.tokens
            ));
        }
        Ok(parent.clone())
    }

    /// Logits of each branch, and their normaliser, from the states after its last token. The whole output matrix is
    /// multiplied once for all branches that need it.
    fn logits(&self, branches: &[Branch<'_>], states: &[f32]) -> Vec<(Vec<f32>, Option<f64>)> {
        let (isa, parts) = (self.model.isa, self.model.decoder.parts());
        let each = || branches.iter().zip(states.chunks_exact(parts.hidden));
        let needed: Vec<f32> =
            each().filter(|(b, _)| whole(b)).flat_map(|(_, state)| state.iter().copied()).collect();
        let rows = needed.len() / parts.hidden;
        let all = dense(isa, &parts.output, &needed, parts.hidden, rows);
        let mut all = all.chunks_exact(parts.vocabulary);
        let jobs: Vec<(&Branch<'_>, &[f32], &[f32])> = each()
            .map(|(b, state)| (b, state, if whole(b) { all.next().unwrap_or_default() } else { &[] }))
            .collect();
        let one = |scratch: &mut LinearScratch, (branch, state, all): (&Branch<'_>, &[f32], &[f32])| {
            let logits = match branch.logit_ids {
                LogitIds::None => Vec::new(),
                LogitIds::All => all.to_vec(),
                LogitIds::Only(ids) if branch.normalizer => ids.iter().map(|id| all[*id as usize]).collect(),
                LogitIds::Only(ids) => {
                    let mut logits = vec![0.0; ids.len()];
                    let out = (logits.as_mut_slice(), ids.len());
                    parts.output.chosen(isa, (state, parts.hidden), 1, ids, out, scratch);
                    logits
                }
            };
            (logits, branch.normalizer.then(|| log_sum_exp(all)))
        };
        jobs.into_par_iter().map_init(LinearScratch::default, one).collect()
    }
}

/// Whether a branch needs the logits of all tokens.
fn whole(branch: &Branch<'_>) -> bool {
    branch.normalizer || branch.logit_ids == LogitIds::All
}

impl DecodeModel for Session<'_> {
    fn vocabulary(&self) -> usize {
        self.model.vocabulary()
    }

    /// Has no source: outputs go on from the handles of [`Session::sources`].
    fn root(&self) -> PrefixId {
        PrefixId(0)
    }

    fn extend(
        &mut self,
        branches: &[Branch<'_>],
        last_use: &[PrefixId],
    ) -> Result<Vec<BranchOutput>, LmError> {
        let parents = branches.iter().enumerate().map(|(index, branch)| self.check(index, branch));
        let parents = parents.collect::<Result<Vec<Arc<Prefix>>, LmError>>()?;
        let (step, parts) = (self.step(), self.model.decoder.parts());
        let growths: Vec<BranchInput<'_>> = branches
            .iter()
            .zip(&parents)
            .map(|(b, parent)| BranchInput {
                tokens: b.tokens,
                before: parent.chain(),
                source: &parent.source,
            })
            .collect();
        let (mut keys, mut logits) = (Vec::new(), Vec::new());
        for group in self.groups(branches)? {
            let (growths, branches) = (&growths[group.clone()], &branches[group]);
            self.model.pool.install(|| {
                let (new, mut states) = step.run(growths);
                let scale = self.model.decoder.output_scale();
                states.iter_mut().for_each(|x| *x *= scale);
                keys.extend(new);
                logits.extend(self.logits(branches, &states));
            });
        }
        drop(growths);
        let mut answers = Vec::with_capacity(branches.len());
        for ((parent, keys), (logits, normalizer)) in parents.into_iter().zip(keys).zip(logits) {
            let tokens = parent.tokens + keys.tokens;
            let source = parent.source.clone();
            let prefix = if parent.pieces + 1 > MOST_PIECES {
                let mut pieces = parent.chain();
                pieces.push(&keys);
                let keys = KvPiece::join(parts, &pieces);
                Prefix { source, parent: None, keys, pieces: 1, tokens }
            } else {
                Prefix { source, pieces: parent.pieces + 1, parent: Some(parent), keys, tokens }
            };
            answers.push(BranchOutput { prefix: self.insert(prefix), logits, normalizer });
        }
        self.release(last_use);
        Ok(answers)
    }

    fn release(&mut self, prefixes: &[PrefixId]) {
        for prefix in prefixes {
            self.prefixes.remove(prefix);
        }
    }
}
