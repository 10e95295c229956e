//! Llama (Touvron et al. 2023, Dubey et al. 2024), and SmolLM2, which has its shape: RMS normalisation before each part,
//! rotary positions, grouped heads of keys, SwiGLU.

use super::decoder::common;
use crate::LmError;
use crate::config::JsonFile;
use crate::decoder::Shape;

pub(crate) fn read(config: &JsonFile) -> Result<Shape, LmError> {
    common(config, config.number_or("rope_theta", 10_000.0), false)
}
