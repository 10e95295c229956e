//! BERT (Devlin et al. 2019) and RoBERTa / XLM-R (Liu et al. 2019, Conneau et al. 2020): a layer normalisation after
//! each residual sum; RoBERTa only counts positions from another number.

use crate::error::LmError;
use crate::family::encoder::{At, EncoderShape, Family, RowScratch};
use crate::family::fields::{activation, heads};
use crate::family::projection::Projection;
use crate::files::config::JsonFile;
use crate::files::weights::{Table, WeightSet};
use crate::text::sequence::Sequence;
use plackett_kernel::Precision;
use plackett_kernel::{Activation, Heads, Isa, Linear, Window, add_layer_norm, layer_norm};

pub(crate) struct Bert {
    shape: EncoderShape,
    words: Table,
    places: Table,
    types: Table,
    norm: Norm,
    first_position: usize,
    activation: Activation,
    layers: Vec<Layer>,
}

struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
}

struct Layer {
    qkv: Projection,
    attention_out: Projection,
    attention_norm: Norm,
    inner: Projection,
    outer: Projection,
    outer_norm: Norm,
}

impl Bert {
    pub(crate) fn open(
        config: &JsonFile,
        weights: &WeightSet,
        precision: Precision,
        prefixes: &[&str],
        first_position: usize,
    ) -> Result<Bert, LmError> {
        if let Some(kind) = config.text("position_embedding_type").filter(|kind| *kind != "absolute") {
            return Err(config
                .problem(format!("position embeddings of type `{kind}` are not supported, only absolute")));
        }
        let prefix = weights.prefix(prefixes, "embeddings.word_embeddings.weight")?;
        let hidden = config.size("hidden_size")?;
        let intermediate = config.size("intermediate_size")?;
        let (count, size) = heads(config)?;
        let epsilon = config.number_or("layer_norm_eps", 1e-12) as f32;
        let norm = |name: String| -> Result<Norm, LmError> {
            let weight = weights.f32(&format!("{name}.weight"), &[hidden])?;
            Ok(Norm { weight, bias: weights.f32(&format!("{name}.bias"), &[hidden])?, epsilon })
        };
        let layers = (0..config.size("num_hidden_layers")?)
            .map(|index| {
                let at = format!("{prefix}encoder.layer.{index}");
                let attention = ["query", "key", "value"].map(|part| format!("{at}.attention.self.{part}"));
                let one = |name: &str, outputs, inputs| {
                    Projection::open(weights, &[format!("{at}.{name}")], (outputs, inputs), precision)
                };
                Ok(Layer {
                    qkv: Projection::open(weights, &attention, (hidden, hidden), precision)?,
                    attention_out: one("attention.output.dense", hidden, hidden)?,
                    attention_norm: norm(format!("{at}.attention.output.LayerNorm"))?,
                    inner: one("intermediate.dense", intermediate, hidden)?,
                    outer: one("output.dense", hidden, intermediate)?,
                    outer_norm: norm(format!("{at}.output.LayerNorm"))?,
                })
            })
            .collect::<Result<Vec<Layer>, LmError>>()?;
        let table = |name: &str| weights.table(&format!("{prefix}embeddings.{name}.weight"), hidden);
        let places = table("position_embeddings")?;
        if places.rows() <= first_position {
            return Err(config.problem(format!(
                "the position table has {} rows, positions begin at {first_position}",
                places.rows()
            )));
        }
        Ok(Bert {
            shape: EncoderShape {
                hidden,
                intermediate,
                layers: layers.len(),
                heads: Heads { count, size, stride: 3 * hidden, offsets: [0, hidden, 2 * hidden] },
            },
            words: table("word_embeddings")?,
            places,
            types: table("token_type_embeddings")?,
            norm: norm(format!("{prefix}embeddings.LayerNorm"))?,
            first_position,
            activation: activation(config, "hidden_act")?,
            layers,
        })
    }

    /// What every token goes through, in order.
    fn projections(&self) -> impl Iterator<Item = &Projection> {
        self.layers.iter().flat_map(|l| [&l.qkv, &l.attention_out, &l.inner, &l.outer])
    }
}

impl Family for Bert {
    fn shape(&self) -> &EncoderShape {
        &self.shape
    }

    fn vocabulary(&self) -> usize {
        self.words.rows()
    }

    fn positions(&self) -> usize {
        self.places.rows() - self.first_position
    }

    fn matrices(&self) -> Vec<&Linear> {
        self.projections().flat_map(|projection| projection.matrices()).collect()
    }

    fn widest_middle(&self) -> usize {
        self.projections().map(Projection::widest_middle).max().unwrap_or(0)
    }

    fn embed(&self, isa: Isa, sequence: &Sequence, out: &mut [f32]) {
        let mut part = vec![0.0; self.shape.hidden];
        let tokens = sequence.ids.iter().zip(&sequence.types);
        for (place, ((id, kind), row)) in tokens.zip(out.chunks_exact_mut(self.shape.hidden)).enumerate() {
            self.words.read(isa, *id as usize, row);
            // RoBERTa has one type only, whatever the tokenizer says.
            self.types.read(isa, (*kind as usize).min(self.types.rows() - 1), &mut part);
            row.iter_mut().zip(&part).for_each(|(x, y)| *x += y);
            self.places.read(isa, place + self.first_position, &mut part);
            row.iter_mut().zip(&part).for_each(|(x, y)| *x += y);
            layer_norm(isa, row, &self.norm.weight, &self.norm.bias, self.norm.epsilon);
        }
    }

    fn qkv(&self, at: At, x: &[f32], positions: &[u32], qkv: &mut [f32], scratch: &mut RowScratch) {
        let EncoderShape { hidden, heads, .. } = &self.shape;
        let qkv = (qkv, heads.stride);
        self.layers[at.layer].qkv.apply(
            (at.isa, 1),
            (x, *hidden),
            positions.len(),
            qkv,
            Activation::None,
            (&mut scratch.linear, &mut scratch.middle),
        );
    }

    fn window(&self, _layer: usize) -> Window {
        Window::All
    }

    fn after_attention(&self, at: At, context: &[f32], x: &mut [f32], scratch: &mut RowScratch) {
        let EncoderShape { hidden, intermediate, .. } = self.shape;
        let layer = &self.layers[at.layer];
        let rows = x.len() / hidden;
        let RowScratch { linear, inner, outer, middle, .. } = scratch;
        outer.resize(rows * hidden, 0.0);
        inner.resize(rows * intermediate, 0.0);
        let add_and_norm = |x: &mut [f32], sum: &mut [f32], norm: &Norm| {
            for (x, y) in x.chunks_exact_mut(hidden).zip(sum.chunks_exact(hidden)) {
                add_layer_norm(at.isa, x, y, &norm.weight, &norm.bias, norm.epsilon);
            }
        };
        let (alone, room) = ((at.isa, 1), (&mut *linear, &mut *middle));
        layer.attention_out.apply(alone, (context, hidden), rows, (outer, hidden), Activation::None, room);
        add_and_norm(x, outer, &layer.attention_norm);
        let room = (&mut *linear, &mut *middle);
        layer.inner.apply(alone, (x, hidden), rows, (inner, intermediate), self.activation, room);
        let room = (linear, middle);
        layer.outer.apply(alone, (inner, intermediate), rows, (outer, hidden), Activation::None, room);
        add_and_norm(x, outer, &layer.outer_norm);
    }

    fn final_norm(&self, _isa: Isa, _x: &mut [f32]) {}
}
