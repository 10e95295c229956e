//! T5 (Raffel et al., Exploring the limits of transfer learning with a unified text-to-text transformer, 2020), its later
//! versions and Flan-T5: an encoder and a decoder with biases by distance instead of positions, scores that are not scaled,
//! and norms without mean before each part.

use super::layers::load;
use super::{Linear, Mode, TokenBatch, WeightSource};
use crate::TrainError;
use crate::engine::{Attention, DistanceBuckets, Engine};
use crate::tape::{ParameterId, Parameters, Tape, Var};
use plackett_kernel::Activation;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Greatest distance that a bias may be asked for.
const MOST_REACH: usize = 1 << 20;

/// The numbers of a T5, as in its `config.json`.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct T5Config {
    /// Tokens of the vocabulary.
    pub vocab_size: usize,
    /// Numbers of a token.
    pub d_model: usize,
    /// Numbers of a head.
    pub d_kv: usize,
    /// Numbers between the matrices of the feed-forward network.
    pub d_ff: usize,
    /// Layers of the encoder.
    pub num_layers: usize,
    /// Layers of the decoder, where there are others than in the encoder.
    #[serde(default)]
    pub num_decoder_layers: Option<usize>,
    /// Heads of attention.
    pub num_heads: usize,
    /// Buckets of distances.
    #[serde(default = "thirty_two")]
    pub relative_attention_num_buckets: usize,
    /// From which distance on all are in one.
    #[serde(default = "one_hundred_and_twenty_eight")]
    pub relative_attention_max_distance: usize,
    /// Added to mean squares.
    #[serde(default = "epsilon")]
    pub layer_norm_epsilon: f32,
    /// The activation of the feed-forward network, after `gated-` where it has a gate.
    #[serde(default = "relu")]
    pub feed_forward_proj: String,
    /// Whether the output matrix is that of the embeddings. Files that have an `lm_head.weight` all the same (Flan-T5, as
    /// newer libraries save it) want `false` here.
    #[serde(default = "yes")]
    pub tie_word_embeddings: bool,
    /// Whether what the output matrix reads is scaled by 1/√d_model; as `tie_word_embeddings` where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_decoder_outputs: Option<bool>,
    /// The token before the first one of the decoder's.
    #[serde(default)]
    pub decoder_start_token_id: u32,
}

fn thirty_two() -> usize {
    32
}

fn one_hundred_and_twenty_eight() -> usize {
    128
}

fn epsilon() -> f32 {
    1e-6
}

fn relu() -> String {
    "relu".into()
}

fn yes() -> bool {
    true
}

impl T5Config {
    /// The activation, and whether there is a gate.
    fn feed_forward(&self) -> Result<(Activation, bool), TrainError> {
        let kind = &self.feed_forward_proj;
        let (gated, name) = kind.strip_prefix("gated-").map_or((false, &kind[..]), |name| (true, name));
        // The first gated models were trained with the approximation by tanh, under the exact one's name.
        let name = if kind == "gated-gelu" { "gelu_new" } else { name };
        let activation = Activation::named(name);
        let unknown = || TrainError::Model(format!("feed_forward_proj `{kind}` is not known"));
        Ok((activation.ok_or_else(unknown)?, gated))
    }

    /// The buckets of one half: on both sides of a query in the encoder.
    fn buckets(&self, both: bool) -> Result<DistanceBuckets, TrainError> {
        let (count, reach) = (self.relative_attention_num_buckets, self.relative_attention_max_distance);
        if count < 4 || reach <= count || reach > MOST_REACH {
            return Err(TrainError::Model(format!(
                "{count} buckets for distances up to {reach} are not supported: at least 4, fewer than distances"
            )));
        }
        Ok(DistanceBuckets { count, reach, both })
    }

    /// Numbers of all heads together.
    fn width(&self) -> usize {
        self.num_heads * self.d_kv
    }
}

/// Attention with the norm before it.
#[derive(Clone, Debug)]
pub struct T5Attention {
    norm: ParameterId,
    /// Queries, keys and values.
    pub projections: [Linear; 3],
    /// What becomes of the attended values.
    pub output: Linear,
}

/// One layer of a [`T5Stack`].
#[derive(Clone, Debug)]
pub struct T5Block {
    /// Attention to the other tokens.
    pub attention: T5Attention,
    /// Attention to the encoder's tokens.
    pub cross_attention: Option<T5Attention>,
    inner_norm: ParameterId,
    /// The first matrix of the feed-forward network; with a gate it is the first of two.
    pub inner: Vec<Linear>,
    /// The matrix back.
    pub outer: Linear,
}

