//! The model on the trainer's tape.

use super::config::{SynerGenConfig, TextVectors};
use super::time_rotary::{TimeRotary, time_rotary};
use super::tokens::{Kind, TokenRows};
use crate::RecError;
use crate::prefix_attention::{PrefixAttention, prefix_attention};
use crate::sequential::{normalize_rows, place_key};
use plackett_kernel::Activation;
use plackett_train::nn::{Mode, init};
use plackett_train::random::Stream;
use plackett_train::tape::Buffer;
use plackett_train::{Engine, ParameterId, Parameters, Tape, Var};
use std::sync::Arc;

const EPSILON: f32 = 1e-6;
/// The name of the trained vectors of items, which have a learning rate of their own.
pub(super) const IDS: &str = "ids.weight";

struct Block {
    norms: [ParameterId; 2],
    /// Queries, keys, values, output.
    projections: [ParameterId; 4],
    /// Gate, what is gated, and back.
    forward: [ParameterId; 3],
}

/// Draws a matrix of a name and shape.
type Draw<'d> = dyn FnMut(&mut Parameters, String, (usize, usize)) -> ParameterId + 'd;

impl Block {
    fn new(config: &SynerGenConfig, at: usize, parameters: &mut Parameters, draw: &mut Draw<'_>) -> Block {
        let (width, inner) = (config.width, config.inner);
        let norms = ["attention_norm", "forward_norm"]
            .map(|name| ones(parameters, format!("blocks.{at}.{name}.weight"), width));
        let mut named = |name: &str, shape| draw(parameters, format!("blocks.{at}.{name}.weight"), shape);
        let projections = ["query", "key", "value", "output"].map(|name| named(name, (width, width)));
        let forward =
            [named("gate", (inner, width)), named("up", (inner, width)), named("down", (width, inner))];
        Block { norms, projections, forward }
    }
}

/// What rows are made of: vectors of items and queries.
pub struct Contents {
    /// The vectors of all items: items × width.
    pub items: Var,
    /// The same, and zeros for none.
    pub(super) item_rows: Var,
    /// The vectors of all queries, that of no query, and zeros.
    pub(super) query_rows: Var,
}

/// A decoder over events and questions. An item's vector is W_s · text + W_c · id, a query's W_q · text; a token adds to them what kind it is,
/// the action, and whether it was a search, and the sum is normalised. Blocks have RMS norms before attention and a SwiGLU network.
pub struct SynerGen {
    /// What it is like.
    pub config: SynerGenConfig,
    /// How many items there are.
    pub items: usize,
    /// How many queries there are.
    pub queries: usize,
    item_texts: Arc<Buffer>,
    query_texts: Arc<Buffer>,
    text_width: usize,
    /// Items × width, and W_c.
    ids: Option<[ParameterId; 2]>,
    /// W_s and W_q.
    semantic: Option<ParameterId>,
    query: ParameterId,
    /// What stands for a query where there is none.
    no_query: ParameterId,
    kinds: ParameterId,
    actions: ParameterId,
    surfaces: ParameterId,
    embedding_norm: [ParameterId; 2],
    blocks: Vec<Block>,
    last_norm: ParameterId,
    /// Weight and bias of both layers of the ranking head.
    head: [[ParameterId; 2]; 2],
}

