//! The weights of a decoder and what a token alone computes with them; attention between tokens is in the pass.

use super::additions::Added;
use super::shape::Shape;
use super::source::{Embedding, Source};
use crate::LmError;
use crate::adapter::LoraScratch;
use crate::kernel::{
    Activation, Isa, Linear, LinearScratch, ROUNDED_BYTES, add, fit, multiply, rms_norm, rotate_halves,
};
use crate::weights::Precision;

/// A decoder's weights.
pub(crate) struct Decoder {
    pub shape: Shape,
    embedding: Embedding,
    layers: Vec<Layer>,
    end_norm: Vec<f32>,
    pub output: Linear,
    /// Whether attention is done in integers of 16 bits: where the layers' products are made in integers, which round
    /// much more coarsely.
    pub integers: bool,
}

struct Layer {
    input_norm: Vec<f32>,
    qkv: Linear,
    /// Of queries and of keys.
    head_norms: Option<[Vec<f32>; 2]>,
    out: Linear,
    out_norm: Option<Vec<f32>>,
    inner_norm: Vec<f32>,
    gate_up: Linear,
    down: Linear,
    down_norm: Option<Vec<f32>>,
}

/// How a product is done: by this thread, or with its columns split over workers of the pool.
#[derive(Clone, Copy)]
pub(crate) struct How {
    pub isa: Isa,
    pub workers: usize,
}

/// Buffers for a block of rows.
#[derive(Default)]
pub(crate) struct BlockScratch {
    pub linear: LinearScratch,
    pub context: Vec<f32>,
    inner: Vec<f32>,
    outer: Vec<f32>,
    normed: Vec<f32>,
    lora: LoraScratch,
}

impl How {
    pub(crate) fn apply(
        self,
        linear: &Linear,
        (x, stride): (&[f32], usize),
        rows: usize,
        y: &mut [f32],
        scratch: &mut LinearScratch,
    ) {
        let out = (y, linear.outputs());
        linear.apply_wide(self.isa, (x, stride), rows, out, Activation::None, self.workers, scratch);
    }
}

fn norm_rows(isa: Isa, x: &[f32], weight: &[f32], epsilon: f32, out: &mut Vec<f32>) {
    fit(out, x.len());
    let width = weight.len();
    for (x, y) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        rms_norm(isa, x, weight, epsilon, y);
    }
}

impl Decoder {
    /// Reads all tensors.
    ///
    /// # Errors
    /// Names the tensor that is missing or has another shape.
    pub(crate) fn open(shape: Shape, source: &Source, precision: Precision) -> Result<Decoder, LmError> {
        let (hidden, rows) = (shape.hidden, shape.vocabulary);
        let table = "model.embed_tokens";
        let (embedding, output) = if shape.tied {
            (Embedding::Tied, source.stack(&[(table, rows)], hidden, precision)?)
        } else {
            let embedding = source.embedding(&format!("{table}.weight"), rows, hidden)?;
            (embedding, source.stack(&[("lm_head", rows)], hidden, precision)?)
        };
        let layers = (0..shape.layers.len()).map(|index| Layer::open(&shape, source, index, precision));
        let layers = layers.collect::<Result<Vec<Layer>, LmError>>()?;
        let end_norm = norm(&shape, source, "model.norm", hidden)?;
        let mut decoder = Decoder { shape, embedding, layers, end_norm, output, integers: false };
        // Numbers of 16 bits are multiplied in pairs.
        let pairs = decoder.shape.size.is_multiple_of(2);
        decoder.integers = pairs && decoder.matrices().any(|matrix| matrix.numbers() != "f32");
        Ok(decoder)
    }

