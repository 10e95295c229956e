//! The families of models: which tensors they have and what a layer computes.

pub(crate) mod bart;
mod bert;
pub(crate) mod decoder;
mod gemma3;
mod llama;
mod mistral;
mod modernbert;
mod qwen2;
mod qwen3;
pub(crate) mod t5;

pub use decoder::SUPPORTED_DECODERS;

use crate::LmError;
use crate::config::JsonFile;
use crate::forward::Family;
use crate::kernel::Activation;
use crate::weights::{Precision, WeightSet};

/// Families that can be opened, by `model_type` of config.json.
pub const SUPPORTED: &[&str] = &["bert", "roberta", "xlm-roberta", "camembert", "modernbert", "t5"];

/// Opens the body of the model that `config` describes.
pub(crate) fn open(
    config: &JsonFile,
    weights: &WeightSet,
    precision: Precision,
) -> Result<Box<dyn Family>, LmError> {
    match config.text("model_type").unwrap_or_default() {
        "bert" => Ok(Box::new(bert::Bert::open(config, weights, precision, &["", "bert."], 0)?)),
        "roberta" | "xlm-roberta" | "camembert" => {
            // Positions count from the padding id plus one.
            let offset = config.size_or("pad_token_id", 1)? + 1;
            Ok(Box::new(bert::Bert::open(config, weights, precision, &["", "roberta."], offset)?))
        }
        "modernbert" => Ok(Box::new(modernbert::ModernBert::open(config, weights, precision)?)),
        "t5" => Ok(Box::new(t5::T5::open(config, weights, precision)?)),
        _ => Err(config.unknown_architecture(SUPPORTED)),
    }
}

/// The activation under `key`.
pub(crate) fn activation(config: &JsonFile, key: &str) -> Result<Activation, LmError> {
    let name = config.text(key).unwrap_or("gelu");
    Activation::named(name).ok_or_else(|| {
        config.problem(format!("`{key}`: `{name}` is not supported: gelu, gelu_new, relu, silu, tanh"))
    })
}

/// Heads and their size, checked against the hidden size.
pub(crate) fn heads(config: &JsonFile) -> Result<(usize, usize), LmError> {
    let (hidden, heads) = (config.size("hidden_size")?, config.size("num_attention_heads")?);
    if hidden % heads != 0 {
        return Err(
            config.problem(format!("`hidden_size` {hidden} is no multiple of `num_attention_heads` {heads}"))
        );
    }
    Ok((heads, hidden / heads))
}