/// The encoder, or the decoder.
#[derive(Clone, Debug)]
pub struct T5Stack {
    /// Its layers, in order.
    pub blocks: Vec<T5Block>,
    /// Biases of all layers: buckets × heads.
    bias: ParameterId,
    buckets: DistanceBuckets,
    norm: ParameterId,
}

/// The encoder and the decoder.
#[derive(Clone, Debug)]
pub struct T5 {
    /// Its numbers.
    pub config: T5Config,
    activation: Activation,
    embeddings: ParameterId,
    /// Reads the source.
    pub encoder: T5Stack,
    /// Writes the target.
    pub decoder: T5Stack,
    /// The output matrix: vocabulary × width.
    pub head: ParameterId,
}

impl T5 {
    /// A model whose weights come from `source`.
    ///
    /// # Errors
    /// The source lacks a weight or has one of another shape; the activation is unknown; the buckets cannot be.
    pub fn load(
        parameters: &mut Parameters,
        source: &mut dyn WeightSource,
        config: &T5Config,
    ) -> Result<T5, TrainError> {
        let (activation, _) = config.feed_forward()?;
        let table = (config.vocab_size, config.d_model);
        let embeddings = load(parameters, source, "shared.weight".into(), table)?;
        let encoder = T5Stack::load(parameters, source, config, "encoder")?;
        let decoder = T5Stack::load(parameters, source, config, "decoder")?;
        let head = match config.tie_word_embeddings {
            true => embeddings,
            false => load(parameters, source, "lm_head.weight".into(), table)?,
        };
        Ok(T5 { config: config.clone(), activation, embeddings, encoder, decoder, head })
    }

