//! The inference path: kernels on rows, without a tape.

use super::config::{HstuConfig, Variant, Weighting};
use super::model::{Block, EPSILON, Hstu};
use super::time_bucket::{ELAPSED_BUCKETS, elapsed_bucket, time_bucket};
use crate::evaluation::check_items;
use crate::{Event, RecError};
use plackett_kernel::{
    Activation, Isa, Panels, Start, axpy, dot, layer_norm, multiply, multiply_panels, normalize, softmax_row,
};
use plackett_train::{ParameterId, Parameters};

/// Rows of a history that go through a layer at once when it is read as a whole.
const BLOCK_ROWS: usize = 96;

/// A layer's weights as kernels read them.
pub(super) struct Layer {
    /// Weight and bias of both norms; ones and nothing in the research form.
    norms: [[Vec<f32>; 2]; 2],
    /// width × 4 · inner.
    projection: Panels,
    projection_bias: Vec<f32>,
    /// what goes in × width.
    output: Panels,
    output_bias: Vec<f32>,
    /// N numbers, or none.
    pub(super) positions: Vec<f32>,
    /// 129 numbers, or none.
    pub(super) times: Vec<f32>,
}

/// Keys and values of the events of a history in one layer: events × inner each.
#[derive(Clone, Debug, Default)]
pub(super) struct LayerHistory {
    pub(super) keys: Vec<f32>,
    pub(super) values: Vec<f32>,
}

/// A history that was read: keys and values of every event in every layer.
#[derive(Clone, Debug)]
pub struct HstuHistory {
    pub(super) layers: Vec<LayerHistory>,
    /// When each event was.
    pub(super) times: Vec<i64>,
    /// What is known after the newest event, before it is normalised.
    pub(super) state: Vec<f32>,
    /// Whether a place is left behind the newest event, for a candidate.
    pub(super) awaits_candidate: bool,
}

impl HstuHistory {
    /// How many events it has.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// What is known after the newest event, before it is normalised.
    pub fn state(&self) -> &[f32] {
        &self.state
    }

    /// Bytes of its keys and values.
    pub fn bytes(&self) -> usize {
        self.layers.iter().map(|layer| 4 * (layer.keys.len() + layer.values.len())).sum()
    }
}

/// A model for inference. Everything is computed on the calling thread; requests of many users may come from many threads.
pub struct HstuInference {
    pub(super) config: HstuConfig,
    pub(super) isa: Isa,
    /// Vectors of items, times √D: what goes into the first layer.
    inputs: Vec<f32>,
    /// Vectors of items of length 1: width × catalogue.
    items: Panels,
    /// Vectors of items as they are.
    pub(super) raw_items: Vec<f32>,
    positions: Vec<f32>,
    elapsed: Vec<f32>,
    pub(super) layers: Vec<Layer>,
}

/// Rows on their way through the layers.
pub(super) struct Rows {
    /// rows × width.
    pub(super) x: Vec<f32>,
    /// The time of the event behind each row, or when it is asked for.
    pub(super) next_times: Vec<i64>,
}

/// What a layer's projection made of rows: rows × 4 · inner, \[U | V | Q | K\].
pub(super) struct Projected {
    pub(super) rows: usize,
    inner: usize,
    values: Vec<f32>,
}

impl Projected {
    /// A part of a row: 0 for the gate, 1 for the value, 2 for the query, 3 for the key.
    pub(super) fn part(&self, row: usize, part: usize) -> &[f32] {
        &self.values[(4 * row + part) * self.inner..][..self.inner]
    }
}

impl HstuInference {
    /// Of a model and its weights.
    pub fn new(model: &Hstu, parameters: &Parameters) -> HstuInference {
        let config = model.config;
        let values = |id: ParameterId| parameters[id].value.to_vec();
        let raw_items = values(model.items);
        let root = (config.width as f32).sqrt();
        let isa = Isa::detect();
        let mut unit = raw_items.clone();
        unit.chunks_mut(config.width).for_each(|row| normalize(isa, row));
        HstuInference {
            config,
            isa,
            inputs: raw_items.iter().map(|x| x * root).collect(),
            items: packed(&unit, config.width, config.catalogue),
            raw_items,
            positions: values(model.positions),
            elapsed: model.elapsed.map(values).unwrap_or_default(),
            layers: model.blocks.iter().map(|block| Layer::new(&config, block, parameters)).collect(),
        }
    }

    /// What the model is like.
    pub fn config(&self) -> &HstuConfig {
        &self.config
    }

