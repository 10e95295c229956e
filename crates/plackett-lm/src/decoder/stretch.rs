//! The rows of a group that go through a layer together.

use super::additions::Additions;
use super::asked::Asked;
use super::plan::{Block, Member};
use std::ops::Range;

/// Rows of a group in one layer.
pub(super) struct Stretch<'a> {
    pub layer: usize,
    pub workers: usize,
    /// Places in the group.
    pub rows: Range<usize>,
    /// Blocks of these rows.
    pub plan: &'a [Block],
    /// Of the whole group.
    pub additions: &'a Additions<'a>,
    /// In the last layer, what is read after it.
    pub asked: Option<&'a Asked<'a>>,
}

impl Stretch<'_> {
    /// Which rows of the stretch are a member's, and which of its tokens they are.
    pub(super) fn own(&self, member: &Member) -> (Range<usize>, Range<usize>) {
        let start = member.start.clamp(self.rows.start, self.rows.end);
        let end = (member.start + member.tokens).clamp(start, self.rows.end);
        let tokens = start.max(member.start) - member.start;
        (start - self.rows.start..end - self.rows.start, tokens..tokens + end - start)
    }
}

/// Blocks in stretches of at most `most` rows (one block at the least).
pub(super) fn stretches<'a>(
    plan: &'a [Block],
    most: usize,
    workers: usize,
    additions: &'a Additions<'a>,
) -> Vec<Stretch<'a>> {
    let mut found = Vec::new();
    let mut rest = plan;
    while let Some(first) = rest.first() {
        let start = first.tokens.start;
        let count = rest.iter().take_while(|block| block.tokens.end - start <= most).count().max(1);
        let (own, after) = rest.split_at(count);
        let rows = start..own[count - 1].tokens.end;
        found.push(Stretch { layer: 0, workers, rows, plan: own, additions, asked: None });
        rest = after;
    }
    found
}
