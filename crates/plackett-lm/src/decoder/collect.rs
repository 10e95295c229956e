//! What is read of a batch while it passes: hidden states between layers, and sums of attention weights.

use crate::decoder::query_blocks::{PackedSequence, QueryBlock};
use crate::decoder::request::SequenceOutput;
use crate::family::decoder_shape::DecoderShape;
use plackett_kernel::CachedScratch;

/// Sums of attention weights from one place of one layer.
pub(super) struct AttentionSums {
    sequence: usize,
    /// Which of the wanted queries.
    query: usize,
    head: usize,
    /// One for each range of keys.
    sums: Vec<f32>,
}

/// Hidden states that are wanted after so many layers, of `x`, the states of all rows.
pub(super) fn collect_hidden(
    layers: usize,
    hidden: usize,
    sequences: &[PackedSequence],
    x: &[f32],
    answers: &mut [SequenceOutput],
) {
    for (sequence, answer) in sequences.iter().zip(answers) {
        let wanted = sequence.request.outputs.hidden_after;
        if !wanted.contains(&layers) {
            continue;
        }
        let places = sequence.request.outputs.hidden.list(sequence.tokens);
        answer.hidden.resize(wanted.len() * places.len() * hidden, 0.0);
        let mut rows = answer.hidden.chunks_exact_mut(hidden);
        for layer in wanted {
            for (place, out) in places.iter().zip(rows.by_ref()) {
                if *layer == layers {
                    out.copy_from_slice(&x[(sequence.start + place) * hidden..][..hidden]);
                }
            }
        }
    }
}

/// Sums that the queries of a block are asked for, after the attention of one head of keys.
pub(super) fn attention_sums(
    shape: &DecoderShape,
    layer: usize,
    kv_head: usize,
    sequences: &[PackedSequence],
    block: &QueryBlock,
    kernel: &CachedScratch,
) -> Vec<AttentionSums> {
    let group = shape.group();
    let mut found = Vec::new();
    let mut first = 0;
    for (index, own) in &block.parts {
        let sequence = &sequences[*index];
        let wanted =
            sequence.request.outputs.attention.as_ref().filter(|wanted| wanted.layers.contains(&layer));
        if let Some(wanted) = wanted {
            let queries = wanted.queries.iter().enumerate();
            for (query, token) in queries.filter(|(_, token)| own.contains(token)) {
                // What a query does not see has no weight in the buffer.
                let end = sequence.seen(*token, shape.layers[layer].window).end;
                for head in 0..group {
                    let row = (first + token - own.start) * group + head;
                    let ranges = wanted.keys.iter().map(|keys| keys.start.min(end)..keys.end.min(end));
                    let sums = ranges.map(|keys| kernel.weight_sum(row, keys)).collect();
                    found.push(AttentionSums { sequence: *index, query, head: kv_head * group + head, sums });
                }
            }
        }
        first += own.len();
    }
    found
}

/// Puts the sums of a layer, of `heads` heads, where they belong.
pub(super) fn collect_attention(
    layer: usize,
    heads: usize,
    sequences: &[PackedSequence],
    attention_sums: &[AttentionSums],
    answers: &mut [SequenceOutput],
) {
    let mut own: Vec<Vec<f32>> = sequences.iter().map(|_| Vec::new()).collect();
    for AttentionSums { sequence, query, head, sums } in attention_sums {
        let Some(wanted) = &sequences[*sequence].request.outputs.attention else { continue };
        let (queries, ranges) = (wanted.queries.len(), wanted.keys.len());
        own[*sequence].resize(heads * queries * ranges, 0.0);
        own[*sequence][(head * queries + query) * ranges..][..ranges].copy_from_slice(sums);
    }
    for ((sequence, sums), answer) in sequences.iter().zip(own).zip(answers) {
        let Some(wanted) = sequence.request.outputs.attention.as_ref().filter(|_| !sums.is_empty()) else {
            continue;
        };
        let (queries, ranges) = (wanted.queries.len(), wanted.keys.len());
        let sums = if wanted.summed { summed(&sums, queries, ranges) } else { sums };
        answer.attention.resize(wanted.layers.len() * sums.len(), 0.0);
        for (place, _) in wanted.layers.iter().enumerate().filter(|(_, wanted)| **wanted == layer) {
            answer.attention[place * sums.len()..][..sums.len()].copy_from_slice(&sums);
        }
    }
}

/// Over heads the sum, over queries the mean.
fn summed(sums: &[f32], queries: usize, ranges: usize) -> Vec<f32> {
    let mut total = vec![0.0f64; ranges];
    for row in sums.chunks_exact(ranges) {
        total.iter_mut().zip(row).for_each(|(total, x)| *total += f64::from(*x));
    }
    total.iter().map(|total| (total / queries.max(1) as f64) as f32).collect()
}
