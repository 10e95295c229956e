//! The decoder of T5, mT5-like and Flan-T5 models (Raffel et al. 2020); the encoder is in `family/t5.rs`. Where the configuration says `num_experts`,
//! the feed-forward parts of the decoder are mixtures of experts.

use crate::error::LmError;
use crate::family::t5::{POSITIONS, RmsNorm, Sizes};
use crate::files::config::JsonFile;
use crate::files::weights::{Table, WeightSet};
use crate::seq2seq::decoder::{Decoder, DecoderParts, FeedForward, Layer, Norm};
use crate::seq2seq::experts::Experts;
use plackett_kernel::Isa;
use plackett_kernel::Precision;

pub(crate) struct T5Decoder {
    parts: DecoderParts,
    sizes: Sizes,
    words: Table,
    end_norm: RmsNorm,
    scale: f32,
}

impl T5Decoder {
    pub(crate) fn open(
        config: &JsonFile,
        weights: &WeightSet,
        precision: Precision,
    ) -> Result<T5Decoder, LmError> {
        let sizes = Sizes::read(config)?;
        let hidden = sizes.hidden;
        let count = config.size_or("num_decoder_layers", config.size("num_layers")?)?;
        let layers = (0..count).map(|index| layer(&sizes, config, weights, precision, index));
        let layers = layers.collect::<Result<Vec<Layer>, LmError>>()?;
        let words = weights.table("shared.weight", hidden)?;
        // The first models use the word embeddings as output matrix, and scale what goes into it.
        let tied = config.flag("tie_word_embeddings", true);
        let output = if weights.has("lm_head.weight") { "lm_head" } else { "shared" };
        let scale = config.flag("scale_decoder_outputs", tied);
        Ok(T5Decoder {
            parts: DecoderParts {
                hidden,
                heads: sizes.heads,
                head_size: sizes.head_size,
                scale: 1.0,
                relative: Some(sizes.relative(weights, "decoder", false)?),
                layers,
                output: weights.linear(&[output.to_string()], words.rows(), hidden, precision)?,
                positions: POSITIONS,
                vocabulary: words.rows(),
                start: config
                    .token_id("decoder_start_token_id", words.rows())?
                    .or(config.token_id("pad_token_id", words.rows())?)
                    .unwrap_or(0),
                end: config.token_id("eos_token_id", words.rows())?,
            },
            end_norm: sizes.norm(weights, "decoder.final_layer_norm")?,
            scale: if scale { 1.0 / (hidden as f32).sqrt() } else { 1.0 },
            words,
            sizes,
        })
    }
}

fn layer(
    sizes: &Sizes,
    config: &JsonFile,
    weights: &WeightSet,
    precision: Precision,
    index: usize,
) -> Result<Layer, LmError> {
    let (hidden, width) = (sizes.hidden, sizes.width());
    let [own, source, feed] = [0, 1, 2].map(|part| format!("decoder.block.{index}.layer.{part}"));
    let norm =
        |at: &str| Ok::<Norm, LmError>(Norm::Before(sizes.norm(weights, &format!("{at}.layer_norm"))?));
    let linear = |names: &[&str], at: String, outputs, inputs| {
        let names: Vec<String> = names.iter().map(|name| format!("{at}.{name}")).collect();
        weights.linear(&names, outputs, inputs, precision)
    };
    let forward = match Experts::open(config, weights, &format!("{feed}.mlp"), precision)? {
        Some(experts) => FeedForward::Experts(experts),
        None => {
            let (inner, outer) = sizes.feed_forward(weights, &format!("{feed}.DenseReluDense"), precision)?;
            FeedForward::Dense { inner, outer }
        }
    };
    Ok(Layer {
        own_norm: norm(&own)?,
        qkv: linear(&["q", "k", "v"], format!("{own}.SelfAttention"), width, hidden)?,
        own_out: linear(&["o"], format!("{own}.SelfAttention"), hidden, width)?,
        source_norm: norm(&source)?,
        query: linear(&["q"], format!("{source}.EncDecAttention"), width, hidden)?,
        source: linear(&["k", "v"], format!("{source}.EncDecAttention"), width, hidden)?,
        source_out: linear(&["o"], format!("{source}.EncDecAttention"), hidden, width)?,
        inner_norm: norm(&feed)?,
        forward,
    })
}

impl Decoder for T5Decoder {
    fn parts(&self) -> &DecoderParts {
        &self.parts
    }

    fn embed(&self, isa: Isa, id: u32, _place: usize, row: &mut [f32], _scratch: &mut Vec<f32>) {
        self.words.read(isa, id as usize, row);
    }

    fn activate(&self, isa: Isa, inner: &mut [f32]) {
        self.sizes.activate(isa, inner);
    }

    fn finish(&self, _isa: Isa, rows: &mut [f32]) {
        self.end_norm.apply(rows);
    }

    fn output_scale(&self) -> f32 {
        self.scale
    }
}
