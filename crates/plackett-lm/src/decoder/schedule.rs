//! Which sequences a worker carries together, and how many workers the memory budget allows.

use super::additions::adapter_bytes;
use super::cache::CacheFormat;
use super::kept::Sizes;
use super::request::Request;
use super::weights::Decoder;
use crate::LmError;
use crate::forward::MOST_BLOCK_ROWS;
use crate::kernel::{CachedScratch, TILE_ROWS};
use std::sync::Arc;

/// Rows after which a group of sequences is full.
const GROUP_ROWS: usize = 11 * TILE_ROWS;

/// Groups of requests, by their places.
pub(super) struct Schedule {
    /// A worker each.
    pub spread: Vec<Vec<usize>>,
    /// One after the other, each with all workers.
    pub split: Vec<Vec<usize>>,
    pub workers: usize,
}

/// Groups of about [`GROUP_ROWS`] rows; sequences with the same adapter after the same cache
/// are neighbours.
pub(super) fn groups(
    decoder: &Decoder,
    requests: &[Request],
    sizes: Sizes,
    format: CacheFormat,
    (budget, weights): (Option<usize>, usize),
    threads: usize,
) -> Result<Schedule, LmError> {
    let mut groups = grouped(requests);
    let mut workers = threads;
    if let Some(budget) = budget {
        let held = weights + adapter_bytes(requests) + prefixes(requests) + made(requests, sizes, format);
        let room = budget.saturating_sub(held);
        let need = |group: &Vec<usize>| needed(decoder, requests, group, sizes, format);
        // A group that is too large is run as its sequences.
        groups = groups
            .into_iter()
            .flat_map(|group| match need(&group) > room {
                true => group.into_iter().map(|index| vec![index]).collect(),
                false => vec![group],
            })
            .collect();
        let largest = groups.iter().map(need).max().unwrap_or(0);
        if largest > room {
            let tokens = requests.iter().map(|request| request.tokens.len()).max().unwrap_or(0);
            return Err(LmError::MemoryBudget { tokens, needed: held + largest, budget });
        }
        workers = room.checked_div(largest).map_or(threads, |fit| fit.clamp(1, threads));
    }
    let together = if workers < threads { 0 } else { groups.len() / workers * workers };
    let split = groups.split_off(together);
    Ok(Schedule { spread: groups, split, workers })
}

fn grouped(requests: &[Request]) -> Vec<Vec<usize>> {
    let path = |index: &usize| -> Vec<usize> {
        let segments = requests[*index].cache.map_or(&[][..], |cache| &cache.segments);
        segments.iter().map(|kept| Arc::as_ptr(kept) as usize).collect()
    };
    let mut order: Vec<usize> = (0..requests.len()).collect();
    let adapter = |index: &usize| requests[*index].adapter.map_or(0, |own| std::ptr::from_ref(own) as usize);
    let key = |index: &usize| (std::cmp::Reverse(requests[*index].tokens.len()), adapter(index), path(index));
    order.sort_by_cached_key(key);
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut room = 0;
    for index in order {
        let tokens = requests[index].tokens.len();
        match groups.last_mut() {
            Some(group) if tokens <= room => {
                group.push(index);
                room -= tokens;
            }
            _ => {
                groups.push(vec![index]);
                room = GROUP_ROWS.saturating_sub(tokens);
            }
        }
    }
    groups
}

/// Bytes of the caches that the requests continue, those of mapped files left out.
fn prefixes(requests: &[Request]) -> usize {
    let segments = requests.iter().filter_map(|request| request.cache).flat_map(|cache| &cache.segments);
    let mut all: Vec<(usize, usize)> =
        segments.map(|kept| (Arc::as_ptr(kept) as usize, kept.held_bytes())).collect();
    all.sort_unstable();
    all.dedup();
    all.iter().map(|(_, bytes)| bytes).sum()
}

/// Bytes of the caches that are wanted.
fn made(requests: &[Request], sizes: Sizes, format: CacheFormat) -> usize {
    let wanted = requests.iter().filter(|request| request.wants.cache);
    wanted.map(|request| sizes.bytes(request.tokens.len(), format)).sum()
}

/// Bytes of the buffers while a group is carried.
fn needed(
    decoder: &Decoder,
    requests: &[Request],
    group: &[usize],
    sizes: Sizes,
    format: CacheFormat,
) -> usize {
    let shape = &decoder.shape;
    let of = |index: &usize| requests[*index].tokens.len();
    let tokens: usize = group.iter().map(of).sum();
    let all = |index: &usize| of(index) + requests[*index].cache.map_or(0, |cache| cache.tokens());
    let keys = group.iter().map(all).max().unwrap_or(0);
    let row = 4 * (shape.hidden + shape.qkv() + shape.contexts() + shape.ropes.len() * shape.size);
    let one = Sizes { layers: 1, ..sizes };
    let passing: usize = group.iter().map(|index| one.bytes(of(index), format)).sum();
    let rows = MOST_BLOCK_ROWS.min(tokens);
    let added = group.iter().filter_map(|index| requests[*index].adapter);
    let added = added.map(|adapter| shape.addition_bytes(adapter, rows)).max().unwrap_or(0);
    let logits = 4 * shape.vocabulary * group.len().min(4 * TILE_ROWS);
    tokens * row
        + passing
        + decoder.block_bytes(rows)
        + added
        + CachedScratch::bytes(shape.size, keys)
        + logits
}
