//! BART (Lewis et al., BART: Denoising Sequence-to-Sequence Pre-training, 2020): an encoder and a decoder like BERT's layers,
//! with a norm after each part and learnt positions that count from 2. Here the encoder, and what both halves share.

use crate::error::LmError;
use crate::family::encoder::{At, EncoderShape, Family, RowScratch};
use crate::files::config::JsonFile;
use crate::files::weights::{Table, WeightSet};
use crate::text::sequence::Sequence;
use plackett_kernel::Precision;
use plackett_kernel::{Activation, Heads, Isa, Linear, Window, add_layer_norm, layer_norm};

/// Rows of the table of positions before the first one.
const FIRST_POSITION: usize = 2;
const EPSILON: f32 = 1e-5;

/// A norm over a row, with mean and bias.
pub(crate) struct LayerNorm {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl LayerNorm {
    pub(crate) fn open(weights: &WeightSet, name: &str, hidden: usize) -> Result<LayerNorm, LmError> {
        let part = |part| weights.f32(&format!("{name}.{part}"), &[hidden]);
        Ok(LayerNorm { weight: part("weight")?, bias: part("bias")? })
    }

    /// `rows ← norm(rows + added)`.
    pub(crate) fn add(&self, isa: Isa, rows: &mut [f32], added: &[f32]) {
        let width = self.weight.len();
        for (row, added) in rows.chunks_exact_mut(width).zip(added.chunks_exact(width)) {
            add_layer_norm(isa, row, added, &self.weight, &self.bias, EPSILON);
        }
    }
}

/// Words and places of one half.
pub(crate) struct Input {
    words: Table,
    places: Table,
    norm: LayerNorm,
    scale: f32,
}

impl Input {
    /// `half` is `encoder` or `decoder`, with what stands before it.
    pub(crate) fn open(config: &JsonFile, weights: &WeightSet, half: &str) -> Result<Input, LmError> {
        let hidden = config.size("d_model")?;
        let prefix = half.strip_suffix("encoder").or(half.strip_suffix("decoder")).unwrap_or_default();
        let places = weights.table(&format!("{half}.embed_positions.weight"), hidden)?;
        if places.rows() <= FIRST_POSITION {
            return Err(config.problem(format!("the table of positions has {} rows", places.rows())));
        }
        Ok(Input {
            words: weights.table(&format!("{prefix}shared.weight"), hidden)?,
            places,
            norm: LayerNorm::open(weights, &format!("{half}.layernorm_embedding"), hidden)?,
            scale: if config.flag("scale_embedding", false) { (hidden as f32).sqrt() } else { 1.0 },
        })
    }

    /// Longest sequence.
    pub(crate) fn positions(&self) -> usize {
        self.places.rows() - FIRST_POSITION
    }

    /// Number of token ids.
    pub(crate) fn vocabulary(&self) -> usize {
        self.words.rows()
    }

