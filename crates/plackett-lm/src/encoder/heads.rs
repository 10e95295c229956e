//! What is read from the last hidden states: one vector, one vector per token, or a relevance score.

use crate::encoder::pass::Read;
use crate::error::LmError;
use crate::files::config::{JsonFile, LayerModule, Pooling};
use crate::files::weights::WeightSet;
use plackett_kernel::Precision;
use plackett_kernel::{Activation, Isa, Linear, LinearScratch, layer_norm};
use std::path::Path;

/// Dense layers that sentence-transformers puts after the transformer.
pub(crate) struct Dense {
    layer: Linear,
    activation: Activation,
}

impl Dense {
    /// Opens one `2_Dense`-like folder whose layer gets vectors of `width` numbers.
    pub(crate) fn open(directory: &Path, width: usize) -> Result<Dense, LmError> {
        let config = JsonFile::open(directory, "config.json")?;
        let (inputs, outputs) = (config.size("in_features")?, config.size("out_features")?);
        if inputs != width {
            let problem = format!("`in_features` is {inputs}, but the layer before it gives {width} numbers");
            return Err(config.problem(problem));
        }
        let name = config.text("activation_function").unwrap_or("Identity");
        let activation = match name.rsplit('.').next().unwrap_or_default() {
            "Identity" => Activation::None,
            "Tanh" => Activation::Tanh,
            "ReLU" => Activation::Relu,
            "GELU" => Activation::Gelu,
            "SiLU" => Activation::Silu,
            other => return Err(config.problem(format!("activation `{other}` is not supported"))),
        };
        let weights = WeightSet::open(directory)?;
        // A projection is small and its output is the result: it stays in f32.
        let layer = weights.linear(&["linear".to_string()], outputs, inputs, Precision::F32)?;
        Ok(Dense { layer, activation })
    }

    fn outputs(&self) -> usize {
        self.layer.outputs()
    }

    fn apply(&self, isa: Isa, rows: &[f32], inputs: usize) -> Vec<f32> {
        let count = rows.len() / inputs;
        let mut out = vec![0.0; count * self.outputs()];
        let stride = self.outputs();
        self.layer.apply(
            isa,
            (rows, inputs),
            count,
            (&mut out, stride),
            self.activation,
            &mut LinearScratch::default(),
        );
        out
    }
}

/// A layer norm after the pooling.
pub(crate) struct LayerNorm {
    weight: Vec<f32>,
    /// Empty when there is none.
    bias: Vec<f32>,
    epsilon: f32,
}

impl LayerNorm {
    /// PyTorch's, which sentence-transformers' module keeps.
    const EPSILON: f32 = 1e-5;

    /// Opens one `3_LayerNorm`-like folder whose layer gets vectors of `width` numbers.
    pub(crate) fn open(directory: &Path, width: usize) -> Result<LayerNorm, LmError> {
        let config = JsonFile::open(directory, "config.json")?;
        let dimension = config.size("dimension")?;
        if dimension != width {
            let problem =
                format!("`dimension` is {dimension}, but the layer before it gives {width} numbers");
            return Err(config.problem(problem));
        }
        let weights = WeightSet::open(directory)?;
        let weight = weights.f32("norm.weight", &[width])?;
        let bias = weights.optional("norm.bias", width)?;
        Ok(LayerNorm { weight, bias, epsilon: LayerNorm::EPSILON })
    }
}

/// What stands between pooled states and a result, layer by layer.
pub(crate) enum Layer {
    /// A dense layer with its activation.
    Dense(Dense),
    /// A norm over each vector.
    LayerNorm(LayerNorm),
}

impl Layer {
    /// Opens a module of sentence-transformers whose layer gets vectors of `width` numbers.
    pub(crate) fn open(module: &LayerModule, width: usize) -> Result<Layer, LmError> {
        Ok(match module {
            LayerModule::Dense(folder) => Layer::Dense(Dense::open(folder, width)?),
            LayerModule::LayerNorm(folder) => Layer::LayerNorm(LayerNorm::open(folder, width)?),
        })
    }

    /// A dense layer of a model's own weights, in f32, by the name of its tensors and (outputs, inputs).
    pub(crate) fn dense(
        weights: &WeightSet,
        name: &str,
        (outputs, inputs): (usize, usize),
        activation: Activation,
    ) -> Result<Layer, LmError> {
        let layer = weights.linear(&[name.to_string()], outputs, inputs, Precision::F32)?;
        Ok(Layer::Dense(Dense { layer, activation }))
    }

    /// Numbers that come out for `inputs` that go in.
    pub(crate) fn outputs(&self, inputs: usize) -> usize {
        match self {
            Layer::Dense(dense) => dense.outputs(),
            Layer::LayerNorm(_) => inputs,
        }
    }

    /// Rows of `inputs` numbers to rows of [`Layer::outputs`] numbers.
    fn apply(&self, isa: Isa, mut rows: Vec<f32>, inputs: usize) -> Vec<f32> {
        match self {
            Layer::Dense(dense) => dense.apply(isa, &rows, inputs),
            Layer::LayerNorm(norm) => {
                for row in rows.chunks_exact_mut(inputs) {
                    layer_norm(isa, row, &norm.weight, &norm.bias, norm.epsilon);
                }
                rows
            }
        }
    }
}

