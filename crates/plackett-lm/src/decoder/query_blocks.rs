//! Which queries walk over which keys together.
//!
//! The tokens of a batch of sequences are cut into blocks. Where neighbours in a block have the same first segments in
//! their caches (the beams of a search, the documents after one instruction), their queries share one walk over them.

use crate::decoder::kv::segment::KvSegment;
use crate::decoder::request::{AttentionPattern, Request};
use plackett_kernel::QUERY_ROWS;
use std::ops::Range;
use std::sync::Arc;

/// New tokens of a sequence behind cached segments.
pub(super) struct PackedSequence<'a> {
    pub request: &'a Request<'a>,
    pub segments: &'a [Arc<KvSegment>],
    /// Cached tokens.
    pub before: usize,
    /// New tokens.
    pub tokens: usize,
    /// Whether new tokens see all new tokens.
    pub bidirectional: bool,
    /// Place of the first new token in the batch.
    pub start: usize,
}

/// Tokens of one or more sequences that attend together.
pub(super) struct QueryBlock {
    /// Places in the batch.
    pub tokens: Range<usize>,
    /// Sequences and their own places.
    pub parts: Vec<(usize, Range<usize>)>,
    pub runs: Vec<SharedSegments>,
}

/// Segments that some tokens of a block see.
pub(super) struct SharedSegments {
    /// Tokens, from the block's first.
    pub tokens: Range<usize>,
    /// Keys before these.
    pub offset: usize,
    /// A sequence that has them, and which.
    pub segments: Vec<(usize, KeySource)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeySource {
    /// Of the sequence's cached segments.
    Cached(usize),
    /// Its new tokens.
    New,
}

/// Sequences that lie end to end.
pub(super) fn pack<'a>(requests: &[&'a Request<'a>]) -> Vec<PackedSequence<'a>> {
    let mut start = 0;
    let sequence = |request: &&'a Request<'a>| {
        let tokens = request.tokens.len();
        let segments = request.cache.map_or(&[][..], |cache| &cache.segments);
        let bidirectional = request.pattern == AttentionPattern::Bidirectional;
        let before = segments.iter().map(|segment| segment.tokens()).sum();
        start += tokens;
        PackedSequence { request, segments, before, tokens, bidirectional, start: start - tokens }
    };
    requests.iter().map(sequence).collect()
}

/// Blocks of all tokens; `heads` query heads share a head of keys.
pub(super) fn query_blocks(sequences: &[PackedSequence], heads: usize) -> Vec<QueryBlock> {
    let most = (QUERY_ROWS / heads).max(1);
    let mut query_blocks: Vec<QueryBlock> = Vec::new();
    let mut place = 0;
    for (index, sequence) in sequences.iter().enumerate() {
        let mut done = 0;
        while done < sequence.tokens {
            let room = query_blocks.last().map_or(0, |block| most - block.tokens.len());
            if room == 0 {
                query_blocks.push(QueryBlock { tokens: place..place, parts: Vec::new(), runs: Vec::new() });
            }
            let Some(block) = query_blocks.last_mut() else { break };
            let count = (most - block.tokens.len()).min(sequence.tokens - done);
            block.parts.push((index, done..done + count));
            block.tokens.end += count;
            (done, place) = (done + count, place + count);
        }
    }
    for block in &mut query_blocks {
        let mut runs = Vec::new();
        shared(sequences, &block.parts, 0, 0, 0, &mut runs);
        block.runs = runs;
    }
    query_blocks
}

/// Runs of parts that have the first `depth` segments, `offset` keys, in common.
fn shared(
    sequences: &[PackedSequence],
    parts: &[(usize, Range<usize>)],
    first: usize,
    mut depth: usize,
    mut offset: usize,
    out: &mut Vec<SharedSegments>,
) {
    let Some((lead, _)) = parts.first() else { return };
    let tokens: usize = parts.iter().map(|(_, own)| own.len()).sum();
    let same = |other: usize, depth: usize| {
        let (a, b) = (sequences[*lead].segments.get(depth), sequences[other].segments.get(depth));
        matches!((a, b), (Some(a), Some(b)) if Arc::ptr_eq(a, b))
    };
    let start = offset;
    let mut segments = Vec::new();
    while parts.iter().all(|(sequence, _)| same(*sequence, depth)) {
        segments.push((*lead, KeySource::Cached(depth)));
        offset += sequences[*lead].segments[depth].tokens();
        depth += 1;
    }
    if let [(sequence, _)] = parts {
        segments.push((*sequence, KeySource::New));
    }
    if !segments.is_empty() {
        out.push(SharedSegments { tokens: first..first + tokens, offset: start, segments });
    }
    if parts.len() == 1 {
        return;
    }
    // Neighbours whose next segment is the same stay together; a part without a next one goes alone.
    let (mut rest, mut place) = (parts, first);
    while let Some((next, _)) = rest.first() {
        let own = sequences[*next].segments.get(depth);
        let equal = |sequence: usize| match (own, sequences[sequence].segments.get(depth)) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        let count = rest.iter().take_while(|(sequence, _)| equal(*sequence)).count().max(1);
        shared(sequences, &rest[..count], place, depth, offset, out);
        place += rest[..count].iter().map(|(_, own)| own.len()).sum::<usize>();
        rest = &rest[count..];
    }
}

impl PackedSequence<'_> {
    /// Keys that a new token sees in a layer.
    pub(super) fn seen(&self, token: usize, window: Option<usize>) -> Range<usize> {
        let own = self.before + token;
        let end = if self.bidirectional { self.before + self.tokens } else { own + 1 };
        match window {
            None => 0..end,
            Some(window) => (own + 1).saturating_sub(window)..end.min(own + window),
        }
    }
}
