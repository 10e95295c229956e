//! The encoder–decoder on the trainer's tape: what is learned; what is trained writes in `inference.rs`.

use super::attention::{AttentionLayer, EPSILON, buckets, within};
use super::item_tokens::ItemTokens;
use super::mixture::{Mixture, Routed};
use crate::RecError;
use crate::sequential::place_key;
use plackett_kernel::Activation;
use plackett_train::nn::{Mode, TokenBatch, init};
use plackett_train::random::Stream;
use plackett_train::{Engine, ParameterId, Parameters, Tape, Var};
use std::ops::Range;
use std::sync::Arc;

/// Sizes of a model. The authors' have 24 experts of which two are active; they do not publish layers and widths.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OneRecConfig {
    /// Numbers of a token.
    pub width: usize,
    /// Layers of the encoder, and of the decoder.
    pub blocks: usize,
    /// Heads of attention.
    pub heads: usize,
    /// Numbers between the matrices of a feed-forward network; of an expert in the decoder.
    pub inner: usize,
    /// Experts of a layer of the decoder; 0 for one dense network, as wide as the active experts together.
    pub experts: usize,
    /// Experts that a token goes through.
    pub active: usize,
    /// Items of a history that are read, the newest.
    pub max_history: usize,
}

impl OneRecConfig {
    /// Refuses sizes that cannot be.
    pub(super) fn check(&self) -> Result<(), RecError> {
        let OneRecConfig { width, heads, .. } = *self;
        let sizes = [width, heads, self.blocks, self.inner, self.active, self.max_history];
        if sizes.contains(&0) || !width.is_multiple_of(heads) {
            return Err(RecError::Setting(
                "onerec: layers, widths, active experts and history are 1 at least, and heads divide the width".into(),
            ));
        }
        if self.experts > 0 && self.active > self.experts {
            return Err(RecError::Setting(format!(
                "onerec: {} active experts of {}; there are fewer than are to be active",
                self.active, self.experts
            )));
        }
        Ok(())
    }
}

/// A feed-forward network.
#[derive(Clone, Debug)]
enum FeedForward {
    Dense([ParameterId; 2]),
    Experts(Mixture),
}

#[derive(Clone, Debug)]
struct Block {
    attention: AttentionLayer,
    /// To the encoder's rows; in the decoder alone.
    cross: Option<AttentionLayer>,
    norm: ParameterId,
    forward: FeedForward,
}

#[derive(Clone, Debug)]
struct Stack {
    blocks: Vec<Block>,
    /// Biases by distance of all layers: buckets × heads.
    bias: ParameterId,
    norm: ParameterId,
}

/// An encoder over the tokens of a history and a decoder over those of a session, with biases by distance and norms without mean, as in T5; the
/// output matrix is not that of the embeddings.
#[derive(Clone, Debug)]
pub struct OneRec {
    /// What it is like.
    pub config: OneRecConfig,
    embeddings: ParameterId,
    encoder: Stack,
    decoder: Stack,
    /// Vocabulary × width.
    pub(super) head: ParameterId,
}

/// Histories, and what is written behind each.
#[derive(Clone, Debug)]
pub struct SessionBatch {
    /// The tokens of the histories; one without items is the token that begins one.
    pub sources: TokenBatch,
    /// What the decoder reads: of each item the token that begins it and its own.
    pub targets: TokenBatch,
    /// The rows of the targets of each history, which are one after another.
    pub groups: Arc<[Range<usize>]>,
    /// For each (row, token) that is written by that row, target after target.
    pub written: Vec<(usize, u32)>,
}

impl SessionBatch {
    /// Of histories, each with the sessions that are written behind it; the newest `max_history` items of a history count.
    ///
    /// # Errors
    /// The catalogue does not have an item.
    pub fn new(
        tokens: &ItemTokens,
        max_history: usize,
        of: &[(&[u32], Vec<&[u32]>)],
    ) -> Result<SessionBatch, RecError> {
        let mut sources = Vec::new();
        let mut targets = Vec::new();
        let (mut groups, mut start) = (Vec::new(), 0);
        for (history, sessions) in of {
            sources.push(source(tokens, history, max_history)?);
            let first = start;
            for session in sessions {
                let written = tokens.written(session, true)?;
                start += written.len();
                targets.push(written);
            }
            groups.push(first..start);
        }
        let targets = TokenBatch::new(targets.iter().map(Vec::as_slice));
        let stride = tokens.levels() + 1;
        let written =
            targets.sequences.iter().flat_map(|rows| rows.clone().map(move |row| (row - rows.start, row)));
        let written = written.filter(|(place, _)| place % stride + 1 < stride);
        let written = written.map(|(_, row)| (row, targets.tokens[row + 1])).collect();
        let sources = TokenBatch::new(sources.iter().map(Vec::as_slice));
        Ok(SessionBatch { sources, targets, groups: groups.into(), written })
    }
}

