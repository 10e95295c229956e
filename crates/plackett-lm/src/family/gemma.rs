//! Gemma (Gemma team 2024): scaled embeddings, norms that multiply by 1 + w before each part, GELU gates, heads whose size is not
//! the width over their number.

use crate::error::LmError;
use crate::family::decoder_fields::common;
use crate::family::decoder_shape::DecoderShape;
use crate::files::config::JsonFile;
use plackett_kernel::Activation;

pub(crate) fn read(config: &JsonFile) -> Result<DecoderShape, LmError> {
    let mut shape = common(config, config.number_or("rope_theta", 10_000.0), true)?;
    // Early files say `"hidden_act": "gelu"` and mean the other one: their authors' code reads `hidden_activation`.
    let name = config.text("hidden_activation").unwrap_or("gelu_pytorch_tanh");
    shape.activation = Activation::named(name)
        .ok_or_else(|| config.problem(format!("`hidden_activation`: `{name}` is not supported")))?;
    shape.embedding_scale = (shape.hidden as f32).sqrt();
    shape.norm_offset = 1.0;
    Ok(shape)
}
