//! Which sequences a worker carries together, and how many workers the memory budget allows.

use crate::decode::model::LogitIds;
use crate::decoder::kv::format::CacheFormat;
use crate::decoder::kv::format::KvDims;
use crate::decoder::lm_head::{LogitRequest, bytes};
use crate::decoder::lora::adapter_bytes;
use crate::decoder::request::{Request, SequenceOutput};
use crate::decoder::weights::DecoderWeights;
use crate::error::LmError;
use plackett_kernel::MOST_BLOCK_ROWS;
use plackett_kernel::{CachedScratch, QUERY_ROWS, TILE_ROWS};
use std::sync::Arc;

/// Rows after which a batch of sequences is full.
const BATCH_ROWS: usize = 11 * TILE_ROWS;
/// Bytes that go with the sums of one query and head: their places and the header of their list.
const ATTENTION_SUMS_BYTES: usize = 64;
/// Bytes that go with the logits after one token: the header of their list, and the normaliser, each twice on the way.
const LOGITS_BYTES: usize = 96;

/// Requests that go through the layers together.
pub(super) struct MicroBatch {
    /// Their places in the call.
    pub requests: Vec<usize>,
    /// Rows that go through a layer at once.
    pub rows: usize,
}

/// Batches of a call.
pub(super) struct Schedule {
    /// A worker each.
    pub spread: Vec<MicroBatch>,
    /// One after the other, each with all workers.
    pub split: Vec<MicroBatch>,
    pub workers: usize,
}

/// Batches of about [`BATCH_ROWS`] rows; sequences with the same adapter after the same cache
/// are neighbours.
pub(super) fn batches(
    decoder: &DecoderWeights,
    requests: &[Request],
    dims: KvDims,
    format: CacheFormat,
    (budget, weights): (Option<usize>, usize),
    threads: usize,
) -> Result<Schedule, LmError> {
    let whole = |requests| MicroBatch { requests, rows: usize::MAX };
    let mut batches: Vec<MicroBatch> = packed(requests).into_iter().map(whole).collect();
    let mut workers = threads;
    if let Some(budget) = budget {
        let estimate = MemoryEstimate { decoder, requests, dims, format };
        let held = weights
            + adapter_bytes(requests)
            + prefix_bytes(requests)
            + requests.iter().map(|r| estimate.output_bytes(r)).sum::<usize>();
        if held > budget {
            return Err(LmError::MemoryBudgetOfAnswers { requests: requests.len(), needed: held, budget });
        }
        let largest;
        (batches, largest) = estimate
            .fitting(batches, budget - held)
            .map_err(|(tokens, needed)| LmError::MemoryBudget { tokens, needed: held + needed, budget })?;
        workers = (budget - held).checked_div(largest).map_or(threads, |fit| fit.clamp(1, threads));
    }
    let together = if workers < threads { 0 } else { batches.len() / workers * workers };
    let split = batches.split_off(together);
    Ok(Schedule { spread: batches, split, workers })
}

fn packed(requests: &[Request]) -> Vec<Vec<usize>> {
    let path = |index: &usize| -> Vec<usize> {
        let segments = requests[*index].cache.map_or(&[][..], |cache| &cache.segments);
        segments.iter().map(|segment| Arc::as_ptr(segment) as usize).collect()
    };
    let mut order: Vec<usize> = (0..requests.len()).collect();
    let adapter = |index: &usize| requests[*index].adapter.map_or(0, |own| std::ptr::from_ref(own) as usize);
    let key = |index: &usize| (std::cmp::Reverse(requests[*index].tokens.len()), adapter(index), path(index));
    order.sort_by_cached_key(key);
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut room = 0;
    for index in order {
        let tokens = requests[index].tokens.len();
        match batches.last_mut() {
            Some(batch) if tokens <= room => {
                batch.push(index);
                room -= tokens;
            }
            _ => {
                batches.push(vec![index]);
                room = BATCH_ROWS.saturating_sub(tokens);
            }
        }
    }
    batches
}

/// Bytes of the caches that the requests continue, those of mapped files left out.
fn prefix_bytes(requests: &[Request]) -> usize {
    let segments = requests.iter().filter_map(|request| request.cache).flat_map(|cache| &cache.segments);
    let mut all: Vec<(usize, usize)> =
        segments.map(|segment| (Arc::as_ptr(segment) as usize, segment.held_bytes())).collect();
    all.sort_unstable();
    all.dedup();
    all.iter().map(|(_, bytes)| bytes).sum()
}

/// What calls take beside weights and the caches that they continue.
struct MemoryEstimate<'a> {
    decoder: &'a DecoderWeights,
    requests: &'a [Request<'a>],
    dims: KvDims,
    format: CacheFormat,
}

