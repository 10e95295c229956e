//! L-BFGS (Nocedal, 1980), for smooth functions of some hundred numbers.

use std::collections::VecDeque;

/// Steps that are remembered.
const MEMORY: usize = 10;
/// A step must lower the value by this share of what its slope promises (Armijo).
const SUFFICIENT: f64 = 1e-4;
/// The slope behind a step is to be above this share of that before it.
const FLAT: f64 = 0.9;
/// Lengths of a step that are tried.
const TRIALS: usize = 40;
/// A shorter step is none.
const LEAST: f64 = 1e-9;

/// Where a minimisation ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Minimum {
    /// The place.
    pub at: Vec<f64>,
    /// The value there.
    pub value: f64,
    /// The value where it began.
    pub start: f64,
    /// Steps that were taken.
    pub steps: usize,
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Minimises a function that gives its value and writes its gradient, in at most `most` steps.
pub fn minimize(start: Vec<f64>, function: impl Fn(&[f64], &mut [f64]) -> f64, most: usize) -> Minimum {
    let count = start.len();
    let (mut at, mut gradient) = (start, vec![0.0; count]);
    let mut value = function(&at, &mut gradient);
    let mut found = Minimum { at: Vec::new(), value, start: value, steps: 0 };
    let mut memory: VecDeque<(Vec<f64>, Vec<f64>)> = VecDeque::new();
    while found.steps < most && value > 0.0 {
        let direction = direction(&gradient, &memory);
        let slope = dot(&gradient, &direction);
        let Some((next, next_value, next_gradient)) = search((&at, value), &direction, slope, &function)
        else {
            break;
        };
        let step: Vec<f64> = next.iter().zip(&at).map(|(next, at)| next - at).collect();
        let change: Vec<f64> = next_gradient.iter().zip(&gradient).map(|(next, now)| next - now).collect();
        if dot(&step, &change) > 1e-12 {
            memory.push_back((step.clone(), change));
            if memory.len() > MEMORY {
                memory.pop_front();
            }
        }
        (at, value, gradient) = (next, next_value, next_gradient);
        found.steps += 1;
        if dot(&step, &step).sqrt() < LEAST {
            break;
        }
    }
    Minimum { at, value, ..found }
}

/// The two-loop recursion: minus the inverse Hessian of the memory times the gradient.
fn direction(gradient: &[f64], memory: &VecDeque<(Vec<f64>, Vec<f64>)>) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut shares = Vec::with_capacity(memory.len());
    for (step, change) in memory.iter().rev() {
        let share = dot(step, &direction) / dot(step, change);
        direction.iter_mut().zip(change).for_each(|(d, y)| *d -= share * y);
        shares.push(share);
    }
    if let Some((step, change)) = memory.back() {
        let scale = dot(step, change) / dot(change, change);
        direction.iter_mut().for_each(|d| *d *= scale);
    }
    for ((step, change), share) in memory.iter().zip(shares.into_iter().rev()) {
        let own = dot(change, &direction) / dot(step, change);
        direction.iter_mut().zip(step).for_each(|(d, s)| *d += (share - own) * s);
    }
    direction
}

/// A place, the value and the gradient there.
type Place = (Vec<f64>, f64, Vec<f64>);

/// A length that lowers the value enough and after which the slope is flat enough (the weak Wolfe conditions), by bisection between lengths that are too
/// short and too long (Lewis and Overton, 2013); `None` where no length lowers the value.
fn search(
    (at, value): (&[f64], f64),
    direction: &[f64],
    slope: f64,
    function: &impl Fn(&[f64], &mut [f64]) -> f64,
) -> Option<Place> {
    let (mut short, mut long, mut length) = (0.0, f64::INFINITY, 1.0);
    let mut lowered = None;
    for _ in 0..TRIALS {
        let next: Vec<f64> = at.iter().zip(direction).map(|(at, d)| at + length * d).collect();
        let mut gradient = vec![0.0; at.len()];
        let next_value = function(&next, &mut gradient);
        if next_value > value + SUFFICIENT * length * slope {
            long = length;
        } else {
            let is_flat = dot(&gradient, direction) >= FLAT * slope;
            lowered = Some((next, next_value, gradient));
            if is_flat {
                break;
            }
            short = length;
        }
        length = if long.is_finite() { (short + long) / 2.0 } else { 2.0 * length };
    }
    lowered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ill_conditioned_bowl_and_a_valley_are_minimised() {
        let bowl = |x: &[f64], g: &mut [f64]| {
            let weights = [1.0, 10.0, 1000.0];
            let mut value = 0.0;
            for ((x, g), (w, target)) in x.iter().zip(g).zip(weights.into_iter().zip([1.0, -2.0, 0.5])) {
                *g = 2.0 * w * (x - target);
                value += w * (x - target) * (x - target);
            }
            value
        };
        let found = minimize(vec![0.0; 3], bowl, 60);
        let expected = [1.0, -2.0, 0.5];
        assert!(found.at.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
        let rosenbrock = |x: &[f64], g: &mut [f64]| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            g[0] = -2.0 * a - 400.0 * x[0] * b;
            g[1] = 200.0 * b;
            a * a + 100.0 * b * b
        };
        let found = minimize(vec![-1.2, 1.0], rosenbrock, 200);
        assert!(found.value < 1e-8, "{found:?}");
        assert_eq!(
            minimize(
                vec![3.0],
                |_, g| {
                    g[0] = 0.0;
                    0.0
                },
                10
            )
            .at,
            [3.0]
        );
    }
}
