//! A decoder as constrained decoding wants it: branches over cached prefixes.

use crate::adapter::lora::Adapter;
use crate::decode::model::{Branch, BranchOutput, DecodeModel, PrefixId};
use crate::decoder::kv::cache::{KvCache, MOST_MOVED};
use crate::decoder::model::DecoderModel;
use crate::decoder::request::{OutputRequest, Positions, Request, SequenceOutput};
use crate::error::LmError;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Prefixes of one or more decodes on a model. The model itself is shared.
pub struct DecoderSession<'a> {
    model: &'a DecoderModel,
    adapter: Option<&'a Adapter>,
    prefixes: BTreeMap<PrefixId, KvCache>,
    next: u64,
}

impl DecoderModel {
    /// A place for prefixes, without any.
    pub fn session(&self) -> DecoderSession<'_> {
        let prefixes = BTreeMap::from([(PrefixId(0), KvCache::default())]);
        DecoderSession { model: self, adapter: None, prefixes, next: 1 }
    }

    /// The same, with an adapter for everything that is computed in it.
    ///
    /// # Errors
    /// [`LmError::Config`] with layer, module and both shapes for an adapter of another model.
    pub fn session_with<'a>(&'a self, adapter: &'a Adapter) -> Result<DecoderSession<'a>, LmError> {
        self.decoder.shape.check_adapter(adapter)?;
        Ok(DecoderSession { adapter: Some(adapter), ..self.session() })
    }
}

impl<'a> DecoderSession<'a> {
    /// The model.
    pub fn model(&self) -> &'a DecoderModel {
        self.model
    }

    /// What is added to the model in it.
    pub fn adapter(&self) -> Option<&'a Adapter> {
        self.adapter
    }

    /// Takes a cache in, so that branches can continue it; one of another adapter is refused then.
    pub fn adopt(&mut self, cache: KvCache) -> PrefixId {
        let id = PrefixId(self.next);
        self.next += 1;
        self.prefixes.insert(id, cache);
        id
    }

    /// The cache of a prefix.
    pub fn cache(&self, prefix: PrefixId) -> Option<&KvCache> {
        self.prefixes.get(&prefix)
    }

    /// What is wanted behind each branch, with the cache there, which [`DecoderSession::advance`] takes in. No prefix is made or
    /// released.
    ///
    /// # Errors
    /// There is no such prefix, or what [`DecoderModel::forward`] says.
    pub fn forward<'b>(
        &self,
        branches: &[Branch<'b>],
        wanted: impl Fn(&Branch<'b>) -> OutputRequest<'b>,
    ) -> Result<Vec<SequenceOutput>, LmError> {
        let mut requests = Vec::with_capacity(branches.len());
        for (index, branch) in branches.iter().enumerate() {
            let cache = self.prefixes.get(&branch.parent).ok_or_else(|| {
                LmError::Argument(format!("branch {index}: there is no prefix {}", branch.parent.0))
            })?;
            requests.push(Request {
                tokens: branch.tokens,
                cache: Some(cache),
                pattern: Default::default(),
                adapter: self.adapter,
                outputs: OutputRequest { cache: true, ..wanted(branch) },
            });
        }
        self.model.forward(&requests)
    }

    /// Releases prefixes, and takes in the caches of what [`DecoderSession::forward`] has given, a prefix each. The newest tokens go
    /// behind those before them where nobody else has these.
    pub fn advance(&mut self, answers: &mut [SequenceOutput], last_use: &[PrefixId]) -> Vec<PrefixId> {
        self.release(last_use);
        let caches = answers.iter_mut().map(|answer| answer.cache.take().unwrap_or_default());
        let adopted = caches.map(|mut cache| {
            join_last(&mut cache);
            self.adopt(cache)
        });
        adopted.collect()
    }

    /// Prefixes that are kept now, without the root.
    pub fn live_prefixes(&self) -> usize {
        self.prefixes.len() - 1
    }

    /// Bytes of keys and values of all prefixes, shared segments counted once.
    pub fn bytes(&self) -> usize {
        let segments = self.prefixes.values().flat_map(|cache| &cache.segments);
        let all: HashMap<usize, usize> =
            segments.map(|segment| (Arc::as_ptr(segment) as usize, segment.bytes())).collect();
        all.values().sum()
    }
}

impl DecodeModel for DecoderSession<'_> {
    fn vocabulary(&self) -> usize {
        self.model.info().vocabulary
    }

    fn root(&self) -> PrefixId {
        PrefixId(0)
    }

    fn extend(
        &mut self,
        branches: &[Branch<'_>],
        last_use: &[PrefixId],
    ) -> Result<Vec<BranchOutput>, LmError> {
        let mut answers = self.forward(branches, |branch| OutputRequest {
            logits_at: Positions::Last,
            logit_ids: branch.logit_ids,
            normalizer: branch.normalizer,
            ..OutputRequest::default()
        })?;
        let prefixes = self.advance(&mut answers, last_use);
        let output = |(answer, prefix): (SequenceOutput, PrefixId)| BranchOutput {
            prefix,
            logits: answer.logits.into_iter().next().unwrap_or_default(),
            normalizer: answer.normalizers.first().copied(),
        };
        Ok(answers.into_iter().zip(prefixes).map(output).collect())
    }

    fn release(&mut self, prefixes: &[PrefixId]) {
        for prefix in prefixes.iter().filter(|prefix| **prefix != PrefixId(0)) {
            self.prefixes.remove(prefix);
        }
    }
}

/// Moves the newest tokens into the segment before them, when nobody else has it and it is short.
fn join_last(cache: &mut KvCache) {
    let Some([before, newest]) = cache.segments.last_chunk_mut::<2>() else { return };
    if before.tokens() + newest.tokens() > MOST_MOVED || before.layers() != newest.layers() {
        return;
    }
    if before.format() == newest.format()
        && let Some(own) = Arc::get_mut(before)
    {
        own.append(newest);
        cache.segments.pop();
    }
}