impl MemoryEstimate<'_> {
    /// Batches that fit into `available` bytes, and the bytes that a worker takes at most. A batch that does not is run as its
    /// sequences, and a sequence that does not in chunks of fewer rows; else its tokens and needs are the error.
    fn fitting(
        &self,
        batches: Vec<MicroBatch>,
        available: usize,
    ) -> Result<(Vec<MicroBatch>, usize), (usize, usize)> {
        let mut fitting = Vec::with_capacity(batches.len());
        for batch in batches {
            if self.batch_bytes(&batch) <= available {
                fitting.push(batch);
                continue;
            }
            for index in batch.requests {
                let (batch, needed) = self.narrowed(index, available);
                if needed > available {
                    return Err((self.requests[index].tokens.len(), needed));
                }
                fitting.push(batch);
            }
        }
        let shared = fitting.iter().map(|batch| self.shared_bytes(batch)).max().unwrap_or(0);
        let own = fitting.iter().map(|batch| self.own_bytes(batch)).max().unwrap_or(0);
        Ok((fitting, shared + own))
    }

    /// A sequence with as many rows at once as fit, or as few as there can be.
    fn narrowed(&self, index: usize, available: usize) -> (MicroBatch, usize) {
        let step = (QUERY_ROWS / self.decoder.shape.group()).max(1);
        let tokens = self.requests[index].tokens.len();
        let mut batch = MicroBatch { requests: vec![index], rows: tokens };
        let mut needed = self.batch_bytes(&batch);
        while needed > available && batch.rows > step {
            batch.rows = (batch.rows / 2).next_multiple_of(step).min(batch.rows - 1);
            needed = self.batch_bytes(&batch);
        }
        (batch, needed)
    }

    /// Bytes of the buffers while a worker carries a batch.
    fn batch_bytes(&self, batch: &MicroBatch) -> usize {
        self.own_bytes(batch) + self.shared_bytes(batch)
    }

    fn requests(&self, batch: &MicroBatch) -> impl Iterator<Item = &Request<'_>> {
        batch.requests.iter().map(|index| &self.requests[*index])
    }

    /// Tokens of a batch, and rows that go through a layer at once.
    fn rows(&self, batch: &MicroBatch) -> (usize, usize) {
        let tokens = self.requests(batch).map(|request| request.tokens.len()).sum();
        let step = (QUERY_ROWS / self.decoder.shape.group()).max(1);
        (tokens, batch.rows.max(step).min(tokens))
    }

    /// Bytes of the buffers that a batch has for itself.
    fn own_bytes(&self, batch: &MicroBatch) -> usize {
        let shape = &self.decoder.shape;
        let (tokens, rows) = self.rows(batch);
        let row = shape.qkv() + shape.contexts() + shape.ropes.len() * shape.size;
        let one = KvDims { layers: 1, ..self.dims };
        let passing = self.requests(batch).filter(|request| !request.outputs.cache);
        let passing: usize = passing.map(|request| one.bytes(request.tokens.len(), self.format)).sum();
        let mut logit_requests = Vec::new();
        for request in self.requests(batch) {
            let logit_request =
                LogitRequest { logit_ids: request.outputs.logit_ids, normalizer: request.outputs.normalizer };
            logit_requests.resize(
                logit_requests.len() + request.outputs.logits_at.count(request.tokens.len()),
                logit_request,
            );
        }
        4 * (tokens * shape.hidden + rows * row)
            + passing
            + self.requests(batch).map(|request| self.attention_bytes(request)).sum::<usize>()
            + bytes(self.decoder, &logit_requests)
    }

    /// Bytes of the buffers that workers borrow from a pool for a moment, and so from each other.
    fn shared_bytes(&self, batch: &MicroBatch) -> usize {
        let shape = &self.decoder.shape;
        let block = MOST_BLOCK_ROWS.min(self.rows(batch).1);
        let all = |request: &Request| request.tokens.len() + request.cache.map_or(0, |cache| cache.tokens());
        let keys = self.requests(batch).map(all).max().unwrap_or(0);
        let lora = self.requests(batch).filter_map(|request| request.adapter);
        let lora = lora.map(|adapter| shape.addition_bytes(adapter, block)).max().unwrap_or(0);
        self.decoder.block_bytes(block)
            + lora
            + 4 * QUERY_ROWS.max(shape.group()) * shape.size
            + CachedScratch::bytes(shape.size, keys, self.decoder.integers)
    }

    /// Bytes of what one layer's attention weights pass through on their way to the answer.
    fn attention_bytes(&self, request: &Request) -> usize {
        let Some(wanted) = &request.outputs.attention else { return 0 };
        let rows = self.decoder.shape.heads * wanted.queries.len();
        rows * (8 * wanted.keys.len() + 2 * ATTENTION_SUMS_BYTES)
    }

    /// Bytes of an answer, with the cache that is wanted.
    fn output_bytes(&self, request: &Request) -> usize {
        let (outputs, tokens) = (&request.outputs, request.tokens.len());
        let (hidden, heads) = (self.decoder.shape.hidden, self.decoder.shape.heads);
        let ids = match outputs.logit_ids {
            LogitIds::All => self.decoder.shape.vocabulary,
            LogitIds::Only(ids) => ids.len(),
            LogitIds::None => 0,
        };
        let logits = outputs.logits_at.count(tokens) * (4 * ids + LOGITS_BYTES);
        let states = outputs.hidden.count(tokens) * outputs.hidden_after.len().max(1) * 4 * hidden;
        let attention = outputs.attention.as_ref().map_or(0, |wanted| {
            let rows = if wanted.summed { 1 } else { heads * wanted.queries.len() };
            4 * wanted.layers.len() * rows * wanted.keys.len()
        });
        let cache = if outputs.cache { self.dims.bytes(tokens, self.format) } else { 0 };
        size_of::<SequenceOutput>() + logits + states + attention + cache
    }
}
