//! The weights, and how a question's vectors become what the decoder points at.

use super::decoder::Layer;
use super::initialize::ListRankerInitializer;
use crate::TrainError;
use crate::engine::Engine;
use crate::nn::{Initializer, LayerNorm, Linear, WeightSource};
use crate::tape::{ParameterId, Parameters, Tape, Var};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// What cosines are multiplied with before they say which side a candidate is about.
const SHARPNESS: f32 = 20.0;
/// What cosines are multiplied with as signals, so that they are spread like other inputs.
const SIGNAL: f32 = 4.0;
/// Signals of a candidate that follow from vectors: the greatest and the second greatest cosine with a side, their mean, and the
/// cosine with the question.
const SIGNALS: usize = 4;
pub(super) const EPSILON: f32 = 1e-5;

/// The shape of a list ranker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListRankerConfig {
    /// Numbers of a vector of the encoder.
    pub dimension: usize,
    /// Numbers that are known of a candidate beside its vector.
    pub extra: usize,
    /// Numbers of a state.
    pub width: usize,
    /// Heads of attention.
    pub heads: usize,
    /// Layers of the decoder.
    pub layers: usize,
    /// What logits are divided by before the softmax (0.1 in the paper).
    pub temperature: f32,
}

impl ListRankerConfig {
    /// Checks what no ranker can have.
    ///
    /// # Errors
    /// [`TrainError::Model`] with what is expected.
    pub fn check(&self) -> Result<(), TrainError> {
        let refused = |what: String| Err(TrainError::Model(format!("a list ranker: {what}")));
        if self.dimension == 0 || self.layers == 0 || self.width == 0 {
            return refused("width and layers are whole numbers from 1".into());
        }
        if self.heads == 0 || !self.width.is_multiple_of(self.heads) {
            return refused(format!(
                "heads: {} do not divide the width {}; give a divisor of it",
                self.heads, self.width
            ));
        }
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            return refused(format!("temperature: a number above 0 is expected, not {}", self.temperature));
        }
        Ok(())
    }
}

/// A question with its sides and candidates, as vectors of length 1 of one encoder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListQuestion {
    /// For messages.
    pub name: String,
    /// Its vector.
    pub question: Vec<f32>,
    /// Sides × dimension; a question without sides is its own and only one.
    pub sides: Vec<f32>,
    /// Candidates × dimension.
    pub candidates: Vec<f32>,
    /// Candidates × extra numbers, such as the logarithm of the length.
    pub extra: Vec<f32>,
}

impl ListQuestion {
    /// How many candidates there are.
    pub fn count(&self) -> usize {
        self.candidates.len() / self.question.len().max(1)
    }
}

/// A pointer network over vectors.
#[derive(Clone, Debug)]
pub struct ListRanker {
    /// Its shape.
    pub config: ListRankerConfig,
    side_key: ParameterId,
    side_value: Linear,
    own: Linear,
    signals: Linear,
    norm: LayerNorm,
    input: Linear,
    pub(super) start: ParameterId,
    pub(super) layers: Vec<Layer>,
    pub(super) last_norm: LayerNorm,
}

/// What the decoder attends to and points at: the candidates of some questions, one question after another.
#[derive(Clone, Debug)]
pub struct Memory {
    /// All candidates × width.
    pub states: Var,
    /// The rows of each question.
    pub ranges: Vec<Range<usize>>,
    /// What the decoder takes in of a candidate that was chosen: all candidates × width.
    pub(super) inputs: Var,
    /// Keys and values of each layer: all candidates × width.
    pub(super) attended: Vec<(Var, Var)>,
}

impl ListRanker {
    /// A ranker whose weights follow from a seed.
    ///
    /// # Errors
    /// A shape that cannot be.
    pub fn new(
        parameters: &mut Parameters,
        config: ListRankerConfig,
        seed: u64,
    ) -> Result<ListRanker, TrainError> {
        ListRanker::load(parameters, &mut ListRankerInitializer(Initializer::new(seed)), config)
    }