    /// Reads a history as a whole, to be asked for the next item at `now`.
    ///
    /// # Errors
    /// It is empty or longer than the model reads, or has an item that the catalogue does not have.
    pub fn read(&self, events: &[Event], now: i64) -> Result<HstuHistory, RecError> {
        self.read_before(events, now, false)
    }

    /// Reads a history as a whole, for candidates that are asked for at `now`. A candidate is one event more. The production form counts
    /// places from the newest event, so that the places of the history are others than those [`HstuInference::read`] gives it; in the
    /// research form both are the same.
    ///
    /// # Errors
    /// As [`HstuInference::read`], or there is no place behind the history.
    pub fn read_for_candidates(&self, events: &[Event], now: i64) -> Result<HstuHistory, RecError> {
        self.read_before(events, now, true)
    }

    fn read_before(
        &self,
        events: &[Event],
        now: i64,
        awaits_candidate: bool,
    ) -> Result<HstuHistory, RecError> {
        if events.is_empty() {
            return Err(RecError::EmptyHistory);
        }
        let length = events.len() + usize::from(awaits_candidate);
        if length > self.config.max_length {
            return Err(RecError::TooLong { events: length, positions: self.config.max_length });
        }
        check_items(events.iter(), self.config.catalogue)?;
        let times: Vec<i64> = events.iter().map(|event| event.time).collect();
        let mut rows = Rows { x: Vec::new(), next_times: times[1..].to_vec() };
        rows.next_times.push(now);
        for (at, event) in events.iter().enumerate() {
            let place = match self.config.variant {
                Variant::Research => at,
                Variant::Production => length - 1 - at,
            };
            self.push_input(&mut rows.x, event.item, place, elapsed_bucket(now, event.time));
        }
        let mut history = HstuHistory { times, awaits_candidate, ..self.nothing() };
        for at in 0..self.layers.len() {
            rows.x = self.layer_over_history(at, &rows, &mut history);
        }
        history.state = rows.x[(events.len() - 1) * self.config.width..].to_vec();
        Ok(history)
    }

    /// A history without events.
    pub(super) fn nothing(&self) -> HstuHistory {
        let layers = vec![LayerHistory::default(); self.layers.len()];
        HstuHistory { layers, times: Vec::new(), state: Vec::new(), awaits_candidate: false }
    }

    /// Adds the row that goes into the first layer for an item at a place.
    pub(super) fn push_input(&self, x: &mut Vec<f32>, item: u32, place: usize, elapsed: usize) {
        let width = self.config.width;
        let start = x.len();
        x.extend_from_slice(&self.inputs[item as usize * width..][..width]);
        let row = &mut x[start..];
        let mut add = |table: &[f32], at: usize| {
            row.iter_mut().zip(&table[at * width..][..width]).for_each(|(x, more)| *x += more);
        };
        add(&self.positions, place);
        if !self.elapsed.is_empty() {
            add(&self.elapsed, elapsed.min(ELAPSED_BUCKETS - 1));
        }
    }

    /// The projection of rows in a layer.
    pub(super) fn project(&self, layer: &Layer, x: &[f32]) -> Projected {
        let (width, inner) = (self.config.width, self.config.inner());
        let rows = x.len() / width;
        let mut normal = x.to_vec();
        for row in normal.chunks_mut(width) {
            let [weight, bias] = &layer.norms[0];
            layer_norm(self.isa, row, weight, bias, EPSILON);
        }
        let mut values = vec![0.0; rows * 4 * inner];
        let start = match layer.projection_bias.is_empty() {
            true => Start::Zero,
            false => Start::Bias(&layer.projection_bias),
        };
        multiply_panels(self.isa, 1, &normal, (rows, width), &layer.projection, &mut values, start, None);
        Activation::Silu.apply(self.isa, &mut values);
        Projected { rows, inner, values }
    }

