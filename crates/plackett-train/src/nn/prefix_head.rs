//! An output of decoders that write identifiers whose weights follow from what is written already: the prefix-aware weight-adaptive decoder
//! (PAWA; Wang and others, A Neural Corpus Indexer for Document Retrieval, NeurIPS 2022), in the form that its code calls efficient.

use super::layers::load;
use super::{Initializer, LayerNorm, Linear, Mode, TokenBatch, WeightSource, check_heads};
use crate::TrainError;
use crate::engine::{Attention, Engine};
use crate::tape::{ParameterId, Parameters, Tape, Var};
use plackett_kernel::Activation;
use std::ops::Range;
use std::sync::Arc;

/// What the names of its parameters begin with.
pub const PREFIX_HEAD: &str = "prefix_head.";
/// Numbers between the matrices of a feed-forward network, as a multiple of the width.
const INNER: usize = 4;
/// Added to variances.
const NORM_EPSILON: f32 = 1e-5;
/// Keeps its draws apart from those of the decoder, which follow from the same seed.
const DRAWS: u64 = 1 << 40;

/// Vectors of the adaptor (rows × width), and where the rows of each identifier lie.
pub type AdaptedRows = (Var, Arc<[Range<usize>]>);

/// The numbers of a [`PrefixHead`].
#[derive(Clone, Debug, PartialEq)]
pub struct PrefixHeadConfig {
    /// Numbers of a token of the decoder.
    pub width: usize,
    /// Layers of the adaptor.
    pub layers: usize,
    /// Heads of its attention.
    pub heads: usize,
    /// For each place of an identifier the tokens that may stand there, in ascending order and each once.
    pub places: Vec<Vec<u32>>,
}

impl PrefixHeadConfig {
    /// Tokens at their places: a token that may stand at two of them counts twice.
    pub fn tokens(&self) -> usize {
        self.places.iter().map(Vec::len).sum()
    }

    /// Numbers of all matrices.
    pub fn numbers(&self) -> u128 {
        let (width, tokens) = (self.width as u128, self.tokens() as u128);
        let of_a_layer = (4 + 2 * INNER as u128) * width * width;
        tokens * width * (width + 2) + width + self.layers as u128 * of_a_layer
    }
}

/// One layer of the adaptor: a layer of a Transformer's decoder with the norm after each part.
///
/// The decoder of the paper attends to one learned vector besides, and attention to a single vector gives that vector's value whatever the
/// query: what comes of it is one vector for all tokens, which is learned as such. The feed-forward network has GELU and four times the width
/// inside, where the authors' layer has ReLU and 2048 numbers.
#[derive(Clone, Debug)]
struct AdaptorLayer {
    /// Queries, keys and values.
    attention: [Linear; 3],
    attention_output: Linear,
    memory: ParameterId,
    inner: Linear,
    outer: Linear,
    /// After attention, memory and the feed-forward network.
    norms: [LayerNorm; 3],
}

/// The linear layer from the adaptor's vectors to the weights of the tokens of one place.
#[derive(Clone, Copy, Debug)]
struct PlaceOutput {
    /// tokens × (width · width)
    weight: ParameterId,
    /// tokens × width
    bias: ParameterId,
}

/// The adaptor and what it adapts. With the vector h of the decoder after a prefix and that of the adaptor, a, the logit of a token t that may
/// stand next is h · (W_t a / width + b_t + e_t), where e_t is the row of t in the decoder's own output matrix, and W_t (width × width) and
/// b_t are those of t at this place. Other tokens are impossible.
///
/// The authors scale h by 1/√width instead, as T5 does with tied matrices; here the decoder's own logits stay what they are, and
/// W is larger by √width at the beginning, so that logits begin as theirs do and a step of Adam moves both parts of a logit as far. They have no
/// b_t: each of their tokens is of one place, so that e_t is of that place too, and here a token may stand at several.
#[derive(Clone, Debug)]
pub struct PrefixHead {
    /// Its numbers.
    pub config: PrefixHeadConfig,
    /// A row for the beginning, and one for each token at its place.
    embeddings: ParameterId,
    layers: Vec<AdaptorLayer>,
    outputs: Vec<PlaceOutput>,
    /// The row of the first token of each place.
    firsts: Vec<usize>,
}

/// The logits of some rows, all of them at one place of their identifiers.
#[derive(Clone, Debug)]
pub struct PlaceLogits {
    /// The place, from 0.
    pub place: usize,
    /// Which rows.
    pub rows: Vec<usize>,
    /// rows × tokens of the place.
    pub logits: Var,
}

/// Draws weights as PyTorch does for linear layers, and embeddings as those of the decoder.
struct DrawnHead {
    initializer: Initializer,
    width: usize,
}

