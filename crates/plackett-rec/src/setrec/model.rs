//! Tokenisers, the backbone, and the slots.

use super::layout::{Layout, SetBatch};
use crate::RecError;
use crate::prefix_attention::{PrefixAttention, prefix_attention};
use crate::sequential::place_key;
use plackett_kernel::Activation;
use plackett_train::nn::{Mode, init};
use plackett_train::random::Stream;
use plackett_train::tape::Buffer;
use plackett_train::{Compute, Engine, ParameterId, Parameters, Tape, Var};
use std::sync::Arc;

const EPSILON: f32 = 1e-5;
/// Layers of the auto-encoder between the text and the tokens.
pub(super) const ENCODER: [usize; 3] = [512, 256, 128];

/// Vectors of items that stay as they are.
#[derive(Clone, Debug, Default)]
pub struct ItemVectors {
    /// Of a trained sequential model: items × width.
    pub collaborative: Vec<f32>,
    /// Of the items' texts: items × width.
    pub text: Vec<f32>,
    /// How many items there are.
    pub items: usize,
}

impl ItemVectors {
    /// Numbers of a vector of what users did.
    pub fn collaborative_width(&self) -> usize {
        self.collaborative.len() / self.items.max(1)
    }

    /// Numbers of a vector of a text.
    pub fn text_width(&self) -> usize {
        self.text.len() / self.items.max(1)
    }
}

/// Sizes and parts of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SetRecConfig {
    /// Numbers of a token.
    pub width: usize,
    /// Layers.
    pub blocks: usize,
    /// Heads of attention.
    pub heads: usize,
    /// Items of a history that are read.
    pub max_items: usize,
    /// Whether an item has a token of what users did.
    pub collaborative: bool,
    /// Tokens of an item's text.
    pub semantic: usize,
    /// Whether tokens of an item do not see each other.
    pub sparse: bool,
}

impl SetRecConfig {
    /// Tokens of an item.
    pub fn tokens(&self) -> usize {
        usize::from(self.collaborative) + self.semantic
    }

    fn check(&self, vectors: &ItemVectors) -> Result<(), RecError> {
        let said = |problem: &str| Err(RecError::Setting(format!("setrec: {problem}")));
        if self.tokens() == 0 {
            return said("an item needs a token, of what users did or of its text");
        }
        if self.heads == 0 || self.width == 0 || !self.width.is_multiple_of(self.heads) || self.max_items == 0
        {
            return said("heads divide the width, and a history has an item");
        }
        let is_whole =
            |numbers: &[f32]| !numbers.is_empty() && numbers.len().is_multiple_of(vectors.items.max(1));
        if (self.collaborative && !is_whole(&vectors.collaborative))
            || (self.semantic > 0 && !is_whole(&vectors.text))
        {
            return said("vectors of all items are needed for each kind of token");
        }
        Ok(())
    }
}

type WithBias = (ParameterId, ParameterId);

pub(super) struct Block {
    norms: [WithBias; 2],
    /// Queries, keys, values, output.
    projections: [WithBias; 4],
    forward: [WithBias; 2],
}

/// The model. Vectors of items are given and stay; what makes tokens of them is trained with everything else.
pub struct SetRec {
    /// What it is like.
    pub config: SetRecConfig,
    pub(super) vectors: ItemVectors,
    collaborative: Option<WithBias>,
    encoder: Vec<WithBias>,
    decoder: Vec<WithBias>,
    pub(super) places: ParameterId,
    /// Slots × width.
    slots: ParameterId,
    pub(super) blocks: Vec<Block>,
    last_norm: WithBias,
}

/// Tokens of all items: of each token of an item a matrix of items × width, and how far the text is from what comes back of it.
pub struct Tokens {
    /// Token of what users did first, where there is one.
    pub of_slot: Vec<Var>,
    /// The mean squared error of the auto-encoder; `None` without tokens of texts.
    pub reconstruction: Option<Var>,
}

/// Tokens of all items as numbers, for a model that is not trained any more.
#[derive(Clone, Debug)]
pub struct ItemTables {
    of_slot: Vec<Arc<Buffer>>,
}

