//! `graded-scores`: what is made of a grader's probabilities of levels, with a simulated grader in place of the model.

use super::{Simulated, Simulation, standard_normal};
use crate::recipe::field::{Default, FieldKind, FieldSpec};
use plackett_core::permutation::Permutation;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;

const NUMBERS: [&str; 8] = [
    "hard_tied",
    "weighted_tied",
    "expected_tied",
    "hard_tau",
    "weighted_tau",
    "expected_tau",
    "saturated",
    "inverted",
];

/// The declaration.
pub static GRADED_SCORES: Simulation = Simulation {
    name: "graded-scores",
    help: "documents get probabilities of levels from a grader that sees a noisy relevance, the more peaked the surer it is. Of three \
           readings (`hard`: the most probable level; `weighted`: that times its probability; `expected`: the expected level) the \
           numbers are …_tied, the share of documents whose score another one has too, and …_tau, Kendall's correlation with the true \
           order, where ties stand as they came; `saturated` is the share of expected levels within 0.00001 of the lowest or highest, as \
           a part of the scale, and `inverted` the share of pairs of different most probable levels that `weighted` turns round",
    version: 1,
    fields: &[
        FieldSpec::new("items", FieldKind::Whole(2, 2000), Default::Whole(100), "how many documents"),
        FieldSpec::new("levels", FieldKind::Whole(2, 1000), Default::Whole(11), "levels of the scale"),
        FieldSpec::new(
            "sureness",
            FieldKind::Number(0.0, 1e6),
            Default::Number(30.0),
            "log-probability that a level loses for the square of its distance from what the grader sees, the scale being 1 long",
        ),
        FieldSpec::new(
            "noise",
            FieldKind::Number(0.0, 10.0),
            Default::Number(0.1),
            "spread of the error of what the grader sees, where relevance goes from 0 to 1",
        ),
    ],
    check: |_| Ok(()),
    numbers: |_| NUMBERS.map(str::to_string).to_vec(),
    run,
};

/// The readings of one document.
struct Read {
    hard: f64,
    weighted: f64,
    expected: f64,
}

/// Levels from 0; `seen` is where on a scale from 0 to 1 the grader sees the document.
fn read(seen: f64, levels: usize, sureness: f64) -> Read {
    let step = 1.0 / (levels - 1) as f64;
    let logs: Vec<f64> = (0..levels).map(|level| -sureness * (level as f64 * step - seen).powi(2)).collect();
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let chances: Vec<f64> = logs.iter().map(|log| (log - most).exp()).collect();
    let sum: f64 = chances.iter().sum();
    let hard = logs.iter().position(|log| *log == most).unwrap_or(0);
    let expected = chances.iter().enumerate().map(|(level, chance)| level as f64 * chance / sum).sum();
    Read { hard: hard as f64, weighted: hard as f64 * chances[hard] / sum, expected }
}

fn run(given: &Simulated<'_>) -> Result<Vec<f64>, String> {
    let values = given.values;
    let (items, levels) = (values.count("items"), values.count("levels"));
    let number = |name: &str| values.real(name);
    let mut random = ChaCha8Rng::seed_from_u64(given.seed);
    let relevance: Vec<f64> = (0..items).map(|_| random.random::<f64>()).collect();
    let grade = |relevance: &f64| {
        read(relevance + number("noise") * standard_normal(&mut random), levels, number("sureness"))
    };
    let found: Vec<Read> = relevance.iter().map(grade).collect();
    let readings: [Vec<f64>; 3] = [
        found.iter().map(|read| read.hard).collect(),
        found.iter().map(|read| read.weighted).collect(),
        found.iter().map(|read| read.expected).collect(),
    ];
    let truth = Permutation::by_descending(&relevance);
    let tau = |scores: &Vec<f64>| {
        let distance =
            Permutation::by_descending(scores).kendall_distance(&truth).map_err(|e| e.to_string())?;
        Ok::<f64, String>(1.0 - 4.0 * distance as f64 / (items * (items - 1)) as f64)
    };
    let mut numbers: Vec<f64> = readings.iter().map(|scores| tied(scores)).collect();
    for scores in &readings {
        numbers.push(tau(scores)?);
    }
    let top = (levels - 1) as f64;
    let near = |read: &&Read| read.expected / top <= 1e-5 || 1.0 - read.expected / top <= 1e-5;
    numbers.push(found.iter().filter(near).count() as f64 / items as f64);
    let (mut turned, mut pairs) = (0_u64, 0_u64);
    for (nth, one) in found.iter().enumerate() {
        for other in found[nth + 1..].iter().filter(|other| other.hard != one.hard) {
            pairs += 1;
            turned += u64::from((one.hard > other.hard) != (one.weighted > other.weighted));
        }
    }
    numbers.push(turned as f64 / pairs.max(1) as f64);
    Ok(numbers)
}

/// The share of scores that another document has too.
fn tied(scores: &[f64]) -> f64 {
    let mut counts: HashMap<u64, usize> = HashMap::new();
    scores.iter().for_each(|score| *counts.entry((score + 0.0).to_bits()).or_default() += 1);
    counts.values().filter(|count| **count > 1).sum::<usize>() as f64 / scores.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_of_a_grader_by_hand() {
        // Half way between two levels: both have the same probability, the lower one is taken.
        let half = read(0.5, 2, 4.0);
        assert_eq!((half.hard, half.weighted, half.expected), (0.0, 0.0, 0.5));
        // Sure of the upper one: e^0 against e^-4.
        let sure = read(1.0, 2, 4.0);
        let chance = 1.0 / (1.0 + (-4.0_f64).exp());
        assert!((sure.weighted - chance).abs() < 1e-12 && (sure.expected - chance).abs() < 1e-12);
        assert_eq!(sure.hard, 1.0);
        assert_eq!(tied(&[1.0, 1.0, 0.0, -0.0, 2.0]), 0.8);
    }
}