impl WeightSource for DrawnHead {
    fn take(&mut self, name: &str, (rows, columns): (usize, usize)) -> Result<Vec<f32>, TrainError> {
        let (count, width) = (rows * columns, self.width as f32);
        let part = name.strip_prefix(PREFIX_HEAD).unwrap_or(name);
        Ok(match part.starts_with("places.") {
            true if part.ends_with(".weight") => self.initializer.uniform(count, 1.0),
            true => self.initializer.uniform(count, 1.0 / width),
            false if part == "embeddings" => self.initializer.normal(count, 1.0 / width.sqrt()),
            false if part.ends_with(".weight") && !part.contains(".norms.") => {
                self.initializer.uniform(count, 1.0 / (columns as f32).sqrt())
            }
            false => return self.initializer.take(name, (rows, columns)),
        })
    }
}

impl PrefixHead {
    /// A head whose weights come from `source`.
    ///
    /// # Errors
    /// The source lacks a weight or has one of another shape; the width is no multiple of the heads.
    pub fn load(
        parameters: &mut Parameters,
        source: &mut dyn WeightSource,
        config: &PrefixHeadConfig,
    ) -> Result<PrefixHead, TrainError> {
        let width = config.width;
        check_heads(width, config.heads)?;
        let table = (1 + config.tokens(), width);
        let embeddings = load(parameters, source, format!("{PREFIX_HEAD}embeddings"), table)?;
        let layers = (0..config.layers)
            .map(|at| AdaptorLayer::load(parameters, source, width, &format!("{PREFIX_HEAD}layers.{at}")))
            .collect::<Result<_, _>>()?;
        let (mut outputs, mut firsts) = (Vec::new(), Vec::new());
        let mut first = 1;
        for (place, tokens) in config.places.iter().enumerate() {
            let name = format!("{PREFIX_HEAD}places.{place}");
            let (weight, bias) = ((tokens.len(), width * width), (tokens.len(), width));
            let weight = load(parameters, source, format!("{name}.weight"), weight)?;
            let bias = load(parameters, source, format!("{name}.bias"), bias)?;
            outputs.push(PlaceOutput { weight, bias });
            firsts.push(first);
            first += tokens.len();
        }
        Ok(PrefixHead { config: config.clone(), embeddings, layers, outputs, firsts })
    }

    /// A head whose weights are drawn by the seed.
    ///
    /// # Errors
    /// The width is no multiple of the heads.
    pub fn drawn(
        parameters: &mut Parameters,
        config: &PrefixHeadConfig,
        seed: u64,
    ) -> Result<PrefixHead, TrainError> {
        let initializer = Initializer::new(seed.wrapping_add(DRAWS));
        PrefixHead::load(parameters, &mut DrawnHead { initializer, width: config.width }, config)
    }

    /// The column of a token in the logits of a place; `None` where no identifier has it there.
    pub fn column(&self, place: usize, token: u32) -> Option<usize> {
        self.config.places.get(place)?.binary_search(&token).ok()
    }

    /// For each identifier a vector after its beginning and one after each token that is written of it, which depend on the tokens before
    /// alone: rows × width, and where the rows of each identifier lie.
    ///
    /// # Errors
    /// A token at a place where no identifier has it.
    pub fn adapted(&self, tape: &Tape, written: &[&[u32]], mode: Mode) -> Result<AdaptedRows, TrainError> {
        let batch = self.batch(written)?;
        let x = tape.embedding(&[(tape.parameter(self.embeddings), &batch.tokens)]);
        let mut x = tape.dropout(&x, mode.dropout, mode.place(self.layers.len(), 0));
        let heads = self.config.heads;
        let attention = batch.attention(heads, heads, self.config.width / heads, true);
        for (at, layer) in self.layers.iter().enumerate() {
            x = layer.forward(tape, &x, &attention, (mode, at));
        }
        Ok((x, batch.sequences))
    }

    /// What the adaptor reads: the row of the beginning, and that of each token at its place.
    fn batch(&self, written: &[&[u32]]) -> Result<TokenBatch, TrainError> {
        let row = |(place, token): (usize, &u32)| match self.column(place, *token) {
            Some(column) => Ok((self.firsts[place] + column) as u32),
            None => Err(TrainError::Model(format!(
                "no identifier has the token {token} as its token {}, and one that is written has",
                place + 1
            ))),
        };
        let mut sequences: Vec<Vec<u32>> = Vec::with_capacity(written.len());
        for tokens in written {
            let rows = std::iter::once(Ok(0)).chain(tokens.iter().enumerate().map(row));
            sequences.push(rows.collect::<Result<_, _>>()?);
        }
        Ok(TokenBatch::new(sequences.iter().map(Vec::as_slice)))
    }

