//! A trained model that is asked: a history is read once, and its keys and values serve the whole catalogue and candidates alike.

use super::model::{Contents, SynerGen};
use super::tokens::{Occurrence, Question, TokenRows, reference_time};
use crate::RecError;
use crate::cached_attention::{Kept, cached_attention};
use crate::prefix_attention::{PrefixAttention, prefix_attention};
use crate::sequential::normalize_rows;
use plackett_train::nn::Mode;
use plackett_train::tape::Buffer;
use plackett_train::{Compute, Engine, Parameters, Tape, Var};
use std::sync::Arc;

/// Keys and values of a history in every layer.
#[derive(Clone, Debug)]
pub struct ContextCache {
    layers: Vec<[Arc<Buffer>; 2]>,
    events: usize,
    reference: Option<i64>,
}

impl ContextCache {
    /// How many events it has.
    pub fn len(&self) -> usize {
        self.events
    }

    /// Whether it has none: questions then see themselves alone.
    pub fn is_empty(&self) -> bool {
        self.events == 0
    }
}

/// The vectors of all items and queries of a model that is not trained any more.
#[derive(Clone, Debug)]
pub struct ContentTables {
    /// Rows of items and queries, as in [`Contents`].
    rows: [Arc<Buffer>; 2],
    /// Item vectors of length 1: items × width.
    normal: Arc<Buffer>,
}

impl ContentTables {
    /// Of a model that is trained.
    pub fn new(model: &SynerGen, parameters: &Parameters, compute: &Arc<Compute>) -> ContentTables {
        let tape = Tape::inference(parameters, compute);
        let contents = model.contents(&tape);
        let normal = normalize_rows(&tape, &contents.items).value;
        ContentTables { rows: [contents.item_rows.value, contents.query_rows.value], normal }
    }
}

/// A trained model with the vectors of all items, made once.
pub struct SynerGenInference<'m> {
    model: &'m SynerGen,
    parameters: &'m Parameters,
    compute: Arc<Compute>,
    tables: ContentTables,
}

