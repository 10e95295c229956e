//! The encoder, the codebooks and the decoder.

use super::nearest::{k_means, nearest};
use crate::TrainError;
use crate::engine::Engine;
use crate::nn::init;
use crate::random::Stream;
use crate::tape::{Compute, ParameterId, Parameters, Tape, Var};
use plackett_kernel::Activation;
use std::sync::Arc;

/// The stream of random numbers of the rows that codebooks begin with.
const BOOKS: u64 = 1 << 32;
/// Iterations of k-means (MiniOneRec's number).
const ITERATIONS: usize = 100;
/// Weight of the loss that holds vectors near their codes.
const COMMITMENT: f32 = 0.25;

/// Sizes of a quantiser.
#[derive(Clone, Debug, PartialEq)]
pub struct ResidualShape {
    /// Numbers of an item's vector, of each layer of the encoder, and at last of a code's vector; the decoder has them the other way round.
    pub widths: Vec<usize>,
    /// Codebooks.
    pub levels: usize,
    /// Vectors of each.
    pub codes: usize,
}

impl ResidualShape {
    fn check(&self) -> Result<(), TrainError> {
        match self.widths.len() >= 2 && !self.widths.contains(&0) && self.levels > 0 && self.codes > 0 {
            true => Ok(()),
            false => Err(TrainError::Setting(
                "residual codes: two widths at least, levels and codes are expected, all of them above 0"
                    .into(),
            )),
        }
    }
}

/// Weight and bias.
type WithBias = (ParameterId, ParameterId);

/// The model.
pub struct ResidualCodes {
    /// Its sizes.
    pub shape: ResidualShape,
    encoder: Vec<WithBias>,
    decoder: Vec<WithBias>,
    /// Codes × width, level after level.
    books: Vec<ParameterId>,
}

/// What the quantiser makes of vectors.
pub(super) struct Quantized {
    /// The vectors that the decoder reads: rows × width, with the gradient of the vectors themselves.
    pub vectors: Var,
    /// The mean over levels of the losses of codebooks and of commitment.
    pub loss: Var,
}

impl ResidualCodes {
    /// A model whose layers are drawn by the seed (Xavier's normal distribution) and whose codebooks are zero until [`ResidualCodes::begin`].
    ///
    /// # Errors
    /// Sizes that cannot be.
    pub fn new(
        shape: ResidualShape,
        parameters: &mut Parameters,
        seed: u64,
    ) -> Result<ResidualCodes, TrainError> {
        shape.check()?;
        let mut drawn = 0;
        let mut layer = |name: String, (outputs, inputs): (usize, usize)| -> WithBias {
            drawn += 1;
            let weight = init::xavier_normal(Stream::new(seed, drawn), (outputs, inputs));
            let weight = parameters.add(format!("{name}.weight"), (outputs, inputs), weight);
            (weight, parameters.add(format!("{name}.bias"), (1, outputs), vec![0.0; outputs]))
        };
        let pairs = shape.widths.windows(2).enumerate();
        let encoder =
            pairs.clone().map(|(at, pair)| layer(format!("encoder.{at}"), (pair[1], pair[0]))).collect();
        let decoder =
            pairs.rev().map(|(at, pair)| layer(format!("decoder.{at}"), (pair[0], pair[1]))).collect();
        let width = shape.widths[shape.widths.len() - 1];
        let books = (0..shape.levels)
            .map(|at| {
                parameters.add(format!("books.{at}"), (shape.codes, width), vec![0.0; shape.codes * width])
            })
            .collect();
        Ok(ResidualCodes { shape, encoder, decoder, books })
    }

    /// Numbers of an item's vector.
    pub fn inputs(&self) -> usize {
        self.shape.widths[0]
    }

    /// Numbers of a code's vector.
    fn width(&self) -> usize {
        self.shape.widths[self.shape.widths.len() - 1]
    }

    /// Begins codebooks with the means of some items (items × [`ResidualCodes::inputs`]), each with those of what is left of them.
    pub fn begin(&self, parameters: &mut Parameters, compute: &Arc<Compute>, items: &[f32], seed: u64) {
        let mut left = self.encoded(parameters, compute, items);
        let width = self.width();
        for (level, book) in self.books.iter().enumerate() {
            let stream = Stream::new(seed, BOOKS + level as u64);
            let means = k_means(compute, &left, (self.shape.codes, width), ITERATIONS, stream);
            parameters[*book].values_mut().copy_from_slice(&means);
            let codes = nearest(compute, &left, &means, width);
            take_away(&mut left, &means, &codes, width);
        }
    }

