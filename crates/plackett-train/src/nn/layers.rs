//! Layers that all families have.

use super::weights::WeightSource;
use crate::TrainError;
use crate::engine::Engine;
use crate::tape::{ParameterId, Parameters, Tape, Var};
use std::fmt::Debug;
use std::sync::Arc;

/// What is added to a linear layer whose weight stays as it is.
pub trait LinearAdapter: Debug + Send + Sync {
    /// The layer's outputs `y` (tokens × outputs) for its inputs `x` (tokens × inputs), with what the adapter adds.
    fn forward(&self, tape: &Tape, x: &Var, y: &Var) -> Var;

    /// What the adapter adds to the layer's weight: outputs × inputs.
    fn weight_change(&self, parameters: &Parameters) -> Vec<f32>;
}

/// What stands behind a sub-layer of an encoder, before the residual is added and the sum is normalised.
pub trait SublayerAdapter: Debug + Send + Sync {
    /// What takes the place of the sub-layer's `output`, given its input, which is the `residual` (both tokens × width), the
    /// norm that follows, and the segment of each token.
    fn forward(&self, tape: &Tape, output: &Var, residual: &Var, norm: &LayerNorm, segments: &[u32]) -> Var;
}

/// What stands between the embeddings and the first layer.
pub trait EmbeddingAdapter: Debug + Send + Sync {
    /// What takes the place of the embeddings `x` (tokens × width), given the segment of each token.
    fn forward(&self, tape: &Tape, x: &Var, segments: &[u32]) -> Var;
}

/// A linear layer: x · weightᵀ + bias, and what an adapter adds.
#[derive(Clone, Debug)]
pub struct Linear {
    /// Its name; the weight is called `NAME.weight`.
    pub name: String,
    /// outputs × inputs; outputs × rank in a factorised layer.
    pub weight: ParameterId,
    /// rank × inputs in a factorised layer (LED unit), whose inputs go through it first.
    pub down: Option<ParameterId>,
    /// One number an output.
    pub bias: Option<ParameterId>,
    /// Numbers out.
    pub outputs: usize,
    /// Numbers in.
    pub inputs: usize,
    /// What is added.
    pub adapter: Option<Arc<dyn LinearAdapter>>,
}

impl Linear {
    /// A layer whose weights come from `source`.
    ///
    /// # Errors
    /// The source has no such weight, or one of another shape.
    pub fn load(
        parameters: &mut Parameters,
        source: &mut dyn WeightSource,
        name: &str,
        (outputs, inputs): (usize, usize),
        bias: bool,
    ) -> Result<Linear, TrainError> {
        let (down, stem, columns) = match source.rank(name) {
            Some(rank) => {
                let down = load(parameters, source, format!("{name}.led_unit.0.weight"), (rank, inputs))?;
                (Some(down), format!("{name}.led_unit.1"), rank)
            }
            None => (None, name.to_string(), inputs),
        };
        let weight = load(parameters, source, format!("{stem}.weight"), (outputs, columns))?;
        let bias = match bias {
            true => Some(load(parameters, source, format!("{stem}.bias"), (1, outputs))?),
            false => None,
        };
        Ok(Linear { name: name.into(), weight, down, bias, outputs, inputs, adapter: None })
    }

    /// The whole weight of a factorised layer, outputs × inputs; `None` for one that has it as it is.
    pub fn product(&self, parameters: &Parameters) -> Option<Vec<f32>> {
        let (up, down) = (&parameters[self.weight], &parameters[self.down?]);
        let mut whole = vec![0.0; self.outputs * self.inputs];
        for (whole, up) in whole.chunks_mut(self.inputs.max(1)).zip(up.value.chunks(up.columns.max(1))) {
            for (up, down) in up.iter().zip(down.value.chunks(self.inputs.max(1))) {
                whole.iter_mut().zip(down).for_each(|(whole, down)| *whole += up * down);
            }
        }
        Some(whole)
    }

    /// The layer's outputs, plus `residual`.
    pub fn forward(&self, tape: &Tape, x: &Var, residual: Option<&Var>) -> Var {
        let weight = tape.parameter(self.weight);
        let bias = self.bias.map(|bias| tape.parameter(bias));
        let inner = self.down.map(|down| tape.linear(x, &tape.parameter(down), None, None));
        let y = tape.linear(inner.as_ref().unwrap_or(x), &weight, bias.as_ref(), residual);
        match &self.adapter {
            Some(adapter) => adapter.forward(tape, x, &y),
            None => y,
        }
    }
}

/// The parameters with what adapters add put into the weights of their layers.
pub fn merged<'l>(parameters: &Parameters, linears: impl IntoIterator<Item = &'l mut Linear>) -> Parameters {
    let mut merged = parameters.clone();
    for linear in linears {
        let Some(adapter) = &linear.adapter else { continue };
        let change = adapter.weight_change(parameters);
        let values = merged[linear.weight].values_mut();
        values.iter_mut().zip(change).for_each(|(value, change)| *value += change);
    }
    merged
}

/// Whether a parameter is one that an adapter has added to one of these layers: its name begins with the layer's, and it is
/// neither its weight nor its bias.
pub fn is_added(name: &str, layers: &[String]) -> bool {
    let part = layers.iter().find_map(|layer| name.strip_prefix(layer.as_str())?.strip_prefix('.'));
    part.is_some_and(|part| part != "weight" && part != "bias" && !part.starts_with("led_unit."))
}

/// Layer normalisation.
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm {
    weight: ParameterId,
    bias: ParameterId,
    epsilon: f32,
}

impl LayerNorm {
    /// A norm whose weights come from `source`.
    ///
    /// # Errors
    /// The source has no such weight, or one of another shape.
    pub fn load(
        parameters: &mut Parameters,
        source: &mut dyn WeightSource,
        name: &str,
        width: usize,
        epsilon: f32,
    ) -> Result<LayerNorm, TrainError> {
        let weight = load(parameters, source, format!("{name}.weight"), (1, width))?;
        let bias = load(parameters, source, format!("{name}.bias"), (1, width))?;
        Ok(LayerNorm { weight, bias, epsilon })
    }

    /// The rows, normalised.
    pub fn forward(&self, tape: &Tape, x: &Var) -> Var {
        tape.layer_norm(x, &tape.parameter(self.weight), &tape.parameter(self.bias), self.epsilon)
    }
}

/// A parameter whose numbers come from `source`.
pub(super) fn load(
    parameters: &mut Parameters,
    source: &mut dyn WeightSource,
    name: String,
    shape: (usize, usize),
) -> Result<ParameterId, TrainError> {
    let values = source.take(&name, shape)?;
    Ok(parameters.add(name, shape, values))
}
