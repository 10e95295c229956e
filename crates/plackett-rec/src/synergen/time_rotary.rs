//! Rotary embedding of which half turns by place and half by time, so that attention depends on how long ago an event was and not on the
//! date. The authors say no more than that the rotation is driven by timestamps; places, periods and the unit are ours.

use plackett_train::tape::VarRef;
use plackett_train::{Compute, Tape, Var};
use std::sync::Arc;

/// Minutes after which the fastest pair has gone around once.
const SHORTEST_PERIOD: f64 = 1.0;
/// Minutes after which the slowest one has: two years.
const LONGEST_PERIOD: f64 = 2.0 * 365.25 * 24.0 * 60.0;
/// The base of the angles by place.
const PLACE_BASE: f64 = 10_000.0;

/// Angles of rows: pairs of numbers of a head, half a head apart, are turned by place · base^(−2i/n) in the first half of the pairs and by
/// 2π · minutes / period in the others, whose periods lie evenly in the logarithm between one minute and two years.
#[derive(Clone, Debug)]
pub struct TimeRotary {
    /// The place of each row in its history.
    pub places: Arc<[u32]>,
    /// Minutes of each row since a moment that the rows of a sequence share; taken in whole seconds, so that a shift of all times changes
    /// no bit. `None` to turn all pairs by place.
    pub minutes: Option<Arc<[f64]>>,
    /// Numbers of a head, a multiple of four.
    pub head_size: usize,
}

impl TimeRotary {
    /// How fast each pair turns: by place first, and then by minute.
    fn frequencies(&self) -> (Vec<f64>, Vec<f64>) {
        let pairs = self.head_size / 2;
        let by_place = if self.minutes.is_some() { pairs / 2 } else { pairs };
        let place = |at: usize| PLACE_BASE.powf(-(at as f64) / by_place as f64);
        let by_time = pairs - by_place;
        let steps = by_time.saturating_sub(1).max(1) as f64;
        let time = |at: usize| {
            let period = SHORTEST_PERIOD * (LONGEST_PERIOD / SHORTEST_PERIOD).powf(at as f64 / steps);
            std::f64::consts::TAU / period
        };
        ((0..by_place).map(place).collect(), (0..by_time).map(time).collect())
    }

    /// Turns each row by its angles, times `direction`.
    fn turn(&self, compute: &Compute, rows: &mut [f32], columns: usize, direction: f64) {
        let (by_place, by_time) = self.frequencies();
        let half = self.head_size / 2;
        compute.rows(rows, columns, |row, values| {
            let place = f64::from(self.places[row]);
            let minutes = self.minutes.as_ref().map_or(0.0, |minutes| minutes[row]);
            let angles = by_place.iter().map(|f| place * f).chain(by_time.iter().map(|f| minutes * f));
            let turns: Vec<(f32, f32)> = angles
                .map(|angle| {
                    let (sine, cosine) = (angle * direction).sin_cos();
                    (sine as f32, cosine as f32)
                })
                .collect();
            for head in values.chunks_exact_mut(self.head_size) {
                let (first, second) = head.split_at_mut(half);
                for ((a, b), (sine, cosine)) in first.iter_mut().zip(second).zip(&turns) {
                    (*a, *b) = (*a * cosine - *b * sine, *b * cosine + *a * sine);
                }
            }
        });
    }
}

/// Heads turned by their angles: rows × (heads · head size).
///
/// # Panics
/// There are more or fewer places than rows, or heads are not whole: errors of the model's code.
pub fn time_rotary(tape: &Tape, x: &Var, rotary: &TimeRotary) -> Var {
    assert_eq!(rotary.places.len(), x.rows, "places of a rotation");
    assert!(x.columns.is_multiple_of(rotary.head_size) && rotary.head_size.is_multiple_of(4), "whole heads");
    let mut y = tape.buffer(x.value.len());
    y.copy_from_slice(&x.value);
    rotary.turn(tape.compute(), &mut y, x.columns, 1.0);
    let of = VarRef::from(x);
    let rotary = rotary.clone();
    tape.record(&[x], (x.rows, x.columns), y, move |flow, mut gradient| {
        let compute = flow.compute.clone();
        rotary.turn(&compute, &mut gradient, of.columns, -1.0);
        flow.add(&of, gradient);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_kernel::dot;
    use plackett_train::Parameters;
    use plackett_train::tape::assert_gradients;

    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|at| ((at * 37 + 11) % 29) as f32 / 13.0 - 1.1).collect()
    }

    #[test]
    fn products_depend_on_differences_alone() {
        let compute = Compute::new(1);
        let parameters = Parameters::default();
        let tape = Tape::inference(&parameters, &compute);
        let product = |places: [u32; 2], minutes: [f64; 2]| {
            let rotary = TimeRotary {
                places: places.to_vec().into(),
                minutes: Some(minutes.to_vec().into()),
                head_size: 16,
            };
            let y = time_rotary(&tape, &tape.constant((2, 16), &numbers(32)), &rotary);
            dot(compute.isa, &y.value[..16], &y.value[16..])
        };
        let plain = product([3, 5], [0.0, 90.0]);
        for (place, minutes) in [(10, 0.0), (0, 525_600.0), (100, -1_000.0)] {
            let shifted = product([3 + place, 5 + place], [minutes, 90.0 + minutes]);
            assert!((plain - shifted).abs() < 1e-4, "{plain} {shifted}");
        }
        // Other gaps, in place or in time, give other products.
        assert!((plain - product([3, 6], [0.0, 90.0])).abs() > 1e-3);
        assert!((plain - product([3, 5], [0.0, 45_000.0])).abs() > 1e-3);
    }

    #[test]
    fn periods_go_from_a_minute_to_two_years() {
        let rotary = TimeRotary { places: vec![0].into(), minutes: Some(vec![0.0].into()), head_size: 32 };
        let (by_place, by_time) = rotary.frequencies();
        assert_eq!((by_place.len(), by_time.len(), by_place[0]), (8, 8, 1.0));
        let periods: Vec<f64> = by_time.iter().map(|f| std::f64::consts::TAU / f).collect();
        assert!((periods[0] - 1.0).abs() < 1e-9 && (periods[7] - 1_051_920.0).abs() < 1e-3, "{periods:?}");
        let steps: Vec<f64> = periods.windows(2).map(|pair| pair[1] / pair[0]).collect();
        assert!(steps.iter().all(|step| (step - steps[0]).abs() < 1e-6));
        let (by_place, by_time) = TimeRotary { minutes: None, ..rotary }.frequencies();
        assert_eq!((by_place.len(), by_time.len()), (16, 0));
    }

    #[test]
    fn gradients_are_differences() {
        for minutes in [None, Some(vec![0.0, -70.5, 1e5].into())] {
            let rotary = TimeRotary { places: vec![0, 4, 9].into(), minutes, head_size: 4 };
            assert_gradients(&[((3, 8), numbers(24))], |tape, x| {
                let y = time_rotary(tape, &x[0], &rotary);
                tape.sum(&tape.times(&y, &tape.constant((3, 8), &numbers(48)[24..])))
            });
        }
    }
}