    fn encoded(&self, parameters: &Parameters, compute: &Arc<Compute>, items: &[f32]) -> Vec<f32> {
        let tape = Tape::inference(parameters, compute);
        let x = tape.constant((items.len() / self.inputs(), self.inputs()), items);
        self.encode(&tape, &x).value.to_vec()
    }

    /// Codes of items, and what is left of each before the last codebook: items × width.
    pub fn codes(
        &self,
        parameters: &Parameters,
        compute: &Arc<Compute>,
        items: &[f32],
    ) -> (Vec<Vec<u32>>, Vec<f32>) {
        let (mut left, width) = (self.encoded(parameters, compute, items), self.width());
        let mut all = vec![Vec::new(); left.len() / width];
        for (level, book) in self.books.iter().enumerate() {
            let book = &parameters[*book].value;
            let codes = nearest(compute, &left, book, width);
            all.iter_mut().zip(&codes).for_each(|(own, code)| own.push(*code));
            if level + 1 < self.books.len() {
                take_away(&mut left, book, &codes, width);
            }
        }
        (all, left)
    }

    /// What the decoder makes of the sums of items' codes: items × [`ResidualCodes::inputs`].
    pub fn reconstruct(&self, parameters: &Parameters, compute: &Arc<Compute>, items: &[f32]) -> Vec<f32> {
        let (mut sums, width) = (self.encoded(parameters, compute, items), self.width());
        let mut left = sums.clone();
        for book in &self.books {
            let book = &parameters[*book].value;
            let codes = nearest(compute, &left, book, width);
            take_away(&mut left, book, &codes, width);
        }
        sums.iter_mut().zip(&left).for_each(|(sum, left)| *sum -= left);
        let tape = Tape::inference(parameters, compute);
        let sums = tape.constant((sums.len() / width, width), &sums);
        self.decode(&tape, &sums).value.to_vec()
    }

    /// The last codebook: codes × width.
    pub fn last_book<'p>(&self, parameters: &'p Parameters) -> &'p [f32] {
        &parameters[self.books[self.books.len() - 1]].value
    }

    pub(super) fn encode(&self, tape: &Tape, x: &Var) -> Var {
        chain(tape, x, &self.encoder)
    }

    pub(super) fn decode(&self, tape: &Tape, x: &Var) -> Var {
        chain(tape, x, &self.decoder)
    }

    /// Codes of vectors that are learned from: the codebooks come to what was left, the vectors to their codes, and the gradient of the sum
    /// of the codes is that of the vectors (straight-through).
    pub(super) fn quantize(&self, tape: &Tape, vectors: &Var) -> Quantized {
        let shape = (vectors.rows, vectors.columns);
        let mut left = vectors.clone();
        let mut losses = Vec::new();
        for book in &self.books {
            let book = tape.parameter(*book);
            let codes = nearest(tape.compute(), &left.value, &book.value, shape.1);
            let found = tape.embedding(&[(book, &codes)]);
            let [fixed_left, fixed_found] = [&left, &found].map(|side| tape.constant(shape, &side.value));
            let of_book = tape.mean(&tape.square(&tape.minus(&fixed_left, &found)));
            let commitment = tape.mean(&tape.square(&tape.minus(&left, &fixed_found)));
            losses.push(tape.plus(&of_book, &tape.scale(&commitment, COMMITMENT)));
            left = tape.minus(&left, &fixed_found);
        }
        let change: Vec<f32> = left.value.iter().map(|x| -x).collect();
        let loss = tape.mean(&tape.stack(&losses.iter().collect::<Vec<_>>()));
        Quantized { vectors: tape.plus(vectors, &tape.constant(shape, &change)), loss }
    }
}

/// Takes the vectors of codes away from rows.
fn take_away(rows: &mut [f32], book: &[f32], codes: &[u32], width: usize) {
    for (row, code) in rows.chunks_mut(width.max(1)).zip(codes) {
        let taken = &book[*code as usize * width..][..width];
        row.iter_mut().zip(taken).for_each(|(x, taken)| *x -= taken);
    }
}

/// Linear layers with ReLU between them.
fn chain(tape: &Tape, x: &Var, layers: &[WithBias]) -> Var {
    let mut x = x.clone();
    for (at, (weight, bias)) in layers.iter().enumerate() {
        x = tape.linear(&x, &tape.parameter(*weight), Some(&tape.parameter(*bias)), None);
        if at + 1 < layers.len() {
            x = tape.activation(&x, Activation::Relu);
        }
    }
    x
}
