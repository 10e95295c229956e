//! Llama (Touvron et al., 2023) and what is built like it (SmolLM2; Qwen2, which has biases on queries, keys and values): a decoder with rotary
//! positions, grouped queries, gated feed-forward networks and pre-normalisation.

use super::layers::load;
use super::{Linear, Mode, TokenBatch, WeightSource, check_heads, embedding_noise};
use crate::TrainError;
use crate::engine::{Attention, Engine, Rotary};
use crate::tape::{ParameterId, Parameters, Tape, Var};
use plackett_kernel::Activation;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;

/// The numbers of a Llama, as in its `config.json`.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct LlamaConfig {
    /// Tokens of the vocabulary.
    pub vocab_size: usize,
    /// Numbers of a token.
    pub hidden_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Heads of queries.
    pub num_attention_heads: usize,
    /// Heads of keys and values.
    pub num_key_value_heads: usize,
    /// Numbers between the matrices of the feed-forward network.
    pub intermediate_size: usize,
    /// Added to mean squares.
    pub rms_norm_eps: f32,
    /// The base of the angles of positions.
    #[serde(default = "ten_thousand")]
    pub rope_theta: f32,
    /// Whether the output matrix is that of the embeddings.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// Whether the layers of attention have biases.
    #[serde(default)]
    pub attention_bias: bool,
    /// Whether those of the feed-forward network have.
    #[serde(default)]
    pub mlp_bias: bool,
    /// Whether queries, keys and values have them, whatever the layer after attention has (Qwen2).
    #[serde(default, skip_serializing_if = "is_off")]
    pub qkv_bias: bool,
}

fn is_off(flag: &bool) -> bool {
    !flag
}

impl LlamaConfig {
    /// The numbers of a small decoder over some tokens, for training from nothing: each head has keys and values of its own, and the
    /// output matrix is not that of the embeddings.
    pub fn small(
        vocab_size: usize,
        layers: usize,
        (width, inner): (usize, usize),
        heads: usize,
    ) -> LlamaConfig {
        LlamaConfig {
            vocab_size,
            hidden_size: width,
            num_hidden_layers: layers,
            num_attention_heads: heads,
            num_key_value_heads: heads,
            intermediate_size: inner,
            rms_norm_eps: 1e-5,
            rope_theta: ten_thousand(),
            tie_word_embeddings: false,
            attention_bias: false,
            mlp_bias: false,
            qkv_bias: false,
        }
    }
}

fn ten_thousand() -> f32 {
    10_000.0
}

/// One layer of a [`Llama`].
#[derive(Clone, Debug)]
pub struct LlamaLayer {
    input_norm: ParameterId,
    /// Queries, keys and values.
    pub attention: [Linear; 3],
    /// What becomes of the attended values.
    pub attention_output: Linear,
    inner_norm: ParameterId,
    /// The gate of the feed-forward network, what it gates, and the matrix back.
    pub feed_forward: [Linear; 3],
}

/// The decoder.
#[derive(Clone, Debug)]
pub struct Llama {
    /// Its numbers.
    pub config: LlamaConfig,
    embeddings: ParameterId,
    /// Its layers, in order.
    pub layers: Vec<LlamaLayer>,
    norm: ParameterId,
    /// The output matrix: vocabulary × width.
    pub head: ParameterId,
}

impl Llama {
    /// A model whose weights come from `source`.
    ///
    /// # Errors
    /// The source lacks a weight or has one of another shape.
    pub fn load(
        parameters: &mut Parameters,
        source: &mut dyn WeightSource,
        config: &LlamaConfig,
    ) -> Result<Llama, TrainError> {
        let (width, vocabulary) = (config.hidden_size, config.vocab_size);
        let table = (vocabulary, width);
        let embeddings = load(parameters, source, "model.embed_tokens.weight".into(), table)?;
        let layers = (0..config.num_hidden_layers)
            .map(|at| LlamaLayer::load(parameters, source, config, &format!("model.layers.{at}")))
            .collect::<Result<_, _>>()?;
        let norm = load(parameters, source, "model.norm.weight".into(), (1, width))?;
        let head = match config.tie_word_embeddings {
            true => embeddings,
            false => load(parameters, source, "lm_head.weight".into(), table)?,
        };
        Ok(Llama { config: config.clone(), embeddings, layers, norm, head })
    }