    /// The input vector of a token at a place, both of which the model has.
    pub(crate) fn read(&self, isa: Isa, id: u32, place: usize, row: &mut [f32], scratch: &mut Vec<f32>) {
        scratch.resize(row.len(), 0.0);
        self.words.read(isa, id as usize, row);
        self.places.read(isa, place + FIRST_POSITION, scratch);
        row.iter_mut().zip(scratch.iter()).for_each(|(x, y)| *x = *x * self.scale + y);
        layer_norm(isa, row, &self.norm.weight, &self.norm.bias, EPSILON);
    }
}

/// Number and size of the heads of one half.
pub(crate) fn heads(config: &JsonFile, key: &str) -> Result<(usize, usize), LmError> {
    let (hidden, heads) = (config.size("d_model")?, config.size(key)?);
    if hidden % heads != 0 {
        return Err(config.problem(format!("`d_model` {hidden} is no multiple of `{key}` {heads}")));
    }
    Ok((heads, hidden / heads))
}

/// The encoder.
pub(crate) struct Bart {
    shape: EncoderShape,
    input: Input,
    activation: Activation,
    layers: Vec<Layer>,
}

struct Layer {
    qkv: Linear,
    attention_out: Linear,
    attention_norm: LayerNorm,
    inner: Linear,
    outer: Linear,
    outer_norm: LayerNorm,
}

impl Bart {
    /// `prefix` is what stands before `encoder`.
    pub(crate) fn open(
        config: &JsonFile,
        weights: &WeightSet,
        precision: Precision,
        prefix: &str,
    ) -> Result<Bart, LmError> {
        // Options of early files that name other architectures.
        if let Some(key) = ["normalize_before", "add_final_layer_norm", "static_position_embeddings"]
            .iter()
            .find(|key| config.flag(key, false))
        {
            return Err(
                config.problem(format!("`{key}` is not supported; BART has norms after each part only"))
            );
        }
        let (hidden, intermediate) = (config.size("d_model")?, config.size("encoder_ffn_dim")?);
        let (count, size) = heads(config, "encoder_attention_heads")?;
        let layers = (0..config.size("encoder_layers")?)
            .map(|index| {
                let at = format!("{prefix}encoder.layers.{index}");
                let one = |name: &str, outputs, inputs| {
                    weights.linear(&[format!("{at}.{name}")], outputs, inputs, precision)
                };
                let parts = ["q", "k", "v"].map(|part| format!("{at}.self_attn.{part}_proj"));
                Ok(Layer {
                    qkv: weights.linear(&parts, hidden, hidden, precision)?,
                    attention_out: one("self_attn.out_proj", hidden, hidden)?,
                    attention_norm: LayerNorm::open(weights, &format!("{at}.self_attn_layer_norm"), hidden)?,
                    inner: one("fc1", intermediate, hidden)?,
                    outer: one("fc2", hidden, intermediate)?,
                    outer_norm: LayerNorm::open(weights, &format!("{at}.final_layer_norm"), hidden)?,
                })
            })
            .collect::<Result<Vec<Layer>, LmError>>()?;
        Ok(Bart {
            shape: EncoderShape {
                hidden,
                intermediate,
                layers: layers.len(),
                heads: Heads { count, size, stride: 3 * hidden, offsets: [0, hidden, 2 * hidden] },
            },
            input: Input::open(config, weights, &format!("{prefix}encoder"))?,
            activation: crate::family::fields::activation(config, "activation_function")?,
            layers,
        })
    }
}

impl Family for Bart {
    fn shape(&self) -> &EncoderShape {
        &self.shape
    }

    fn vocabulary(&self) -> usize {
        self.input.vocabulary()
    }

    fn positions(&self) -> usize {
        self.input.positions()
    }

    fn matrices(&self) -> Vec<&Linear> {
        self.layers.iter().flat_map(|l| [&l.qkv, &l.attention_out, &l.inner, &l.outer]).collect()
    }

    fn embed(&self, isa: Isa, sequence: &Sequence, out: &mut [f32]) {
        let mut scratch = Vec::new();
        for (place, (id, row)) in sequence.ids.iter().zip(out.chunks_exact_mut(self.shape.hidden)).enumerate()
        {
            self.input.read(isa, *id, place, row, &mut scratch);
        }
    }

    fn qkv(&self, at: At, x: &[f32], positions: &[u32], qkv: &mut [f32], scratch: &mut RowScratch) {
        let EncoderShape { hidden, heads, .. } = &self.shape;
        let (x, qkv) = ((x, *hidden), (qkv, heads.stride));
        self.layers[at.layer].qkv.apply(
            at.isa,
            x,
            positions.len(),
            qkv,
            Activation::None,
            &mut scratch.linear,
        );
    }

    fn window(&self, _layer: usize) -> Window {
        Window::All
    }

    fn after_attention(&self, at: At, context: &[f32], x: &mut [f32], scratch: &mut RowScratch) {
        let EncoderShape { hidden, intermediate, .. } = self.shape;
        let layer = &self.layers[at.layer];
        let rows = x.len() / hidden;
        let RowScratch { linear, inner, outer, .. } = scratch;
        outer.resize(rows * hidden, 0.0);
        inner.resize(rows * intermediate, 0.0);
        layer.attention_out.apply(at.isa, (context, hidden), rows, (outer, hidden), Activation::None, linear);
        layer.attention_norm.add(at.isa, x, outer);
        layer.inner.apply(at.isa, (x, hidden), rows, (inner, intermediate), self.activation, linear);
        layer.outer.apply(at.isa, (inner, intermediate), rows, (outer, hidden), Activation::None, linear);
        layer.outer_norm.add(at.isa, x, outer);
    }

    fn final_norm(&self, _isa: Isa, _x: &mut [f32]) {}
}
