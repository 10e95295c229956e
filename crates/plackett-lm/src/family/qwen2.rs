//! Qwen2 (Yang et al. 2024): Llama with biases on queries, keys and values, which are read where the weights have them;
//! some files switch on a window for the upper layers.

use crate::error::LmError;
use crate::family::decoder_fields::{common, layer_types};
use crate::family::decoder_shape::DecoderShape;
use crate::files::config::JsonFile;

pub(crate) fn read(config: &JsonFile) -> Result<DecoderShape, LmError> {
    let mut shape = common(config, config.number_or("rope_theta", 10_000.0), false)?;
    windows(config, &mut shape)?;
    Ok(shape)
}

/// The window of the layers that have one: by `layer_types`, or from `max_window_layers` on.
pub(super) fn windows(config: &JsonFile, shape: &mut DecoderShape) -> Result<(), LmError> {
    let given = config.value().get("sliding_window").is_some_and(|window| !window.is_null());
    if !given || !config.flag("use_sliding_window", false) {
        return Ok(());
    }
    let window = config.size("sliding_window")?;
    let first = config.value().get("max_window_layers").and_then(|v| v.as_u64()).unwrap_or(28);
    let types = layer_types(config, shape.layers.len())?;
    for (index, layer) in shape.layers.iter_mut().enumerate() {
        let sliding = types.as_ref().map_or(index as u64 >= first, |types| types[index]);
        layer.window = sliding.then_some(window);
    }
    Ok(())
}
