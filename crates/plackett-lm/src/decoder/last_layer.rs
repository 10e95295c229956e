//! Which tokens anyone reads after the last layer: the work of that layer ends for the others with their keys and values.

use crate::decoder::lora::LoraBatch;
use crate::decoder::query_blocks::PackedSequence;
use crate::decoder::request::AttentionRequest;
use std::ops::Range;

/// Places in a batch, ascending.
pub(super) struct LastLayerRows<'a> {
    /// Tokens whose states are read.
    states: Vec<usize>,
    /// Those, and tokens whose attention weights are read.
    attending: Vec<usize>,
    /// Of the rows of `states`.
    pub lora: LoraBatch<'a>,
}

impl<'a> LastLayerRows<'a> {
    /// Of a pass of `layers` layers.
    pub(super) fn of(sequences: &[PackedSequence<'a>], layers: usize) -> LastLayerRows<'a> {
        let (mut states, mut attending, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        for sequence in sequences {
            let outputs = &sequence.request.outputs;
            let mut own = outputs.logits_at.list(sequence.tokens);
            if outputs.hidden_after.is_empty() || outputs.hidden_after.contains(&layers) {
                own.extend(outputs.hidden.list(sequence.tokens));
            }
            own.sort_unstable();
            own.dedup();
            rows.push((own.len(), sequence.request.adapter));
            states.extend(own.iter().map(|token| sequence.start + token));
            let last = |wanted: &AttentionRequest| wanted.layers.iter().any(|layer| layer + 1 == layers);
            if let Some(wanted) = outputs.attention.filter(last) {
                own.extend(wanted.queries);
                own.sort_unstable();
                own.dedup();
            }
            attending.extend(own.iter().map(|token| sequence.start + token));
        }
        LastLayerRows { states, attending, lora: LoraBatch::of(rows) }
    }

    /// Tokens among `rows` whose states are read, and how many there are before them.
    pub(super) fn states(&self, rows: &Range<usize>) -> (&[usize], usize) {
        let range = within(&self.states, rows);
        (&self.states[range.clone()], range.start)
    }

    /// Whether anything is read of the attention of these tokens.
    pub(super) fn attend(&self, rows: &Range<usize>) -> bool {
        !within(&self.attending, rows).is_empty()
    }
}

fn within(places: &[usize], rows: &Range<usize>) -> Range<usize> {
    let before = |end: usize| places.partition_point(|place| *place < end);
    before(rows.start)..before(rows.end)
}