    /// A vector for each token after the last layer, before the last norm: tokens × width.
    pub fn hidden(&self, tape: &Tape, batch: &TokenBatch) -> Var {
        self.layers_over(tape, batch, (self.embed(tape, batch), self.layers.len()), |_, _| ())
    }

    /// The same, while sequences are learned from with NEFTune's noise of this α on their embeddings ([`embedding_noise`]).
    pub fn noisy_hidden(&self, tape: &Tape, batch: &TokenBatch, alpha: f32, mode: Mode) -> Var {
        let x = self.embed(tape, batch);
        let x = match embedding_noise(batch, x.columns, alpha, mode) {
            None => x,
            Some(noise) => tape.add(&x, &tape.constant((x.rows, x.columns), &noise)),
        };
        self.layers_over(tape, batch, (x, self.layers.len()), |_, _| ())
    }

    pub(super) fn embed(&self, tape: &Tape, batch: &TokenBatch) -> Var {
        tape.embedding(&[(tape.parameter(self.embeddings), &batch.tokens)])
    }

    /// Calls `visit` with the number of layers passed, from 1, and the vectors of all tokens after them.
    pub fn each_layer(&self, tape: &Tape, batch: &TokenBatch, visit: impl FnMut(usize, &Var)) {
        self.each_layer_until(tape, batch, self.layers.len(), visit);
    }

    /// The same, ending after `layers` layers.
    pub fn each_layer_until(
        &self,
        tape: &Tape,
        batch: &TokenBatch,
        layers: usize,
        visit: impl FnMut(usize, &Var),
    ) {
        self.layers_over(tape, batch, (self.embed(tape, batch), layers), visit);
    }

    /// The vectors of all tokens after so many layers over `x`, each of which is visited.
    fn layers_over(
        &self,
        tape: &Tape,
        batch: &TokenBatch,
        (x, layers): (Var, usize),
        visit: impl FnMut(usize, &Var),
    ) -> Var {
        let rotary = self.rotary(batch.positions().into());
        let attention = self.attention(batch);
        self.through(tape, (&rotary, &attention), (x, 0..layers.min(self.layers.len())), visit)
    }

    /// The same after a range of layers, from 0.
    pub(super) fn through(
        &self,
        tape: &Tape,
        (rotary, attention): (&Rotary, &Attention),
        (mut x, layers): (Var, Range<usize>),
        mut visit: impl FnMut(usize, &Var),
    ) -> Var {
        // What a layer that is run again needs has to outlive this pass.
        let owned = tape.is_recomputing().then(|| Arc::new(self.clone()));
        for at in layers {
            x = match owned.clone() {
                None => self.layer(tape, &x, (rotary, attention), at),
                Some(own) => {
                    let (rotary, attention) = (rotary.clone(), attention.clone());
                    tape.recomputed(&[&x], move |tape, x| own.layer(tape, &x[0], (&rotary, &attention), at))
                }
            };
            visit(at + 1, &x);
        }
        x
    }

    /// What a layer, from 0, makes of the vectors of all tokens.
    fn layer(&self, tape: &Tape, x: &Var, (rotary, attention): (&Rotary, &Attention), at: usize) -> Var {
        let layer = &self.layers[at];
        let sides = layer.sides(tape, &self.config, rotary, x);
        layer.forward(tape, &self.config, attention, &sides, x)
    }

    /// Positions of rows as its heads are turned by them.
    pub(super) fn rotary(&self, positions: Arc<[u32]>) -> Rotary {
        let head_size = self.config.hidden_size / self.config.num_attention_heads;
        Rotary { positions, head_size, base: self.config.rope_theta }
    }