/// The tokens of the newest items of a history.
pub(super) fn source(tokens: &ItemTokens, history: &[u32], most: usize) -> Result<Vec<u32>, RecError> {
    let newest = &history[history.len().saturating_sub(most)..];
    match newest.is_empty() {
        true => Ok(vec![tokens.begin()]),
        false => tokens.written(newest, false),
    }
}

impl OneRec {
    /// A model over a vocabulary whose weights follow from a seed.
    ///
    /// # Errors
    /// Sizes that cannot be.
    pub fn new(
        config: OneRecConfig,
        vocabulary: usize,
        parameters: &mut Parameters,
        seed: u64,
    ) -> Result<OneRec, RecError> {
        config.check()?;
        let width = config.width;
        let embeddings = init::normal(Stream::new(seed, 1), vocabulary * width, 1.0);
        let embeddings = parameters.add("embeddings.weight", (vocabulary, width), embeddings);
        let encoder = Stack::new(&config, parameters, "encoder", seed.wrapping_mul(31).wrapping_add(1));
        let decoder = Stack::new(&config, parameters, "decoder", seed.wrapping_mul(31).wrapping_add(2));
        let head = init::xavier_uniform(Stream::new(seed, 2), (vocabulary, width));
        let head = parameters.add("head.weight", (vocabulary, width), head);
        Ok(OneRec { config, embeddings, encoder, decoder, head })
    }

    fn sizes(&self) -> (usize, usize) {
        (self.config.width, self.config.heads)
    }

    /// A vector for each token of the histories.
    pub fn encode(&self, tape: &Tape, sources: &TokenBatch, mode: Mode) -> Var {
        let mut x = self.embed(tape, &sources.tokens, mode, 1);
        let bias = tape.parameter(self.encoder.bias);
        let attention = within(&sources.sequences, None, self.sizes(), false);
        for (at, block) in self.encoder.blocks.iter().enumerate() {
            let normal = block.attention.normal(tape, &x);
            let [query, key, value] = block.attention.sides(tape, &normal, &normal);
            let attended =
                Engine::attention(tape, &query, &key, &value, Some((&bias, buckets(true))), &attention);
            let added = block.attention.project(tape, &attended, 3);
            x = self.add(tape, &x, &added, (mode, 2 + 2 * at as u64));
            x = self.feed_forward(tape, block, &x, (mode, 3 + 2 * at as u64)).0;
        }
        Engine::rms_norm(tape, &x, &tape.parameter(self.encoder.norm), EPSILON)
    }

    /// A vector for each row of the targets, which the output matrix reads, and the ways through the experts of each layer.
    pub fn decode(&self, tape: &Tape, encoded: &Var, batch: &SessionBatch, mode: Mode) -> (Var, Vec<Routed>) {
        // Other places drop out than in the encoder.
        let mode = Mode { key: !mode.key, ..mode };
        let mut x = self.embed(tape, &batch.targets.tokens, mode, 1);
        let bias = tape.parameter(self.decoder.bias);
        let own = within(&batch.targets.sequences, None, self.sizes(), true);
        // Rows that ask the same history are one sequence here: nothing has an order.
        let across = within(&batch.groups, Some(&batch.sources.sequences), self.sizes(), false);
        let mut routed = Vec::new();
        for (at, block) in self.decoder.blocks.iter().enumerate() {
            let place = 2 + 3 * at as u64;
            let normal = block.attention.normal(tape, &x);
            let [query, key, value] = block.attention.sides(tape, &normal, &normal);
            let attended = Engine::attention(tape, &query, &key, &value, Some((&bias, buckets(false))), &own);
            x = self.add(tape, &x, &block.attention.project(tape, &attended, 3), (mode, place));
            if let Some(cross) = &block.cross {
                let [query, key, value] = cross.sides(tape, &cross.normal(tape, &x), encoded);
                let attended = Engine::attention(tape, &query, &key, &value, None, &across);
                x = self.add(tape, &x, &cross.project(tape, &attended, 3), (mode, place + 1));
            }
            let (y, way) = self.feed_forward(tape, block, &x, (mode, place + 2));
            x = y;
            routed.extend(way);
        }
        (Engine::rms_norm(tape, &x, &tape.parameter(self.decoder.norm), EPSILON), routed)
    }

