//! Operations that move whole rows: embeddings, pooling, sums.

use crate::engine::Pooling;
use crate::tape::{Tape, Var, VarRef};
use std::ops::Range;
use std::sync::Arc;

/// For each row the sum of one row of each table.
///
/// # Panics
/// A row of a table is beyond its end, or the tables do not go together.
pub fn embedding(tape: &Tape, tables: &[(Var, &[u32])]) -> Var {
    let (columns, rows) = (tables[0].0.columns, tables[0].1.len());
    let mut y = tape.buffer(rows * columns);
    tape.compute().rows(&mut y, columns, |row, y| {
        for (at, (table, ids)) in tables.iter().enumerate() {
            let from = &table.value[ids[row] as usize * columns..][..columns];
            if at == 0 {
                y.copy_from_slice(from);
            } else {
                y.iter_mut().zip(from).for_each(|(y, x)| *y += x);
            }
        }
    });
    let inputs: Vec<&Var> = tables.iter().map(|(table, _)| table).collect();
    let kept: Vec<(VarRef, Vec<u32>)> =
        tables.iter().map(|(table, ids)| (VarRef::from(table), ids.to_vec())).collect();
    tape.record(&inputs, (rows, columns), y, move |flow, gradient| {
        for (table, ids) in &kept {
            flow.accumulate(table, |sum| {
                for (gradient, id) in gradient.chunks(columns).zip(ids) {
                    let own = &mut sum[*id as usize * columns..][..columns];
                    own.iter_mut().zip(gradient).for_each(|(sum, gradient)| *sum += gradient);
                }
            });
        }
    })
}

/// One row a sequence. A sequence without rows gives zeros.
pub fn pool(tape: &Tape, x: &Var, sequences: &[Range<usize>], pooling: Pooling) -> Var {
    let columns = x.columns;
    let mut y = tape.buffer(sequences.len() * columns);
    for (y, rows) in y.chunks_mut(columns.max(1)).zip(sequences) {
        y.fill(0.0);
        for (row, weight) in shares(rows, pooling) {
            let from = &x.value[row * columns..][..columns];
            y.iter_mut().zip(from).for_each(|(y, x)| *y += weight * x);
        }
    }
    let of = VarRef::from(x);
    let kept: Vec<Range<usize>> = sequences.to_vec();
    tape.record(&[x], (sequences.len(), columns), y, move |flow, gradient| {
        flow.accumulate(&of, |sum| {
            for (gradient, rows) in gradient.chunks(columns.max(1)).zip(&kept) {
                for (row, weight) in shares(rows, pooling) {
                    let own = &mut sum[row * columns..][..columns];
                    own.iter_mut().zip(gradient).for_each(|(sum, gradient)| *sum += weight * gradient);
                }
            }
        });
    })
}

/// The rows that count and how much each does.
fn shares(rows: &Range<usize>, pooling: Pooling) -> impl Iterator<Item = (usize, f32)> {
    let chosen = match pooling {
        Pooling::Mean => rows.clone(),
        Pooling::First => rows.start..rows.end.min(rows.start + 1),
        Pooling::Last => rows.end.saturating_sub(1).max(rows.start)..rows.end,
    };
    let share = 1.0 / chosen.len().max(1) as f32;
    chosen.map(move |row| (row, share))
}

/// Some rows, in this order; one may come again.
pub fn select(tape: &Tape, x: &Var, rows: &[usize]) -> Var {
    let columns = x.columns;
    let mut y = tape.buffer(rows.len() * columns);
    for (y, row) in y.chunks_mut(columns.max(1)).zip(rows) {
        y.copy_from_slice(&x.value[row * columns..][..columns]);
    }
    let of = VarRef::from(x);
    let kept: Arc<[usize]> = rows.into();
    tape.record(&[x], (rows.len(), columns), y, move |flow, gradient| {
        flow.accumulate(&of, |sum| {
            for (gradient, row) in gradient.chunks(columns.max(1)).zip(kept.iter()) {
                let own = &mut sum[row * columns..][..columns];
                own.iter_mut().zip(gradient).for_each(|(sum, gradient)| *sum += gradient);
            }
        });
    })
}

/// a + b, of one shape.
pub fn add(tape: &Tape, a: &Var, b: &Var) -> Var {
    assert_eq!((a.rows, a.columns), (b.rows, b.columns), "what is added has one shape");
    let mut y = tape.buffer(a.value.len());
    y.copy_from_slice(&a.value);
    tape.compute().zip(&mut y, &b.value, |y, b| *y += b);
    let [of_a, of_b] = [a, b].map(VarRef::from);
    tape.record(&[a, b], (a.rows, a.columns), y, move |flow, gradient| {
        flow.add_copy(&of_a, &gradient);
        flow.add(&of_b, gradient);
    })
}
