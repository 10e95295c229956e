//! Attention of the beams of a history: its keys and values are there once for all of them, those of what a beam has written are its own.

use crate::cached_attention::Kept;
use plackett_kernel::{Isa, Panels, Start, axpy, dot, for_each, multiply_panels, softmax_row};
use plackett_train::{Tape, Var};
use rayon::prelude::*;

/// Rows that stand behind one history.
pub(super) struct Beams<'k> {
    /// Keys and values of the history, row after row.
    pub history: Kept<'k>,
    /// Those of what each row's beam has written before.
    pub written: Vec<Kept<'k>>,
}

/// For each row softmax over the keys of its history, of what its beam has written, and its own, times the values: rows × width. Rows lie beams
/// after beams. There is no gradient.
pub(super) fn beam_attention(
    tape: &Tape,
    [query, key, value]: [&Var; 3],
    beams: &[Beams<'_>],
    heads: usize,
) -> Var {
    let width = query.columns;
    let mut y = vec![0.0; query.value.len()];
    let mut tasks = Vec::with_capacity(beams.len());
    let (mut rest, mut start) = (&mut y[..], 0);
    for own in beams {
        let (out, after) = rest.split_at_mut(own.written.len() * width);
        let rows = start..start + out.len();
        start += out.len();
        tasks.push((own, [query, key, value].map(|side| &side.value[rows.clone()]), out));
        rest = after;
    }
    let (isa, workers) = (tape.compute().isa, tape.compute().workers);
    for_each(workers, tasks.into_par_iter(), |(own, sides, out)| {
        attend(isa, own, sides, (width, heads), out)
    });
    tape.constant((query.rows, width), &y)
}

/// The rows of one history.
fn attend(
    isa: Isa,
    beams: &Beams<'_>,
    [query, key, value]: [&[f32]; 3],
    (width, heads): (usize, usize),
    out: &mut [f32],
) {
    let (rows, size) = (beams.written.len(), width / heads.max(1));
    let [keys, values] = beams.history;
    let known = keys.len() / width.max(1);
    let scale = 1.0 / (size as f32).sqrt();
    let mut panels = Panels::default();
    let mut mixed = vec![0.0; rows * size];
    let mut scores = vec![0.0; rows * known];
    let mut weights = Vec::new();
    for head in 0..heads {
        let part = |row: usize| row * width + head * size..row * width + (head + 1) * size;
        let of_head = |side: &[f32], rows: usize| -> Vec<f32> {
            (0..rows).flat_map(|row| side[part(row)].iter().copied()).collect()
        };
        let (queries, own_values) = (of_head(query, rows), of_head(values, known));
        panels.pack(1, &of_head(keys, known), size, known, true);
        multiply_panels(isa, 1, &queries, (rows, size), &panels, &mut scores, Start::Zero, None);
        let mut behind = Vec::with_capacity(rows);
        for (row, scores) in scores.chunks_mut(known.max(1)).enumerate().take(rows) {
            let [own_keys, _] = beams.written[row];
            let asked = &queries[row * size..][..size];
            let written = (0..own_keys.len() / width).map(|at| dot(isa, asked, &own_keys[part(at)]));
            weights.clear();
            weights.extend(scores.iter().copied().chain(written));
            weights.push(dot(isa, asked, &key[part(row)]));
            weights.iter_mut().for_each(|score| *score *= scale);
            softmax_row(isa, &mut weights);
            scores.copy_from_slice(&weights[..known]);
            behind.push(weights[known..].to_vec());
        }
        panels.pack(1, &own_values, known, size, false);
        multiply_panels(isa, 1, &scores, (rows, known), &panels, &mut mixed, Start::Zero, None);
        for (row, weights) in behind.iter().enumerate() {
            let to = &mut out[part(row)];
            to.copy_from_slice(&mixed[row * size..][..size]);
            let [_, own_values] = beams.written[row];
            let Some((own, written)) = weights.split_last() else { continue };
            written.iter().enumerate().for_each(|(at, weight)| axpy(isa, *weight, &own_values[part(at)], to));
            axpy(isa, *own, &value[part(row)], to);
        }
    }
}
