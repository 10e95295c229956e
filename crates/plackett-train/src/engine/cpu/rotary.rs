//! Rotary position embedding.

use crate::engine::Rotary;
use crate::tape::{Compute, Tape, Var, VarRef};

/// Heads turned by their positions: (a, b) of the halves becomes (a·cos − b·sin, b·cos + a·sin).
///
/// # Panics
/// There are more or fewer positions than rows, or heads are not whole or not even.
pub fn rotary(tape: &Tape, x: &Var, rotary: &Rotary) -> Var {
    assert_eq!(rotary.positions.len(), x.rows, "positions of a rotation");
    assert!(x.columns.is_multiple_of(rotary.head_size) && rotary.head_size.is_multiple_of(2), "whole heads");
    let mut y = tape.buffer(x.value.len());
    y.copy_from_slice(&x.value);
    turn(tape.compute(), &mut y, x.columns, rotary, 1.0);
    let of = VarRef::from(x);
    let rotary = rotary.clone();
    tape.record(&[x], (x.rows, x.columns), y, move |flow, mut gradient| {
        turn(&flow.compute.clone(), &mut gradient, of.columns, &rotary, -1.0);
        flow.add(&of, gradient);
    })
}

/// Turns each row by its angles, times `direction`.
fn turn(compute: &Compute, rows: &mut [f32], columns: usize, rotary: &Rotary, direction: f64) {
    let half = rotary.head_size / 2;
    let frequencies: Vec<f64> =
        (0..half).map(|at| f64::from(rotary.base).powf(-2.0 * at as f64 / rotary.head_size as f64)).collect();
    compute.rows(rows, columns, |row, values| {
        let position = f64::from(rotary.positions[row]);
        let angles: Vec<(f32, f32)> = frequencies
            .iter()
            .map(|frequency| {
                let (sine, cosine) = (position * frequency * direction).sin_cos();
                (sine as f32, cosine as f32)
            })
            .collect();
        for head in values.chunks_exact_mut(rotary.head_size) {
            let (first, second) = head.split_at_mut(half);
            for ((a, b), (sine, cosine)) in first.iter_mut().zip(second).zip(&angles) {
                (*a, *b) = (*a * cosine - *b * sine, *b * cosine + *a * sine);
            }
        }
    });
}
