//! Judges of question and passage, in the place of a large model that says Yes or No.

use crate::recipe::simulation::standard_normal;
use plackett_core::summary::words;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::{HashMap, HashSet};

/// What a judge goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    /// It knows which passage a question was asked about, and how many of the question's words a passage has.
    Oracle,
    /// The words alone.
    Words,
}

/// Logit of a pair without common words and without an answer; what all words add, and an answer. Positives then have about 0.8,
/// good negatives 0.2 to 0.4, as in the scores that the authors have released.
const EMPTY: f64 = -3.0;
const ALL_WORDS: f64 = 3.0;
const ANSWER: f64 = 2.5;

/// Scores pairs from 0 to 1.
#[derive(Debug)]
pub struct PairJudge {
    judge: Judge,
    noise: f64,
    seed: u64,
    weights: HashMap<String, f64>,
    passages: Vec<HashSet<String>>,
    origins: Vec<usize>,
}

impl PairJudge {
    /// A judge of passages; `noise` is the deviation of what is added to a logit.
    pub fn new(judge: Judge, noise: f64, seed: u64, passages: &[&str]) -> PairJudge {
        let passages: Vec<HashSet<String>> =
            passages.iter().map(|passage| words(passage).into_iter().collect()).collect();
        let mut counts: HashMap<String, f64> = HashMap::new();
        for word in passages.iter().flatten() {
            *counts.entry(word.clone()).or_default() += 1.0;
        }
        let all = passages.len() as f64;
        let weights =
            counts.into_iter().map(|(word, n)| (word, (1.0 + (all - n + 0.5) / (n + 0.5)).ln())).collect();
        let origins = (0..passages.len()).collect();
        PairJudge { judge, noise, seed, weights, passages, origins }
    }

    /// Errs on each passage as on its origin: whoever reads the same twice says the same.
    pub fn with_origins(self, origins: &[usize]) -> PairJudge {
        PairJudge { origins: origins.to_vec(), ..self }
    }

    /// The share of a question's words, by weight, that a passage has; words of no passage have the greatest weight.
    pub fn coverage(&self, question: &str, passage: usize) -> f64 {
        let rarest = (1.0 + (self.passages.len() as f64 + 0.5) / 0.5).ln();
        let mut distinct = words(question);
        distinct.sort_unstable();
        distinct.dedup();
        let (mut covered, mut all) = (0.0, 0.0);
        for word in distinct {
            let weight = self.weights.get(&word).copied().unwrap_or(rarest);
            all += weight;
            covered += if self.passages[passage].contains(&word) { weight } else { 0.0 };
        }
        if all > 0.0 { covered / all } else { 0.0 }
    }

    /// The score of a pair; `number` is the question's, by which its noise is drawn.
    pub fn score(&self, (number, question): (usize, &str), passage: usize, answers: bool) -> f64 {
        let known = if self.judge == Judge::Oracle && answers { ANSWER } else { 0.0 };
        let seed = self.seed.wrapping_mul(0x9e37_79b9).wrapping_add((number as u64) << 20)
            ^ self.origins[passage] as u64;
        let drawn = match self.noise > 0.0 {
            true => self.noise * standard_normal(&mut ChaCha8Rng::seed_from_u64(seed)),
            false => 0.0,
        };
        let logit = EMPTY + ALL_WORDS * self.coverage(question, passage) + known + drawn;
        1.0 / (1.0 + (-logit).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_words_and_noise_count() {
        let passages = ["the river rhine flows north", "the city of fresno"];
        let judge = |judge, noise| PairJudge::new(judge, noise, 1, &passages);
        let oracle = judge(Judge::Oracle, 0.0);
        let question = (0, "where does the rhine flow");
        assert!(oracle.coverage("the rhine", 0) == 1.0 && oracle.coverage("", 0) == 0.0);
        assert!(oracle.coverage(question.1, 0) > oracle.coverage(question.1, 1));
        let answered = oracle.score((0, "the rhine"), 0, true);
        assert!((answered - 1.0 / (1.0 + (-2.5f64).exp())).abs() < 1e-12, "{answered}");
        let blind = judge(Judge::Words, 0.0);
        assert_eq!(blind.score(question, 0, true), blind.score(question, 0, false));
        let noisy = judge(Judge::Oracle, 1.0);
        assert_eq!(noisy.score(question, 0, true), noisy.score(question, 0, true));
        assert!(noisy.score(question, 0, true) != oracle.score(question, 0, true));
        let copied = PairJudge::new(Judge::Oracle, 1.0, 1, &["a b", "a b"]);
        assert!(copied.score((3, "a"), 0, true) != copied.score((3, "a"), 1, true));
        let copied = copied.with_origins(&[0, 0]);
        assert_eq!(copied.score((3, "a"), 0, true), copied.score((3, "a"), 1, true));
    }
}
