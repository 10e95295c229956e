//! Which sequences a worker carries together, and how many workers the memory budget allows.

use super::additions::adapter_bytes;
use super::cache::CacheFormat;
use super::head::{Wish, bytes};
use super::kept::Sizes;
use super::request::{Answer, Request};
use super::weights::Decoder;
use crate::LmError;
use crate::decode::Wanted;
use crate::kernel::MOST_BLOCK_ROWS;
use crate::kernel::{CachedScratch, QUERY_ROWS, TILE_ROWS};
use std::sync::Arc;

/// Rows after which a group of sequences is full.
const GROUP_ROWS: usize = 11 * TILE_ROWS;
/// Bytes that go with the sums of one query and head: their places and the header of their list.
const MASS_BYTES: usize = 64;
/// Bytes that go with the logits after one token: the header of their list, and the normaliser, each twice on the way.
const LOGITS_BYTES: usize = 96;

/// Requests that a worker carries together.
pub(super) struct Group {
    /// Their places in the call.
    pub members: Vec<usize>,
    /// Rows that go through a layer at once.
    pub rows: usize,
}

/// Groups of requests.
pub(super) struct Schedule {
    /// A worker each.
    pub spread: Vec<Group>,
    /// One after the other, each with all workers.
    pub split: Vec<Group>,
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
    let whole = |members| Group { members, rows: usize::MAX };
    let mut groups: Vec<Group> = grouped(requests).into_iter().map(whole).collect();
    let mut workers = threads;
    if let Some(budget) = budget {
        let needs = Needs { decoder, requests, sizes, format };
        let held = weights
            + adapter_bytes(requests)
            + prefixes(requests)
            + requests.iter().map(|r| needs.answer(r)).sum::<usize>();
        if held > budget {
            return Err(LmError::MemoryBudgetOfAnswers { requests: requests.len(), needed: held, budget });
        }
        let largest;
        (groups, largest) = needs
            .fitting(groups, budget - held)
            .map_err(|(tokens, needed)| LmError::MemoryBudget { tokens, needed: held + needed, budget })?;
        workers = (budget - held).checked_div(largest).map_or(threads, |fit| fit.clamp(1, threads));
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

/// What calls take beside weights and the caches that they continue.
struct Needs<'a> {
    decoder: &'a Decoder,
    requests: &'a [Request<'a>],
    sizes: Sizes,
    format: CacheFormat,
}