    /// Bytes of weights in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.matrices().chain([&self.output]).map(Linear::bytes).sum()
    }

    /// The numbers of the weights: `f32` when no matrix is rounded.
    pub(crate) fn numbers(&self) -> &'static str {
        self.matrices().chain([&self.output]).map(Linear::numbers).find(|n| *n != "f32").unwrap_or("f32")
    }

    /// The matrices of all layers.
    pub(crate) fn matrices(&self) -> impl Iterator<Item = &Linear> {
        self.layers.iter().flat_map(|l| [&l.qkv, &l.out, &l.gate_up, &l.down])
    }

    /// Input vectors of tokens.
    pub(crate) fn embed(&self, isa: Isa, ids: &[u32], out: &mut [f32]) {
        for (id, row) in ids.iter().zip(out.chunks_exact_mut(self.shape.hidden)) {
            self.embedding.read(isa, &self.output, *id as usize, row);
            if self.shape.embedding_scale != 1.0 {
                row.iter_mut().for_each(|x| *x *= self.shape.embedding_scale);
            }
        }
    }

    /// Queries, keys and values of some rows, queries and keys turned. `angles` holds for each row the cosines and the
    /// sines of the layer's kind.
    pub(crate) fn project(
        &self,
        how: How,
        layer: usize,
        x: &[f32],
        angles: &[f32],
        added: Added,
        qkv: &mut [f32],
        scratch: &mut BlockScratch,
    ) {
        let shape = &self.shape;
        let own = &self.layers[layer];
        norm_rows(how.isa, x, &own.input_norm, shape.epsilon, &mut scratch.normed);
        let rows = x.len() / shape.hidden;
        how.apply(&own.qkv, (&scratch.normed, shape.hidden), rows, qkv, &mut scratch.linear);
        let (x, out) = ((&scratch.normed[..], shape.hidden), (&mut *qkv, shape.qkv()));
        added.add(how, &shape.qkv_columns(), x, rows, out, &mut scratch.lora);
        let turned = (shape.heads + shape.kv_heads) * shape.size;
        for (row, angles) in qkv.chunks_exact_mut(shape.qkv()).zip(angles.chunks_exact(shape.size)) {
            if let Some([queries, keys]) = &own.head_norms {
                for (head, part) in row[..turned].chunks_exact_mut(shape.size).enumerate() {
                    let weight = if head < shape.heads { queries } else { keys };
                    norm_rows(how.isa, part, weight, shape.epsilon, &mut scratch.outer);
                    part.copy_from_slice(&scratch.outer);
                }
            }
            let (cosines, sines) = angles.split_at(shape.size / 2);
            rotate_halves(how.isa, &mut row[..turned], shape.size, cosines, sines);
        }
    }

    /// From the contexts of some rows, which lie in `scratch.context`, to the layer's output in place of its input.
    pub(crate) fn finish(
        &self,
        how: How,
        layer: usize,
        added: Added,
        x: &mut [f32],
        scratch: &mut BlockScratch,
    ) {
        let shape = &self.shape;
        let own = &self.layers[layer];
        let rows = x.len() / shape.hidden;
        let BlockScratch { linear, context, inner, outer, normed, lora } = scratch;
        fit(outer, x.len());
        how.apply(&own.out, (context, shape.contexts()), rows, outer, linear);
        let (values, out) = ((&context[..], shape.contexts()), (&mut outer[..], shape.hidden));
        added.add(how, &[("self_attn.o_proj", 0)], values, rows, out, lora);
        add_part(how.isa, x, outer, own.out_norm.as_deref(), shape.epsilon, normed);
        norm_rows(how.isa, x, &own.inner_norm, shape.epsilon, normed);
        let both = 2 * shape.intermediate;
        fit(inner, rows * both);
        how.apply(&own.gate_up, (normed, shape.hidden), rows, inner, linear);
        let (values, out) = ((&normed[..], shape.hidden), (&mut inner[..], both));
        added.add(how, &shape.gate_up_columns(), values, rows, out, lora);
        for row in inner.chunks_exact_mut(both) {
            let (gate, up) = row.split_at_mut(shape.intermediate);
            shape.activation.apply(how.isa, gate);
            multiply(how.isa, gate, up);
        }
        how.apply(&own.down, (inner, both), rows, outer, linear);
        let (values, out) = ((&inner[..], both), (&mut outer[..], shape.hidden));
        added.add(how, &[("mlp.down_proj", 0)], values, rows, out, lora);
        add_part(how.isa, x, outer, own.down_norm.as_deref(), shape.epsilon, normed);
    }

    /// The normalisation after the last layer.
    pub(crate) fn end(&self, isa: Isa, row: &mut [f32]) {
        let copy = row.to_vec();
        rms_norm(isa, &copy, &self.end_norm, self.shape.epsilon, row);
    }

    /// Bytes of the buffers of that many rows.
    pub(crate) fn block_bytes(&self, rows: usize) -> usize {
        let shape = &self.shape;
        let widest = (2 * shape.intermediate).max(shape.qkv());
        rows * (4 * (2 * shape.hidden + shape.contexts() + widest) + ROUNDED_BYTES * widest)
    }
}

/// Adds the output of a part to the residual stream, normalised first where the family does so.
fn add_part(
    isa: Isa,
    x: &mut [f32],
    part: &[f32],
    norm: Option<&[f32]>,
    epsilon: f32,
    normed: &mut Vec<f32>,
) {
    match norm {
        Some(weight) => {
            norm_rows(isa, part, weight, epsilon, normed);
            add(isa, x, normed);
        }
        None => add(isa, x, part),
    }
}

fn norm(shape: &Shape, source: &Source, name: &str, length: usize) -> Result<Vec<f32>, LmError> {
    let mut weight = source.vector(&format!("{name}.weight"), length)?;
    weight.iter_mut().for_each(|w| *w += shape.norm_offset);
    Ok(weight)
}

impl Layer {
    fn open(shape: &Shape, source: &Source, index: usize, precision: Precision) -> Result<Layer, LmError> {
        let hidden = shape.hidden;
        let name = |part: &str| format!("model.layers.{index}.{part}");
        let row_norm = |part: &str| norm(shape, source, &name(part), hidden);
        let heads = |part: &str| norm(shape, source, &name(part), shape.size);
        let (queries, keys) = (shape.heads * shape.size, shape.kv_heads * shape.size);
        let [q, k, v] = ["q_proj", "k_proj", "v_proj"].map(|part| name(&format!("self_attn.{part}")));
        let (gate, up) = (name("mlp.gate_proj"), name("mlp.up_proj"));
        let inner = shape.intermediate;
        let (before, after) = match shape.output_norms {
            true => ("pre_feedforward_layernorm", Some("post_attention_layernorm")),
            false => ("post_attention_layernorm", None),
        };
        let head_norms = match shape.head_norms {
            true => Some([heads("self_attn.q_norm")?, heads("self_attn.k_norm")?]),
            false => None,
        };
        Ok(Layer {
            input_norm: row_norm("input_layernorm")?,
            qkv: source.stack(&[(&q, queries), (&k, keys), (&v, keys)], hidden, precision)?,
            head_norms,
            out: source.stack(&[(&name("self_attn.o_proj"), hidden)], queries, precision)?,
            out_norm: after.map(row_norm).transpose()?,
            inner_norm: row_norm(before)?,
            gate_up: source.stack(&[(&gate, inner), (&up, inner)], hidden, precision)?,
            down: source.stack(&[(&name("mlp.down_proj"), hidden)], inner, precision)?,
            down_norm: match shape.output_norms {
                true => Some(row_norm("post_feedforward_layernorm")?),
                false => None,
            },
        })
    }
}
