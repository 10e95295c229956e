//! The matrix of successor scores.

/// Scores for "j comes right after i"; the diagonal has no meaning.
#[derive(Clone, Debug, PartialEq)]
pub struct SuccessorScores {
    len: usize,
    scores: Vec<f64>,
}

/// A matrix that has no best path.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TspError {
    /// Not square.
    #[error("{found} scores for {len} items; a matrix of {len} × {len} is needed")]
    Size {
        /// Items.
        len: usize,
        /// Scores given.
        found: usize,
    },
    /// A score that is not finite.
    #[error("the score of item {second} right after item {first} is {score}; scores must be finite")]
    Score {
        /// The item before.
        first: usize,
        /// The item after.
        second: usize,
        /// The score.
        score: f64,
    },
}

impl SuccessorScores {
    /// From `len` rows of `len` scores each. Scores off the diagonal must be finite.
    pub fn new(len: usize, mut scores: Vec<f64>) -> Result<SuccessorScores, TspError> {
        if len.checked_mul(len) != Some(scores.len()) {
            return Err(TspError::Size { len, found: scores.len() });
        }
        for (at, score) in scores.iter_mut().enumerate() {
            let (first, second) = (at / len, at % len);
            if first == second {
                *score = 0.0;
            } else if !score.is_finite() {
                return Err(TspError::Score { first, second, score: *score });
            }
        }
        Ok(SuccessorScores { len, scores })
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Score of `second` right after `first`.
    pub fn get(&self, first: usize, second: usize) -> f64 {
        self.scores[first * self.len + second]
    }

    /// Sum of the scores between neighbours.
    pub fn value(&self, items: &[usize]) -> f64 {
        items.windows(2).map(|pair| self.get(pair[0], pair[1])).sum()
    }

    /// The largest magnitude of a score.
    pub(super) fn largest(&self) -> f64 {
        self.scores.iter().fold(0.0, |most, score| score.abs().max(most))
    }

    /// The matrix with one node more, number `len`, whose scores are 0.
    pub(super) fn closed(&self) -> Weights {
        let nodes = self.len + 1;
        let mut weights = vec![0.0; nodes * nodes];
        for i in 0..self.len {
            weights[i * nodes..i * nodes + self.len]
                .copy_from_slice(&self.scores[i * self.len..(i + 1) * self.len]);
        }
        Weights { nodes, weights }
    }
}

/// Arc weights of a complete directed graph; arcs from a node to itself are not used.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    pub nodes: usize,
    weights: Vec<f64>,
}

impl Weights {
    pub fn get(&self, from: usize, to: usize) -> f64 {
        self.weights[from * self.nodes + to]
    }

    pub fn row(&self, from: usize) -> &[f64] {
        &self.weights[from * self.nodes..(from + 1) * self.nodes]
    }
}
