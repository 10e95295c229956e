//! Small decoders over bytes that are trained from nothing: what a claim about training needs where no language model fits.

use super::bytes::BYTE_VOCABULARY;
use crate::TrainError;
use crate::files::write_whole;
use crate::nn::{self, Initializer, Llama, LlamaConfig, SafetensorsSource};
use crate::tape::Parameters;
use std::path::Path;

/// How large a decoder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteDecoderShape {
    /// Its layers.
    pub layers: usize,
    /// Numbers of a token.
    pub width: usize,
    /// Heads of attention, of which the width has to be a multiple by an even number.
    pub heads: usize,
    /// Numbers between the matrices of the feed-forward network.
    pub inner: usize,
}

/// A Llama over bytes.
#[derive(Clone, Debug)]
pub struct ByteDecoder {
    /// The decoder.
    pub llama: Llama,
}

impl ByteDecoder {
    /// A decoder whose weights are drawn from a seed.
    ///
    /// # Errors
    /// The width is no multiple of the heads by an even number.
    pub fn new(
        shape: ByteDecoderShape,
        parameters: &mut Parameters,
        seed: u64,
    ) -> Result<ByteDecoder, TrainError> {
        let ByteDecoderShape { layers, width, heads, inner } = shape;
        if heads == 0 || !width.is_multiple_of(2 * heads) {
            return Err(TrainError::Model(format!(
                "a decoder of width {width} with {heads} heads: the width has to be a multiple of twice the heads"
            )));
        }
        let config = LlamaConfig {
            vocab_size: BYTE_VOCABULARY,
            hidden_size: width,
            num_hidden_layers: layers,
            num_attention_heads: heads,
            num_key_value_heads: heads,
            intermediate_size: inner,
            rms_norm_eps: 1e-5,
            rope_theta: 10_000.0,
            tie_word_embeddings: false,
            attention_bias: false,
            mlp_bias: false,
        };
        Ok(ByteDecoder { llama: Llama::load(parameters, &mut Initializer::new(seed), &config)? })
    }

    /// Opens a folder that [`ByteDecoder::save`] has written.
    ///
    /// # Errors
    /// A file is missing or not of its form, or has a decoder over other tokens.
    pub fn open(folder: &Path, parameters: &mut Parameters) -> Result<ByteDecoder, TrainError> {
        let path = folder.join("config.json");
        let text = std::fs::read_to_string(&path).map_err(|source| TrainError::file(&path, source))?;
        let failed = |problem: String| TrainError::Form { path: path.clone(), problem };
        let config: LlamaConfig = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
        if config.vocab_size != BYTE_VOCABULARY {
            return Err(failed(format!(
                "its vocabulary has {} tokens, and a decoder over bytes has {BYTE_VOCABULARY}",
                config.vocab_size
            )));
        }
        let mut source = SafetensorsSource::open(&folder.join("model.safetensors"))?;
        Ok(ByteDecoder { llama: Llama::load(parameters, &mut source, &config)? })
    }

    /// Writes weights and `config.json` as Hugging Face has them, with adapters merged.
    ///
    /// # Errors
    /// A file cannot be written, or a weight is no number.
    pub fn save(&mut self, folder: &Path, parameters: &Parameters) -> Result<(), TrainError> {
        std::fs::create_dir_all(folder).map_err(|source| TrainError::file(folder, source))?;
        let merged = nn::merged(parameters, self.llama.linears_mut());
        // What adapters have added stands behind the model's own parameters.
        let own = |name: &str| {
            let is_norm = name.ends_with("norm.weight");
            let is_own = is_norm || name.ends_with("_proj.weight") || name.ends_with("embed_tokens.weight");
            is_own || name == "lm_head.weight"
        };
        nn::save(&folder.join("model.safetensors"), &merged, |name| own(name).then(|| name.to_string()))?;
        let mut config = serde_json::to_value(&self.llama.config).unwrap_or_default();
        config["model_type"] = "llama".into();
        config["architectures"] = serde_json::json!(["LlamaForCausalLM"]);
        config["hidden_act"] = "silu".into();
        let text = serde_json::to_string_pretty(&config).unwrap_or_default();
        write_whole(&folder.join("config.json"), text.as_bytes())
    }
}