impl Needs<'_> {
    /// Groups that fit into `room`, and the bytes that a worker takes at most. A group that does not is run as its
    /// sequences, and a sequence that does not in stretches of fewer rows; else its tokens and needs are the error.
    fn fitting(&self, groups: Vec<Group>, room: usize) -> Result<(Vec<Group>, usize), (usize, usize)> {
        let mut fitting = Vec::with_capacity(groups.len());
        for group in groups {
            if self.group(&group) <= room {
                fitting.push(group);
                continue;
            }
            for index in group.members {
                let (group, needed) = self.narrowed(index, room);
                if needed > room {
                    return Err((self.requests[index].tokens.len(), needed));
                }
                fitting.push(group);
            }
        }
        let shared = fitting.iter().map(|group| self.shared(group)).max().unwrap_or(0);
        let own = fitting.iter().map(|group| self.own(group)).max().unwrap_or(0);
        Ok((fitting, shared + own))
    }

    /// A sequence with as many rows at once as fit, or as few as there can be.
    fn narrowed(&self, index: usize, room: usize) -> (Group, usize) {
        let step = (QUERY_ROWS / self.decoder.shape.group()).max(1);
        let tokens = self.requests[index].tokens.len();
        let mut group = Group { members: vec![index], rows: tokens };
        let mut needed = self.group(&group);
        while needed > room && group.rows > step {
            group.rows = (group.rows / 2).next_multiple_of(step).min(group.rows - 1);
            needed = self.group(&group);
        }
        (group, needed)
    }

    /// Bytes of the buffers while a worker carries a group.
    fn group(&self, group: &Group) -> usize {
        self.own(group) + self.shared(group)
    }

    fn members(&self, group: &Group) -> impl Iterator<Item = &Request<'_>> {
        group.members.iter().map(|index| &self.requests[*index])
    }

    /// Tokens of a group, and rows that go through a layer at once.
    fn rows(&self, group: &Group) -> (usize, usize) {
        let tokens = self.members(group).map(|request| request.tokens.len()).sum();
        let step = (QUERY_ROWS / self.decoder.shape.group()).max(1);
        (tokens, group.rows.max(step).min(tokens))
    }

    /// Bytes of the buffers that a group has for itself.
    fn own(&self, group: &Group) -> usize {
        let shape = &self.decoder.shape;
        let (tokens, rows) = self.rows(group);
        let row = shape.qkv() + shape.contexts() + shape.ropes.len() * shape.size;
        let one = Sizes { layers: 1, ..self.sizes };
        let passing = self.members(group).filter(|request| !request.wants.cache);
        let passing: usize = passing.map(|request| one.bytes(request.tokens.len(), self.format)).sum();
        let mut wishes = Vec::new();
        for request in self.members(group) {
            let wish = Wish { ids: request.wants.ids, normalizer: request.wants.normalizer };
            wishes.resize(wishes.len() + request.wants.logits_at.count(request.tokens.len()), wish);
        }
        4 * (tokens * shape.hidden + rows * row)
            + passing
            + self.members(group).map(|request| self.masses(request)).sum::<usize>()
            + bytes(self.decoder, &wishes)
    }

    /// Bytes of the buffers that workers take from a shelf for a moment, and so from each other.
    fn shared(&self, group: &Group) -> usize {
        let shape = &self.decoder.shape;
        let block = MOST_BLOCK_ROWS.min(self.rows(group).1);
        let all = |request: &Request| request.tokens.len() + request.cache.map_or(0, |cache| cache.tokens());
        let keys = self.members(group).map(all).max().unwrap_or(0);
        let added = self.members(group).filter_map(|request| request.adapter);
        let added = added.map(|adapter| shape.addition_bytes(adapter, block)).max().unwrap_or(0);
        self.decoder.block_bytes(block)
            + added
            + 4 * QUERY_ROWS.max(shape.group()) * shape.size
            + CachedScratch::bytes(shape.size, keys, self.decoder.integers)
    }

    /// Bytes of what one layer's attention weights pass through on their way to the answer.
    fn masses(&self, request: &Request) -> usize {
        let Some(wanted) = &request.wants.attention else { return 0 };
        let rows = self.decoder.shape.heads * wanted.queries.len();
        rows * (8 * wanted.keys.len() + 2 * MASS_BYTES)
    }

    /// Bytes of an answer, with the cache that is wanted.
    fn answer(&self, request: &Request) -> usize {
        let (wants, tokens) = (&request.wants, request.tokens.len());
        let (hidden, heads) = (self.decoder.shape.hidden, self.decoder.shape.heads);
        let ids = match wants.ids {
            Wanted::All => self.decoder.shape.vocabulary,
            Wanted::Only(ids) => ids.len(),
            Wanted::Nothing => 0,
        };
        let logits = wants.logits_at.count(tokens) * (4 * ids + LOGITS_BYTES);
        let states = wants.hidden.count(tokens) * wants.hidden_after.len().max(1) * 4 * hidden;
        let attention = wants.attention.as_ref().map_or(0, |wanted| {
            let rows = if wanted.summed { 1 } else { heads * wanted.queries.len() };
            4 * wanted.layers.len() * rows * wanted.keys.len()
        });
        let cache = if wants.cache { self.sizes.bytes(tokens, self.format) } else { 0 };
        size_of::<Answer>() + logits + states + attention + cache
    }
}
