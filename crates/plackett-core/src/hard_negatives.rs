//! Hard negatives for the training of embeddings: similar to the query by an embedder, judged by somebody who knows better, without
//! those that are positives in truth (UniME-V2, 2025, part A of the method).

use serde::{Deserialize, Serialize};

/// How negatives are mined.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mining {
    /// Candidates that are looked at, from the most similar.
    pub depth: usize,
    /// Candidates as similar as this and more are left out unseen (δ); infinite for none.
    pub cap: f64,
    /// A candidate whose judged score is greater than the positive's minus this is taken for a false negative (β); `None` keeps all.
    pub beta: Option<f64>,
    /// Step through the candidates that are left.
    pub stride: usize,
    /// Negatives that are wanted.
    pub count: usize,
}

impl Default for Mining {
    fn default() -> Mining {
        Mining { depth: 50, cap: f64::INFINITY, beta: Some(0.01), stride: 5, count: 8 }
    }
}

/// What was found for a query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mined {
    /// Negatives with their judged scores, in the order in which they are picked.
    pub negatives: Vec<(usize, f64)>,
    /// Candidates that the filter took for positives.
    pub removed: Vec<usize>,
    /// Candidates that were too similar to be looked at.
    pub capped: usize,
}

impl Mining {
    /// Mines among candidates, the most similar first, that the positive is not among; `judge` scores a candidate on the scale of
    /// `positive`.
    pub fn mine(&self, ranked: &[(usize, f64)], positive: f64, judge: impl Fn(usize) -> f64) -> Mined {
        let (mut mined, mut left) = (Mined::default(), Vec::new());
        let below = ranked.iter().filter(|(_, similarity)| *similarity < self.cap);
        mined.capped = ranked.len() - below.clone().count();
        for &(candidate, _) in below.take(self.depth) {
            let score = judge(candidate);
            match self.beta {
                Some(beta) if score > positive - beta => mined.removed.push(candidate),
                _ => left.push((candidate, score)),
            }
        }
        let places = strided(left.len(), self.stride, self.count);
        mined.negatives = places.into_iter().map(|place| left[place]).collect();
        mined
    }
}

/// `wanted` of `count` places, each once: 0, s, 2s, …, then 1, s + 1, … with the stride s.
pub fn strided(count: usize, stride: usize, wanted: usize) -> Vec<usize> {
    let stride = stride.max(1);
    (0..stride).flat_map(|from| (from..count).step_by(stride)).take(wanted).collect()
}

/// How many candidates a softmax of scores is spread over: e to the power of its entropy, from 1 to their number; 0 of none.
pub fn effective_count(scores: &[f64], temperature: f64) -> f64 {
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = scores.iter().map(|score| ((score - most) / temperature).exp()).collect();
    let total: f64 = powers.iter().sum();
    if scores.is_empty() {
        return 0.0;
    }
    let entropy =
        powers.iter().map(|power| power / total).filter(|p| *p > 0.0).map(|p| -p * p.ln()).sum::<f64>();
    entropy.exp()
}

/// A query with its positive and its mined negatives, as the authors' files have it; images are empty paths where there are none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HardNegatives {
    /// The query.
    pub query_text: String,
    /// Path of its image.
    #[serde(default)]
    pub query_image: String,
    /// The positive.
    pub pos_text: String,
    /// Path of its image.
    #[serde(default)]
    pub pos_image: String,
    /// The judge's score of the positive, from 0 to 1.
    pub query_pos_scores: f64,
    /// Text and image of each negative.
    pub hard_negatives: Vec<(String, String)>,
    /// The judge's scores, in the same order.
    pub hard_negatives_scores: Vec<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_go_round() {
        assert_eq!(strided(12, 5, 8), [0, 5, 10, 1, 6, 11, 2, 7]);
        assert_eq!(strided(3, 5, 8), [0, 1, 2]);
        assert_eq!(strided(4, 0, 2), [0, 1]);
        assert!(strided(0, 5, 8).is_empty());
    }

    #[test]
    fn the_filter_and_the_cap_leave_out() {
        let ranked: Vec<(usize, f64)> = (0..10).map(|at| (at, 0.95 - 0.05 * at as f64)).collect();
        // Candidate 2 is judged like the positive, candidate 3 just below what is allowed.
        let judge = |at: usize| [0.1, 0.2, 0.72, 0.71, 0.3, 0.1, 0.1, 0.1, 0.1, 0.1][at];
        let mining = Mining { depth: 6, cap: 0.92, stride: 1, count: 3, ..Mining::default() };
        let mined = mining.mine(&ranked, 0.7216, judge);
        assert_eq!((mined.capped, mined.removed), (1, vec![2]));
        assert_eq!(mined.negatives, [(1, 0.2), (3, 0.71), (4, 0.3)]);
        let all = Mining { beta: None, ..mining }.mine(&ranked, 0.7216, judge);
        assert_eq!(all.negatives, [(1, 0.2), (2, 0.72), (3, 0.71)]);
    }

    #[test]
    fn at_a_low_temperature_the_released_example_is_one_candidate() {
        let scores = [0.7216, 0.4408, 0.2332, 0.0172, 0.0846, 0.2551];
        // The best negative has the weight e^(−0.2808 / 0.02) = e^−14.04.
        assert!((effective_count(&scores, 0.02) - 1.0).abs() < 2e-5);
        assert!((effective_count(&[0.3; 4], 0.02) - 4.0).abs() < 1e-12);
        assert_eq!(effective_count(&[], 1.0), 0.0);
    }

    #[test]
    fn records_are_read_as_released() {
        let line = r#"{"query_text":"q","query_image":"","pos_text":"p","pos_image":"a.jpg","query_pos_scores":0.72,"hard_negatives":[["n","b.jpg"]],"hard_negatives_scores":[0.44]}"#;
        let record: HardNegatives = serde_json::from_str(line).unwrap();
        assert_eq!(record.hard_negatives, [("n".to_string(), "b.jpg".to_string())]);
        assert_eq!(serde_json::to_string(&record).unwrap(), line);
    }
}
