//! What is read of a group while it passes: hidden states between layers, and sums of attention weights.

use super::plan::{Block, Member};
use super::request::Answer;
use super::shape::Shape;
use crate::kernel::CachedScratch;

/// Sums of attention weights from one place of one layer.
pub(super) struct Mass {
    member: usize,
    /// Which of the wanted queries.
    query: usize,
    head: usize,
    /// One for each range of keys.
    sums: Vec<f32>,
}

/// Hidden states that are wanted after so many layers, of `x`, the states of all rows.
pub(super) fn read_states(
    layers: usize,
    hidden: usize,
    members: &[Member],
    x: &[f32],
    answers: &mut [Answer],
) {
    for (member, answer) in members.iter().zip(answers) {
        let wanted = member.request.wants.hidden_after;
        if !wanted.contains(&layers) {
            continue;
        }
        let places = member.request.wants.hidden.list(member.tokens);
        answer.hidden.resize(wanted.len() * places.len() * hidden, 0.0);
        let mut rows = answer.hidden.chunks_exact_mut(hidden);
        for layer in wanted {
            for (place, out) in places.iter().zip(rows.by_ref()) {
                if *layer == layers {
                    out.copy_from_slice(&x[(member.start + place) * hidden..][..hidden]);
                }
            }
        }
    }
}

/// Sums that the queries of a block are asked for, after the attention of one head of keys.
pub(super) fn masses(
    shape: &Shape,
    layer: usize,
    kv_head: usize,
    members: &[Member],
    block: &Block,
    kernel: &CachedScratch,
) -> Vec<Mass> {
    let group = shape.group();
    let mut found = Vec::new();
    let mut first = 0;
    for (index, own) in &block.parts {
        let member = &members[*index];
        let wanted = member.request.wants.attention.as_ref().filter(|wanted| wanted.layers.contains(&layer));
        if let Some(wanted) = wanted {
            let queries = wanted.queries.iter().enumerate();
            for (query, token) in queries.filter(|(_, token)| own.contains(token)) {
                // What a query does not see has no weight in the buffer.
                let end = member.seen(*token, shape.layers[layer].window).end;
                for head in 0..group {
                    let row = (first + token - own.start) * group + head;
                    let ranges = wanted.keys.iter().map(|keys| keys.start.min(end)..keys.end.min(end));
                    let sums = ranges.map(|keys| kernel.mass(row, keys)).collect();
                    found.push(Mass { member: *index, query, head: kv_head * group + head, sums });
                }
            }
        }
        first += own.len();
    }
    found
}

/// Puts the sums of a layer, of `heads` heads, where they belong.
pub(super) fn read_masses(
    layer: usize,
    heads: usize,
    members: &[Member],
    masses: &[Mass],
    answers: &mut [Answer],
) {
    let mut own: Vec<Vec<f32>> = members.iter().map(|_| Vec::new()).collect();
    for Mass { member, query, head, sums } in masses {
        let Some(wanted) = &members[*member].request.wants.attention else { continue };
        let (queries, ranges) = (wanted.queries.len(), wanted.keys.len());
        own[*member].resize(heads * queries * ranges, 0.0);
        own[*member][(head * queries + query) * ranges..][..ranges].copy_from_slice(sums);
    }
    for ((member, sums), answer) in members.iter().zip(own).zip(answers) {
        let Some(wanted) = member.request.wants.attention.as_ref().filter(|_| !sums.is_empty()) else {
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
