//! Qwen3 (Yang et al. 2025), also its embedding and reranker checkpoints: Qwen2 without biases, heads of their own size,
//! and an RMS normalisation of every head of queries and keys before they are turned.

use crate::error::LmError;
use crate::family::decoder_fields::common;
use crate::family::decoder_shape::DecoderShape;
use crate::files::config::JsonFile;

pub(crate) fn read(config: &JsonFile) -> Result<DecoderShape, LmError> {
    let mut shape = common(config, config.number_or("rope_theta", 10_000.0), false)?;
    if config.value().get("head_dim").is_none() {
        return Err(
            config.problem("`head_dim` is missing; heads of this family have a size of their own".into())
        );
    }
    shape.head_norms = true;
    crate::family::qwen2::windows(config, &mut shape)?;
    Ok(shape)
}