    /// The weights of the tokens of a place that follow from no prefix, b_t + e_t: tokens × width. `table` is the decoder's output
    /// matrix, vocabulary × width.
    ///
    /// # Panics
    /// There is no such place.
    pub fn fixed_weights(&self, tape: &Tape, table: &Var, place: usize) -> Var {
        let tokens: Vec<usize> = self.config.places[place].iter().map(|token| *token as usize).collect();
        tape.add(&tape.select_rows(table, &tokens), &tape.parameter(self.outputs[place].bias))
    }

    /// The logits of rows after a prefix each: of `hidden`, what the decoder's output matrix reads (rows × width), and `adapted`, the
    /// adaptor's vectors (rows × width), at their `places`. `table` is the decoder's output matrix, vocabulary × width. Rows come back by
    /// place; one beyond the last place has no logits.
    pub fn logits(
        &self,
        tape: &Tape,
        table: &Var,
        vectors: (&Var, &Var),
        places: &[usize],
        mode: Mode,
    ) -> Vec<PlaceLogits> {
        self.logits_by(tape, |place| self.fixed_weights(tape, table, place), vectors, places, mode)
    }

    /// The same where the weights of a place that follow from no prefix ([`PrefixHead::fixed_weights`]) are known.
    pub fn logits_by(
        &self,
        tape: &Tape,
        fixed: impl Fn(usize) -> Var,
        (hidden, adapted): (&Var, &Var),
        places: &[usize],
        mode: Mode,
    ) -> Vec<PlaceLogits> {
        let hidden = tape.dropout(hidden, mode.dropout, mode.place(self.layers.len(), 1));
        let mut found = Vec::new();
        for (place, output) in self.outputs.iter().enumerate() {
            let rows: Vec<usize> = (0..places.len()).filter(|row| places[*row] == place).collect();
            if rows.is_empty() {
                continue;
            }
            let [hidden, adapted] = [&hidden, adapted].map(|all| tape.select_rows(all, &rows));
            let fixed = tape.linear(&hidden, &fixed(place), None, None);
            // h · W a as a product of W with all products of a number of h and one of a.
            let both = tape.outer_rows(&hidden, &tape.scale(&adapted, 1.0 / self.config.width as f32));
            let logits = tape.linear(&both, &tape.parameter(output.weight), None, Some(&fixed));
            found.push(PlaceLogits { place, rows, logits });
        }
        found
    }
}

impl AdaptorLayer {
    fn load(
        parameters: &mut Parameters,
        source: &mut dyn WeightSource,
        width: usize,
        name: &str,
    ) -> Result<AdaptorLayer, TrainError> {
        let memory = load(parameters, source, format!("{name}.memory"), (1, width))?;
        let mut norm = |at: usize| {
            LayerNorm::load(parameters, source, &format!("{name}.norms.{at}"), width, NORM_EPSILON)
        };
        let norms = [norm(0)?, norm(1)?, norm(2)?];
        let mut linear = |part: &str, shape: (usize, usize)| {
            Linear::load(parameters, source, &format!("{name}.{part}"), shape, true)
        };
        let square = (width, width);
        Ok(AdaptorLayer {
            attention: [linear("query", square)?, linear("key", square)?, linear("value", square)?],
            attention_output: linear("attention_output", square)?,
            inner: linear("inner", (INNER * width, width))?,
            outer: linear("outer", (width, INNER * width))?,
            memory,
            norms,
        })
    }