    /// The layer's output for rows: x + W · (U ⊙ norm(attention)) + b. `attended` is rows × inner.
    pub(super) fn output(
        &self,
        layer: &Layer,
        x: &[f32],
        projected: &Projected,
        attended: &[f32],
    ) -> Vec<f32> {
        let (inner, inputs) = (self.config.inner(), self.config.output_inputs());
        let mut into = vec![0.0; projected.rows * inputs];
        for (row, (into, attended)) in into.chunks_mut(inputs).zip(attended.chunks(inner)).enumerate() {
            let gate = projected.part(row, 0);
            let (beside, product) = into.split_at_mut(inputs - inner);
            product.copy_from_slice(attended);
            let [weight, bias] = &layer.norms[1];
            layer_norm(self.isa, product, weight, bias, EPSILON);
            if self.config.concat_ua {
                beside[..inner].copy_from_slice(gate);
                beside[inner..].copy_from_slice(match self.config.variant {
                    Variant::Research => product,
                    Variant::Production => attended,
                });
            }
            multiply(self.isa, product, gate);
        }
        let mut y = x.to_vec();
        y.chunks_mut(self.config.width)
            .for_each(|row| row.iter_mut().zip(&layer.output_bias).for_each(|(y, bias)| *y += bias));
        multiply_panels(
            self.isa,
            1,
            &into,
            (projected.rows, inputs),
            &layer.output,
            &mut y,
            Start::Output,
            None,
        );
        y
    }

    /// Scores of keys become weights, in place.
    pub(super) fn weigh(&self, scores: &mut [f32]) {
        match self.config.weighting {
            Weighting::Softmax => softmax_row(self.isa, scores),
            Weighting::Silu => {
                Activation::Silu.apply(self.isa, scores);
                let by = 1.0 / self.config.padded_length() as f32;
                scores.iter_mut().for_each(|weight| *weight *= by);
            }
        }
    }

    /// Adds the biases of a row at a place, asked at a time, to the scores of the keys at the first places.
    pub(super) fn add_bias(
        &self,
        layer: &Layer,
        place: usize,
        query: i64,
        times: &[i64],
        scores: &mut [f32],
    ) {
        if !layer.positions.is_empty() {
            let own = &layer.positions[layer.positions.len() - 1 - place..];
            scores.iter_mut().zip(own).for_each(|(score, bias)| *score += bias);
        }
        if !layer.times.is_empty() {
            for (score, time) in scores.iter_mut().zip(times) {
                *score += layer.times[time_bucket(query, *time)];
            }
        }
    }

    /// A layer over all rows of a history, whose keys and values it keeps.
    fn layer_over_history(&self, at: usize, rows: &Rows, history: &mut HstuHistory) -> Vec<f32> {
        let (layer, inner) = (&self.layers[at], self.config.inner());
        let projected = self.project(layer, &rows.x);
        let kept = &mut history.layers[at];
        for row in 0..projected.rows {
            kept.keys.extend_from_slice(projected.part(row, 3));
            kept.values.extend_from_slice(projected.part(row, 1));
        }
        let mut attended = vec![0.0; projected.rows * inner];
        for first in (0..projected.rows).step_by(BLOCK_ROWS) {
            let block = first..projected.rows.min(first + BLOCK_ROWS);
            let out = &mut attended[block.start * inner..block.end * inner];
            self.attend_block(layer, (&projected, block), rows, history, at, out);
        }
        self.output(layer, &rows.x, &projected, &attended)
    }

    /// Attention of some rows of a history to the keys up to each of them.
    fn attend_block(
        &self,
        layer: &Layer,
        (projected, block): (&Projected, std::ops::Range<usize>),
        rows: &Rows,
        history: &HstuHistory,
        at: usize,
        out: &mut [f32],
    ) {
        let (size, inner, keys) = (self.config.head_size, self.config.inner(), block.end);
        let kept = &history.layers[at];
        let (mut panels, mut scores) = (Panels::default(), vec![0.0; block.len() * keys]);
        let mut head_out = vec![0.0; block.len() * size];
        for head in 0..self.config.heads {
            let columns = head * size..(head + 1) * size;
            let query: Vec<f32> = block
                .clone()
                .flat_map(|row| projected.part(row, 2)[columns.clone()].iter().copied())
                .collect();
            panels.pack(1, &head_of(&kept.keys, inner, &columns, keys), size, keys, true);
            multiply_panels(
                self.isa,
                1,
                &query,
                (block.len(), size),
                &panels,
                &mut scores,
                Start::Zero,
                None,
            );
            for (row, scores) in block.clone().zip(scores.chunks_mut(keys)) {
                let (seen, unseen) = scores.split_at_mut(row + 1);
                seen.iter_mut().for_each(|score| *score *= self.config.scale());
                self.add_bias(layer, row, rows.next_times[row], &history.times, seen);
                self.weigh(seen);
                unseen.fill(0.0);
            }
            panels.pack(1, &head_of(&kept.values, inner, &columns, keys), keys, size, false);
            multiply_panels(
                self.isa,
                1,
                &scores,
                (block.len(), keys),
                &panels,
                &mut head_out,
                Start::Zero,
                None,
            );
            for (out, head_out) in out.chunks_mut(inner).zip(head_out.chunks(size)) {
                out[columns.clone()].copy_from_slice(head_out);
            }
        }
    }

