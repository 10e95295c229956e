//! Llama (Touvron et al. 2023, Dubey et al. 2024), and SmolLM2, which has its shape: RMS normalisation before each part,
//! rotary positions, grouped heads of keys, SwiGLU.

use crate::error::LmError;
use crate::family::decoder_fields::common;
use crate::family::decoder_shape::DecoderShape;
use crate::files::config::JsonFile;

pub(crate) fn read(config: &JsonFile) -> Result<DecoderShape, LmError> {
    common(config, config.number_or("rope_theta", 10_000.0), false)
}
