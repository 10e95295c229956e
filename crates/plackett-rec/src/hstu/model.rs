//! The model on the trainer's tape.

use super::attention::{PointwiseAttention, RelativeBias, pointwise_attention};
use super::config::{HstuConfig, Variant};
use super::time_bucket::{ELAPSED_BUCKETS, TIME_BUCKETS, TimeBuckets, elapsed_bucket};
use crate::RecError;
use crate::sequential::{SequenceBatch, SequenceModel, place_key};
use plackett_kernel::Activation;
use plackett_train::nn::{Mode, init};
use plackett_train::random::Stream;
use plackett_train::{Engine, ParameterId, Parameters, Tape, Var};
use std::sync::Arc;

/// Added to variances of norms.
pub(super) const EPSILON: f32 = 1e-6;

/// A layer.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// Weight and bias of the norm before the projection and of that after attention; the research form has none.
    pub(super) norms: Option<[[ParameterId; 2]; 2]>,
    /// \[U | V | Q | K\], 4 · inner × width, and its bias, which the research form lacks.
    pub(super) projection: (ParameterId, Option<ParameterId>),
    /// width × what goes in, and its bias.
    pub(super) output: (ParameterId, ParameterId),
    /// 1 × N.
    pub(super) positions: Option<ParameterId>,
    /// 1 × 129.
    pub(super) times: Option<ParameterId>,
}

/// An HSTU.
#[derive(Clone, Debug)]
pub struct Hstu {
    /// What it is like.
    pub config: HstuConfig,
    pub(super) items: ParameterId,
    pub(super) positions: ParameterId,
    /// Embeddings of elapsed time, of the production form.
    pub(super) elapsed: Option<ParameterId>,
    pub(super) blocks: Vec<Block>,
}

impl Hstu {
    /// A model whose weights follow from a seed, as its authors draw them: item vectors from the truncated normal distribution with
    /// deviation 0.02, places with 1/√D, projections and biases by place and time with 0.02, outputs as Xavier has them.
    ///
    /// # Errors
    /// Sizes that cannot be.
    pub fn new(config: HstuConfig, parameters: &mut Parameters, seed: u64) -> Result<Hstu, RecError> {
        config.check()?;
        let (width, inner) = (config.width, config.inner());
        let is_production = config.variant == Variant::Production;
        let mut drawn = 0u64;
        let mut next = || {
            drawn += 1;
            Stream::new(seed, drawn)
        };
        let items = init::truncated_normal(next(), config.catalogue * width, 0.02);
        let items = parameters.add("items.weight", (config.catalogue, width), items);
        let deviation = (1.0 / width as f32).sqrt();
        let positions = init::truncated_normal(next(), config.max_length * width, deviation);
        let positions = parameters.add("positions.weight", (config.max_length, width), positions);
        let elapsed = is_production.then(|| {
            let values = init::truncated_normal(next(), ELAPSED_BUCKETS * width, deviation);
            parameters.add("elapsed.weight", (ELAPSED_BUCKETS, width), values)
        });
        let mut blocks = Vec::new();
        for at in 0..config.blocks {
            let mut add = |name: &str, shape: (usize, usize), values: Vec<f32>| {
                parameters.add(format!("blocks.{at}.{name}"), shape, values)
            };
            let mut norm = |name: &str, size: usize| {
                let weight = add(&format!("{name}.weight"), (1, size), vec![1.0; size]);
                [weight, add(&format!("{name}.bias"), (1, size), vec![0.0; size])]
            };
            let norms = is_production.then(|| [norm("input_norm", width), norm("attention_norm", inner)]);
            let projection = init::normal(next(), 4 * inner * width, 0.02);
            let projection = (
                add("projection.weight", (4 * inner, width), projection),
                is_production.then(|| add("projection.bias", (1, 4 * inner), vec![0.0; 4 * inner])),
            );
            let shape = (width, config.output_inputs());
            let output = (
                add("output.weight", shape, init::xavier_uniform(next(), shape)),
                add("output.bias", (1, width), vec![0.0; width]),
            );
            let length = config.padded_length();
            let positions = config
                .position_bias
                .then(|| add("position_bias", (1, length), init::normal(next(), length, 0.02)));
            let times = config
                .time_bias
                .then(|| add("time_bias", (1, TIME_BUCKETS), init::normal(next(), TIME_BUCKETS, 0.02)));
            blocks.push(Block { norms, projection, output, positions, times });
        }
        Ok(Hstu { config, items, positions, elapsed, blocks })
    }

