//! A model whose logits are random but fixed: constraints and searches are tested on it.

use crate::decode::model::{Branch, BranchOutput, DecodeModel, LogitIds, PrefixId};
use crate::error::LmError;
use crate::error::decode::DecodeError;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Logits that are a hash of the seed, the whole prefix and the token: the same for the same prefix, whatever the
/// batch, its order or the number of threads. It also counts what it was asked.
#[derive(Clone, Debug)]
pub struct RandomModel {
    vocabulary: usize,
    seed: u64,
    spread: f32,
    // Every prefix is represented by the hash of its tokens.
    prefixes: BTreeMap<PrefixId, u64>,
    next: u64,
    counts: RandomModelCounts,
}

/// What a [`RandomModel`] was asked so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RandomModelCounts {
    /// Calls of [`DecodeModel::extend`].
    pub calls: usize,
    /// Branches of all calls.
    pub branches: usize,
    /// Branches of the largest call.
    pub widest: usize,
    /// Tokens of all branches.
    pub tokens: usize,
    /// Logits given out.
    pub logits: usize,
}

impl RandomModel {
    /// A model with that many token ids. Logits are uniform between −4 and 4.
    pub fn new(vocabulary: usize, seed: u64) -> RandomModel {
        RandomModel::with_spread(vocabulary, seed, 4.0)
    }

    /// The same with logits between −`spread` and `spread`; 0 makes every token equal.
    pub fn with_spread(vocabulary: usize, seed: u64, spread: f32) -> RandomModel {
        let prefixes = BTreeMap::from([(PrefixId(0), mix(seed))]);
        RandomModel { vocabulary, seed, spread, prefixes, next: 1, counts: RandomModelCounts::default() }
    }

    /// What was asked so far.
    pub fn counts(&self) -> RandomModelCounts {
        self.counts
    }

    /// Prefixes that are kept now, without the root.
    pub fn live_prefixes(&self) -> usize {
        self.prefixes.len() - 1
    }

    /// The logit of a token after a prefix from the root.
    pub fn logit(&self, prefix: &[u32], token: u32) -> f32 {
        self.at(prefix.iter().fold(mix(self.seed), |hash, token| follow(hash, *token)), token)
    }

    fn at(&self, prefix: u64, token: u32) -> f32 {
        let bits = mix(prefix ^ mix(u64::from(token) ^ 0x9e37_79b9_7f4a_7c15));
        // 24 bits are exact in an f32.
        let unit = (bits >> 40) as f32 / (1u64 << 24) as f32;
        self.spread * (2.0 * unit - 1.0)
    }

    fn check(&self, branch: &Branch<'_>) -> Result<u64, DecodeError> {
        let unknown = || DecodeError::Argument(format!("the model has no prefix {:?}", branch.parent));
        let parent = *self.prefixes.get(&branch.parent).ok_or_else(unknown)?;
        if branch.tokens.is_empty() {
            return Err(DecodeError::Argument("a branch without tokens".into()));
        }
        let ids = if let LogitIds::Only(ids) = branch.logit_ids { ids } else { &[] };
        if let Some(id) = branch.tokens.iter().chain(ids).find(|id| **id as usize >= self.vocabulary) {
            let vocabulary = self.vocabulary;
            return Err(DecodeError::Argument(format!(
                "token {id} is beyond the vocabulary of {vocabulary}"
            )));
        }
        Ok(branch.tokens.iter().fold(parent, |hash, token| follow(hash, *token)))
    }

    fn answer(&self, branch: &Branch<'_>, prefix: u64) -> (Vec<f32>, Option<f64>) {
        let all = || (0..self.vocabulary as u32).map(|id| self.at(prefix, id));
        let logits = match branch.logit_ids {
            LogitIds::None => Vec::new(),
            LogitIds::Only(ids) => ids.iter().map(|id| self.at(prefix, *id)).collect(),
            LogitIds::All => all().collect(),
        };
        let normalizer = branch.normalizer.then(|| all().map(|l| f64::from(l).exp()).sum::<f64>().ln());
        (logits, normalizer)
    }
}

impl DecodeModel for RandomModel {
    fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    fn root(&self) -> PrefixId {
        PrefixId(0)
    }

    fn extend(
        &mut self,
        branches: &[Branch<'_>],
        last_use: &[PrefixId],
    ) -> Result<Vec<BranchOutput>, LmError> {
        let prefixes: Vec<u64> =
            branches.iter().map(|branch| self.check(branch)).collect::<Result<_, DecodeError>>()?;
        let answers: Vec<_> =
            branches.par_iter().zip(&prefixes).map(|(branch, prefix)| self.answer(branch, *prefix)).collect();
        self.counts.calls += 1;
        self.counts.branches += branches.len();
        self.counts.widest = self.counts.widest.max(branches.len());
        self.release(last_use);
        let mut extended = Vec::with_capacity(branches.len());
        for ((branch, prefix), (logits, normalizer)) in branches.iter().zip(prefixes).zip(answers) {
            let id = PrefixId(self.next);
            self.next += 1;
            self.prefixes.insert(id, prefix);
            self.counts.tokens += branch.tokens.len();
            self.counts.logits += logits.len();
            extended.push(BranchOutput { prefix: id, logits, normalizer });
        }
        Ok(extended)
    }

    fn release(&mut self, prefixes: &[PrefixId]) {
        for prefix in prefixes {
            if *prefix != PrefixId(0) {
                self.prefixes.remove(prefix);
            }
        }
    }
}

fn follow(prefix: u64, token: u32) -> u64 {
    mix(prefix.rotate_left(17) ^ mix(u64::from(token).wrapping_add(0x51_7c_c1_b7_27_22_0a_95)))
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