    /// A ranker whose weights come from `source`.
    ///
    /// # Errors
    /// A shape that cannot be; the source lacks a weight or has one of another shape.
    pub fn load(
        parameters: &mut Parameters,
        source: &mut dyn WeightSource,
        config: ListRankerConfig,
    ) -> Result<ListRanker, TrainError> {
        config.check()?;
        let (dimension, width) = (config.dimension, config.width);
        let mut add = |name: &str, shape: (usize, usize)| -> Result<ParameterId, TrainError> {
            let values = source.take(name, shape)?;
            Ok(parameters.add(name, shape, values))
        };
        let side_key = add("sides.key.weight", (dimension, dimension))?;
        let start = add("start.weight", (1, width))?;
        let mut linear = |name: &str, inputs: usize, bias: bool| {
            Linear::load(parameters, source, name, (width, inputs), bias)
        };
        let side_value = linear("sides.value", dimension, false)?;
        let own = linear("own", dimension, false)?;
        let signals = linear("signals", SIGNALS + config.extra, true)?;
        let input = linear("input", width, false)?;
        let norm = LayerNorm::load(parameters, source, "norm", width, EPSILON)?;
        let layers = (0..config.layers).map(|at| Layer::load(parameters, source, at, width));
        let layers = layers.collect::<Result<_, _>>()?;
        let last_norm = LayerNorm::load(parameters, source, "last_norm", width, EPSILON)?;
        Ok(ListRanker { config, side_key, side_value, own, signals, norm, input, start, layers, last_norm })
    }

    /// Reads questions: the part of the work that does not depend on what is chosen.
    ///
    /// # Errors
    /// A question without candidates, or with vectors of another dimension.
    pub fn read(&self, tape: &Tape, questions: &[&ListQuestion]) -> Result<Memory, TrainError> {
        let (mut states, mut ranges, mut at) = (Vec::new(), Vec::new(), 0);
        for question in questions {
            self.check(question)?;
            states.push(self.states(tape, question));
            ranges.push(at..at + question.count());
            at += question.count();
        }
        if states.is_empty() {
            return Err(TrainError::Model("a list ranker was given no question".into()));
        }
        let states = tape.stack(&states.iter().collect::<Vec<_>>());
        let attended = self.layers.iter().map(|layer| layer.attended(tape, &states)).collect();
        let inputs = self.input.forward(tape, &states, None);
        Ok(Memory { states, ranges, inputs, attended })
    }

    fn check(&self, question: &ListQuestion) -> Result<(), TrainError> {
        let (dimension, count) = (self.config.dimension, question.count());
        let fits = question.question.len() == dimension
            && question.candidates.len() == count * dimension
            && question.sides.len().is_multiple_of(dimension)
            && question.extra.len() == count * self.config.extra
            && count > 0;
        if fits {
            return Ok(());
        }
        Err(TrainError::Model(format!(
            "question `{}` has a vector of {} numbers, {} of sides, {} of candidates and {} beside them; a vector has {dimension}, and {} \
             stand beside a candidate, of which there is one at least",
            question.name,
            question.question.len(),
            question.sides.len(),
            question.candidates.len(),
            question.extra.len(),
            self.config.extra
        )))
    }

    /// The candidates of a question as states, candidates × width.
    fn states(&self, tape: &Tape, question: &ListQuestion) -> Var {
        let (dimension, count) = (self.config.dimension, question.count());
        let sides = if question.sides.is_empty() { &question.question } else { &question.sides };
        let sides = tape.constant((sides.len() / dimension, dimension), sides);
        let candidates = tape.constant((count, dimension), &question.candidates);
        let asked = tape.constant((1, dimension), &question.question);
        let keys = tape.linear(&sides, &tape.parameter(self.side_key), None, None);
        let nearness = tape.linear(&candidates, &keys, None, None);
        let shares = tape.exp(&tape.log_softmax(&tape.scale(&nearness, SHARPNESS)));
        let values = tape.transpose(&self.side_value.forward(tape, &sides, None));
        let about = tape.linear(&shares, &values, None, None);
        let signals = signals(tape, &nearness, &tape.linear(&candidates, &asked, None, None));
        let signals = match self.config.extra {
            0 => signals,
            extra => tape.beside(&signals, &tape.constant((count, extra), &question.extra)),
        };
        let states = self.own.forward(tape, &candidates, Some(&about));
        let states = self.signals.forward(tape, &signals, Some(&states));
        self.norm.forward(tape, &states)
    }
}

/// The numbers of [`SIGNALS`] of each candidate, of its cosines with sides (candidates × sides) and with the question (candidates × 1).
fn signals(tape: &Tape, nearness: &Var, asked: &Var) -> Var {
    let (count, sides) = (nearness.rows, nearness.columns);
    let (mut first, mut second) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for (row, values) in nearness.value.chunks(sides.max(1)).enumerate() {
        let mut order: Vec<usize> = (0..sides).collect();
        order.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
        first.push(row * sides + order[0]);
        second.push(row * sides + order[1usize.min(sides - 1)]);
    }
    let best = |places: &[usize]| tape.gather(nearness, places, (count, 1));
    let mean = tape.scale(&tape.sum_rows(nearness), 1.0 / sides as f32);
    let all = tape.beside(&tape.beside(&best(&first), &best(&second)), &tape.beside(&mean, asked));
    tape.scale(&all, SIGNAL)
}