impl<'m> SynerGenInference<'m> {
    /// Of a model that is trained.
    pub fn new(
        model: &'m SynerGen,
        parameters: &'m Parameters,
        compute: Arc<Compute>,
    ) -> SynerGenInference<'m> {
        let tables = ContentTables::new(model, parameters, &compute);
        SynerGenInference::with_tables(model, parameters, compute, tables)
    }

    /// With the vectors of all items, which are there already.
    pub fn with_tables(
        model: &'m SynerGen,
        parameters: &'m Parameters,
        compute: Arc<Compute>,
        tables: ContentTables,
    ) -> SynerGenInference<'m> {
        SynerGenInference { model, parameters, compute, tables }
    }

    fn tape(&self) -> Tape<'m> {
        Tape::inference(self.parameters, &self.compute)
    }

    fn contents(&self, tape: &Tape) -> Contents {
        let (items, width) = (self.model.items, self.model.config.width);
        Contents {
            items: tape.shared((items, width), &self.tables.normal),
            item_rows: tape.shared((items + 1, width), &self.tables.rows[0]),
            query_rows: tape.shared((self.model.queries + 2, width), &self.tables.rows[1]),
        }
    }

    /// Reads the newest events of a history.
    ///
    /// # Errors
    /// An event has an item, query or action that the model does not have.
    pub fn read(&self, events: &[Occurrence]) -> Result<ContextCache, RecError> {
        let events = &events[events.len().saturating_sub(self.model.config.max_events)..];
        let rows = TokenRows::new([(events, &[][..])]);
        let mut layers = Vec::new();
        if !events.is_empty() {
            let tape = self.tape();
            let attention = PrefixAttention {
                sequences: rows.sequences.clone(),
                visible: rows.visible.clone().into(),
                heads: self.model.config.heads,
            };
            let keep = |_: usize, sides: [&Var; 3]| {
                layers.push([sides[1].value.clone(), sides[2].value.clone()]);
                prefix_attention(&tape, sides, &attention)
            };
            self.model.forward_with(&tape, &self.contents(&tape), &rows, Mode::default(), keep)?;
        }
        Ok(ContextCache { layers, events: events.len(), reference: reference_time(events) })
    }

    /// What questions become behind a history that was read: questions × width.
    fn states(&self, tape: &Tape, context: &ContextCache, questions: &[Question]) -> Result<Var, RecError> {
        if let Some(question) = questions.iter().find(|question| question.known > context.events) {
            return Err(RecError::Setting(format!(
                "a question knows {} events and {} were read; read the whole history first",
                question.known, context.events
            )));
        }
        let mut rows = TokenRows::default();
        questions.iter().for_each(|question| rows.push_question(question, context.reference));
        rows.sequences = std::iter::once(0..questions.len()).collect();
        let (heads, width) = (self.model.config.heads, self.model.config.width);
        let attend = |layer: usize, sides: [&Var; 3]| {
            let kept = |row: usize| -> Kept<'_> {
                let end = questions[row].known * width;
                context
                    .layers
                    .get(layer)
                    .map_or([&[][..]; 2], |layer| layer.each_ref().map(|rows| &rows[..end]))
            };
            cached_attention(tape, sides, &kept, heads)
        };
        self.model.forward_with(tape, &self.contents(tape), &rows, Mode::default(), attend)
    }

    /// The vectors of all items, each of length 1, for an index over them: items × width, row-major.
    pub fn item_vectors(&self) -> &[f32] {
        &self.tables.normal
    }

    /// What a question behind all events that were read becomes, with length 1: as many numbers as a row of
    /// [`SynerGenInference::item_vectors`] has, whose products with it are what [`SynerGenInference::retrieve`] gives.
    ///
    /// # Errors
    /// The model does not have the query.
    pub fn question_vector(
        &self,
        context: &ContextCache,
        query: Option<u32>,
        now: Option<i64>,
    ) -> Result<Vec<f32>, RecError> {
        Ok(self.question_state(&self.tape(), context, query, now)?.value.to_vec())
    }

    fn question_state(
        &self,
        tape: &Tape,
        context: &ContextCache,
        query: Option<u32>,
        now: Option<i64>,
    ) -> Result<Var, RecError> {
        let question = Question { known: context.events, time: now, query, candidate: None };
        Ok(normalize_rows(tape, &self.states(tape, context, &[question])?))
    }

    /// Scores of the whole catalogue for a question behind all events that were read: cosines, one product for each item.
    ///
    /// # Errors
    /// The model does not have the query.
    pub fn retrieve(
        &self,
        context: &ContextCache,
        query: Option<u32>,
        now: Option<i64>,
    ) -> Result<Vec<f32>, RecError> {
        let tape = self.tape();
        let state = self.question_state(&tape, context, query, now)?;
        let scores = Engine::linear(&tape, &state, &self.contents(&tape).items, None, None);
        Ok(scores.value.to_vec())
    }

    /// The probability that each candidate is what is wanted, all in one pass.
    ///
    /// # Errors
    /// The model does not have the query or a candidate.
    pub fn rank(
        &self,
        context: &ContextCache,
        query: Option<u32>,
        now: Option<i64>,
        candidates: &[u32],
    ) -> Result<Vec<f32>, RecError> {
        if candidates.is_empty() {
            return Ok(Vec::new());
        }
        let tape = self.tape();
        let of_item =
            |item: &u32| Question { known: context.events, time: now, query, candidate: Some(*item) };
        let questions: Vec<Question> = candidates.iter().map(of_item).collect();
        let logits = self.model.ranking_logits(&tape, &self.states(&tape, context, &questions)?);
        Ok(tape.sigmoid(&logits).value.to_vec())
    }

    /// The same without a cache: history and candidates in one pass, as in the training.
    ///
    /// # Errors
    /// The model does not have an item, query or action.
    pub fn rank_whole(
        &self,
        events: &[Occurrence],
        query: Option<u32>,
        now: Option<i64>,
        candidates: &[u32],
    ) -> Result<Vec<f32>, RecError> {
        let events = &events[events.len().saturating_sub(self.model.config.max_events)..];
        let of_item = |item: &u32| Question { known: events.len(), time: now, query, candidate: Some(*item) };
        let questions: Vec<Question> = candidates.iter().map(of_item).collect();
        let rows = TokenRows::new([(events, &questions[..])]);
        let tape = self.tape();
        let states = self.model.forward(&tape, &self.contents(&tape), &rows, Mode::default())?;
        let logits = self.model.ranking_logits(&tape, &Engine::select_rows(&tape, &states, &rows.asked));
        Ok(tape.sigmoid(&logits).value.to_vec())
    }
}
