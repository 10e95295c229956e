//! The decoder of BART (Lewis et al. 2020); the encoder is in `family/bart.rs`.

use crate::error::LmError;
use crate::family::bart::{Input, LayerNorm, heads};
use crate::family::fields::activation;
use crate::files::config::JsonFile;
use crate::files::weights::WeightSet;
use crate::seq2seq::decoder::{Decoder, DecoderParts, FeedForward, Layer, Norm};
use plackett_kernel::Precision;
use plackett_kernel::{Activation, Isa, Linear};

pub(crate) struct BartDecoder {
    parts: DecoderParts,
    input: Input,
    activation: Activation,
}

impl BartDecoder {
    /// `prefix` is what stands before `decoder`.
    pub(crate) fn open(
        config: &JsonFile,
        weights: &WeightSet,
        precision: Precision,
        prefix: &str,
    ) -> Result<BartDecoder, LmError> {
        let (hidden, inner) = (config.size("d_model")?, config.size("decoder_ffn_dim")?);
        let (heads, head_size) = heads(config, "decoder_attention_heads")?;
        let layers = (0..config.size("decoder_layers")?).map(|index| {
            layer(weights, precision, &format!("{prefix}decoder.layers.{index}"), hidden, inner)
        });
        let layers = layers.collect::<Result<Vec<Layer>, LmError>>()?;
        let input = Input::open(config, weights, &format!("{prefix}decoder"))?;
        let vocabulary = input.vocabulary();
        let start = config.token_id("decoder_start_token_id", vocabulary)?;
        Ok(BartDecoder {
            parts: DecoderParts {
                hidden,
                heads,
                head_size,
                scale: 1.0 / (head_size as f32).sqrt(),
                relative: None,
                layers,
                output: output(weights, precision, prefix, vocabulary, hidden)?,
                positions: input.positions(),
                vocabulary,
                start: start.ok_or_else(|| config.problem("`decoder_start_token_id` is missing".into()))?,
                end: config.token_id("eos_token_id", vocabulary)?,
            },
            input,
            activation: activation(config, "activation_function")?,
        })
    }
}

/// The output matrix, which is that of the words unless the file has one of its own, and the biases of all tokens.
fn output(
    weights: &WeightSet,
    precision: Precision,
    prefix: &str,
    vocabulary: usize,
    hidden: usize,
) -> Result<Linear, LmError> {
    let name = if weights.has("lm_head.weight") { "lm_head".to_string() } else { format!("{prefix}shared") };
    let bias = match weights.has("final_logits_bias") {
        true => weights.f32("final_logits_bias", &[1, vocabulary])?,
        false => Vec::new(),
    };
    let rows = weights.f32(&format!("{name}.weight"), &[vocabulary, hidden])?;
    Ok(match precision {
        Precision::Int8 => Linear::quantized(&rows, &bias, vocabulary, hidden),
        _ => Linear::from_f32(&rows, &bias, vocabulary, hidden),
    })
}

fn layer(
    weights: &WeightSet,
    precision: Precision,
    at: &str,
    hidden: usize,
    inner: usize,
) -> Result<Layer, LmError> {
    let norm = |name: &str| {
        Ok::<Norm, LmError>(Norm::After(LayerNorm::open(weights, &format!("{at}.{name}"), hidden)?))
    };
    let linear = |names: &[&str], outputs, inputs| {
        let names: Vec<String> = names.iter().map(|name| format!("{at}.{name}")).collect();
        weights.linear(&names, outputs, inputs, precision)
    };
    let own = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];
    Ok(Layer {
        own_norm: norm("self_attn_layer_norm")?,
        qkv: linear(&own, hidden, hidden)?,
        own_out: linear(&["self_attn.out_proj"], hidden, hidden)?,
        source_norm: norm("encoder_attn_layer_norm")?,
        query: linear(&["encoder_attn.q_proj"], hidden, hidden)?,
        source: linear(&["encoder_attn.k_proj", "encoder_attn.v_proj"], hidden, hidden)?,
        source_out: linear(&["encoder_attn.out_proj"], hidden, hidden)?,
        inner_norm: norm("final_layer_norm")?,
        forward: FeedForward::Dense {
            inner: linear(&["fc1"], inner, hidden)?,
            outer: linear(&["fc2"], hidden, inner)?,
        },
    })
}

impl Decoder for BartDecoder {
    fn parts(&self) -> &DecoderParts {
        &self.parts
    }

    fn embed(&self, isa: Isa, id: u32, place: usize, row: &mut [f32], scratch: &mut Vec<f32>) {
        self.input.read(isa, id, place, row, scratch);
    }

    fn activate(&self, isa: Isa, inner: &mut [f32]) {
        self.activation.apply(isa, inner);
    }

    fn finish(&self, _isa: Isa, _rows: &mut [f32]) {}
}