impl SynerGen {
    /// A model whose weights follow from a seed.
    ///
    /// # Errors
    /// Sizes that cannot be, or vectors that are missing.
    pub fn new(
        config: SynerGenConfig,
        texts: TextVectors,
        parameters: &mut Parameters,
        seed: u64,
    ) -> Result<SynerGen, RecError> {
        config.check(&texts)?;
        let texts = texts.scaled();
        let (items, queries, text_width) = (texts.item_count(), texts.query_count(), texts.width);
        let width = config.width;
        let mut drawn = 0u64;
        let mut next = || {
            drawn += 1;
            Stream::new(seed, drawn)
        };
        let mut matrix = |parameters: &mut Parameters, name: String, shape: (usize, usize)| {
            parameters.add(name, shape, init::xavier_uniform(next(), shape))
        };
        let ids = config.ids.then(|| {
            let table = init::normal(Stream::new(seed, 1 << 32), items * width, 1.0);
            let table = parameters.add(IDS, (items, width), table);
            [table, matrix(parameters, "id_projection.weight".into(), (width, width))]
        });
        let semantic =
            config.semantic.then(|| matrix(parameters, "item_text.weight".into(), (width, text_width)));
        let query = matrix(parameters, "query_text.weight".into(), (width, text_width));
        let blocks = (0..config.blocks).map(|at| Block::new(&config, at, parameters, &mut matrix)).collect();
        let head = [("head.0", width), ("head.1", 1)].map(|(name, outputs)| {
            let weight = matrix(parameters, format!("{name}.weight"), (outputs, width));
            [weight, parameters.add(format!("{name}.bias"), (1, outputs), vec![0.0; outputs])]
        });
        let mut table = |parameters: &mut Parameters, name: &str, rows: usize| {
            let values = init::normal(next(), rows * width, 0.1);
            parameters.add(name, (rows, width), values)
        };
        Ok(SynerGen {
            config,
            items,
            queries,
            item_texts: Arc::new(texts.items.into()),
            query_texts: Arc::new(texts.queries.into()),
            text_width,
            ids,
            semantic,
            query,
            no_query: table(parameters, "no_query.weight", 1),
            kinds: table(parameters, "kinds.weight", 3),
            actions: table(parameters, "actions.weight", config.actions),
            surfaces: table(parameters, "surfaces.weight", 2),
            embedding_norm: [
                ones(parameters, "embedding_norm.weight".into(), width),
                parameters.add("embedding_norm.bias", (1, width), vec![0.0; width]),
            ],
            blocks,
            last_norm: ones(parameters, "last_norm.weight".into(), width),
            head,
        })
    }

    /// The vectors of all items: items × width. Trained and frozen vectors have one length before their projections.
    pub fn item_vectors(&self, tape: &Tape) -> Var {
        let by_text = self.semantic.map(|weight| {
            let texts = tape.shared((self.items, self.text_width), &self.item_texts);
            tape.linear(&texts, &tape.parameter(weight), None, None)
        });
        let Some([table, projection]) = self.ids else {
            return by_text.unwrap_or_else(|| {
                tape.constant((self.items, self.config.width), &vec![0.0; self.items * self.config.width])
            });
        };
        let ids = normalize_rows(tape, &tape.parameter(table));
        let ids = tape.scale(&ids, (self.config.width as f32).sqrt());
        tape.linear(&ids, &tape.parameter(projection), None, by_text.as_ref())
    }

    /// What rows are made of.
    pub fn contents(&self, tape: &Tape) -> Contents {
        let items = self.item_vectors(tape);
        let nothing = self.nothing(tape);
        let item_rows = tape.stack(&[&items, &nothing]);
        let no_query = tape.parameter(self.no_query);
        let query_rows = match self.queries {
            0 => tape.stack(&[&no_query, &nothing]),
            count => {
                let texts = tape.shared((count, self.text_width), &self.query_texts);
                let queries = tape.linear(&texts, &tape.parameter(self.query), None, None);
                tape.stack(&[&queries, &no_query, &nothing])
            }
        };
        Contents { items, item_rows, query_rows }
    }

    fn nothing(&self, tape: &Tape) -> Var {
        tape.constant((1, self.config.width), &vec![0.0; self.config.width])
    }

    /// The rows that go into the first layer.
    fn embed(&self, tape: &Tape, contents: &Contents, rows: &TokenRows) -> Var {
        let actions = tape.stack(&[&tape.parameter(self.actions), &self.nothing(tape)]);
        let or = |given: &[Option<u32>], none: usize| -> Vec<u32> {
            given.iter().map(|at| at.unwrap_or(none as u32)).collect()
        };
        // An event without a query says nothing of queries; a question without one says that there is none.
        let of_query = |(query, kind): (&Option<u32>, &Kind)| {
            query.unwrap_or((self.queries + usize::from(*kind == Kind::Context)) as u32)
        };
        let queries: Vec<u32> = rows.queries.iter().zip(&rows.kinds).map(of_query).collect();
        let surfaces: Vec<u32> = rows.queries.iter().map(|query| u32::from(query.is_some())).collect();
        let kinds: Vec<u32> = rows.kinds.iter().map(|kind| *kind as u32).collect();
        let sum = tape.embedding(&[
            (contents.item_rows.clone(), &or(&rows.items, self.items)),
            (contents.query_rows.clone(), &queries),
            (actions, &or(&rows.actions, self.config.actions)),
            (tape.parameter(self.surfaces), &surfaces),
            (tape.parameter(self.kinds), &kinds),
        ]);
        let [weight, bias] = self.embedding_norm.map(|id| tape.parameter(id));
        tape.layer_norm(&sum, &weight, &bias, EPSILON)
    }

