//! T5 (Raffel et al. 2020), its later versions and Flan-T5: norms without mean before each part, biases by distance instead
//! of positions, scores that are not scaled. Here the encoder.

use crate::error::LmError;
use crate::family::encoder::{At, EncoderShape, Family, RowScratch};
use crate::files::config::JsonFile;
use crate::files::weights::{Table, WeightSet};
use crate::text::sequence::Sequence;
use plackett_kernel::Precision;
use plackett_kernel::{Activation, Heads, Isa, Linear, Relative, Window};

/// Distances have no end; this bounds what a caller may ask for.
pub(crate) const POSITIONS: usize = 1 << 20;

/// What config.json says of both halves.
pub(crate) struct Sizes {
    pub hidden: usize,
    pub heads: usize,
    pub head_size: usize,
    pub inner: usize,
    pub gated: bool,
    pub activation: Activation,
    pub buckets: usize,
    pub reach: usize,
    pub epsilon: f32,
}

impl Sizes {
    pub(crate) fn read(config: &JsonFile) -> Result<Sizes, LmError> {
        let kind = config.text("feed_forward_proj").unwrap_or("relu");
        let (gated, name) = kind.strip_prefix("gated-").map_or((false, kind), |name| (true, name));
        // The first gated models were trained with the approximation by tanh, under the exact one's name.
        let name = if kind == "gated-gelu" { "gelu_new" } else { name };
        let activation = Activation::named(name);
        let sizes = Sizes {
            hidden: config.size("d_model")?,
            heads: config.size("num_heads")?,
            head_size: config.size("d_kv")?,
            inner: config.size("d_ff")?,
            gated,
            activation: activation.ok_or_else(|| {
                config.problem(format!(
                    "`feed_forward_proj`: `{kind}` is not supported: relu, gelu, silu, each also with `gated-`"
                ))
            })?,
            buckets: config.size_or("relative_attention_num_buckets", 32)?,
            reach: config.size_or("relative_attention_max_distance", 128)?,
            epsilon: config.number_or("layer_norm_epsilon", 1e-6) as f32,
        };
        if sizes.buckets < 4 || sizes.reach <= sizes.buckets || sizes.reach > POSITIONS {
            return Err(config.problem(format!(
                "{} buckets for distances up to {} are not supported: at least 4, fewer than distances",
                sizes.buckets, sizes.reach
            )));
        }
        if !(sizes.epsilon > 0.0 && sizes.epsilon < 1.0) {
            return Err(
                config.problem(format!("`layer_norm_epsilon` {} is not between 0 and 1", sizes.epsilon))
            );
        }
        Ok(sizes)
    }

    /// Numbers of all heads together.
    pub(crate) fn width(&self) -> usize {
        self.heads * self.head_size
    }

    /// The biases of one half: `both` for the encoder.
    pub(crate) fn relative(&self, weights: &WeightSet, half: &str, both: bool) -> Result<Relative, LmError> {
        let name = format!("{half}.block.0.layer.0.SelfAttention.relative_attention_bias.weight");
        let table = weights.f32(&name, &[self.buckets, self.heads])?;
        Ok(Relative::new(&table, self.heads, self.buckets, self.reach, both))
    }

    pub(crate) fn norm(&self, weights: &WeightSet, name: &str) -> Result<RmsNorm, LmError> {
        Ok(RmsNorm { weight: weights.f32(&format!("{name}.weight"), &[self.hidden])?, epsilon: self.epsilon })
    }

    /// The feed-forward network at a place: what goes in (gate and values side by side) and what comes out.
    pub(crate) fn feed_forward(
        &self,
        weights: &WeightSet,
        at: &str,
        precision: Precision,
    ) -> Result<(Linear, Linear), LmError> {
        let parts: &[&str] = if self.gated { &["wi_0", "wi_1"] } else { &["wi"] };
        let names: Vec<String> = parts.iter().map(|part| format!("{at}.{part}")).collect();
        let outer = weights.linear(&[format!("{at}.wo")], self.hidden, self.inner, precision)?;
        Ok((weights.linear(&names, self.inner, self.hidden, precision)?, outer))
    }

    /// Outputs of the first of [`Sizes::feed_forward`].
    pub(crate) fn both(&self) -> usize {
        if self.gated { 2 * self.inner } else { self.inner }
    }

    /// The activation, and the gate, on rows of [`Sizes::both`] numbers; the result stands at the start of each row.
    pub(crate) fn activate(&self, isa: Isa, inner: &mut [f32]) {
        if !self.gated {
            return self.activation.apply(isa, inner);
        }
        for row in inner.chunks_exact_mut(self.both()) {
            let (gate, values) = row.split_at_mut(self.inner);
            self.activation.apply(isa, gate);
            gate.iter_mut().zip(values).for_each(|(g, x)| *g *= *x);
        }
    }
}

/// A norm without mean and bias (Zhang and Sennrich, Root Mean Square Layer Normalization, 2019).
pub(crate) struct RmsNorm {
    weight: Vec<f32>,
    epsilon: f32,
}

