//! M-FALCON: many candidates behind one history, in micro-batches (section 3.3 of the paper).

use super::config::Variant;
use super::inference::{HstuHistory, HstuInference, head_of};
use super::time_bucket::time_bucket;
use crate::RecError;
use plackett_kernel::{Panels, Start, axpy, dot, multiply_panels};

/// Keys and values of a head, packed for products with many queries.
struct PackedHead {
    /// size × events.
    keys: Panels,
    /// events × size.
    values: Panels,
}

/// Scores candidates behind a history that was read once. A candidate sees the history and itself, and no other candidate: its
/// score depends neither on the others, nor on their order, nor on the size of micro-batches, to the bit.
pub struct CandidateScorer<'m> {
    model: &'m HstuInference,
    /// Heads of each layer.
    packed: Vec<Vec<PackedHead>>,
    /// The biases of the history's keys and of the candidate itself, of each layer: all candidates have the place behind the
    /// history and are asked at the same time.
    biases: Vec<(Vec<f32>, f32)>,
    events: usize,
}

impl HstuInference {
    /// Prepares a history for candidates that are asked for at `now`, each as if it were the next event. In the production form the
    /// history is one of [`HstuInference::read_for_candidates`].
    ///
    /// # Errors
    /// The history is empty, there is no place behind it, or the model has the production form and the history was read with its
    /// newest event at the place that the candidate has.
    pub fn candidates(&self, history: &HstuHistory, now: i64) -> Result<CandidateScorer<'_>, RecError> {
        let (events, inner, size) = (history.len(), self.config.inner(), self.config.head_size);
        if events == 0 {
            return Err(RecError::EmptyHistory);
        }
        if events >= self.config.max_length {
            return Err(RecError::TooLong { events: events + 1, positions: self.config.max_length });
        }
        if self.config.variant == Variant::Production && !history.awaits_candidate {
            return Err(RecError::Setting(
                "the production form of hstu counts places from the newest event, which a candidate is: read the history with \
                 `read_for_candidates`"
                    .into(),
            ));
        }
        let pack = |at: usize| {
            let head = |head: usize| {
                let columns = head * size..(head + 1) * size;
                let mut packed = PackedHead { keys: Panels::default(), values: Panels::default() };
                let kept = &history.layers[at];
                packed.keys.pack(1, &head_of(&kept.keys, inner, &columns, events), size, events, true);
                packed.values.pack(1, &head_of(&kept.values, inner, &columns, events), events, size, false);
                packed
            };
            (0..self.config.heads).map(head).collect()
        };
        let biases = self.layers.iter().map(|layer| {
            let mut of_keys = vec![0.0; events];
            self.add_bias(layer, events, now, &history.times, &mut of_keys);
            let place = layer.positions.last().copied().unwrap_or_default();
            let own = layer.times.get(time_bucket(now, now)).copied().unwrap_or_default();
            (of_keys, place + own)
        });
        Ok(CandidateScorer {
            model: self,
            packed: (0..self.layers.len()).map(pack).collect(),
            biases: biases.collect(),
            events,
        })
    }
}

impl CandidateScorer<'_> {
    /// The state of each candidate (candidates × width), `micro_batch` of them going through the layers at a time:
    /// O(b · width² + b · events · width) for a micro-batch of b.
    ///
    /// # Errors
    /// A candidate is not in the catalogue.
    pub fn states(&self, candidates: &[u32], micro_batch: usize) -> Result<Vec<f32>, RecError> {
        let catalogue = self.model.config.catalogue;
        if let Some(item) = candidates.iter().copied().find(|item| *item as usize >= catalogue) {
            return Err(RecError::UnknownItem { item, catalogue });
        }
        let mut states = Vec::with_capacity(candidates.len() * self.model.config.width);
        for candidates in candidates.chunks(micro_batch.max(1)) {
            states.extend(self.micro_batch(candidates));
        }
        Ok(states)
    }

    /// The score of each candidate: the product of its state with its own vector, or, with weights of a ranking head, of the state
    /// times the vector with them.
    ///
    /// # Errors
    /// A candidate is not in the catalogue.
    ///
    /// # Panics
    /// The head has another width than the model.
    pub fn scores(
        &self,
        candidates: &[u32],
        micro_batch: usize,
        head: Option<&[f32]>,
    ) -> Result<Vec<f32>, RecError> {
        let width = self.model.config.width;
        assert!(
            head.is_none_or(|head| head.len() == width),
            "a head has a weight for each number of a state"
        );
        let states = self.states(candidates, micro_batch)?;
        let score = |(item, state): (&u32, &[f32])| {
            let vector = &self.model.raw_items[*item as usize * width..][..width];
            match head {
                None => dot(self.model.isa, state, vector),
                Some(head) => {
                    state.iter().zip(vector).zip(head).map(|((state, x), weight)| state * x * weight).sum()
                }
            }
        };
        Ok(candidates.iter().zip(states.chunks(width)).map(score).collect())
    }

    fn micro_batch(&self, candidates: &[u32]) -> Vec<f32> {
        let model = self.model;
        let (inner, size, events) = (model.config.inner(), model.config.head_size, self.events);
        let mut x = Vec::with_capacity(candidates.len() * model.config.width);
        candidates.iter().for_each(|item| model.push_input(&mut x, *item, self.place(), 0));
        let (mut scores, mut row_scores) = (vec![0.0; candidates.len() * events], vec![0.0; events + 1]);
        let mut head_out = vec![0.0; candidates.len() * size];
        for ((layer, packed), (of_keys, of_own)) in model.layers.iter().zip(&self.packed).zip(&self.biases) {
            let projected = model.project(layer, &x);
            let mut attended = vec![0.0; candidates.len() * inner];
            for (head, packed) in packed.iter().enumerate() {
                let columns = head * size..(head + 1) * size;
                let part = |row: usize, part: usize| &projected.part(row, part)[columns.clone()];
                let query: Vec<f32> =
                    (0..candidates.len()).flat_map(|row| part(row, 2).iter().copied()).collect();
                let sizes = (candidates.len(), size);
                multiply_panels(model.isa, 1, &query, sizes, &packed.keys, &mut scores, Start::Zero, None);
                let mut own_weights = Vec::with_capacity(candidates.len());
                for (row, scores) in scores.chunks_mut(events).enumerate() {
                    let scale = model.config.scale();
                    for ((to, score), bias) in row_scores.iter_mut().zip(scores.iter()).zip(of_keys) {
                        *to = scale * score + bias;
                    }
                    row_scores[events] = scale * dot(model.isa, part(row, 2), part(row, 3)) + of_own;
                    model.weigh(&mut row_scores);
                    scores.copy_from_slice(&row_scores[..events]);
                    own_weights.push(row_scores[events]);
                }
                let sizes = (candidates.len(), events);
                multiply_panels(
                    model.isa,
                    1,
                    &scores,
                    sizes,
                    &packed.values,
                    &mut head_out,
                    Start::Zero,
                    None,
                );
                for (row, (out, own)) in head_out.chunks_mut(size).zip(&own_weights).enumerate() {
                    axpy(model.isa, *own, part(row, 1), out);
                    attended[row * inner..][columns.clone()].copy_from_slice(out);
                }
            }
            x = model.output(layer, &x, &projected, &attended);
        }
        x
    }

    /// The place behind the history. The production form counts from the newest event, which the candidate then is.
    fn place(&self) -> usize {
        match self.model.config.variant {
            Variant::Research => self.events,
            Variant::Production => 0,
        }
    }
}