    /// What each row becomes: rows × width, after the last norm.
    ///
    /// # Errors
    /// A row has an item, query or action that the model does not have.
    pub fn forward(
        &self,
        tape: &Tape,
        contents: &Contents,
        rows: &TokenRows,
        mode: Mode,
    ) -> Result<Var, RecError> {
        let attention = PrefixAttention {
            sequences: rows.sequences.clone(),
            visible: rows.visible.clone().into(),
            heads: self.config.heads,
        };
        self.forward_with(tape, contents, rows, mode, |_, sides| prefix_attention(tape, sides, &attention))
    }

    /// The same with another attention, which is told the layer, and queries, keys and values.
    pub(super) fn forward_with(
        &self,
        tape: &Tape,
        contents: &Contents,
        rows: &TokenRows,
        mode: Mode,
        mut attend: impl FnMut(usize, [&Var; 3]) -> Var,
    ) -> Result<Var, RecError> {
        rows.check([self.items, self.queries, self.config.actions])?;
        let rotary = TimeRotary {
            places: rows.places.clone().into(),
            minutes: self.config.time.then(|| rows.minutes.clone().into()),
            head_size: self.config.width / self.config.heads,
        };
        let mut x = tape.dropout(&self.embed(tape, contents, rows), mode.dropout, place_key(mode, 1));
        for (at, block) in self.blocks.iter().enumerate() {
            let linear = |x: &Var, weight: ParameterId| tape.linear(x, &tape.parameter(weight), None, None);
            let added = |x: &Var, y: &Var, place: usize| {
                tape.add(x, &tape.dropout(y, mode.dropout, place_key(mode, (2 + 2 * at + place) as u64)))
            };
            let normal = tape.rms_norm(&x, &tape.parameter(block.norms[0]), EPSILON);
            let [query, key, value, output] = block.projections;
            let [query, key] =
                [query, key].map(|weight| time_rotary(tape, &linear(&normal, weight), &rotary));
            let attended = attend(at, [&query, &key, &linear(&normal, value)]);
            x = added(&x, &linear(&attended, output), 0);
            let normal = tape.rms_norm(&x, &tape.parameter(block.norms[1]), EPSILON);
            let [gate, up, down] = block.forward;
            let inner = tape.gated(&linear(&normal, gate), &linear(&normal, up), Activation::Silu);
            x = added(&x, &linear(&inner, down), 1);
        }
        Ok(tape.rms_norm(&x, &tape.parameter(self.last_norm), EPSILON))
    }

    /// The scores of some rows of ranking tokens, as a column of logits: a network with one hidden layer.
    pub fn ranking_logits(&self, tape: &Tape, states: &Var) -> Var {
        let linear = |x: &Var, [weight, bias]: [ParameterId; 2]| {
            tape.linear(x, &tape.parameter(weight), Some(&tape.parameter(bias)), None)
        };
        linear(&tape.activation(&linear(states, self.head[0]), Activation::Silu), self.head[1])
    }

    /// Gives every item that nobody's training has (`counts` of 0) the mean of the trained vectors of the others, each of length 1, in the place
    /// of its drawn one. Without trained vectors, or where no item or all were met, nothing changes. Gives how many there are.
    pub fn fill_cold_items(&self, parameters: &mut Parameters, counts: &[usize]) -> usize {
        let Some([table, _]) = self.ids else { return 0 };
        let width = self.config.width;
        let warm = counts.iter().filter(|count| **count > 0).count();
        if warm == 0 || warm == counts.len() {
            return 0;
        }
        let values = parameters[table].values_mut();
        let mut mean = vec![0.0; width];
        for (row, _) in values.chunks(width).zip(counts).filter(|(_, count)| **count > 0) {
            let length = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(EPSILON);
            mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += x / length);
        }
        mean.iter_mut().for_each(|mean| *mean /= warm as f32);
        for (row, _) in values.chunks_mut(width).zip(counts).filter(|(_, count)| **count == 0) {
            row.copy_from_slice(&mean);
        }
        counts.len() - warm
    }
}

fn ones(parameters: &mut Parameters, name: String, width: usize) -> ParameterId {
    parameters.add(name, (1, width), vec![1.0; width])
}
