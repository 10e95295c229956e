//! Gemma 3, text only (Gemma team 2025): scaled embeddings, norms that multiply by 1 + w before and after each part,
//! normalised queries and keys, GELU gates, and five layers with a window, and angles of their own, for each without.

use crate::error::LmError;
use crate::family::decoder_fields::{common, layer_types, rope};
use crate::family::decoder_shape::{DecoderShape, LayerShape};
use crate::files::config::JsonFile;
use crate::files::gguf::config::GgufArchitecture;
use plackett_kernel::Activation;

pub(crate) fn read(config: &JsonFile) -> Result<DecoderShape, LmError> {
    let mut shape = common(config, config.number_or("rope_theta", 1_000_000.0), true)?;
    for key in ["attn_logit_softcapping", "final_logit_softcapping"] {
        if config.value().get(key).is_some_and(|value| !value.is_null()) {
            return Err(config.problem(format!("`{key}` is set, which is not supported")));
        }
    }
    let name = config.text("hidden_activation").unwrap_or("gelu_pytorch_tanh");
    shape.activation = Activation::named(name)
        .ok_or_else(|| config.problem(format!("`hidden_activation`: `{name}` is not supported")))?;
    let scalar = config.number_or("query_pre_attn_scalar", 256.0);
    if !(1e-9..=1e9).contains(&scalar) {
        let problem = format!("`query_pre_attn_scalar` is {scalar}, expected about the numbers of a head");
        return Err(config.problem(problem));
    }
    shape.scale = (1.0 / scalar.sqrt()) as f32;
    shape.embedding_scale = (shape.hidden as f32).sqrt();
    shape.norm_offset = 1.0;
    shape.head_norms = true;
    shape.output_norms = true;
    shape.ropes = vec![
        rope(config, shape.size, config.number_or("rope_theta", 1_000_000.0), Some("full_attention"))?,
        rope(
            config,
            shape.size,
            config.number_or("rope_local_base_freq", 10_000.0),
            Some("sliding_attention"),
        )?,
    ];
    let window = config.size_or("sliding_window", 4096)?;
    let every = config.size_or("sliding_window_pattern", 6)?;
    let types = layer_types(config, shape.layers.len())?;
    for (index, layer) in shape.layers.iter_mut().enumerate() {
        let sliding = types.as_ref().map_or(!(index + 1).is_multiple_of(every), |types| types[index]);
        *layer = LayerShape { window: sliding.then_some(window), rope: usize::from(sliding) };
    }
    Ok(shape)
}

/// GGUF files do not keep `query_pre_attn_scalar`: it is the size of a head, but in the model of 62 layers (27B) the
/// share of the embedding that a head has.
pub(super) fn gguf_scale(own: &GgufArchitecture) -> f32 {
    let scalar = if own.layers == 62 { own.embedding / own.heads } else { own.head_dim };
    1.0 / (scalar as f32).sqrt()
}
