//! Rows of length 1.

use plackett_kernel::dot;
use plackett_train::tape::VarRef;
use plackett_train::{Tape, Var};

/// Below this length a row is divided by it and not by its own (the authors' code).
const LEAST_LENGTH: f32 = 1e-6;

/// Each row divided by its Euclidean length.
pub fn normalize_rows(tape: &Tape, x: &Var) -> Var {
    let columns = x.columns.max(1);
    let isa = tape.compute().isa;
    let mut y = tape.buffer(x.value.len());
    tape.compute().rows(&mut y, columns, |row, y| {
        y.copy_from_slice(&x.value[row * columns..][..columns]);
        let length = dot(isa, y, y).sqrt().max(LEAST_LENGTH);
        y.iter_mut().for_each(|y| *y /= length);
    });
    let (of, value) = (VarRef::from(x), x.value.clone());
    tape.record(&[x], (x.rows, x.columns), y, move |flow, mut gradient| {
        let compute = flow.compute.clone();
        compute.rows(&mut gradient, columns, |row, gradient| {
            let x = &value[row * columns..][..columns];
            let length = dot(isa, x, x).sqrt();
            // d(x/|x|) = (g − y · (y·g)) / |x|; a row that is too short is only scaled.
            let along = match length > LEAST_LENGTH {
                true => dot(isa, x, gradient) / (length * length),
                false => 0.0,
            };
            let length = length.max(LEAST_LENGTH);
            gradient.iter_mut().zip(x).for_each(|(gradient, x)| *gradient = (*gradient - x * along) / length);
        });
        flow.add(&of, gradient);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_train::tape::assert_gradients;

    #[test]
    fn rows_have_length_one_and_gradients_are_differences() {
        let values: Vec<f32> = (0..21).map(|at| ((at * 37 + 11) % 29) as f32 / 13.0 - 1.1).collect();
        let weights: Vec<f32> = (0..21).map(|at| 0.3 + 0.1 * at as f32).collect();
        assert_gradients(&[((3, 7), values)], |tape, x| {
            let y = normalize_rows(tape, &x[0]);
            for row in y.value.chunks(7) {
                assert!((row.iter().map(|y| y * y).sum::<f32>() - 1.0).abs() < 1e-5);
            }
            tape.sum(&tape.times(&y, &tape.constant((3, 7), &weights)))
        });
    }
}
