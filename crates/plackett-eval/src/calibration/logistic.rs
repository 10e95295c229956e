//! Logistic curves by Newton's method.

use super::Sample;

/// Steps at most; Newton's method takes about ten.
const STEPS: usize = 100;

/// 1 / (1 + exp(−x)), without overflow.
pub(super) fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let e = x.exp();
        e / (1.0 + e)
    }
}

/// ln(1 + exp(x)), without overflow.
fn softplus(x: f64) -> f64 {
    if x > 0.0 { x + (-x).exp().ln_1p() } else { x.exp().ln_1p() }
}

/// Slope and intercept of the most probable curve; without `placed` the intercept is 0. Platt's targets stand for one unseen
/// document of each kind, so that judgments that a threshold parts have a curve too.
pub(super) fn fit(samples: &[Sample], placed: bool) -> (f64, f64) {
    let positive = samples.iter().filter(|sample| sample.relevant).count() as f64;
    let negative = samples.len() as f64 - positive;
    let target = |sample: &Sample| match sample.relevant {
        true => (positive + 1.0) / (positive + 2.0),
        false => 1.0 / (negative + 2.0),
    };
    // Scores of any scale: those of standard deviation 1 make Newton's steps well conditioned.
    let mean = samples.iter().map(|sample| sample.score).sum::<f64>() / samples.len() as f64;
    let centre = if placed { mean } else { 0.0 };
    let spread =
        (samples.iter().map(|s| (s.score - centre).powi(2)).sum::<f64>() / samples.len() as f64).sqrt();
    let spread = if spread > 0.0 { spread } else { 1.0 };
    let points: Vec<(f64, f64)> =
        samples.iter().map(|sample| ((sample.score - centre) / spread, target(sample))).collect();
    let loss =
        |a: f64, b: f64| points.iter().map(|(x, t)| softplus(a * x + b) - t * (a * x + b)).sum::<f64>();
    let (mut a, mut b) = (0.0, if placed { ((positive + 1.0) / (negative + 1.0)).ln() } else { 0.0 });
    let mut now = loss(a, b);
    for _ in 0..STEPS {
        let (da, db) = step(&points, a, b, placed);
        // Halved until the loss falls: far from the top the curvature is too small to be trusted.
        let mut size = 1.0;
        let next = loop {
            let next = loss(a - size * da, b - size * db);
            if next <= now || size < 1e-10 {
                break next;
            }
            size /= 2.0;
        };
        (a, b) = (a - size * da, b - size * db);
        let gained = now - next;
        now = next;
        if gained <= 1e-14 * now.abs() {
            break;
        }
    }
    (a / spread, b - a / spread * centre)
}

/// Newton's step: the gradient by the inverse of the curvature.
fn step(points: &[(f64, f64)], a: f64, b: f64, placed: bool) -> (f64, f64) {
    let (mut ga, mut gb, mut haa, mut hab, mut hbb) = (0.0, 0.0, 1e-12, 0.0, 1e-12);
    for &(x, t) in points {
        let p = sigmoid(a * x + b);
        let (error, weight) = (p - t, p * (1.0 - p));
        ga += error * x;
        gb += error;
        haa += weight * x * x;
        hab += weight * x;
        hbb += weight;
    }
    if !placed {
        return (ga / haa, 0.0);
    }
    let determinant = haa * hbb - hab * hab;
    if determinant <= 0.0 {
        return (0.0, gb / hbb);
    }
    ((hbb * ga - hab * gb) / determinant, (haa * gb - hab * ga) / determinant)
}