    /// Causal attention within the sequences of a batch.
    pub(super) fn attention(&self, batch: &TokenBatch) -> Attention {
        let (heads, key_heads) = (self.config.num_attention_heads, self.config.num_key_value_heads);
        batch.attention(heads, key_heads, self.config.hidden_size / heads, true)
    }

    /// The vectors of [`Llama::hidden`], normalised: what the output matrix reads.
    pub fn normalized(&self, tape: &Tape, hidden: &Var) -> Var {
        tape.rms_norm(hidden, &tape.parameter(self.norm), self.config.rms_norm_eps)
    }

    /// For each (row, token) the log-probability of the token after that row, as a column.
    pub fn log_probabilities(&self, tape: &Tape, hidden: &Var, targets: &[(usize, u32)]) -> Var {
        self.log_probabilities_of(tape, hidden, targets, self.head)
    }

    /// The same under another output matrix, vocabulary × width.
    pub fn log_probabilities_of(
        &self,
        tape: &Tape,
        hidden: &Var,
        targets: &[(usize, u32)],
        head: ParameterId,
    ) -> Var {
        let rows: Vec<usize> = targets.iter().map(|(row, _)| *row).collect();
        let chosen = self.normalized(tape, &tape.select_rows(hidden, &rows));
        let own: Vec<(usize, u32)> =
            targets.iter().enumerate().map(|(at, (_, token))| (at, *token)).collect();
        tape.token_log_probabilities(&chosen, &tape.parameter(head), &own)
    }

    /// For each (row, token) how far the logit of the token after that row is above the mean of the row's logits, as a column; under an output
    /// matrix, vocabulary × width.
    pub fn logits_above_mean_of(
        &self,
        tape: &Tape,
        hidden: &Var,
        targets: &[(usize, u32)],
        head: ParameterId,
    ) -> Var {
        let rows: Vec<usize> = targets.iter().map(|(row, _)| *row).collect();
        let tokens: Vec<usize> = targets.iter().map(|(_, token)| *token as usize).collect();
        let chosen = self.normalized(tape, &tape.select_rows(hidden, &rows));
        logits_above_mean(tape, &chosen, &tape.parameter(head), &tokens)
    }

    /// The logits of some rows over the whole vocabulary.
    pub fn logits(&self, tape: &Tape, hidden: &Var, rows: &[usize]) -> Var {
        self.logits_of(tape, hidden, rows, self.head)
    }

    /// The same under another output matrix, vocabulary × width.
    pub fn logits_of(&self, tape: &Tape, hidden: &Var, rows: &[usize], head: ParameterId) -> Var {
        let chosen = self.normalized(tape, &tape.select_rows(hidden, rows));
        tape.linear(&chosen, &tape.parameter(head), None, None)
    }

    /// The linear layers of its layers, which adapters are added to.
    pub fn linears_mut(&mut self) -> impl Iterator<Item = &mut Linear> {
        self.layers.iter_mut().flat_map(LlamaLayer::linears_mut)
    }
}

/// For each row of `x` and its token: row · (weight of the token − mean weight), as a column. The mean of a row's logits is its product with the
/// mean weight, so that the logits of the whole vocabulary (rows of `weight`) need not exist.
fn logits_above_mean(tape: &Tape, x: &Var, weight: &Var, tokens: &[usize]) -> Var {
    let sums = tape.transpose(&tape.sum_rows(&tape.transpose(weight)));
    let mean = tape.scale(&sums, 1.0 / weight.rows.max(1) as f32);
    let above = tape.minus(&tape.select_rows(weight, tokens), &mean);
    tape.sum_rows(&tape.times(x, &above))
}

