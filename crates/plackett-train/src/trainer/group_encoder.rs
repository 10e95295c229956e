//! An encoder of groups: the items of a group see each other before they are scored, and none has a place (Li and others, TSPRank,
//! 2024: Transformer layers with norms after their parts, without positions). Dropout is behind attention and in the feed-forward network, not
//! on the weights of attention.

use crate::TrainError;
use crate::engine::{Attention, Engine};
use crate::nn::{LayerNorm, Linear, Mode, WeightSource};
use crate::tape::{Parameters, Tape, Var};
use plackett_kernel::Activation;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// What is added to variances.
const EPSILON: f32 = 1e-5;
/// Queries, keys, values and output of attention.
const PARTS: [&str; 4] = ["query", "key", "value", "output"];

/// The shape of an encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupEncoderShape {
    /// Layers.
    pub layers: usize,
    /// Heads of attention; a divisor of the width.
    pub heads: usize,
    /// Hidden units of the feed-forward networks.
    pub inner: usize,
}

/// One layer.
#[derive(Clone, Debug)]
struct Layer {
    attention: [Linear; 4],
    attention_norm: LayerNorm,
    inner: Linear,
    outer: Linear,
    inner_norm: LayerNorm,
}

/// The encoder.
#[derive(Clone, Debug)]
pub(super) struct GroupEncoder {
    layers: Vec<Layer>,
    heads: usize,
    width: usize,
}

impl GroupEncoder {
    /// An encoder of vectors of so many numbers.
    ///
    /// # Errors
    /// Heads that do not divide the width, or a part without numbers; a weight that the source does not have.
    pub fn load(
        parameters: &mut Parameters,
        source: &mut dyn WeightSource,
        shape: GroupEncoderShape,
        width: usize,
    ) -> Result<GroupEncoder, TrainError> {
        let GroupEncoderShape { layers, heads, inner } = shape;
        if layers == 0 || heads == 0 || inner == 0 || !width.is_multiple_of(heads) {
            return Err(TrainError::Setting(format!(
                "an encoder of groups has a layer, a head and an inner unit at least, and its heads divide the width: {layers}, {heads} and \
                 {inner} were given for a width of {width}"
            )));
        }
        let layers = (0..layers).map(|at| Layer::load(parameters, source, at, (width, inner)));
        Ok(GroupEncoder { layers: layers.collect::<Result<_, _>>()?, heads, width })
    }

    /// How many layers it has.
    pub fn depth(&self) -> usize {
        self.layers.len()
    }

    /// The items (rows) of some groups, each after it has seen the others of its group.
    pub fn forward(&self, tape: &Tape, items: &Var, groups: &[Range<usize>], mode: Mode) -> Var {
        let attention = Attention {
            sequences: groups.into(),
            key_sequences: None,
            heads: self.heads,
            key_heads: self.heads,
            causal: false,
            hidden: None,
            scale: 1.0 / ((self.width / self.heads) as f32).sqrt(),
        };
        let mut x = items.clone();
        for (at, layer) in self.layers.iter().enumerate() {
            x = layer.forward(tape, &x, &attention, (mode, at));
        }
        x
    }
}

impl Layer {
    fn load(
        parameters: &mut Parameters,
        source: &mut dyn WeightSource,
        at: usize,
        (width, inner): (usize, usize),
    ) -> Result<Layer, TrainError> {
        let mut linear = |name: &str, outputs: usize, inputs: usize| {
            Linear::load(parameters, source, &format!("encoder.{at}.{name}"), (outputs, inputs), true)
        };
        let [query, key, value, output] = PARTS.map(|name| linear(name, width, width));
        let attention = [query?, key?, value?, output?];
        let (inner, outer) = (linear("inner", inner, width)?, linear("outer", width, inner)?);
        let mut norm =
            |name: &str| LayerNorm::load(parameters, source, &format!("encoder.{at}.{name}"), width, EPSILON);
        let (attention_norm, inner_norm) = (norm("attention_norm")?, norm("inner_norm")?);
        Ok(Layer { attention, attention_norm, inner, outer, inner_norm })
    }

