//! BERT (Devlin et al., 2019): an encoder with learned positions and post-normalisation.

use super::layers::load;
use super::{
    EmbeddingAdapter, LayerNorm, Linear, Mode, SublayerAdapter, TokenBatch, WeightSource, check_heads,
};
use crate::TrainError;
use crate::engine::{Attention, Engine, Pooling};
use crate::tape::{ParameterId, Parameters, Tape, Var};
use plackett_kernel::Activation;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The numbers of a BERT, as in its `config.json`.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct BertConfig {
    /// Tokens of the vocabulary.
    pub vocab_size: usize,
    /// Numbers of a token.
    pub hidden_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Heads of attention.
    pub num_attention_heads: usize,
    /// Numbers between the two matrices of the feed-forward network.
    pub intermediate_size: usize,
    /// Positions.
    pub max_position_embeddings: usize,
    /// Segments.
    #[serde(default = "two")]
    pub type_vocab_size: usize,
    /// Added to variances.
    #[serde(default = "epsilon")]
    pub layer_norm_eps: f32,
    /// The activation of the feed-forward network.
    #[serde(default = "gelu")]
    pub hidden_act: String,
}

fn two() -> usize {
    2
}

fn epsilon() -> f32 {
    1e-12
}

fn gelu() -> String {
    "gelu".into()
}

/// One layer of a [`Bert`].
#[derive(Clone, Debug)]
pub struct BertLayer {
    /// Queries, keys and values.
    pub attention: [Linear; 3],
    /// What becomes of the attended values.
    pub attention_output: Linear,
    attention_norm: LayerNorm,
    /// The first matrix of the feed-forward network.
    pub intermediate: Linear,
    /// The second one.
    pub output: Linear,
    output_norm: LayerNorm,
    /// What stands behind the feed-forward network, the first one nearest to it.
    pub adapters: Vec<Arc<dyn SublayerAdapter>>,
}

/// The encoder, with a pooler where it is wanted.
#[derive(Clone, Debug)]
pub struct Bert {
    /// Its numbers.
    pub config: BertConfig,
    activation: Activation,
    embeddings: [ParameterId; 3],
    embedding_norm: LayerNorm,
    /// What stands between the embeddings and the first layer.
    pub embedding_adapters: Vec<Arc<dyn EmbeddingAdapter>>,
    /// How many of the first layers keep the two texts of a pair apart (Pyramid-ERNIE; Zou and others, 2021): there each text attends to
    /// itself alone, and the second one's positions begin anew. 0 for a plain cross-encoder.
    pub separate_layers: usize,
    /// Its layers, in order.
    pub layers: Vec<BertLayer>,
    /// A linear layer and tanh over the first token.
    pub pooler: Option<Linear>,
}

impl Bert {
    /// A model whose weights come from `source` under `prefix` (`bert.` in models with a head, else nothing).
    ///
    /// # Errors
    /// The source lacks a weight or has one of another shape; the activation is unknown.
    pub fn load(
        parameters: &mut Parameters,
        source: &mut dyn WeightSource,
        config: &BertConfig,
        prefix: &str,
        pooler: bool,
    ) -> Result<Bert, TrainError> {
        let activation = Activation::named(&config.hidden_act)
            .ok_or_else(|| TrainError::Model(format!("hidden_act `{}` is not known", config.hidden_act)))?;
        let (width, heads) = (config.hidden_size, config.num_attention_heads);
        check_heads(width, heads)?;
        let mut table = |name: &str, rows: usize| {
            load(parameters, source, format!("{prefix}embeddings.{name}.weight"), (rows, width))
        };
        let embeddings = [
            table("word_embeddings", config.vocab_size)?,
            table("position_embeddings", config.max_position_embeddings)?,
            table("token_type_embeddings", config.type_vocab_size)?,
        ];
        let norm = format!("{prefix}embeddings.LayerNorm");
        let embedding_norm = LayerNorm::load(parameters, source, &norm, width, config.layer_norm_eps)?;
        let layers = (0..config.num_hidden_layers)
            .map(|at| BertLayer::load(parameters, source, config, &format!("{prefix}encoder.layer.{at}")))
            .collect::<Result<_, _>>()?;
        let pooler = match pooler {
            true => {
                let name = format!("{prefix}pooler.dense");
                Some(Linear::load(parameters, source, &name, (width, width), true)?)
            }
            false => None,
        };
        Ok(Bert {
            config: config.clone(),
            activation,
            embeddings,
            embedding_norm,
            embedding_adapters: Vec::new(),
            separate_layers: 0,
            layers,
            pooler,
        })
    }

