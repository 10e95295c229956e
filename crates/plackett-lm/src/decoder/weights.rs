//! The weights of a decoder and what a token alone computes with them; attention between tokens is in the pass.

use crate::adapter::lora::LoraScratch;
use crate::decoder::compute::Compute;
use crate::decoder::lora::LoraRows;
use crate::decoder::source::{Embedding, TensorSource};
use crate::error::LmError;
use crate::family::decoder_shape::DecoderShape;
use crate::family::projection::Projection;
use plackett_kernel::Precision;
use plackett_kernel::{
    Isa, Linear, LinearScratch, ROUNDED_BYTES, add, fit, multiply, rms_norm, rotate_halves,
};

/// A decoder's weights.
pub(crate) struct DecoderWeights {
    pub shape: DecoderShape,
    embedding: Embedding,
    layers: Vec<Layer>,
    final_norm: Vec<f32>,
    pub output: Linear,
    /// Whether attention is done in integers of 16 bits: where the layers' products are made in integers, which round
    /// much more coarsely.
    pub integers: bool,
}

struct Layer {
    attention_norm: Vec<f32>,
    qkv_proj: Projection,
    /// Of queries and of keys.
    qk_norms: Option<[Vec<f32>; 2]>,
    o_proj: Projection,
    attention_out_norm: Option<Vec<f32>>,
    mlp_norm: Vec<f32>,
    gate_up_proj: Projection,
    down_proj: Projection,
    mlp_out_norm: Option<Vec<f32>>,
}

/// Buffers for a block of rows.
#[derive(Default)]
pub(crate) struct LayerScratch {
    pub linear: LinearScratch,
    pub context: Vec<f32>,
    /// Between the two factors of a matrix.
    middle: Vec<f32>,
    inner: Vec<f32>,
    outer: Vec<f32>,
    normed: Vec<f32>,
    lora: LoraScratch,
}

fn norm_rows(isa: Isa, x: &[f32], weight: &[f32], epsilon: f32, out: &mut Vec<f32>) {
    fit(out, x.len());
    let width = weight.len();
    for (x, y) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        rms_norm(isa, x, weight, epsilon, y);
    }
}