/// Rows of `width` numbers through all layers.
pub(crate) fn through(layers: &[Layer], isa: Isa, rows: Vec<f32>, width: usize) -> Vec<f32> {
    let mut width = width;
    layers.iter().fold(rows, |rows, layer| {
        let out = layer.apply(isa, rows, width);
        width = layer.outputs(width);
        out
    })
}

/// The states that a pooling reads.
pub(crate) fn reads(pooling: Pooling) -> Read {
    if pooling == Pooling::Cls { Read::First } else { Read::All }
}

/// One vector from `tokens × hidden`.
pub(crate) fn pool(pooling: Pooling, states: &[f32], hidden: usize) -> Vec<f32> {
    let mut rows = states.chunks_exact(hidden);
    match pooling {
        Pooling::Cls => rows.next().map(<[f32]>::to_vec).unwrap_or_default(),
        Pooling::LastToken => rows.next_back().map(<[f32]>::to_vec).unwrap_or_default(),
        Pooling::Mean => {
            let count = rows.len().max(1) as f32;
            let mut sum = vec![0.0; hidden];
            for row in rows {
                sum.iter_mut().zip(row).for_each(|(s, x)| *s += x);
            }
            sum.iter_mut().for_each(|s| *s /= count);
            sum
        }
        Pooling::Max => {
            let mut largest = vec![f32::NEG_INFINITY; hidden];
            for row in rows {
                largest.iter_mut().zip(row).for_each(|(m, x)| *m = m.max(*x));
            }
            largest
        }
    }
}

/// What turns a cross-encoder's logit into the score that people see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScoreActivation {
    /// The logit itself.
    Identity,
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
}

/// What gives a pair its score: layers over the pooled states, the last of which has one output.
pub(crate) struct Scorer {
    /// How states become the vector that the layers read.
    pub pooling: Pooling,
    /// They stay in f32.
    pub layers: Vec<Layer>,
    /// How the logit is shown.
    pub score: ScoreActivation,
}

impl Scorer {
    /// The classification head of a transformers model, when config.json and the weights have one with one output.
    pub(crate) fn open(config: &JsonFile, weights: &WeightSet) -> Result<Option<Scorer>, LmError> {
        if config.text("model_type") == Some("t5") {
            return Ok(None);
        }
        let hidden = config.size("hidden_size")?;
        let family = config.text("model_type").unwrap_or_default();
        let (out_name, dense_name, activation, pooling) = match family {
            "bert" => ("classifier", "bert.pooler.dense", Activation::Tanh, Pooling::Cls),
            "modernbert" => {
                let pooling = match config.text("classifier_pooling").unwrap_or("cls") {
                    "mean" => Pooling::Mean,
                    _ => Pooling::Cls,
                };
                let name = config.text("classifier_activation").unwrap_or("gelu");
                let activation = Activation::named(name).ok_or_else(|| {
                    config.problem(format!("`classifier_activation` `{name}` is not supported"))
                })?;
                ("classifier", "head.dense", activation, pooling)
            }
            _ => ("classifier.out_proj", "classifier.dense", Activation::Tanh, Pooling::Cls),
        };
        if !weights.has(&format!("{out_name}.weight")) {
            return Ok(None);
        }
        let labels = weights.tensor(&format!("{out_name}.weight"))?.shape().first().copied().unwrap_or(0);
        if labels != 1 {
            return Ok(None);
        }
        let dense = |name, outputs, activation| Layer::dense(weights, name, (outputs, hidden), activation);
        let mut layers = vec![dense(dense_name, hidden, activation)?];
        if family == "modernbert" {
            let weight = weights.f32("head.norm.weight", &[hidden])?;
            let bias = weights.optional("head.norm.bias", hidden)?;
            let epsilon = config.number_or("norm_eps", 1e-5) as f32;
            layers.push(Layer::LayerNorm(LayerNorm { weight, bias, epsilon }));
        }
        layers.push(dense(out_name, 1, Activation::None)?);
        Ok(Some(Scorer { pooling, layers, score: score(config)? }))
    }

    /// The states that it reads.
    pub(crate) fn reads(&self) -> Read {
        reads(self.pooling)
    }

    /// The raw logit of one sequence.
    pub(crate) fn logit(&self, isa: Isa, states: &[f32], hidden: usize) -> f32 {
        let out = through(&self.layers, isa, pool(self.pooling, states, hidden), hidden);
        out.first().copied().unwrap_or(f32::NAN)
    }
}

/// The activation that sentence-transformers' CrossEncoder takes: the one of the configuration, else sigmoid.
pub(crate) fn score(config: &JsonFile) -> Result<ScoreActivation, LmError> {
    let newer = config.value().get("sentence_transformers").and_then(|s| s.get("activation_fn"));
    let name = newer.and_then(|v| v.as_str());
    let name = name.or(config.text("activation_fn")).or(config.text("sbert_ce_default_activation_function"));
    match name.map(|n| n.rsplit('.').next().unwrap_or_default()) {
        None | Some("Sigmoid") => Ok(ScoreActivation::Sigmoid),
        Some("Identity" | "Linear") => Ok(ScoreActivation::Identity),
        Some(other) => {
            Err(config.problem(format!("score activation `{other}` is not supported: Sigmoid, Identity")))
        }
    }
}

impl ScoreActivation {
    /// Applied in double precision, so that distinct logits stay distinct as long as they can.
    pub fn apply(self, logit: f32) -> f64 {
        match self {
            ScoreActivation::Identity => logit as f64,
            ScoreActivation::Sigmoid => 1.0 / (1.0 + (-logit as f64).exp()),
        }
    }
}