    /// The embeddings of tokens: vocabulary × width.
    pub fn word_embeddings(&self) -> ParameterId {
        self.embeddings[0]
    }

    /// A vector for each token: tokens × width.
    pub fn forward(&self, tape: &Tape, batch: &TokenBatch, mode: Mode) -> Var {
        let separate = (self.separate_layers > 0).then(|| batch.separated());
        let positions = separate.as_ref().unwrap_or(batch).positions();
        let ids = [&batch.tokens[..], &positions, &batch.segments];
        let tables: Vec<(Var, &[u32])> =
            self.embeddings.iter().map(|id| tape.parameter(*id)).zip(ids).collect();
        let x = self.embedding_norm.forward(tape, &tape.embedding(&tables));
        let mut x = tape.dropout(&x, mode.dropout, mode.place(self.layers.len(), 0));
        for adapter in &self.embedding_adapters {
            x = adapter.forward(tape, &x, &batch.segments);
        }
        let heads = self.config.num_attention_heads;
        let size = self.config.hidden_size / heads;
        // What a layer that is run again needs has to outlive this pass.
        let owned: Option<(Arc<Bert>, Arc<[u32]>)> =
            tape.is_recomputing().then(|| (Arc::new(self.clone()), batch.segments.as_slice().into()));
        for at in 0..self.layers.len() {
            let batch = separate.as_ref().filter(|_| at < self.separate_layers).unwrap_or(batch);
            let attention = batch.attention(heads, heads, size, false);
            x = match owned.clone() {
                None => self.layer(tape, &x, (&attention, &batch.segments), (mode, at)),
                Some((bert, segments)) => tape.recomputed(&[&x], move |tape, x| {
                    bert.layer(tape, &x[0], (&attention, &segments), (mode, at))
                }),
            };
        }
        x
    }

    /// What a layer makes of the vectors of all tokens, whose segments are given.
    fn layer(
        &self,
        tape: &Tape,
        x: &Var,
        (attention, segments): (&Attention, &[u32]),
        (mode, at): (Mode, usize),
    ) -> Var {
        let layer = &self.layers[at];
        let [query, key, value] = layer.attention.each_ref().map(|linear| linear.forward(tape, x, None));
        let attended = tape.attention(&query, &key, &value, None, attention);
        let sum = with_residual(tape, &layer.attention_output, &attended, x, mode, (at, 1));
        let x = layer.attention_norm.forward(tape, &sum);
        let inner = tape.activation(&layer.intermediate.forward(tape, &x, None), self.activation);
        if layer.adapters.is_empty() {
            let sum = with_residual(tape, &layer.output, &inner, &x, mode, (at, 2));
            return layer.output_norm.forward(tape, &sum);
        }
        let y = layer.output.forward(tape, &inner, None);
        let mut y = tape.dropout(&y, mode.dropout, mode.place(at, 2));
        for adapter in &layer.adapters {
            y = adapter.forward(tape, &y, &x, &layer.output_norm, segments);
        }
        layer.output_norm.forward(tape, &tape.add(&y, &x))
    }

    /// tanh of the pooler's layer over the first token of each sequence: sequences × width. Without a pooler the first
    /// token's vector.
    pub fn pooled(&self, tape: &Tape, hidden: &Var, batch: &TokenBatch) -> Var {
        let first = tape.pool(hidden, &batch.sequences, Pooling::First);
        match &self.pooler {
            Some(pooler) => tape.activation(&pooler.forward(tape, &first, None), Activation::Tanh),
            None => first,
        }
    }

    /// The linear layers of its layers, which adapters are added to.
    pub fn linears_mut(&mut self) -> impl Iterator<Item = &mut Linear> {
        self.layers.iter_mut().flat_map(BertLayer::linears_mut)
    }
}

