//! Attention of new rows to keys and values that are kept, and to themselves, where nothing is trained.

use plackett_kernel::{axpy, dot, softmax_row};
use plackett_train::{Tape, Var};

/// Keys and values that a row sees beside its own, row after row.
pub(crate) type Kept<'k> = [&'k [f32]; 2];

/// For each row softmax over its kept keys and its own, times the values: rows × width. There is no gradient.
pub(crate) fn cached_attention<'k>(
    tape: &Tape,
    [query, key, value]: [&Var; 3],
    kept: &(dyn Fn(usize) -> Kept<'k> + Sync),
    heads: usize,
) -> Var {
    let width = query.columns;
    let size = width / heads.max(1);
    let scale = 1.0 / (size as f32).sqrt();
    let isa = tape.compute().isa;
    let mut y = vec![0.0; query.value.len()];
    tape.compute().rows(&mut y, width, |row, out| {
        let [keys, values] = kept(row);
        let known = keys.len() / width;
        let mut weights = vec![0.0; known + 1];
        for (head, out) in out.chunks_mut(size).enumerate() {
            let part = |row: usize| row * width + head * size..row * width + (head + 1) * size;
            let own = &query.value[part(row)];
            for (at, weight) in weights[..known].iter_mut().enumerate() {
                *weight = scale * dot(isa, own, &keys[part(at)]);
            }
            weights[known] = scale * dot(isa, own, &key.value[part(row)]);
            softmax_row(isa, &mut weights);
            for (at, weight) in weights[..known].iter().enumerate() {
                axpy(isa, *weight, &values[part(at)], out);
            }
            axpy(isa, weights[known], &value.value[part(row)], out);
        }
    });
    tape.constant((query.rows, width), &y)
}
