//! The scorer: features to a vector for each dimension, and a score between the levels that the vector is like.

use crate::TrainError;
use crate::engine::Engine;
use crate::nn::Initializer;
use crate::tape::{ParameterId, Parameters, Tape, Var};
use plackett_kernel::Activation;

/// Numbers of a dimension's own vector.
const DIMENSION_WIDTH: usize = 16;

/// How a vector becomes a score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Head {
    /// Σ l · softmax_l(cos(vector, level l) / T), over so many levels from 1: the paper's. With T = 1 a score of five levels lies between
    /// 1.88 and 4.12, whatever is learned.
    Levels {
        /// How many.
        count: usize,
        /// T
        temperature: f32,
    },
    /// A linear function.
    Linear,
}

/// A scorer of items in one or more dimensions.
#[derive(Clone, Debug)]
pub struct LevelScorer {
    head: Head,
    features: usize,
    dimensions: usize,
    first: (ParameterId, ParameterId),
    second: (ParameterId, ParameterId),
    /// Dimensions × [`DIMENSION_WIDTH`]; nothing with one dimension.
    table: Option<ParameterId>,
    /// For each dimension levels × width, or 1 × width and a constant.
    heads: Vec<(ParameterId, Option<ParameterId>)>,
    width: usize,
}

impl LevelScorer {
    /// A scorer whose weights follow from a seed.
    ///
    /// # Errors
    /// No feature, dimension, hidden unit or level.
    pub fn new(
        parameters: &mut Parameters,
        (features, hidden, dimensions): (usize, usize, usize),
        head: Head,
        seed: u64,
    ) -> Result<LevelScorer, TrainError> {
        let levels = if let Head::Levels { count, .. } = head { count } else { 2 };
        if features == 0 || hidden == 0 || dimensions == 0 || levels < 2 {
            return Err(TrainError::Setting(
                "a scorer needs a feature, a hidden unit, a dimension and two levels at least".into(),
            ));
        }
        let mut drawn = Initializer::new(seed);
        let bound = |inputs: usize| (1.0 / inputs as f32).sqrt();
        let own = if dimensions > 1 { DIMENSION_WIDTH } else { 0 };
        let inputs = features + own;
        let first = drawn.uniform(hidden * inputs, bound(inputs));
        let second = drawn.uniform(hidden * hidden, bound(hidden));
        let table = drawn.normal(dimensions * own, 1.0);
        let mut add = |name: &str, shape, values| parameters.add(name, shape, values);
        let first = (
            add("scorer.0.weight", (hidden, inputs), first),
            add("scorer.0.bias", (1, hidden), vec![0.0; hidden]),
        );
        let second = (
            add("scorer.2.weight", (hidden, hidden), second),
            add("scorer.2.bias", (1, hidden), vec![0.0; hidden]),
        );
        let table = (own > 0).then(|| add("dimensions.weight", (dimensions, own), table));
        let heads = (0..dimensions).map(|d| match head {
            Head::Levels { count, .. } => {
                let levels = drawn.normal(count * hidden, 1.0);
                (parameters.add(format!("levels.{d}.weight"), (count, hidden), levels), None)
            }
            Head::Linear => {
                let weight = drawn.uniform(hidden, bound(hidden));
                let weight = parameters.add(format!("score.{d}.weight"), (1, hidden), weight);
                (weight, Some(parameters.add(format!("score.{d}.bias"), (1, 1), vec![3.0])))
            }
        });
        let heads = heads.collect();
        Ok(LevelScorer { head, features, dimensions, first, second, table, heads, width: hidden })
    }

    /// Features of an item.
    pub fn features(&self) -> usize {
        self.features
    }

    /// Dimensions of its scores.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Numbers of a vector.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The parameters that hold the levels, which the second stage leaves as they are.
    pub fn level_parameters(&self) -> Vec<ParameterId> {
        match self.head {
            Head::Levels { .. } => self.heads.iter().map(|(id, _)| *id).collect(),
            Head::Linear => Vec::new(),
        }
    }

    /// The vectors of items in a dimension (items × width) and their scores (items × 1), of features (items × features).
    pub fn forward(&self, tape: &Tape, features: &Var, dimension: usize) -> (Var, Var) {
        let x = match self.table {
            None => features.clone(),
            Some(table) => {
                let places = vec![dimension; features.rows];
                let own = tape.select_rows(&tape.parameter(table), &places);
                tape.beside(features, &own)
            }
        };
        let layer = |x: &Var, (weight, bias): (ParameterId, ParameterId)| {
            tape.linear(x, &tape.parameter(weight), Some(&tape.parameter(bias)), None)
        };
        let hidden = tape.activation(&layer(&x, self.first), Activation::Relu);
        let vectors = layer(&hidden, self.second);
        let (weight, bias) = self.heads[dimension];
        let scores = match self.head {
            Head::Levels { count, temperature } => {
                let cosines =
                    tape.linear(&unit(tape, &vectors), &unit(tape, &tape.parameter(weight)), None, None);
                let shares = tape.exp(&tape.log_softmax(&tape.scale(&cosines, 1.0 / temperature)));
                let levels: Vec<f32> = (1..=count).map(|level| level as f32).collect();
                tape.sum_rows(&tape.times(&shares, &tape.constant((1, count), &levels)))
            }
            Head::Linear => {
                let bias = bias.map(|bias| tape.parameter(bias));
                tape.linear(
                    &tape.activation(&vectors, Activation::Tanh),
                    &tape.parameter(weight),
                    bias.as_ref(),
                    None,
                )
            }
        };
        (vectors, scores)
    }

    /// Scores of items, items × dimensions, without gradients.
    pub fn scores(
        &self,
        parameters: &Parameters,
        compute: &std::sync::Arc<crate::Compute>,
        features: &[&[f32]],
    ) -> Vec<f32> {
        let tape = Tape::inference(parameters, compute);
        let columns = features.first().map_or(0, |row| row.len());
        let x = tape.constant((features.len(), columns), &features.concat());
        let all: Vec<Var> = (0..self.dimensions).map(|d| self.forward(&tape, &x, d).1).collect();
        (0..features.len()).flat_map(|item| all.iter().map(move |scores| scores.value[item])).collect()
    }
}

/// Rows of length 1.
fn unit(tape: &Tape, x: &Var) -> Var {
    let lengths = tape.sqrt(&tape.shift(&tape.sum_rows(&tape.square(x)), 1e-12));
    tape.over(x, &lengths)
}