    fn forward(&self, tape: &Tape, x: &Var, attention: &Attention, (mode, at): (Mode, usize)) -> Var {
        let dropped = |y: &Var, place: u64| tape.dropout(y, mode.dropout, mode.place(at, place));
        let [query, key, value] = self.attention.each_ref().map(|linear| linear.forward(tape, x, None));
        let attended = tape.attention(&query, &key, &value, None, attention);
        let attended = self.attention_output.forward(tape, &attended, None);
        let x = self.norms[0].forward(tape, &tape.add(x, &dropped(&attended, 2)));
        let x = self.norms[1].forward(tape, &tape.plus(&x, &tape.parameter(self.memory)));
        let inner = tape.activation(&self.inner.forward(tape, &x, None), Activation::Gelu);
        let outer = self.outer.forward(tape, &inner, None);
        self.norms[2].forward(tape, &tape.add(&x, &dropped(&outer, 3)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::{Compute, assert_parameter_gradients};

    const WIDTH: usize = 8;

    /// Identifiers of up to three tokens: the tokens 5 and 6, then 1, 5 and 7, then 1. Token 1 ends them.
    fn head(parameters: &mut Parameters) -> (PrefixHead, ParameterId) {
        let places = vec![vec![5, 6], vec![1, 5, 7], vec![1]];
        let config = PrefixHeadConfig { width: WIDTH, layers: 2, heads: 2, places };
        assert_eq!(config.tokens(), 6);
        // Six tokens of 8 · 8 + 2 · 8, the beginning, and two layers of 12 · 64.
        assert_eq!(config.numbers(), 6 * 80 + 8 + 2 * 768);
        let table = (0..8 * WIDTH).map(|at| ((at * 7 + 3) % 11) as f32 / 11.0 - 0.5).collect();
        let table = parameters.add("table", (8, WIDTH), table);
        (PrefixHead::drawn(parameters, &config, 3).unwrap(), table)
    }

    fn hidden(tape: &Tape, rows: usize) -> Var {
        let numbers: Vec<f32> = (0..rows * WIDTH).map(|at| ((at * 5 + 2) % 7) as f32 / 3.0 - 1.0).collect();
        tape.constant((rows, WIDTH), &numbers)
    }

    #[test]
    fn logits_are_products_with_weights_that_follow_from_the_prefix() {
        let mut parameters = Parameters::default();
        let (head, table) = head(&mut parameters);
        let tape = Tape::inference(&parameters, &Compute::new(1));
        let (adapted, sequences) = head.adapted(&tape, &[&[], &[5], &[6, 7]], Mode::default()).unwrap();
        assert_eq!(sequences[..], [0..1, 1..3, 3..6]);
        let last = tape.select_rows(&adapted, &[0, 2, 5]);
        let hidden = hidden(&tape, 3);
        let found = head.logits(&tape, &tape.parameter(table), (&hidden, &last), &[0, 1, 2], Mode::default());
        let places: Vec<(usize, usize)> = found.iter().map(|own| (own.place, own.rows[0])).collect();
        assert_eq!(places, [(0, 0), (1, 1), (2, 2)]);
        let of = |name: &str| parameters[parameters.find(name).unwrap()].value.to_vec();
        for own in &found {
            let row = own.rows[0];
            let (h, a) = (&hidden.value[row * WIDTH..][..WIDTH], &last.value[row * WIDTH..][..WIDTH]);
            let weight = of(&format!("prefix_head.places.{}.weight", own.place));
            let bias = of(&format!("prefix_head.places.{}.bias", own.place));
            for (at, token) in head.config.places[own.place].iter().enumerate() {
                let mut expected = 0.0;
                for i in 0..WIDTH {
                    let adaptor: f32 =
                        (0..WIDTH).map(|j| weight[(at * WIDTH + i) * WIDTH + j] * a[j] / WIDTH as f32).sum();
                    let row = parameters[table].value[*token as usize * WIDTH + i];
                    expected += h[i] * (adaptor + bias[at * WIDTH + i] + row);
                }
                let logit = own.logits.value[at];
                assert!((logit - expected).abs() < 1e-5, "{logit} is not {expected}");
            }
        }
    }

    #[test]
    fn a_vector_depends_on_the_tokens_before_it_and_on_their_places() {
        let mut parameters = Parameters::default();
        let (head, _) = head(&mut parameters);
        let tape = Tape::inference(&parameters, &Compute::new(1));
        let of = |written: &[u32]| {
            let (adapted, _) = head.adapted(&tape, &[written], Mode::default()).unwrap();
            adapted.value.chunks(WIDTH).map(<[f32]>::to_vec).collect::<Vec<_>>()
        };
        let (one, other, third) = (of(&[5, 7]), of(&[5, 5]), of(&[6, 7]));
        assert_eq!(one[..2], other[..2]);
        assert_ne!(one[2], other[2]);
        assert!(one[0] == third[0] && one[1] != third[1] && one[2] != third[2]);
        // Token 5 at both places is two tokens.
        assert_ne!(head.firsts[0] + head.column(0, 5).unwrap(), head.firsts[1] + head.column(1, 5).unwrap());
        let error = head.adapted(&tape, &[&[7]], Mode::default()).unwrap_err().to_string();
        assert!(error.contains("token 7 as its token 1"), "{error}");
    }

    #[test]
    fn gradients_are_differences() {
        let mut parameters = Parameters::default();
        let (head, table) = head(&mut parameters);
        // Numbers of about 1, beside which the steps of the differences are small.
        parameters[head.embeddings].values_mut().iter_mut().for_each(|x| *x *= 3.0);
        let checked: Vec<ParameterId> = parameters.iter().map(|(id, _)| id).collect();
        assert_parameter_gradients(&mut parameters, &checked, 4, |tape| {
            let (adapted, _) = head.adapted(tape, &[&[5, 7], &[6]], Mode::default()).unwrap();
            let hidden = hidden(tape, 5);
            let both = (&hidden, &adapted);
            let found = head.logits(tape, &tape.parameter(table), both, &[0, 1, 2, 0, 1], Mode::default());
            let means = found.iter().map(|own| tape.mean(&tape.square(&own.logits)));
            means.reduce(|sum, mean| tape.plus(&sum, &mean)).unwrap()
        });
    }
}