impl SetRec {
    /// A model whose weights follow from a seed.
    ///
    /// # Errors
    /// Sizes that cannot be, or vectors that are missing.
    pub fn new(
        config: SetRecConfig,
        vectors: ItemVectors,
        parameters: &mut Parameters,
        seed: u64,
    ) -> Result<SetRec, RecError> {
        config.check(&vectors)?;
        let mut drawn = 0u64;
        let mut next = || {
            drawn += 1;
            Stream::new(seed, drawn)
        };
        let width = config.width;
        let mut linear =
            |parameters: &mut Parameters, name: String, (outputs, inputs): (usize, usize)| -> WithBias {
                let weight = parameters.add(
                    format!("{name}.weight"),
                    (outputs, inputs),
                    init::xavier_uniform(next(), (outputs, inputs)),
                );
                (weight, parameters.add(format!("{name}.bias"), (1, outputs), vec![0.0; outputs]))
            };
        let norm = |parameters: &mut Parameters, name: String| -> WithBias {
            let weight = parameters.add(format!("{name}.weight"), (1, width), vec![1.0; width]);
            (weight, parameters.add(format!("{name}.bias"), (1, width), vec![0.0; width]))
        };
        let collaborative = config
            .collaborative
            .then(|| linear(parameters, "collaborative".into(), (width, vectors.collaborative_width())));
        let (mut encoder, mut decoder) = (Vec::new(), Vec::new());
        if config.semantic > 0 {
            let (text, latent) = (vectors.text_width(), config.semantic * width);
            let sizes: Vec<usize> = [text].into_iter().chain(ENCODER).chain([latent]).collect();
            for (at, pair) in sizes.windows(2).enumerate() {
                encoder.push(linear(parameters, format!("encoder.{at}"), (pair[1], pair[0])));
            }
            for (at, pair) in sizes.windows(2).rev().enumerate() {
                decoder.push(linear(parameters, format!("decoder.{at}"), (pair[0], pair[1])));
            }
        }
        let mut blocks = Vec::new();
        for at in 0..config.blocks {
            let mut named = |name: &str, shape| linear(parameters, format!("blocks.{at}.{name}"), shape);
            let projections = ["query", "key", "value", "output"].map(|name| named(name, (width, width)));
            let forward = [named("forward.0", (4 * width, width)), named("forward.1", (width, 4 * width))];
            let norms = ["attention_norm", "forward_norm"]
                .map(|name| norm(parameters, format!("blocks.{at}.{name}")));
            blocks.push(Block { norms, projections, forward });
        }
        let last_norm = norm(parameters, "last_norm".into());
        let places = init::normal(next(), (config.max_items + 1) * width, 0.02);
        let places = parameters.add("places.weight", (config.max_items + 1, width), places);
        let slots = init::normal(next(), config.tokens() * width, 0.02);
        let slots = parameters.add("slots.weight", (config.tokens(), width), slots);
        Ok(SetRec { config, vectors, collaborative, encoder, decoder, places, slots, blocks, last_norm })
    }

    /// How many items there are.
    pub fn items(&self) -> usize {
        self.vectors.items
    }

    /// How tokens are laid out, in an order of their own where `shuffle` draws one.
    pub fn layout(&self, shuffle: Option<u64>) -> Layout {
        Layout { tokens: self.config.tokens(), sparse: self.config.sparse, shuffle }
    }

    /// The tokens of all items.
    pub fn tokens(&self, tape: &Tape) -> Tokens {
        let mut of_slot = Vec::new();
        if let Some(layer) = self.collaborative {
            let shape = (self.vectors.items, self.vectors.collaborative_width());
            of_slot.push(linear(tape, &tape.constant(shape, &self.vectors.collaborative), layer));
        }
        let mut reconstruction = None;
        if self.config.semantic > 0 {
            let text = tape.constant((self.vectors.items, self.vectors.text_width()), &self.vectors.text);
            let latent = chain(tape, &text, &self.encoder);
            let width = self.config.width;
            of_slot.extend(
                (0..self.config.semantic).map(|at| tape.columns(&latent, at * width..(at + 1) * width)),
            );
            let back = chain(tape, &latent, &self.decoder);
            reconstruction = Some(tape.mean(&tape.square(&tape.minus(&back, &text))));
        }
        Tokens { of_slot, reconstruction }
    }

