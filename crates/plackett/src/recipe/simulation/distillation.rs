//! `distillation-losses`: how a student's loss of labels and its divergence from a teacher are mixed (DeAR).

use super::losses::ScoredList;
use super::{Simulated, Simulation, standard_normal};
use crate::recipe::field::{Default, FieldKind, FieldSpec};
use plackett_core::losses;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Weights of the divergence that are tried, from none of it to nothing else.
const WEIGHTS: [f64; 5] = [0.0, 0.1, 0.3, 0.9, 1.0];
/// The temperature of DeAR.
const TEMPERATURE: f64 = 2.0;
/// What scores are multiplied with where gaps are to be small.
const SMALL: f32 = 0.02;

const NUMBERS: [&str; 6] =
    ["main_only", "divergence_only", "mixed", "same_teacher", "temperature_ratio", "soft_target"];

/// The declaration.
pub static DISTILLATION_LOSSES: Simulation = Simulation {
    name: "distillation-losses",
    help: "scores of a student and of a teacher are drawn for a list whose first item is the right one, and losses of the trainer are compared \
           with formulas in double precision, as parts of the greater of the value and 1: `main_only` and `divergence_only` (α = 0 and 1 against \
           the cross entropy and T² KL alone), `mixed` (the greatest difference for α from 0 to 1). `same_teacher` is the divergence from a \
           teacher whose scores are the student's and a constant, `temperature_ratio` the size of its gradient with T = 2 beside that with T = 1 \
           where gaps are small, and `soft_target` the gradient of RankNet with labels as targets where the right one of two is ahead by 1",
    version: 1,
    fields: &[FieldSpec::new(
        "items",
        FieldKind::Whole(2, 1000),
        Default::Whole(8),
        "how many are in the list",
    )],
    check: |_| Ok(()),
    numbers: |_| NUMBERS.map(str::to_string).to_vec(),
    run: numbers,
};

/// A list: the student's scores, the teacher's, and labels.
struct Drawn {
    scores: Vec<f32>,
    teacher: Vec<f32>,
    labels: Vec<f32>,
}

impl Drawn {
    /// The loss of the trainer and its gradient by the scores.
    fn loss(&self, objective: &str) -> Result<(f64, Vec<f32>), String> {
        let (scores, labels) = (&self.scores, &self.labels);
        ScoredList { scores, labels, teacher: Some(&self.teacher) }.loss(objective)
    }

    /// −ln softmax(s) of the first item.
    fn cross_entropy(&self) -> f64 {
        -log_softmax(&self.scores, 1.0)[0]
    }

    /// T² Σ p (ln p − ln q).
    fn divergence(&self) -> f64 {
        let (p, q) = (log_softmax(&self.teacher, TEMPERATURE), log_softmax(&self.scores, TEMPERATURE));
        let sum: f64 = p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum();
        TEMPERATURE * TEMPERATURE * sum
    }
}

fn log_softmax(scores: &[f32], temperature: f64) -> Vec<f64> {
    losses::log_softmax(scores.iter().map(|score| f64::from(*score) / temperature))
}

/// The expression that mixes both, as in a training file.
fn mixture(weight: f64) -> String {
    format!("{}*softmax-cross-entropy + {weight}*kl-distillation(temperature={TEMPERATURE})", 1.0 - weight)
}

fn apart(found: f64, expected: f64) -> f64 {
    (found - expected).abs() / expected.abs().max(1.0)
}

fn length(gradient: &[f32]) -> f64 {
    gradient.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
}

fn numbers(given: &Simulated<'_>) -> Result<Vec<f64>, String> {
    let items = given.values.count("items");
    let mut random = ChaCha8Rng::seed_from_u64(given.seed);
    let mut draw = || (0..items).map(|_| 2.0 * standard_normal(&mut random) as f32).collect::<Vec<f32>>();
    let (scores, teacher) = (draw(), draw());
    let mut labels = vec![0.0; items];
    labels[0] = 1.0;
    let drawn = Drawn { scores, teacher, labels };
    let (main, divergence) = (drawn.cross_entropy(), drawn.divergence());
    let mut mixed = 0.0_f64;
    for weight in WEIGHTS {
        let found = drawn.loss(&mixture(weight))?.0;
        mixed = mixed.max(apart(found, (1.0 - weight) * main + weight * divergence));
    }
    let raised = drawn.scores.iter().map(|score| score + 3.0).collect();
    let same = Drawn { scores: drawn.scores.clone(), teacher: raised, labels: drawn.labels.clone() };
    let small = |of: &[f32]| of.iter().map(|score| SMALL * score).collect::<Vec<f32>>();
    let near =
        Drawn { scores: small(&drawn.scores), teacher: small(&drawn.teacher), labels: drawn.labels.clone() };
    let slope = |temperature: f64| near.loss(&format!("kl-distillation(temperature={temperature})"));
    let ratio = length(&slope(2.0)?.1) / length(&slope(1.0)?.1).max(f64::MIN_POSITIVE);
    let level = drawn.scores[0];
    let two = Drawn { scores: vec![level + 1.0, level], teacher: vec![0.0; 2], labels: vec![1.0, 0.0] };
    let soft = length(&two.loss("ranknet(target=labels)")?.1);
    Ok(vec![
        apart(drawn.loss(&mixture(0.0))?.0, main),
        apart(drawn.loss(&mixture(1.0))?.0, divergence),
        mixed,
        same.loss(&format!("kl-distillation(temperature={TEMPERATURE})"))?.0.abs(),
        ratio,
        soft,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_by_hand() {
        // softmax(ln 3, 0) = (3/4, 1/4) of the student. T = 2: the teacher's (2 ln 3, 0) has p = (3/4, 1/4), the student's q = (√3, 1) / (√3 + 1).
        let drawn = Drawn {
            scores: vec![3f32.ln(), 0.0],
            teacher: vec![2.0 * 3f32.ln(), 0.0],
            labels: vec![1.0, 0.0],
        };
        assert!((drawn.cross_entropy() - (4.0_f64 / 3.0).ln()).abs() < 1e-6);
        let root = 3f64.sqrt();
        let by_hand = 0.75 * (0.75 * (root + 1.0) / root).ln() + 0.25 * (0.25 * (root + 1.0)).ln();
        assert!((drawn.divergence() - 4.0 * by_hand).abs() < 1e-6);
        let found = drawn.loss(&mixture(0.3)).unwrap().0;
        assert!((found - (0.7 * drawn.cross_entropy() + 0.3 * drawn.divergence())).abs() < 1e-5, "{found}");
        assert_eq!(mixture(0.0), "1*softmax-cross-entropy + 0*kl-distillation(temperature=2)");
    }
}
