//! The rows of a batch that go through a layer together.

use crate::decoder::last_layer::LastLayerRows;
use crate::decoder::lora::LoraBatch;
use crate::decoder::query_blocks::{PackedSequence, QueryBlock};
use std::ops::Range;

/// Rows of a batch in one layer.
pub(super) struct Chunk<'a> {
    pub layer: usize,
    pub workers: usize,
    /// Places in the batch.
    pub rows: Range<usize>,
    /// Blocks of these rows.
    pub plan: &'a [QueryBlock],
    /// Of the whole batch.
    pub lora: &'a LoraBatch<'a>,
    /// In the last layer, what is read after it.
    pub last_layer: Option<&'a LastLayerRows<'a>>,
}

impl Chunk<'_> {
    /// Which rows of the chunk are a sequence's, and which of its tokens they are.
    pub(super) fn rows_of(&self, sequence: &PackedSequence) -> (Range<usize>, Range<usize>) {
        let start = sequence.start.clamp(self.rows.start, self.rows.end);
        let end = (sequence.start + sequence.tokens).clamp(start, self.rows.end);
        let tokens = start.max(sequence.start) - sequence.start;
        (start - self.rows.start..end - self.rows.start, tokens..tokens + end - start)
    }
}

/// Blocks in chunks of at most `most` rows (one block at the least).
pub(super) fn chunks<'a>(
    plan: &'a [QueryBlock],
    most: usize,
    workers: usize,
    lora: &'a LoraBatch<'a>,
) -> Vec<Chunk<'a>> {
    let mut found = Vec::new();
    let mut rest = plan;
    while let Some(first) = rest.first() {
        let start = first.tokens.start;
        let count = rest.iter().take_while(|block| block.tokens.end - start <= most).count().max(1);
        let (own, after) = rest.split_at(count);
        let rows = start..own[count - 1].tokens.end;
        found.push(Chunk { layer: 0, workers, rows, plan: own, lora, last_layer: None });
        rest = after;
    }
    found
}
