//! Operations number by number that are as long as activations.

use crate::random::Stream;
use crate::tape::{Compute, Tape, Var, VarRef};
use plackett_kernel::Activation;

/// Numbers of a piece: whole draws of the generator, and short enough for the first-level cache.
const PIECE: usize = 4096;

/// The activation of each number.
pub fn activation(tape: &Tape, x: &Var, activation: Activation) -> Var {
    let mut y = tape.buffer(x.value.len());
    let isa = tape.compute().isa;
    tape.compute().pieces(&mut y, PIECE, |at, y| {
        y.copy_from_slice(&x.value[at..at + y.len()]);
        activation.apply(isa, y);
    });
    let of = VarRef::from(x);
    let x_value = x.value.clone();
    tape.record(&[x], (x.rows, x.columns), y, move |flow, mut gradient| {
        let compute = flow.compute.clone();
        compute.pieces(&mut gradient, PIECE, |at, gradient| {
            activation.backward(compute.isa, &x_value[at..at + gradient.len()], gradient);
        });
        flow.add(&of, gradient);
    })
}

/// activation(gate) · up.
///
/// # Panics
/// The shapes differ.
pub fn gated(tape: &Tape, gate: &Var, up: &Var, activation: Activation) -> Var {
    assert_eq!((gate.rows, gate.columns), (up.rows, up.columns), "a gate has the shape of what it gates");
    let mut y = tape.buffer(gate.value.len());
    let isa = tape.compute().isa;
    tape.compute().pieces(&mut y, PIECE, |at, y| {
        y.copy_from_slice(&gate.value[at..at + y.len()]);
        activation.apply(isa, y);
        plackett_kernel::multiply(isa, y, &up.value[at..at + y.len()]);
    });
    let [of_gate, of_up] = [gate, up].map(VarRef::from);
    let (gate_value, up_value) = (gate.value.clone(), up.value.clone());
    tape.record(&[gate, up], (gate.rows, gate.columns), y, move |flow, mut gradient| {
        let compute = flow.compute.clone();
        let mut by_up = flow.buffer(gradient.len());
        compute.pieces(&mut by_up, PIECE, |at, by_up| {
            by_up.copy_from_slice(&gate_value[at..at + by_up.len()]);
            activation.apply(compute.isa, by_up);
            plackett_kernel::multiply(compute.isa, by_up, &gradient[at..at + by_up.len()]);
        });
        compute.pieces(&mut gradient, PIECE, |at, gradient| {
            plackett_kernel::multiply(compute.isa, gradient, &up_value[at..at + gradient.len()]);
            activation.backward(compute.isa, &gate_value[at..at + gradient.len()], gradient);
        });
        flow.add(&of_up, by_up);
        flow.add(&of_gate, gradient);
    })
}

/// Numbers set to zero with probability `rate`, the others divided by 1 − `rate`.
pub fn dropout(tape: &Tape, x: &Var, rate: f32, key: u64) -> Var {
    if rate <= 0.0 {
        return x.clone();
    }
    let mut y = tape.buffer(x.value.len());
    y.copy_from_slice(&x.value);
    drop_some(tape.compute(), &mut y, rate, key);
    let of = VarRef::from(x);
    tape.record(&[x], (x.rows, x.columns), y, move |flow, mut gradient| {
        drop_some(&flow.compute.clone(), &mut gradient, rate, key);
        flow.add(&of, gradient);
    })
}

fn drop_some(compute: &Compute, values: &mut [f32], rate: f32, key: u64) {
    let stream = Stream::new(key, 0);
    let left = 1.0 / (1.0 - rate);
    compute.pieces(values, PIECE, |at, values| {
        for (place, value) in values.iter_mut().enumerate() {
            *value *= if stream.uniform((at + place) as u64) < rate { 0.0 } else { left };
        }
    });
}
