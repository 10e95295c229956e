//! ModernBERT (Warner et al. 2024): normalisation before each part, rotary positions, gated feed-forward, and most
//! layers attending only to near tokens.

use crate::error::LmError;
use crate::family::encoder::{At, EncoderShape, Family, RowScratch};
use crate::family::fields::{activation, heads};
use crate::files::config::JsonFile;
use crate::files::weights::{Table, WeightSet};
use crate::text::sequence::Sequence;
use plackett_kernel::Precision;
use plackett_kernel::{Activation, Heads, Isa, Linear, Window, layer_norm};
use serde_json::Value;

pub(crate) struct ModernBert {
    shape: EncoderShape,
    positions: usize,
    words: Table,
    norm: Norm,
    end_norm: Norm,
    activation: Activation,
    layers: Vec<Layer>,
}

struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
}

impl Norm {
    fn apply(&self, isa: Isa, rows: &mut [f32]) {
        for row in rows.chunks_exact_mut(self.weight.len()) {
            layer_norm(isa, row, &self.weight, &self.bias, self.epsilon);
        }
    }
}

struct Layer {
    /// None in the first layer, whose input has just been normalised.
    attention_norm: Option<Norm>,
    qkv: Linear,
    attention_out: Linear,
    inner_norm: Norm,
    inner: Linear,
    outer: Linear,
    window: Window,
    /// Angle per position of each pair of dimensions.
    frequencies: Vec<f64>,
}

impl ModernBert {
    pub(crate) fn open(
        config: &JsonFile,
        weights: &WeightSet,
        precision: Precision,
    ) -> Result<ModernBert, LmError> {
        let prefix = weights.prefix(&["", "model."], "embeddings.tok_embeddings.weight")?;
        let hidden = config.size("hidden_size")?;
        let intermediate = config.size("intermediate_size")?;
        let (count, size) = heads(config)?;
        let epsilon = config.number_or("norm_eps", 1e-5) as f32;
        let norm = |name: &str| -> Result<Norm, LmError> {
            let weight = weights.f32(&format!("{prefix}{name}.weight"), &[hidden])?;
            Ok(Norm { weight, bias: weights.optional(&format!("{prefix}{name}.bias"), hidden)?, epsilon })
        };
        let layers = (0..config.size("num_hidden_layers")?)
            .map(|index| {
                let at = format!("layers.{index}");
                let one = |name: &str, outputs, inputs| {
                    weights.linear(&[format!("{prefix}{at}.{name}")], outputs, inputs, precision)
                };
                let global = is_global(config, index)?;
                Ok(Layer {
                    attention_norm: if index == 0 { None } else { Some(norm(&format!("{at}.attn_norm"))?) },
                    qkv: one("attn.Wqkv", 3 * hidden, hidden)?,
                    attention_out: one("attn.Wo", hidden, hidden)?,
                    inner_norm: norm(&format!("{at}.mlp_norm"))?,
                    inner: one("mlp.Wi", 2 * intermediate, hidden)?,
                    outer: one("mlp.Wo", hidden, intermediate)?,
                    window: if global {
                        Window::All
                    } else {
                        Window::Near(config.size_or("local_attention", 128)? / 2)
                    },
                    frequencies: frequencies(size, theta(config, global)),
                })
            })
            .collect::<Result<Vec<Layer>, LmError>>()?;
        Ok(ModernBert {
            shape: EncoderShape {
                hidden,
                intermediate: 2 * intermediate,
                layers: layers.len(),
                heads: Heads { count, size, stride: 3 * hidden, offsets: [0, hidden, 2 * hidden] },
            },
            positions: config.size_or("max_position_embeddings", 8192)?,
            words: weights.table(&format!("{prefix}embeddings.tok_embeddings.weight"), hidden)?,
            norm: norm("embeddings.norm")?,
            end_norm: norm("final_norm")?,
            activation: activation(config, "hidden_activation")?,
            layers,
        })
    }
}

/// Whether a layer attends to everything: named in `layer_types` (newer files) or every n-th.
fn is_global(config: &JsonFile, layer: usize) -> Result<bool, LmError> {
    if let Some(types) = config.value().get("layer_types").and_then(Value::as_array) {
        return match types.get(layer).and_then(Value::as_str) {
            Some("full_attention") => Ok(true),
            Some("sliding_attention") => Ok(false),
            other => {
                Err(config.problem(format!("`layer_types[{layer}]` is {other:?}, expected full or sliding")))
            }
        };
    }
    Ok(layer.is_multiple_of(config.size_or("global_attn_every_n_layers", 3)?))
}