impl RmsNorm {
    /// All rows, in place.
    pub(crate) fn apply(&self, rows: &mut [f32]) {
        const LANES: usize = 16;
        for row in rows.chunks_exact_mut(self.weight.len()) {
            let mut sums = [0.0f32; LANES];
            let chunks = row.chunks_exact(LANES);
            let rest: f32 = chunks.remainder().iter().map(|x| x * x).sum();
            for chunk in chunks {
                sums.iter_mut().zip(chunk).for_each(|(sum, x)| *sum += x * x);
            }
            let mean = (sums.iter().sum::<f32>() + rest) / self.weight.len() as f32;
            let scale = 1.0 / (mean + self.epsilon).sqrt();
            row.iter_mut().zip(&self.weight).for_each(|(x, w)| *x = *x * scale * w);
        }
    }
}

/// The encoder.
pub(crate) struct T5 {
    sizes: Sizes,
    shape: EncoderShape,
    words: Table,
    relative: Relative,
    layers: Vec<Layer>,
    end_norm: RmsNorm,
}

struct Layer {
    attention_norm: RmsNorm,
    qkv: Linear,
    attention_out: Linear,
    inner_norm: RmsNorm,
    inner: Linear,
    outer: Linear,
}

impl T5 {
    pub(crate) fn open(config: &JsonFile, weights: &WeightSet, precision: Precision) -> Result<T5, LmError> {
        let sizes = Sizes::read(config)?;
        let (hidden, width) = (sizes.hidden, sizes.width());
        let layers = (0..config.size("num_layers")?)
            .map(|index| {
                let [attention, feed] = [0, 1].map(|part| format!("encoder.block.{index}.layer.{part}"));
                let parts = ["q", "k", "v"].map(|part| format!("{attention}.SelfAttention.{part}"));
                let out = format!("{attention}.SelfAttention.o");
                let (inner, outer) =
                    sizes.feed_forward(weights, &format!("{feed}.DenseReluDense"), precision)?;
                Ok(Layer {
                    attention_norm: sizes.norm(weights, &format!("{attention}.layer_norm"))?,
                    qkv: weights.linear(&parts, width, hidden, precision)?,
                    attention_out: weights.linear(&[out], hidden, width, precision)?,
                    inner_norm: sizes.norm(weights, &format!("{feed}.layer_norm"))?,
                    inner,
                    outer,
                })
            })
            .collect::<Result<Vec<Layer>, LmError>>()?;
        let heads = Heads {
            count: sizes.heads,
            size: sizes.head_size,
            stride: 3 * width,
            offsets: [0, width, 2 * width],
        };
        Ok(T5 {
            shape: EncoderShape { hidden, intermediate: sizes.both(), layers: layers.len(), heads },
            words: weights.table("shared.weight", hidden)?,
            relative: sizes.relative(weights, "encoder", true)?,
            end_norm: sizes.norm(weights, "encoder.final_layer_norm")?,
            layers,
            sizes,
        })
    }
}

impl Family for T5 {
    fn shape(&self) -> &EncoderShape {
        &self.shape
    }

    fn vocabulary(&self) -> usize {
        self.words.rows()
    }

    fn positions(&self) -> usize {
        POSITIONS
    }

    fn matrices(&self) -> Vec<&Linear> {
        self.layers.iter().flat_map(|l| [&l.qkv, &l.attention_out, &l.inner, &l.outer]).collect()
    }

    fn embed(&self, isa: Isa, sequence: &Sequence, out: &mut [f32]) {
        for (id, row) in sequence.ids.iter().zip(out.chunks_exact_mut(self.shape.hidden)) {
            self.words.read(isa, *id as usize, row);
        }
    }

    fn qkv(&self, at: At, x: &[f32], positions: &[u32], qkv: &mut [f32], scratch: &mut RowScratch) {
        let layer = &self.layers[at.layer];
        let RowScratch { linear, outer, .. } = scratch;
        outer.clear();
        outer.extend_from_slice(x);
        layer.attention_norm.apply(outer);
        let (input, qkv) = ((outer.as_slice(), self.shape.hidden), (qkv, self.shape.heads.stride));
        layer.qkv.apply(at.isa, input, positions.len(), qkv, Activation::None, linear);
    }

    fn window(&self, _layer: usize) -> Window {
        Window::All
    }

    fn relative(&self) -> Option<&Relative> {
        Some(&self.relative)
    }

    fn after_attention(&self, at: At, context: &[f32], x: &mut [f32], scratch: &mut RowScratch) {
        let EncoderShape { hidden, intermediate: both, .. } = self.shape;
        let layer = &self.layers[at.layer];
        let rows = x.len() / hidden;
        let RowScratch { linear, inner, outer, .. } = scratch;
        outer.resize(rows * hidden, 0.0);
        let context = (context, self.sizes.width());
        layer.attention_out.apply(at.isa, context, rows, (outer, hidden), Activation::None, linear);
        x.iter_mut().zip(outer.iter()).for_each(|(x, y)| *x += y);
        outer.copy_from_slice(x);
        layer.inner_norm.apply(outer);
        inner.resize(rows * both, 0.0);
        layer.inner.apply(at.isa, (outer, hidden), rows, (inner, both), Activation::None, linear);
        self.sizes.activate(at.isa, inner);
        layer.outer.apply(at.isa, (inner, both), rows, (outer, hidden), Activation::None, linear);
        x.iter_mut().zip(outer.iter()).for_each(|(x, y)| *x += y);
    }

    fn final_norm(&self, _isa: Isa, x: &mut [f32]) {
        self.end_norm.apply(x);
    }
}