    /// What the decoder reads to write targets: each one behind the start token, without its last token.
    pub fn decoder_batch<'a>(&self, targets: impl IntoIterator<Item = &'a [u32]>) -> TokenBatch {
        let shifted = |target: &[u32]| {
            let kept = &target[..target.len().saturating_sub(1)];
            [&[self.config.decoder_start_token_id][..], kept].concat()
        };
        let shifted: Vec<Vec<u32>> = targets.into_iter().map(shifted).collect();
        TokenBatch::new(shifted.iter().map(Vec::as_slice))
    }

    /// A vector for each token of the sources: tokens × width.
    pub fn encode(&self, tape: &Tape, sources: &TokenBatch, mode: Mode) -> Var {
        self.run(tape, &self.encoder, sources, None, mode)
    }

    /// A vector for each token of the decoder's sequences, one for each of the encoder's, after the last norm and scaled:
    /// what the output matrix reads.
    pub fn decode(
        &self,
        tape: &Tape,
        (encoded, sources): (&Var, &TokenBatch),
        targets: &TokenBatch,
        mode: Mode,
    ) -> Var {
        // Other places drop out than in the encoder.
        let mode = Mode { key: !mode.key, ..mode };
        let y = self.run(tape, &self.decoder, targets, Some((encoded, sources)), mode);
        match self.config.scale_decoder_outputs.unwrap_or(self.config.tie_word_embeddings) {
            true => tape.scale(&y, 1.0 / (self.config.d_model as f32).sqrt()),
            false => y,
        }
    }

    /// For each (row, token) the log-probability of the token after that row of [`T5::decode`], as a column.
    pub fn log_probabilities(&self, tape: &Tape, decoded: &Var, targets: &[(usize, u32)]) -> Var {
        tape.token_log_probabilities(decoded, &tape.parameter(self.head), targets)
    }

    /// The logits of some rows of [`T5::decode`] over the whole vocabulary.
    pub fn logits(&self, tape: &Tape, decoded: &Var, rows: &[usize]) -> Var {
        tape.linear(&tape.select_rows(decoded, rows), &tape.parameter(self.head), None, None)
    }

    /// The logits of every row of [`T5::decode`] for some tokens alone: rows × tokens.
    pub fn logits_of(&self, tape: &Tape, decoded: &Var, tokens: &[u32]) -> Var {
        let rows = tape.embedding(&[(tape.parameter(self.head), tokens)]);
        tape.linear(decoded, &rows, None, None)
    }

    fn run(
        &self,
        tape: &Tape,
        stack: &T5Stack,
        batch: &TokenBatch,
        encoded: Option<(&Var, &TokenBatch)>,
        mode: Mode,
    ) -> Var {
        let x = tape.embedding(&[(tape.parameter(self.embeddings), &batch.tokens)]);
        let x = tape.dropout(&x, mode.dropout, mode.place(stack.blocks.len(), 0));
        let mut inputs: Vec<Var> =
            std::iter::once(x).chain(encoded.map(|(encoded, _)| encoded.clone())).collect();
        let within = self.attention(batch, None, encoded.is_some());
        let across = encoded.map(|(_, sources)| self.attention(batch, Some(sources), false));
        // What a layer that is run again needs has to outlive this pass.
        let owned = tape.is_recomputing().then(|| Arc::new((self.clone(), stack.clone())));
        for at in 0..stack.blocks.len() {
            inputs[0] = match owned.clone() {
                None => self.layer(tape, (stack, at), &inputs, (&within, across.as_ref()), mode),
                Some(owned) => {
                    let (within, across) = (within.clone(), across.clone());
                    tape.recomputed(&inputs.iter().collect::<Vec<_>>(), move |tape, inputs| {
                        let (t5, stack) = &*owned;
                        t5.layer(tape, (stack, at), inputs, (&within, across.as_ref()), mode)
                    })
                }
            };
        }
        let x = tape.rms_norm(&inputs[0], &tape.parameter(stack.norm), self.config.layer_norm_epsilon);
        tape.dropout(&x, mode.dropout, mode.place(stack.blocks.len(), 1))
    }

    /// What a layer makes of its `inputs`: the vectors of all tokens, and in the decoder those of the encoder behind them.
    fn layer(
        &self,
        tape: &Tape,
        (stack, at): (&T5Stack, usize),
        inputs: &[Var],
        (within, across): (&Attention, Option<&Attention>),
        mode: Mode,
    ) -> Var {
        let block = &stack.blocks[at];
        let bias = tape.parameter(stack.bias);
        let own = (Some((&bias, stack.buckets)), within);
        let mut x = self.attend(tape, &block.attention, &inputs[0], None, own, (mode, at, 1));
        if let (Some(layer), [_, encoded], Some(across)) = (&block.cross_attention, inputs, across) {
            x = self.attend(tape, layer, &x, Some(encoded), (None, across), (mode, at, 2));
        }
        self.feed_forward(tape, block, &x, (mode, at, 3))
    }

    fn attention(&self, queries: &TokenBatch, keys: Option<&TokenBatch>, causal: bool) -> Attention {
        let heads = self.config.num_heads;
        let key_sequences = keys.map(|keys| keys.sequences.clone());
        let sequences = queries.sequences.clone();
        Attention { sequences, key_sequences, heads, key_heads: heads, causal, hidden: None, scale: 1.0 }
    }

    /// Attention of `x` to `keys`, or to itself, and the residual.
    fn attend(
        &self,
        tape: &Tape,
        layer: &T5Attention,
        x: &Var,
        keys: Option<&Var>,
        (bias, attention): (Option<(&Var, DistanceBuckets)>, &Attention),
        place: (Mode, usize, u64),
    ) -> Var {
        let normal = tape.rms_norm(x, &tape.parameter(layer.norm), self.config.layer_norm_epsilon);
        let keys = keys.unwrap_or(&normal);
        let [query, key, value] = &layer.projections;
        let query = query.forward(tape, &normal, None);
        let [key, value] = [key, value].map(|linear| linear.forward(tape, keys, None));
        let attended = tape.attention(&query, &key, &value, bias, attention);
        onto(tape, &layer.output, &attended, x, place)
    }

    /// The feed-forward network, and the residual.
    fn feed_forward(&self, tape: &Tape, block: &T5Block, x: &Var, place: (Mode, usize, u64)) -> Var {
        let normal = tape.rms_norm(x, &tape.parameter(block.inner_norm), self.config.layer_norm_epsilon);
        let inner: Vec<Var> = block.inner.iter().map(|linear| linear.forward(tape, &normal, None)).collect();
        let inner = match &inner[..] {
            [gate, up] => tape.gated(gate, up, self.activation),
            inner => tape.activation(&inner[0], self.activation),
        };
        onto(tape, &block.outer, &inner, x, place)
    }

    /// The linear layers of its layers, which adapters are added to.
    pub fn linears_mut(&mut self) -> impl Iterator<Item = &mut Linear> {
        self.encoder.blocks.iter_mut().chain(&mut self.decoder.blocks).flat_map(T5Block::linears_mut)
    }
}

