//! Each column times a number of its own: gates and lengths of adapters.

use crate::tape::{Tape, Var, VarRef};

impl Tape<'_> {
    /// `x`, rows × columns, each column times the number of `by`, 1 × columns, in its place.
    ///
    /// # Panics
    /// `by` has other columns than `x`, or more than one row.
    pub fn scale_columns(&self, x: &Var, by: &Var) -> Var {
        let (rows, columns) = (x.rows, x.columns);
        assert_eq!((by.rows, by.columns), (1, columns), "one number for each column");
        let mut y = self.buffer(rows * columns);
        self.compute().rows(&mut y, columns, |row, y| {
            let x = &x.value[row * columns..][..columns];
            y.iter_mut().zip(x.iter().zip(by.value.iter())).for_each(|(y, (x, by))| *y = x * by);
        });
        let (of_x, of_by) = (VarRef::from(x), VarRef::from(by));
        let kept_x = self.is_needed(by).then(|| x.value.clone());
        let kept_by = by.value.clone();
        self.record(&[x, by], (rows, columns), y, move |flow, mut gradient| {
            if let Some(x) = kept_x {
                // In the order of the rows, whatever the number of threads.
                flow.accumulate(&of_by, |sums| {
                    for (gradient, x) in gradient.chunks(columns.max(1)).zip(x.chunks(columns.max(1))) {
                        let products = gradient.iter().zip(x);
                        sums.iter_mut().zip(products).for_each(|(sum, (gradient, x))| *sum += gradient * x);
                    }
                });
            }
            if flow.is_needed(&of_x) {
                flow.compute.rows(&mut gradient, columns, |_, row| {
                    row.iter_mut().zip(kept_by.iter()).for_each(|(gradient, by)| *gradient *= by);
                });
                flow.add(&of_x, gradient);
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::Engine;
    use crate::random::Stream;
    use crate::tape::{Compute, Parameters, Tape, assert_gradients};

    fn numbers(stream: u64, count: usize) -> Vec<f32> {
        let mut numbers = vec![0.0; count];
        Stream::new(3, stream).fill_uniform(0, &mut numbers);
        numbers
    }

    #[test]
    fn columns_are_scaled_and_have_the_gradients_of_products() {
        let inputs = [((5, 3), numbers(1, 15)), ((1, 3), numbers(2, 3))];
        assert_gradients(&inputs, |tape, x| tape.sum(&tape.square(&tape.scale_columns(&x[0], &x[1]))));
        let parameters = Parameters::default();
        let tape = Tape::new(&parameters, &Compute::new(1));
        let x = Engine::constant(&tape, (2, 2), &[1.0, 2.0, 3.0, 4.0]);
        let by = Engine::constant(&tape, (1, 2), &[10.0, 0.5]);
        assert_eq!(tape.scale_columns(&x, &by).value[..], [10.0, 1.0, 30.0, 2.0]);
    }
}