impl DecoderWeights {
    /// Reads all tensors; without `writes` there is no output matrix beside the embeddings, and no logits are read.
    ///
    /// # Errors
    /// Names the tensor that is missing or has another shape.
    pub(crate) fn open(
        shape: DecoderShape,
        source: &TensorSource,
        writes: bool,
        precision: Precision,
    ) -> Result<DecoderWeights, LmError> {
        let (hidden, rows) = (shape.hidden, shape.vocabulary);
        let table = "model.embed_tokens";
        let (embedding, output) = if shape.tied {
            (Embedding::Tied, source.stack(&[(table, rows)], hidden, precision)?)
        } else {
            let embedding = source.embedding(&format!("{table}.weight"), rows, hidden)?;
            let output = match writes {
                true => source.stack(&[("lm_head", rows)], hidden, precision)?,
                false => Linear::from_f32(&[], &[], 0, hidden),
            };
            (embedding, output)
        };
        let layers = (0..shape.layers.len()).map(|index| Layer::open(&shape, source, index, precision));
        let layers = layers.collect::<Result<Vec<Layer>, LmError>>()?;
        let final_norm = norm(&shape, source, "model.norm", hidden)?;
        let mut decoder = DecoderWeights { shape, embedding, layers, final_norm, output, integers: false };
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

    /// What every token goes through, in order.
    fn projections(&self) -> impl Iterator<Item = &Projection> {
        self.layers.iter().flat_map(|l| [&l.qkv_proj, &l.o_proj, &l.gate_up_proj, &l.down_proj])
    }

    /// The matrices of all layers.
    pub(crate) fn matrices(&self) -> impl Iterator<Item = &Linear> {
        self.projections().flat_map(|projection| projection.matrices())
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

    /// Queries, keys and values of some rows, queries and keys rotated. `angles` holds for each row the cosines and the
    /// sines of the layer's kind.
    pub(crate) fn qkv(
        &self,
        compute: Compute,
        layer: usize,
        x: &[f32],
        angles: &[f32],
        lora: LoraRows,
        qkv: &mut [f32],
        scratch: &mut LayerScratch,
    ) {
        let shape = &self.shape;
        let weights = &self.layers[layer];
        norm_rows(compute.isa, x, &weights.attention_norm, shape.epsilon, &mut scratch.normed);
        let rows = x.len() / shape.hidden;
        let x = (&scratch.normed[..], shape.hidden);
        compute.project(&weights.qkv_proj, x, rows, qkv, (&mut scratch.linear, &mut scratch.middle));
        let out = (&mut *qkv, shape.qkv());
        lora.add(compute, &shape.qkv_columns(), x, rows, out, &mut scratch.lora);
        let rotated = (shape.heads + shape.kv_heads) * shape.size;
        for (row, angles) in qkv.chunks_exact_mut(shape.qkv()).zip(angles.chunks_exact(shape.size)) {
            if let Some([queries, keys]) = &weights.qk_norms {
                for (head, part) in row[..rotated].chunks_exact_mut(shape.size).enumerate() {
                    let weight = if head < shape.heads { queries } else { keys };
                    norm_rows(compute.isa, part, weight, shape.epsilon, &mut scratch.outer);
                    part.copy_from_slice(&scratch.outer);
                }
            }
            let (cosines, sines) = angles.split_at(shape.size / 2);
            rotate_halves(compute.isa, &mut row[..rotated], shape.size, cosines, sines);
        }
    }

    /// From the contexts of some rows, which lie in `scratch.context`, to the layer's output in place of its input.
    pub(crate) fn after_attention(
        &self,
        compute: Compute,
        layer: usize,
        lora: LoraRows,
        x: &mut [f32],
        scratch: &mut LayerScratch,
    ) {
        let shape = &self.shape;
        let weights = &self.layers[layer];
        let rows = x.len() / shape.hidden;
        let LayerScratch { linear, context, middle, inner, outer, normed, lora: lora_scratch } = scratch;
        fit(outer, x.len());
        let values = (&context[..], shape.contexts());
        compute.project(&weights.o_proj, values, rows, outer, (&mut *linear, &mut *middle));
        let out = (&mut outer[..], shape.hidden);
        lora.add(compute, &[("self_attn.o_proj", 0)], values, rows, out, lora_scratch);
        add_part(compute.isa, x, outer, weights.attention_out_norm.as_deref(), shape.epsilon, normed);
        norm_rows(compute.isa, x, &weights.mlp_norm, shape.epsilon, normed);
        let both = 2 * shape.intermediate;
        fit(inner, rows * both);
        let values = (&normed[..], shape.hidden);
        compute.project(&weights.gate_up_proj, values, rows, inner, (&mut *linear, &mut *middle));
        let out = (&mut inner[..], both);
        lora.add(compute, &shape.gate_up_columns(), values, rows, out, lora_scratch);
        for row in inner.chunks_exact_mut(both) {
            let (gate, up) = row.split_at_mut(shape.intermediate);
            shape.activation.apply(compute.isa, gate);
            multiply(compute.isa, gate, up);
        }
        let values = (&inner[..], both);
        compute.project(&weights.down_proj, values, rows, outer, (linear, middle));
        let out = (&mut outer[..], shape.hidden);
        lora.add(compute, &[("mlp.down_proj", 0)], values, rows, out, lora_scratch);
        add_part(compute.isa, x, outer, weights.mlp_out_norm.as_deref(), shape.epsilon, normed);
    }

    /// The normalisation after the last layer.
    pub(crate) fn final_norm(&self, isa: Isa, row: &mut [f32]) {
        let copy = row.to_vec();
        rms_norm(isa, &copy, &self.final_norm, self.shape.epsilon, row);
    }

    /// Bytes of the buffers of that many rows.
    pub(crate) fn block_bytes(&self, rows: usize) -> usize {
        let shape = &self.shape;
        let middle = self.projections().map(Projection::widest_middle).max().unwrap_or(0);
        let widest = (2 * shape.intermediate).max(shape.qkv());
        let numbers = 2 * shape.hidden + shape.contexts() + widest + middle;
        rows * (4 * numbers + ROUNDED_BYTES * widest.max(middle))
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

fn norm(shape: &DecoderShape, source: &TensorSource, name: &str, length: usize) -> Result<Vec<f32>, LmError> {
    let mut weight = source.vector(&format!("{name}.weight"), length)?;
    weight.iter_mut().for_each(|w| *w += shape.norm_offset);
    Ok(weight)
}

impl Layer {
    fn open(
        shape: &DecoderShape,
        source: &TensorSource,
        index: usize,
        precision: Precision,
    ) -> Result<Layer, LmError> {
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
        let qk_norms = match shape.head_norms {
            true => Some([heads("self_attn.q_norm")?, heads("self_attn.k_norm")?]),
            false => None,
        };
        Ok(Layer {
            attention_norm: row_norm("input_layernorm")?,
            qkv_proj: source.projection(&[(&q, queries), (&k, keys), (&v, keys)], hidden, precision)?,
            qk_norms,
            o_proj: source.projection(&[(&name("self_attn.o_proj"), hidden)], queries, precision)?,
            attention_out_norm: after.map(row_norm).transpose()?,
            mlp_norm: row_norm(before)?,
            gate_up_proj: source.projection(&[(&gate, inner), (&up, inner)], hidden, precision)?,
            down_proj: source.projection(&[(&name("mlp.down_proj"), hidden)], inner, precision)?,
            mlp_out_norm: match shape.output_norms {
                true => Some(row_norm("post_feedforward_layernorm")?),
                false => None,
            },
        })
    }
}
