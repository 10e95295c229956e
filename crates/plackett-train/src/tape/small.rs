//! Small operations, for objectives: matrices of scores, a few thousand numbers. They run on one thread.

use super::{Flow, Tape, Var, VarRef};

/// Where a number of a matrix lies that is repeated over rows or columns, or both, until it has another's shape.
fn spread(from: VarRef, columns: usize) -> impl Fn(usize) -> usize {
    let (row, column, own) = (usize::from(from.rows > 1), usize::from(from.columns > 1), from.columns);
    move |at| (at / columns * row) * own + at % columns * column
}

impl Tape<'_> {
    /// Number by number: `value` of each, and `slope`, its derivative, of each and its value.
    pub fn map(&self, x: &Var, value: impl Fn(f32) -> f32, slope: impl Fn(f32, f32) -> f32) -> Var {
        let mut y = self.buffer(x.value.len());
        y.iter_mut().zip(x.value.iter()).for_each(|(y, x)| *y = value(*x));
        let slopes: Vec<f32> = x.value.iter().zip(y.iter()).map(|(x, y)| slope(*x, *y)).collect();
        let of = VarRef::from(x);
        self.record(&[x], (x.rows, x.columns), y, move |flow, mut gradient| {
            gradient.iter_mut().zip(slopes).for_each(|(gradient, slope)| *gradient *= slope);
            flow.add(&of, gradient);
        })
    }

    /// Number by number of two matrices; one with a single row or column is repeated. `slopes` are the derivatives by both.
    ///
    /// # Panics
    /// The shapes do not go together.
    pub fn zip(
        &self,
        (a, b): (&Var, &Var),
        value: impl Fn(f32, f32) -> f32,
        slopes: impl Fn(f32, f32) -> (f32, f32) + 'static,
    ) -> Var {
        let (rows, columns) = (a.rows.max(b.rows), a.columns.max(b.columns));
        for side in [a, b] {
            let fits =
                (side.rows == rows || side.rows == 1) && (side.columns == columns || side.columns == 1);
            assert!(fits, "{} × {} does not go with {rows} × {columns}", side.rows, side.columns);
        }
        let refs = [VarRef::from(a), VarRef::from(b)];
        let values = [a.value.clone(), b.value.clone()];
        let place = refs.map(|side| spread(side, columns.max(1)));
        let mut y = self.buffer(rows * columns);
        for (at, y) in y.iter_mut().enumerate() {
            *y = value(values[0][place[0](at)], values[1][place[1](at)]);
        }
        self.record(&[a, b], (rows, columns), y, move |flow, gradient| {
            let slope = |at: usize| slopes(values[0][place[0](at)], values[1][place[1](at)]);
            flow.accumulate(&refs[0], |sum| {
                gradient.iter().enumerate().for_each(|(at, g)| sum[place[0](at)] += g * slope(at).0);
            });
            flow.accumulate(&refs[1], |sum| {
                gradient.iter().enumerate().for_each(|(at, g)| sum[place[1](at)] += g * slope(at).1);
            });
        })
    }

    /// a + b.
    pub fn plus(&self, a: &Var, b: &Var) -> Var {
        self.zip((a, b), |a, b| a + b, |_, _| (1.0, 1.0))
    }

    /// a − b.
    pub fn minus(&self, a: &Var, b: &Var) -> Var {
        self.zip((a, b), |a, b| a - b, |_, _| (1.0, -1.0))
    }

    /// a · b, number by number.
    pub fn times(&self, a: &Var, b: &Var) -> Var {
        self.zip((a, b), |a, b| a * b, |a, b| (b, a))
    }

    /// a / b, number by number.
    pub fn over(&self, a: &Var, b: &Var) -> Var {
        self.zip((a, b), |a, b| a / b, |a, b| (1.0 / b, -a / (b * b)))
    }

    /// The greater of two, number by number; the gradient goes to the first where they are equal.
    pub fn greater(&self, a: &Var, b: &Var) -> Var {
        self.zip((a, b), f32::max, |a, b| if a >= b { (1.0, 0.0) } else { (0.0, 1.0) })
    }

    /// x times a number.
    pub fn scale(&self, x: &Var, by: f32) -> Var {
        self.map(x, |x| by * x, move |_, _| by)
    }

    /// x plus a number.
    pub fn shift(&self, x: &Var, by: f32) -> Var {
        self.map(x, |x| x + by, |_, _| 1.0)
    }

    /// e to the power of x.
    pub fn exp(&self, x: &Var) -> Var {
        self.map(x, f32::exp, |_, y| y)
    }

    /// The natural logarithm.
    pub fn ln(&self, x: &Var) -> Var {
        self.map(x, f32::ln, |x, _| 1.0 / x)
    }

    /// x².
    pub fn square(&self, x: &Var) -> Var {
        self.map(x, |x| x * x, |x, _| 2.0 * x)
    }

    /// |x|; 0 has the slope 0.
    pub fn abs(&self, x: &Var) -> Var {
        self.map(x, f32::abs, |x, _| if x == 0.0 { 0.0 } else { x.signum() })
    }

    /// √x.
    pub fn sqrt(&self, x: &Var) -> Var {
        self.map(x, f32::sqrt, |_, y| 0.5 / y)
    }

    /// max(x, 0); 0 has the slope 0.
    pub fn relu(&self, x: &Var) -> Var {
        self.map(x, |x| x.max(0.0), |x, _| if x > 0.0 { 1.0 } else { 0.0 })
    }

    /// 1 / (1 + e⁻ˣ).
    pub fn sigmoid(&self, x: &Var) -> Var {
        self.map(x, sigmoid, |_, y| y * (1.0 - y))
    }

    /// ln(1 + eˣ), without overflow.
    pub fn softplus(&self, x: &Var) -> Var {
        self.map(x, softplus, |x, _| sigmoid(x))
    }

    /// The hyperbolic tangent.
    pub fn tanh(&self, x: &Var) -> Var {
        self.map(x, f32::tanh, |_, y| 1.0 - y * y)
    }

    /// The same numbers in another shape.
    pub fn reshape(&self, x: &Var, shape: (usize, usize)) -> Var {
        let of = VarRef::from(x);
        let mut y = self.buffer(x.value.len());
        y.copy_from_slice(&x.value);
        self.record(&[x], shape, y, move |flow, gradient| flow.add(&of, gradient))
    }

    /// Rows as columns.
    pub fn transpose(&self, x: &Var) -> Var {
        let of = VarRef::from(x);
        let mut y = self.buffer(x.value.len());
        transpose(&x.value, (x.rows, x.columns), &mut y);
        self.record(&[x], (x.columns, x.rows), y, move |flow, gradient| {
            let mut back = flow.buffer(gradient.len());
            transpose(&gradient, (of.columns, of.rows), &mut back);
            flow.add(&of, back);
        })
    }

    /// The sum of all numbers, in their order.
    pub fn sum(&self, x: &Var) -> Var {
        let total: f64 = x.value.iter().map(|x| f64::from(*x)).sum();
        self.reduced(x, total as f32, 1.0)
    }

    /// The mean of all numbers; of none it is 0.
    pub fn mean(&self, x: &Var) -> Var {
        let count = x.value.len().max(1) as f64;
        let total: f64 = x.value.iter().map(|x| f64::from(*x)).sum();
        self.reduced(x, (total / count) as f32, (1.0 / count) as f32)
    }

    fn reduced(&self, x: &Var, value: f32, slope: f32) -> Var {
        let of = VarRef::from(x);
        let mut y = self.buffer(1);
        y[0] = value;
        self.record(&[x], (1, 1), y, move |flow, gradient| {
            flow.accumulate(&of, |sum| sum.iter_mut().for_each(|sum| *sum += gradient[0] * slope));
        })
    }

    /// The sum of each row, as a column.
    pub fn sum_rows(&self, x: &Var) -> Var {
        let of = VarRef::from(x);
        let mut y = self.buffer(x.rows);
        for (row, y) in y.iter_mut().enumerate() {
            *y = x.value[row * x.columns..][..x.columns].iter().map(|x| f64::from(*x)).sum::<f64>() as f32;
        }
        self.record(&[x], (x.rows, 1), y, move |flow, gradient| {
            flow.accumulate(&of, |sum| {
                for (row, gradient) in gradient.iter().enumerate() {
                    sum[row * of.columns..][..of.columns].iter_mut().for_each(|sum| *sum += gradient);
                }
            });
        })
    }

    /// Logarithms of the softmax of each row.
    pub fn log_softmax(&self, x: &Var) -> Var {
        let of = VarRef::from(x);
        let mut y = self.buffer(x.value.len());
        let columns = x.columns.max(1);
        for (y, x) in y.chunks_mut(columns).zip(x.value.chunks(columns)) {
            let most = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let total: f64 = x.iter().map(|x| f64::from((x - most).exp())).sum();
            let log = most + total.ln() as f32;
            y.iter_mut().zip(x).for_each(|(y, x)| *y = x - log);
        }
        let shares: Vec<f32> = y.iter().map(|y| y.exp()).collect();
        self.record(&[x], (x.rows, x.columns), y, move |flow, mut gradient| {
            for (gradient, shares) in gradient.chunks_mut(columns).zip(shares.chunks(columns)) {
                let total: f64 = gradient.iter().map(|g| f64::from(*g)).sum();
                gradient.iter_mut().zip(shares).for_each(|(g, share)| *g -= share * total as f32);
            }
            flow.add(&of, gradient);
        })
    }

    /// Numbers of `x` by their places, in any shape; a place may be asked for again.
    ///
    /// # Panics
    /// A place is beyond the end.
    pub fn gather(&self, x: &Var, places: &[usize], shape: (usize, usize)) -> Var {
        let of = VarRef::from(x);
        let mut y = self.buffer(places.len());
        y.iter_mut().zip(places).for_each(|(y, place)| *y = x.value[*place]);
        let places = places.to_vec();
        self.record(&[x], shape, y, move |flow: &mut Flow, gradient| {
            flow.accumulate(&of, |sum| {
                places.iter().zip(gradient.iter()).for_each(|(place, gradient)| sum[*place] += gradient);
            });
        })
    }

    /// Some neighbouring columns.
    ///
    /// # Panics
    /// They go beyond the last one.
    pub fn columns(&self, x: &Var, columns: std::ops::Range<usize>) -> Var {
        let (of, width) = (VarRef::from(x), columns.len());
        let mut y = self.buffer(x.rows * width);
        for (y, x) in y.chunks_mut(width.max(1)).zip(x.value.chunks(x.columns.max(1))) {
            y.copy_from_slice(&x[columns.clone()]);
        }
        self.record(&[x], (x.rows, width), y, move |flow, gradient| {
            flow.accumulate(&of, |sum| {
                for (sum, gradient) in sum.chunks_mut(of.columns.max(1)).zip(gradient.chunks(width.max(1))) {
                    sum[columns.clone()]
                        .iter_mut()
                        .zip(gradient)
                        .for_each(|(sum, gradient)| *sum += gradient);
                }
            });
        })
    }

    /// Matrices of equally many rows beside each other.
    ///
    /// # Panics
    /// They have not equally many rows.
    pub fn beside(&self, a: &Var, b: &Var) -> Var {
        assert_eq!(a.rows, b.rows, "what stands beside each other has equally many rows");
        let (left, right, width) = (VarRef::from(a), VarRef::from(b), a.columns + b.columns);
        let mut y = self.buffer(a.rows * width);
        for (row, y) in y.chunks_mut(width.max(1)).enumerate() {
            y[..a.columns].copy_from_slice(&a.value[row * a.columns..][..a.columns]);
            y[a.columns..].copy_from_slice(&b.value[row * b.columns..][..b.columns]);
        }
        self.record(&[a, b], (a.rows, width), y, move |flow, gradient| {
            let add = |sum: &mut [f32], part: VarRef, from: usize| {
                for (row, gradient) in gradient.chunks(width.max(1)).enumerate() {
                    let sum = sum[row * part.columns..][..part.columns].iter_mut();
                    sum.zip(&gradient[from..]).for_each(|(sum, gradient)| *sum += gradient);
                }
            };
            flow.accumulate(&left, |sum| add(sum, left, 0));
            flow.accumulate(&right, |sum| add(sum, right, left.columns));
        })
    }

    /// For each row the products of each number of `a` with each number of `b`, those of the first number of `a` first: rows × (columns of
    /// `a` · columns of `b`).
    ///
    /// # Panics
    /// They have not equally many rows.
    pub fn outer_rows(&self, a: &Var, b: &Var) -> Var {
        assert_eq!(a.rows, b.rows, "rows that are multiplied with each other are equally many");
        let (left, right) = (VarRef::from(a), VarRef::from(b));
        let [a_value, b_value] = [a.value.clone(), b.value.clone()];
        let width = b.columns.max(1);
        let mut y = self.buffer(a.value.len() * b.columns);
        for (at, y) in y.chunks_mut(width).enumerate() {
            let own = &b.value[at / a.columns * b.columns..][..b.columns];
            y.iter_mut().zip(own).for_each(|(y, b)| *y = a.value[at] * b);
        }
        self.record(&[a, b], (a.rows, a.columns * b.columns), y, move |flow, gradient| {
            flow.accumulate(&left, |sum| {
                for (at, gradient) in gradient.chunks(width).enumerate() {
                    let own = &b_value[at / left.columns * right.columns..][..right.columns];
                    sum[at] += gradient.iter().zip(own).map(|(gradient, b)| gradient * b).sum::<f32>();
                }
            });
            flow.accumulate(&right, |sum| {
                for (at, gradient) in gradient.chunks(width).enumerate() {
                    let own = sum[at / left.columns * right.columns..][..right.columns].iter_mut();
                    own.zip(gradient).for_each(|(sum, gradient)| *sum += a_value[at] * gradient);
                }
            });
        })
    }

    /// Matrices of equally many columns below each other.
    ///
    /// # Panics
    /// They have not equally many columns, or there is none.
    pub fn stack(&self, parts: &[&Var]) -> Var {
        let columns = parts[0].columns;
        let rows = parts.iter().map(|part| part.rows).sum();
        let mut y = self.buffer(rows * columns);
        let mut at = 0;
        let mut refs = Vec::new();
        for part in parts {
            assert_eq!(part.columns, columns, "parts have equally many columns");
            y[at..at + part.value.len()].copy_from_slice(&part.value);
            at += part.value.len();
            refs.push(VarRef::from(*part));
        }
        self.record(parts, (rows, columns), y, move |flow, gradient| {
            let mut at = 0;
            for part in refs {
                let length = part.rows * part.columns;
                flow.add_copy(&part, &gradient[at..at + length]);
                at += length;
            }
        })
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// `x`, rows × columns, as columns × rows.
fn transpose(x: &[f32], (rows, columns): (usize, usize), out: &mut [f32]) {
    for row in 0..rows {
        for column in 0..columns {
            out[column * rows + row] = x[row * columns + column];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Compute, Parameters, Tape, Var, assert_gradients};

    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|at| ((at * 37 + 11) % 29) as f32 / 13.0 - 1.1).collect()
    }

    /// A weighted sum, so that every number has a gradient of its own.
    fn weighted(tape: &Tape, x: &Var) -> Var {
        let weights: Vec<f32> = (0..x.rows * x.columns).map(|at| 0.3 + 0.1 * at as f32).collect();
        let weights = tape.constant((x.rows, x.columns), &weights);
        tape.sum(&tape.times(x, &weights))
    }

    #[test]
    fn products_of_rows_are_in_the_order_of_the_first() {
        let parameters = Parameters::default();
        let tape = Tape::inference(&parameters, &Compute::new(1));
        let [a, b] = [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]].map(|x| tape.constant((2, 2), &x));
        let products = tape.outer_rows(&a, &b);
        assert_eq!((products.rows, products.columns), (2, 4));
        assert_eq!(products.value[..], [5.0, 6.0, 10.0, 12.0, 21.0, 24.0, 28.0, 32.0]);
    }

    #[test]
    fn gradients_are_differences() {
        type Operation = fn(&Tape, &[Var]) -> Var;
        let operations: &[(&str, Operation)] = &[
            ("plus", |tape, x| tape.plus(&x[0], &x[1])),
            ("minus, repeated", |tape, x| tape.minus(&x[0], &x[2])),
            ("times, repeated", |tape, x| tape.times(&x[3], &x[0])),
            ("over", |tape, x| tape.over(&x[0], &tape.shift(&tape.exp(&x[1]), 1.0))),
            ("softplus", |tape, x| tape.softplus(&x[0])),
            ("sigmoid", |tape, x| tape.sigmoid(&x[0])),
            ("tanh", |tape, x| tape.tanh(&x[0])),
            ("square, twice used", |tape, x| tape.times(&tape.square(&x[0]), &x[0])),
            ("logarithm of a root", |tape, x| tape.ln(&tape.sqrt(&tape.shift(&tape.square(&x[0]), 0.5)))),
            ("log softmax", |tape, x| tape.log_softmax(&x[0])),
            ("transpose", |tape, x| tape.transpose(&x[0])),
            ("outer difference", |tape, x| tape.minus(&tape.transpose(&x[2]), &x[2])),
            ("sums of rows", |tape, x| tape.sum_rows(&x[0])),
            ("gather", |tape, x| tape.gather(&x[0], &[1, 1, 5], (1, 3))),
            ("stack", |tape, x| tape.stack(&[&x[0], &x[1], &x[0]])),
            ("columns", |tape, x| tape.columns(&x[0], 1..3)),
            ("beside", |tape, x| tape.beside(&x[0], &tape.beside(&x[2], &x[0]))),
            ("products of rows", |tape, x| tape.outer_rows(&x[0], &tape.beside(&x[1], &x[2]))),
            ("mean", |tape, x| tape.mean(&tape.exp(&x[0]))),
        ];
        let shapes = [(3, 4), (3, 4), (3, 1), (1, 4)];
        let inputs: Vec<_> = shapes.iter().map(|shape| (*shape, numbers(shape.0 * shape.1))).collect();
        for (name, operation) in operations {
            println!("{name}");
            assert_gradients(&inputs, |tape, x| weighted(tape, &operation(tape, x)));
        }
    }
}