/// The base of the rotary angles: newer files keep it under `rope_parameters`.
fn theta(config: &JsonFile, global: bool) -> f64 {
    let (kind, old, default) = if global {
        ("full_attention", "global_rope_theta", 160_000.0)
    } else {
        ("sliding_attention", "local_rope_theta", 10_000.0)
    };
    let newer =
        config.value().get("rope_parameters").and_then(|p| p.get(kind)).and_then(|p| p.get("rope_theta"));
    newer.and_then(Value::as_f64).unwrap_or_else(|| config.number_or(old, default))
}

fn frequencies(size: usize, theta: f64) -> Vec<f64> {
    (0..size / 2).map(|i| theta.powf(-2.0 * i as f64 / size as f64)).collect()
}

impl Layer {
    /// Turns queries and keys by their positions (Su et al. 2021; halves, not neighbours, form the pairs).
    fn rotate(&self, heads: &Heads, qkv: &mut [f32], positions: &[u32]) {
        let half = heads.size / 2;
        let (mut cosines, mut sines) = (vec![0.0; half], vec![0.0; half]);
        for (row, position) in qkv.chunks_exact_mut(heads.stride).zip(positions) {
            for (i, frequency) in self.frequencies.iter().enumerate() {
                let (sine, cosine) = (*position as f64 * frequency).sin_cos();
                (cosines[i], sines[i]) = (cosine as f32, sine as f32);
            }
            for part in [heads.offsets[0], heads.offsets[1]] {
                for head in row[part..part + heads.count * heads.size].chunks_exact_mut(heads.size) {
                    let (low, high) = head.split_at_mut(half);
                    for i in 0..half {
                        let (x, y) = (low[i], high[i]);
                        low[i] = x * cosines[i] - y * sines[i];
                        high[i] = y * cosines[i] + x * sines[i];
                    }
                }
            }
        }
    }
}

impl Family for ModernBert {
    fn shape(&self) -> &EncoderShape {
        &self.shape
    }

    fn vocabulary(&self) -> usize {
        self.words.rows()
    }

    fn positions(&self) -> usize {
        self.positions
    }

    fn matrices(&self) -> Vec<&Linear> {
        self.layers.iter().flat_map(|l| [&l.qkv, &l.attention_out, &l.inner, &l.outer]).collect()
    }

    fn embed(&self, isa: Isa, sequence: &Sequence, out: &mut [f32]) {
        for (id, row) in sequence.ids.iter().zip(out.chunks_exact_mut(self.shape.hidden)) {
            self.words.read(isa, *id as usize, row);
        }
        self.norm.apply(isa, out);
    }

    fn qkv(&self, at: At, x: &[f32], positions: &[u32], qkv: &mut [f32], scratch: &mut RowScratch) {
        let EncoderShape { hidden, heads, .. } = &self.shape;
        let layer = &self.layers[at.layer];
        let RowScratch { linear, outer, .. } = scratch;
        let mut input = x;
        if let Some(norm) = &layer.attention_norm {
            outer.clear();
            outer.extend_from_slice(x);
            norm.apply(at.isa, outer);
            input = outer;
        }
        let rows = positions.len();
        layer.qkv.apply(at.isa, (input, *hidden), rows, (qkv, heads.stride), Activation::None, linear);
        layer.rotate(heads, qkv, positions);
    }

    fn window(&self, layer: usize) -> Window {
        self.layers[layer].window
    }

    fn after_attention(&self, at: At, context: &[f32], x: &mut [f32], scratch: &mut RowScratch) {
        let EncoderShape { hidden, intermediate: both, .. } = self.shape;
        let half = both / 2;
        let layer = &self.layers[at.layer];
        let rows = x.len() / hidden;
        let RowScratch { linear, inner, outer, .. } = scratch;
        outer.resize(rows * hidden, 0.0);
        layer.attention_out.apply(at.isa, (context, hidden), rows, (outer, hidden), Activation::None, linear);
        x.iter_mut().zip(outer.iter()).for_each(|(x, y)| *x += y);
        outer.copy_from_slice(x);
        layer.inner_norm.apply(at.isa, outer);
        inner.resize(rows * both, 0.0);
        layer.inner.apply(at.isa, (outer, hidden), rows, (inner, both), Activation::None, linear);
        for row in inner.chunks_exact_mut(both) {
            let (value, gate) = row.split_at_mut(half);
            self.activation.apply(at.isa, value);
            value.iter_mut().zip(gate).for_each(|(x, g)| *x *= *g);
        }
        layer.outer.apply(at.isa, (inner, both), rows, (outer, hidden), Activation::None, linear);
        x.iter_mut().zip(outer.iter()).for_each(|(x, y)| *x += y);
    }

    fn final_norm(&self, isa: Isa, x: &mut [f32]) {
        self.end_norm.apply(isa, x);
    }
}