    /// The layer with the number `at`, from 0.
    fn forward(&self, tape: &Tape, x: &Var, attention: &Attention, (mode, at): (Mode, usize)) -> Var {
        let dropped = |x: Var, place: u64| match mode.dropout > 0.0 {
            true => tape.dropout(&x, mode.dropout, mode.place(at, place)),
            false => x,
        };
        let [query, key, value, output] = &self.attention;
        let seen = tape.attention(
            &query.forward(tape, x, None),
            &key.forward(tape, x, None),
            &value.forward(tape, x, None),
            None,
            attention,
        );
        let seen = dropped(output.forward(tape, &seen, None), 0);
        let x = self.attention_norm.forward(tape, &tape.add(x, &seen));
        let inner = tape.activation(&self.inner.forward(tape, &x, None), Activation::Relu);
        let outer = dropped(self.outer.forward(tape, &dropped(inner, 1), None), 2);
        self.inner_norm.forward(tape, &tape.add(&x, &outer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::Compute;

    /// Norms of ones, matrices of one number on the diagonal where it is said, and zeros.
    struct Diagonal(&'static [&'static str]);

    impl WeightSource for Diagonal {
        fn take(&mut self, name: &str, (rows, columns): (usize, usize)) -> Result<Vec<f32>, TrainError> {
            if name.ends_with("norm.weight") {
                return Ok(vec![1.0; columns]);
            }
            let mut values = vec![0.0; rows * columns];
            if self.0.iter().any(|part| name.ends_with(&format!("{part}.weight"))) {
                (0..rows.min(columns)).for_each(|at| values[at * columns + at] = 1.0);
            }
            Ok(values)
        }
    }

    /// Items of two numbers, in groups of so many.
    fn encoded(parts: &'static [&'static str], items: &[f32], sizes: &[usize]) -> Vec<f32> {
        let mut groups: Vec<Range<usize>> = Vec::new();
        for size in sizes {
            let start = groups.last().map_or(0, |group| group.end);
            groups.push(start..start + size);
        }
        let mut parameters = Parameters::default();
        let shape = GroupEncoderShape { layers: 1, heads: 1, inner: 2 };
        let encoder = GroupEncoder::load(&mut parameters, &mut Diagonal(parts), shape, 2).unwrap();
        let compute = Compute::new(1);
        let tape = Tape::inference(&parameters, &compute);
        let items = tape.constant((items.len() / 2, 2), items);
        encoder.forward(&tape, &items, &groups, Mode::default()).value.to_vec()
    }

    fn assert_near(found: &[f32], wanted: &[f32]) {
        assert_eq!(found.len(), wanted.len());
        assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-3), "{found:?} for {wanted:?}");
    }

    #[test]
    fn a_layer_by_hand() {
        // Nothing is added: (2, 0) and (0, 6) are normalised.
        assert_near(&encoded(&[], &[2.0, 0.0, 0.0, 6.0], &[2]), &[1.0, -1.0, -1.0, 1.0]);
        // Queries of 0 look at both items alike: their mean (1, 3) makes (3, 3) and (1, 9), whose norms are (0, 0) and (−1, 1).
        let seeing: &'static [&'static str] = &["value", "output"];
        assert_near(&encoded(seeing, &[2.0, 0.0, 0.0, 6.0], &[2]), &[0.0, 0.0, -1.0, 1.0]);
        // Items of another group are not seen: twice themselves.
        assert_near(&encoded(seeing, &[2.0, 0.0, 0.0, 6.0], &[1, 1]), &[1.0, -1.0, -1.0, 1.0]);
        // ReLU of (1, −1) is (1, 0), which makes (2, −1): its norm is (1, −1).
        assert_near(&encoded(&["inner", "outer"], &[2.0, 0.0], &[1]), &[1.0, -1.0]);
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let shape = |layers, heads, inner| {
            let (mut parameters, shape) = (Parameters::default(), GroupEncoderShape { layers, heads, inner });
            GroupEncoder::load(&mut parameters, &mut Diagonal(&[]), shape, 6).map(drop)
        };
        assert!(shape(1, 3, 4).is_ok());
        for (layers, heads, inner) in [(0, 3, 4), (1, 0, 4), (1, 4, 4), (1, 3, 0)] {
            let message = shape(layers, heads, inner).unwrap_err().to_string();
            assert!(message.contains("heads divide the width"), "{message}");
        }
    }

    /// As many layers as a file may ask for, with the embedding before them, in steps one after another.
    #[test]
    fn no_place_drops_what_another_one_or_another_step_does() {
        let mut keys = std::collections::HashSet::new();
        for key in 0..4 {
            let mode = Mode { key, ..Mode::default() };
            keys.extend((0..=24).flat_map(|layer| (0..3).map(move |place| mode.place(layer, place))));
        }
        assert_eq!(keys.len(), 4 * 25 * 3);
    }
}