    /// The logarithms of the probabilities of what is written, as a column, over the whole vocabulary; and the ways through the experts.
    pub fn log_probabilities(&self, tape: &Tape, batch: &SessionBatch, mode: Mode) -> (Var, Vec<Routed>) {
        let encoded = self.encode(tape, &batch.sources, mode);
        let (states, routed) = self.decode(tape, &encoded, batch, mode);
        (Engine::token_log_probabilities(tape, &states, &tape.parameter(self.head), &batch.written), routed)
    }

    fn embed(&self, tape: &Tape, tokens: &[u32], mode: Mode, place: u64) -> Var {
        let x = Engine::embedding(tape, &[(tape.parameter(self.embeddings), tokens)]);
        Engine::dropout(tape, &x, mode.dropout, place_key(mode, place))
    }

    fn add(&self, tape: &Tape, x: &Var, y: &Var, (mode, place): (Mode, u64)) -> Var {
        Engine::add(tape, x, &Engine::dropout(tape, y, mode.dropout, place_key(mode, place)))
    }

    /// The feed-forward network and the residual.
    fn feed_forward(&self, tape: &Tape, block: &Block, x: &Var, place: (Mode, u64)) -> (Var, Option<Routed>) {
        let normal = Engine::rms_norm(tape, x, &tape.parameter(block.norm), EPSILON);
        match &block.forward {
            FeedForward::Dense(weights) => {
                let [inner, outer] = weights.map(|weight| tape.parameter(weight));
                let inner = Engine::linear(tape, &normal, &inner, None, None);
                let inner = Engine::activation(tape, &inner, Activation::Relu);
                (self.add(tape, x, &Engine::linear(tape, &inner, &outer, None, None), place), None)
            }
            FeedForward::Experts(mixture) => {
                let routed = mixture.forward(tape, &normal);
                (self.add(tape, x, &routed.y, place), Some(routed))
            }
        }
    }
}

impl Stack {
    fn new(config: &OneRecConfig, parameters: &mut Parameters, half: &str, seed: u64) -> Stack {
        let (width, is_decoder) = (config.width, half == "decoder");
        let vector =
            |parameters: &mut Parameters, name: String| parameters.add(name, (1, width), vec![1.0; width]);
        let block = |at: usize| {
            let name = format!("{half}.blocks.{at}");
            let seed = seed.wrapping_mul(1009).wrapping_add(4 * at as u64);
            let attention = AttentionLayer::new(parameters, &format!("{name}.attention"), width, seed);
            let cross = is_decoder.then(|| {
                AttentionLayer::new(parameters, &format!("{name}.cross_attention"), width, seed + 1)
            });
            let norm = vector(parameters, format!("{name}.norm.weight"));
            let experts = (config.experts, config.active);
            let forward = match is_decoder && config.experts > 0 {
                true => FeedForward::Experts(Mixture::new(
                    parameters,
                    &name,
                    (width, config.inner),
                    experts,
                    seed + 2,
                )),
                false => {
                    let inner = config.active * config.inner;
                    let mut matrix = |part: &str, shape, stream| {
                        let values = init::xavier_uniform(Stream::new(seed + 3, stream), shape);
                        parameters.add(format!("{name}.{part}.weight"), shape, values)
                    };
                    FeedForward::Dense([matrix("in", (inner, width), 0), matrix("out", (width, inner), 1)])
                }
            };
            Block { attention, cross, norm, forward }
        };
        let blocks = (0..config.blocks).map(block).collect();
        let shape = (buckets(true).count, config.heads);
        let bias = init::normal(Stream::new(seed, 1 << 40), shape.0 * shape.1, 0.1);
        let bias = parameters.add(format!("{half}.distance_bias"), shape, bias);
        let norm = vector(parameters, format!("{half}.norm.weight"));
        Stack { blocks, bias, norm }
    }
}