    /// One row behind a history through all layers, its keys and values added to the history where `keeps`: O(events · width) a
    /// layer. The row's event has `time`, and the next one is at, or asked for at, `next`.
    pub(super) fn advance(
        &self,
        history: &mut HstuHistory,
        (item, time): (u32, i64),
        next: i64,
        keeps: bool,
    ) -> Vec<f32> {
        let place = history.len();
        let mut x = Vec::with_capacity(self.config.width);
        self.push_input(&mut x, item, place, 0);
        history.times.push(time);
        let (size, inner) = (self.config.head_size, self.config.inner());
        let mut scores = vec![0.0; place + 1];
        for (at, layer) in self.layers.iter().enumerate() {
            let projected = self.project(layer, &x);
            let kept = &mut history.layers[at];
            kept.keys.extend_from_slice(projected.part(0, 3));
            kept.values.extend_from_slice(projected.part(0, 1));
            let mut attended = vec![0.0; inner];
            for head in 0..self.config.heads {
                let first = head * size;
                let query = &projected.part(0, 2)[first..first + size];
                for (score, key) in scores.iter_mut().zip(kept.keys.chunks(inner)) {
                    *score = self.config.scale() * dot(self.isa, query, &key[first..first + size]);
                }
                self.add_bias(layer, place, next, &history.times, &mut scores);
                self.weigh(&mut scores);
                let out = &mut attended[first..first + size];
                for (weight, value) in scores.iter().zip(kept.values.chunks(inner)) {
                    axpy(self.isa, *weight, &value[first..first + size], out);
                }
            }
            if !keeps {
                kept.keys.truncate(place * inner);
                kept.values.truncate(place * inner);
            }
            x = self.output(layer, &x, &projected, &attended);
        }
        if !keeps {
            history.times.truncate(place);
        }
        x
    }

    /// The score of every item for a state as [`HstuHistory`] and [`super::HstuCache`] give it: cosines.
    pub fn catalogue_scores(&self, state: &[f32]) -> Vec<f32> {
        let mut unit = state.to_vec();
        normalize(self.isa, &mut unit);
        let mut scores = vec![0.0; self.config.catalogue];
        let sizes = (1, self.config.width);
        multiply_panels(self.isa, 1, &unit, sizes, &self.items, &mut scores, Start::Zero, None);
        scores
    }

    /// The product of a state with the vector of an item: what [`super::CandidateScorer`] gives of the item behind its history.
    pub fn score_of(&self, state: &[f32], item: u32) -> f32 {
        dot(self.isa, state, &self.raw_items[item as usize * self.config.width..][..self.config.width])
    }

    /// The score of every item for what comes after a history.
    pub fn scores(&self, history: &HstuHistory) -> Vec<f32> {
        self.catalogue_scores(&history.state)
    }
}

impl Layer {
    fn new(config: &HstuConfig, block: &Block, parameters: &Parameters) -> Layer {
        let values = |id: ParameterId| parameters[id].value.to_vec();
        let ones = |size: usize| [vec![1.0; size], Vec::new()];
        let (width, inner, inputs) = (config.width, config.inner(), config.output_inputs());
        Layer {
            norms: match block.norms {
                Some(norms) => norms.map(|norm| norm.map(values)),
                None => [ones(width), ones(inner)],
            },
            projection: packed(&parameters[block.projection.0].value, width, 4 * inner),
            projection_bias: block.projection.1.map(values).unwrap_or_default(),
            output: packed(&parameters[block.output.0].value, inputs, width),
            output_bias: values(block.output.1),
            positions: block.positions.map(values).unwrap_or_default(),
            times: block.times.map(values).unwrap_or_default(),
        }
    }
}

/// A weight of outputs × inputs as the right-hand side of products.
fn packed(weight: &[f32], inputs: usize, outputs: usize) -> Panels {
    let mut panels = Panels::default();
    panels.pack(1, weight, inputs, outputs, true);
    panels
}

/// The columns of a head of the first rows, row after row.
pub(super) fn head_of(
    rows: &[f32],
    inner: usize,
    columns: &std::ops::Range<usize>,
    count: usize,
) -> Vec<f32> {
    rows.chunks(inner).take(count).flat_map(|row| row[columns.clone()].iter().copied()).collect()
}
