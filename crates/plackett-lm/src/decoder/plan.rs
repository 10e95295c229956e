//! Which queries walk over which keys together.
//!
//! The tokens of a group of sequences are cut into blocks. Where neighbours in a block have the same first segments in
//! their caches (the beams of a search, the documents after one instruction), their queries share one walk over them.

use super::kept::Kept;
use super::request::{Pattern, Request};
use crate::kernel::QUERY_ROWS;
use std::ops::Range;
use std::sync::Arc;

/// New tokens of a sequence behind cached segments.
pub(super) struct Member<'a> {
    pub request: &'a Request<'a>,
    pub path: &'a [Arc<Kept>],
    /// Tokens of the path.
    pub before: usize,
    /// New tokens.
    pub tokens: usize,
    /// Whether new tokens see all new tokens.
    pub both_ways: bool,
    /// Place of the first new token in the group.
    pub start: usize,
}

/// Tokens of one or more members that attend together.
pub(super) struct Block {
    /// Places in the group.
    pub tokens: Range<usize>,
    /// Members and their own places.
    pub parts: Vec<(usize, Range<usize>)>,
    pub runs: Vec<Shared>,
}

/// Segments that some tokens of a block see.
pub(super) struct Shared {
    /// Tokens, from the block's first.
    pub tokens: Range<usize>,
    /// Keys before these.
    pub offset: usize,
    /// A member that has them, and which.
    pub segments: Vec<(usize, Piece)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Of the member's path.
    Cached(usize),
    /// Its new tokens.
    New,
}

/// Sequences that lie end to end.
pub(super) fn members<'a>(requests: &[&'a Request<'a>]) -> Vec<Member<'a>> {
    let mut start = 0;
    let member = |request: &&'a Request<'a>| {
        let tokens = request.tokens.len();
        let path = request.cache.map_or(&[][..], |cache| &cache.segments);
        let both_ways = request.pattern == Pattern::Bidirectional;
        let before = path.iter().map(|kept| kept.tokens()).sum();
        start += tokens;
        Member { request, path, before, tokens, both_ways, start: start - tokens }
    };
    requests.iter().map(member).collect()
}

/// Blocks of all tokens; `heads` query heads share a head of keys.
pub(super) fn blocks(members: &[Member], heads: usize) -> Vec<Block> {
    let most = (QUERY_ROWS / heads).max(1);
    let mut blocks: Vec<Block> = Vec::new();
    let mut place = 0;
    for (index, member) in members.iter().enumerate() {
        let mut done = 0;
        while done < member.tokens {
            let room = blocks.last().map_or(0, |block| most - block.tokens.len());
            if room == 0 {
                blocks.push(Block { tokens: place..place, parts: Vec::new(), runs: Vec::new() });
            }
            let Some(block) = blocks.last_mut() else { break };
            let count = (most - block.tokens.len()).min(member.tokens - done);
            block.parts.push((index, done..done + count));
            block.tokens.end += count;
            (done, place) = (done + count, place + count);
        }
    }
    for block in &mut blocks {
        let mut runs = Vec::new();
        shared(members, &block.parts, 0, 0, 0, &mut runs);
        block.runs = runs;
    }
    blocks
}

/// Runs of parts that have the first `depth` segments, `offset` keys, in common.
fn shared(
    members: &[Member],
    parts: &[(usize, Range<usize>)],
    first: usize,
    mut depth: usize,
    mut offset: usize,
    out: &mut Vec<Shared>,
) {
    let Some((lead, _)) = parts.first() else { return };
    let tokens: usize = parts.iter().map(|(_, own)| own.len()).sum();
    let same = |other: usize, depth: usize| {
        let (a, b) = (members[*lead].path.get(depth), members[other].path.get(depth));
        matches!((a, b), (Some(a), Some(b)) if Arc::ptr_eq(a, b))
    };
    let start = offset;
    let mut segments = Vec::new();
    while parts.iter().all(|(member, _)| same(*member, depth)) {
        segments.push((*lead, Piece::Cached(depth)));
        offset += members[*lead].path[depth].tokens();
        depth += 1;
    }
    if let [(member, _)] = parts {
        segments.push((*member, Piece::New));
    }
    if !segments.is_empty() {
        out.push(Shared { tokens: first..first + tokens, offset: start, segments });
    }
    if parts.len() == 1 {
        return;
    }
    // Neighbours whose next segment is the same stay together; a part without a next one goes alone.
    let (mut rest, mut place) = (parts, first);
    while let Some((next, _)) = rest.first() {
        let own = members[*next].path.get(depth);
        let equal = |member: usize| match (own, members[member].path.get(depth)) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        let count = rest.iter().take_while(|(member, _)| equal(*member)).count().max(1);
        shared(members, &rest[..count], place, depth, offset, out);
        place += rest[..count].iter().map(|(_, own)| own.len()).sum::<usize>();
        rest = &rest[count..];
    }
}

impl Member<'_> {
    /// Keys that a new token sees in a layer.
    pub(super) fn seen(&self, token: usize, window: Option<usize>) -> Range<usize> {
        let own = self.before + token;
        let end = if self.both_ways { self.before + self.tokens } else { own + 1 };
        match window {
            None => 0..end,
            Some(window) => (own + 1).saturating_sub(window)..end.min(own + window),
        }
    }
}