/// The layer over `inner`, with dropout, plus the residual.
fn with_residual(
    tape: &Tape,
    layer: &Linear,
    inner: &Var,
    residual: &Var,
    mode: Mode,
    (at, place): (usize, u64),
) -> Var {
    if mode.dropout <= 0.0 {
        return layer.forward(tape, inner, Some(residual));
    }
    let y = layer.forward(tape, inner, None);
    tape.add(&tape.dropout(&y, mode.dropout, mode.place(at, place)), residual)
}

impl BertLayer {
    fn load(
        parameters: &mut Parameters,
        source: &mut dyn WeightSource,
        config: &BertConfig,
        name: &str,
    ) -> Result<BertLayer, TrainError> {
        let (width, inner, epsilon) = (config.hidden_size, config.intermediate_size, config.layer_norm_eps);
        let mut linear =
            |part: &str, shape| Linear::load(parameters, source, &format!("{name}.{part}"), shape, true);
        let square = (width, width);
        let attention = [
            linear("attention.self.query", square)?,
            linear("attention.self.key", square)?,
            linear("attention.self.value", square)?,
        ];
        let attention_output = linear("attention.output.dense", square)?;
        let intermediate = linear("intermediate.dense", (inner, width))?;
        let output = linear("output.dense", (width, inner))?;
        let mut norm = |part: &str| {
            LayerNorm::load(parameters, source, &format!("{name}.{part}.LayerNorm"), width, epsilon)
        };
        let attention_norm = norm("attention.output")?;
        let output_norm = norm("output")?;
        let adapters = Vec::new();
        Ok(BertLayer {
            attention,
            attention_output,
            attention_norm,
            intermediate,
            output,
            output_norm,
            adapters,
        })
    }

    /// Its linear layers, which adapters are added to.
    pub fn linears_mut(&mut self) -> impl Iterator<Item = &mut Linear> {
        self.attention.iter_mut().chain([
            &mut self.attention_output,
            &mut self.intermediate,
            &mut self.output,
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Initializer;
    use crate::tape::Compute;

    fn model(separate_layers: usize) -> (Parameters, Bert) {
        let config = BertConfig {
            vocab_size: 30,
            hidden_size: 8,
            num_hidden_layers: 3,
            num_attention_heads: 2,
            intermediate_size: 16,
            max_position_embeddings: 20,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
            hidden_act: "gelu".into(),
        };
        let mut parameters = Parameters::default();
        let mut drawn = Initializer::new(4);
        let mut bert = Bert::load(&mut parameters, &mut drawn, &config, "", false).unwrap();
        // Wide enough that texts that see each other are told from those that do not.
        parameters.iter_mut().for_each(|(_, p)| {
            if !p.is_vector() {
                p.values_mut().iter_mut().for_each(|x| *x *= 20.0)
            }
        });
        bert.separate_layers = separate_layers;
        (parameters, bert)
    }

    fn hidden(separate_layers: usize, layers: usize, pairs: &[(&[u32], &[u32])]) -> Vec<f32> {
        let (parameters, mut bert) = model(separate_layers);
        bert.layers.truncate(layers);
        let tape = Tape::inference(&parameters, &Compute::new(1));
        bert.forward(&tape, &TokenBatch::pairs(pairs.iter().copied()), Mode::default()).value.to_vec()
    }

    #[test]
    fn the_first_layers_of_a_pyramid_keep_texts_apart() {
        let (query, one, other): (&[u32], &[u32], &[u32]) =
            (&[1, 5, 7, 2], &[9, 11, 2], &[20, 21, 22, 23, 2]);
        let width = 8 * query.len();
        for separate in 0..=3 {
            let of = |document, layers| hidden(separate, layers, &[(query, document)])[..width].to_vec();
            for layers in 1..=3 {
                // Bit for bit the same while they are apart, and others above.
                assert_eq!(of(one, layers) == of(other, layers), layers <= separate, "{separate} {layers}");
            }
            // Without a second text nothing is to be kept apart.
            assert_eq!(hidden(separate, 3, &[(query, &[])]), hidden(0, 3, &[(query, &[])]));
            // A batch changes nothing.
            let both = hidden(separate, 3, &[(query, one), (query, other)]);
            assert_eq!(both[..8 * 7], hidden(separate, 3, &[(query, one)])[..]);
        }
    }
}