impl LlamaLayer {
    fn load(
        parameters: &mut Parameters,
        source: &mut dyn WeightSource,
        config: &LlamaConfig,
        name: &str,
    ) -> Result<LlamaLayer, TrainError> {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        check_heads(width, config.num_attention_heads)?;
        let (heads, key_heads) = (config.num_attention_heads, config.num_key_value_heads);
        if key_heads == 0 || !heads.is_multiple_of(key_heads) {
            return Err(TrainError::Model(format!(
                "config.json asks for {heads} heads of queries and {key_heads} of keys, of which they have to be a multiple"
            )));
        }
        let narrow = width / config.num_attention_heads * config.num_key_value_heads;
        let mut norm = |part: &str| load(parameters, source, format!("{name}.{part}.weight"), (1, width));
        let input_norm = norm("input_layernorm")?;
        let inner_norm = norm("post_attention_layernorm")?;
        let mut linear = |part: &str, outputs: usize, inputs: usize| {
            let bias = match part {
                "self_attn.o_proj" => config.attention_bias,
                _ if part.starts_with("mlp") => config.mlp_bias,
                _ => config.attention_bias || config.qkv_bias,
            };
            Linear::load(parameters, source, &format!("{name}.{part}"), (outputs, inputs), bias)
        };
        Ok(LlamaLayer {
            input_norm,
            inner_norm,
            attention: [
                linear("self_attn.q_proj", width, width)?,
                linear("self_attn.k_proj", narrow, width)?,
                linear("self_attn.v_proj", narrow, width)?,
            ],
            attention_output: linear("self_attn.o_proj", width, width)?,
            feed_forward: [
                linear("mlp.gate_proj", inner, width)?,
                linear("mlp.up_proj", inner, width)?,
                linear("mlp.down_proj", width, inner)?,
            ],
        })
    }

    /// Queries and keys, turned by their positions, and values.
    pub(super) fn sides(&self, tape: &Tape, config: &LlamaConfig, rotary: &Rotary, x: &Var) -> [Var; 3] {
        let normal = tape.rms_norm(x, &tape.parameter(self.input_norm), config.rms_norm_eps);
        let [query, key, value] = self.attention.each_ref().map(|linear| linear.forward(tape, &normal, None));
        let [query, key] = [query, key].map(|heads| tape.rotary(&heads, rotary));
        [query, key, value]
    }

    /// What becomes of the vectors `x`, whose queries, keys and values are there.
    pub(super) fn forward(
        &self,
        tape: &Tape,
        config: &LlamaConfig,
        attention: &Attention,
        [query, key, value]: &[Var; 3],
        x: &Var,
    ) -> Var {
        let attended = tape.attention(query, key, value, None, attention);
        let x = self.attention_output.forward(tape, &attended, Some(x));
        let normal = tape.rms_norm(&x, &tape.parameter(self.inner_norm), config.rms_norm_eps);
        let [gate, up] = [0, 1].map(|at| self.feed_forward[at].forward(tape, &normal, None));
        self.feed_forward[2].forward(tape, &tape.gated(&gate, &up, Activation::Silu), Some(&x))
    }

    /// Its linear layers, which adapters are added to.
    pub fn linears_mut(&mut self) -> impl Iterator<Item = &mut Linear> {
        let output = std::iter::once(&mut self.attention_output);
        self.attention.iter_mut().chain(output).chain(self.feed_forward.iter_mut())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::{Compute, assert_gradients};

    #[test]
    fn logits_above_their_mean_by_hand_and_with_their_gradients() {
        let parameters = Parameters::default();
        let tape = Tape::inference(&parameters, &Compute::new(1));
        let weight = tape.constant((3, 2), &[1.0, 0.0, 0.0, 1.0, 3.0, 3.0]);
        // Logits 1, 2 and 9 with the mean 4, and −1, 1 and 0 with the mean 0.
        let x = tape.constant((2, 2), &[1.0, 2.0, -1.0, 1.0]);
        let above = logits_above_mean(&tape, &x, &weight, &[1, 0]);
        assert_eq!((above.rows, above.columns), (2, 1));
        for (found, expected) in above.value.iter().zip([-2.0, -1.0]) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
        let inputs = [((2, 2), vec![0.3, -0.2, 0.5, 0.1]), ((3, 2), vec![0.1, 0.4, -0.3, 0.2, 0.6, -0.5])];
        assert_gradients(&inputs, |tape, inputs| {
            tape.sum(&tape.square(&logits_above_mean(tape, &inputs[0], &inputs[1], &[2, 0])))
        });
    }
}