/// The layer over `inner`, with dropout, plus the residual.
fn onto(
    tape: &Tape,
    layer: &Linear,
    inner: &Var,
    residual: &Var,
    (mode, at, place): (Mode, usize, u64),
) -> Var {
    if mode.dropout <= 0.0 {
        return layer.forward(tape, inner, Some(residual));
    }
    let y = layer.forward(tape, inner, None);
    tape.add(&tape.dropout(&y, mode.dropout, mode.place(at, place)), residual)
}

impl T5Stack {
    fn load(
        parameters: &mut Parameters,
        source: &mut dyn WeightSource,
        config: &T5Config,
        half: &str,
    ) -> Result<T5Stack, TrainError> {
        let is_decoder = half == "decoder";
        let layers = match is_decoder {
            true => config.num_decoder_layers.unwrap_or(config.num_layers),
            false => config.num_layers,
        };
        let buckets = config.buckets(!is_decoder)?;
        let blocks = (0..layers)
            .map(|at| {
                T5Block::load(parameters, source, config, &format!("{half}.block.{at}.layer"), is_decoder)
            })
            .collect::<Result<_, _>>()?;
        let name = format!("{half}.block.0.layer.0.SelfAttention.relative_attention_bias.weight");
        let bias = load(parameters, source, name, (buckets.count, config.num_heads))?;
        let name = format!("{half}.final_layer_norm.weight");
        let norm = load(parameters, source, name, (1, config.d_model))?;
        Ok(T5Stack { blocks, bias, buckets, norm })
    }
}

impl T5Block {
    fn load(
        parameters: &mut Parameters,
        source: &mut dyn WeightSource,
        config: &T5Config,
        name: &str,
        is_decoder: bool,
    ) -> Result<T5Block, TrainError> {
        let (width, inner) = (config.d_model, config.d_ff);
        let attention = T5Attention::load(parameters, source, config, &format!("{name}.0"), "SelfAttention")?;
        let cross_attention = match is_decoder {
            true => {
                let name = format!("{name}.1");
                Some(T5Attention::load(parameters, source, config, &name, "EncDecAttention")?)
            }
            false => None,
        };
        let last = if is_decoder { 2 } else { 1 };
        let norm = format!("{name}.{last}.layer_norm.weight");
        let inner_norm = load(parameters, source, norm, (1, width))?;
        let (_, gated) = config.feed_forward()?;
        let mut linear = |part: &str, shape| {
            let name = format!("{name}.{last}.DenseReluDense.{part}");
            Linear::load(parameters, source, &name, shape, false)
        };
        let parts: &[&str] = if gated { &["wi_0", "wi_1"] } else { &["wi"] };
        let matrices = parts.iter().map(|part| linear(part, (inner, width))).collect::<Result<_, _>>()?;
        let outer = linear("wo", (width, inner))?;
        Ok(T5Block { attention, cross_attention, inner_norm, inner: matrices, outer })
    }

    /// Its linear layers, which adapters are added to.
    pub fn linears_mut(&mut self) -> impl Iterator<Item = &mut Linear> {
        let attentions = std::iter::once(&mut self.attention).chain(&mut self.cross_attention);
        attentions.flat_map(T5Attention::linears_mut).chain(&mut self.inner).chain([&mut self.outer])
    }
}

impl T5Attention {
    fn load(
        parameters: &mut Parameters,
        source: &mut dyn WeightSource,
        config: &T5Config,
        name: &str,
        kind: &str,
    ) -> Result<T5Attention, TrainError> {
        let (width, inner) = (config.d_model, config.width());
        let norm = load(parameters, source, format!("{name}.layer_norm.weight"), (1, width))?;
        let mut linear = |part: &str, shape| {
            Linear::load(parameters, source, &format!("{name}.{kind}.{part}"), shape, false)
        };
        let narrow = (inner, width);
        let projections = [linear("q", narrow)?, linear("k", narrow)?, linear("v", narrow)?];
        let output = linear("o", (width, inner))?;
        Ok(T5Attention { norm, projections, output })
    }

    fn linears_mut(&mut self) -> impl Iterator<Item = &mut Linear> {
        self.projections.iter_mut().chain([&mut self.output])
    }
}
