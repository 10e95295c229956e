//! Mistral (Jiang et al. 2023): Llama with a window of tokens that a query sees, in every layer.

use crate::error::LmError;
use crate::family::decoder_fields::common;
use crate::family::decoder_shape::DecoderShape;
use crate::files::config::JsonFile;

pub(crate) fn read(config: &JsonFile) -> Result<DecoderShape, LmError> {
    let mut shape = common(config, config.number_or("rope_theta", 10_000.0), false)?;
    if config.value().get("sliding_window").is_some_and(|window| !window.is_null()) {
        let window = config.size("sliding_window")?;
        shape.layers.iter_mut().for_each(|layer| layer.window = Some(window));
    }
    Ok(shape)
}