    /// The tokens of all items, computed once.
    pub fn tables(&self, parameters: &Parameters, compute: &Arc<Compute>) -> ItemTables {
        let tokens = self.tokens(&Tape::inference(parameters, compute));
        ItemTables { of_slot: tokens.of_slot.into_iter().map(|table| table.value).collect() }
    }

    /// Tokens that are there already as values of a tape.
    pub(super) fn given(&self, tape: &Tape, tables: &ItemTables) -> Tokens {
        let shape = (self.vectors.items, self.config.width);
        let of_slot = tables.of_slot.iter().map(|table| tape.shared(shape, table)).collect();
        Tokens { of_slot, reconstruction: None }
    }

    /// What each row becomes: rows × width, after the last norm.
    pub fn forward(&self, tape: &Tape, tokens: &Tokens, batch: &SetBatch, mode: Mode) -> Var {
        // All that rows begin with below each other: tokens of all items, and slots.
        let slots = tape.parameter(self.slots);
        let parts: Vec<&Var> = tokens.of_slot.iter().chain([&slots]).collect();
        let table = tape.stack(&parts);
        let slot_start = tokens.of_slot.len() * self.items();
        let row = |(token, slot): (&Option<(u32, usize)>, &usize)| match token {
            Some((item, token)) => (token * self.items() + *item as usize) as u32,
            None => (slot_start + slot) as u32,
        };
        let rows: Vec<u32> = batch.tokens.iter().zip(&batch.slots).map(row).collect();
        let mut x = tape.embedding(&[(table, &rows), (tape.parameter(self.places), &batch.places)]);
        let attention = PrefixAttention {
            sequences: batch.sequences.clone(),
            visible: batch.visible.clone().into(),
            heads: self.config.heads,
        };
        for (at, block) in self.blocks.iter().enumerate() {
            let [query, key, value] = block.sides(tape, &x);
            let attended = prefix_attention(tape, [&query, &key, &value], &attention);
            x = block.forward(tape, &x, &attended, (mode, at as u64));
        }
        self.normalized(tape, &x)
    }

    /// The last norm.
    pub(super) fn normalized(&self, tape: &Tape, x: &Var) -> Var {
        norm(tape, x, self.last_norm)
    }
}

impl Block {
    /// Queries, keys and values of rows.
    pub(super) fn sides(&self, tape: &Tape, x: &Var) -> [Var; 3] {
        let normal = norm(tape, x, self.norms[0]);
        [0, 1, 2].map(|part| linear(tape, &normal, self.projections[part]))
    }

    /// What rows become that attended so.
    pub(super) fn forward(&self, tape: &Tape, x: &Var, attended: &Var, (mode, at): (Mode, u64)) -> Var {
        let added = linear(tape, attended, self.projections[3]);
        let x = tape.add(x, &tape.dropout(&added, mode.dropout, place_key(mode, 2 * at)));
        let normal = norm(tape, &x, self.norms[1]);
        let inner = tape.activation(&linear(tape, &normal, self.forward[0]), Activation::Gelu);
        let added = linear(tape, &inner, self.forward[1]);
        tape.add(&x, &tape.dropout(&added, mode.dropout, place_key(mode, 2 * at + 1)))
    }
}

fn linear(tape: &Tape, x: &Var, (weight, bias): WithBias) -> Var {
    tape.linear(x, &tape.parameter(weight), Some(&tape.parameter(bias)), None)
}

fn norm(tape: &Tape, x: &Var, (weight, bias): WithBias) -> Var {
    tape.layer_norm(x, &tape.parameter(weight), &tape.parameter(bias), EPSILON)
}

/// Linear layers with ReLU between them.
fn chain(tape: &Tape, x: &Var, layers: &[WithBias]) -> Var {
    let mut x = x.clone();
    for (at, layer) in layers.iter().enumerate() {
        x = linear(tape, &x, *layer);
        if at + 1 < layers.len() {
            x = tape.activation(&x, Activation::Relu);
        }
    }
    x
}