    /// The rows that go into the first layer: item vectors times √D, plus places (and, in the production form, elapsed times).
    fn embed(&self, tape: &Tape, batch: &SequenceBatch) -> Var {
        let items = tape.scale(&tape.parameter(self.items), (self.config.width as f32).sqrt());
        let positions = tape.parameter(self.positions);
        let Some(elapsed) = self.elapsed else {
            return tape.embedding(&[(items, &batch.items), (positions, &batch.positions)]);
        };
        // Places count from the newest event, and times from when the item behind it is asked for.
        let (mut places, mut times) = (Vec::new(), Vec::new());
        for rows in batch.sequences.iter() {
            places.extend((0..rows.len() as u32).rev());
            let Some(now) = rows.clone().next_back().map(|last| batch.next_times[last]) else { continue };
            times.extend(batch.times[rows.clone()].iter().map(|time| elapsed_bucket(now, *time) as u32));
        }
        tape.embedding(&[(items, &batch.items), (positions, &places), (tape.parameter(elapsed), &times)])
    }

    fn norm(&self, tape: &Tape, x: &Var, weights: Option<[ParameterId; 2]>) -> Var {
        let [weight, bias] = match weights {
            Some(weights) => weights.map(|id| tape.parameter(id)),
            None => [1.0, 0.0].map(|value| tape.constant((1, x.columns), &vec![value; x.columns])),
        };
        tape.layer_norm(x, &weight, &bias, EPSILON)
    }

    /// One layer: x + W · dropout(U ⊙ norm(attention)), without a feed-forward.
    fn block(
        &self,
        tape: &Tape,
        block: &Block,
        x: &Var,
        (attention, buckets): (&PointwiseAttention, &Option<Arc<TimeBuckets>>),
        (dropout, key): (f32, u64),
    ) -> Var {
        let inner = self.config.inner();
        let [before, after] = block.norms.map_or([None; 2], |norms| norms.map(Some));
        let normal = self.norm(tape, x, before);
        let (weight, bias) = block.projection;
        let bias = bias.map(|bias| tape.parameter(bias));
        let projected = tape.linear(&normal, &tape.parameter(weight), bias.as_ref(), None);
        let projected = tape.activation(&projected, Activation::Silu);
        let [gate, value, query, key_rows] =
            [0, 1, 2, 3].map(|part| tape.columns(&projected, part * inner..(part + 1) * inner));
        let tables = [block.positions, block.times].map(|id| id.map(|id| tape.parameter(id)));
        let bias =
            RelativeBias { positions: tables[0].as_ref(), times: tables[1].as_ref().zip(buckets.clone()) };
        let attended = pointwise_attention(tape, [&query, &key_rows, &value], &bias, attention);
        let normal = self.norm(tape, &attended, after);
        let product = tape.gated(&gate, &normal, Activation::None);
        let inputs = match (self.config.concat_ua, self.config.variant) {
            (false, _) => product,
            (true, Variant::Research) => tape.beside(&tape.beside(&gate, &normal), &product),
            // The production form has attention as it is beside the gate.
            (true, Variant::Production) => tape.beside(&tape.beside(&gate, &attended), &product),
        };
        let inputs = tape.dropout(&inputs, dropout, key);
        let (weight, bias) = block.output;
        tape.linear(&inputs, &tape.parameter(weight), Some(&tape.parameter(bias)), Some(x))
    }
}

impl SequenceModel for Hstu {
    fn items(&self) -> ParameterId {
        self.items
    }

    fn max_length(&self) -> usize {
        self.config.max_length
    }

    fn forward(&self, tape: &Tape, batch: &SequenceBatch, mode: Mode) -> Var {
        let config = &self.config;
        let attention = PointwiseAttention {
            sequences: batch.sequences.clone(),
            heads: config.heads,
            scale: config.scale(),
            weighting: config.weighting,
            padded_length: config.padded_length(),
        };
        let buckets = config.time_bias.then(|| Arc::new(TimeBuckets::new(batch)));
        let mut x = tape.dropout(&self.embed(tape, batch), mode.dropout, place_key(mode, 1));
        for (at, block) in self.blocks.iter().enumerate() {
            let dropout = (mode.dropout, place_key(mode, 2 + at as u64));
            x = self.block(tape, block, &x, (&attention, &buckets), dropout);
        }
        x
    }
}
