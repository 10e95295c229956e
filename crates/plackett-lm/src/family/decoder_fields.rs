//! What configurations of Llama-like decoders have in common; the families' files say what is different.

use crate::error::LmError;
use crate::family::decoder_shape::{DecoderShape, LayerShape, Rope};
use crate::files::config::JsonFile;
use crate::files::gguf::config::MAX_HEAD_SIZE;
use plackett_kernel::Activation;
use serde_json::Value;

/// Layers are allocated before the weights are seen, so there are fewer than no model has.
const MOST_LAYERS: usize = 1 << 16;

/// The fields that all families share: no window, plain norms, SiLU, one kind of angles.
pub(crate) fn common(config: &JsonFile, theta: f64, tied: bool) -> Result<DecoderShape, LmError> {
    let (hidden, heads) = (config.size("hidden_size")?, config.size("num_attention_heads")?);
    let kv_heads = config.size_or("num_key_value_heads", heads)?;
    if !heads.is_multiple_of(kv_heads) {
        return Err(config.problem(format!(
            "`num_attention_heads` {heads} is no multiple of `num_key_value_heads` {kv_heads}"
        )));
    }
    let size = config.size_or("head_dim", hidden / heads)?;
    if size == 0 || size > MAX_HEAD_SIZE || !size.is_multiple_of(2) {
        return Err(config.problem(format!(
            "heads of {size} numbers cannot be turned in pairs; an even number up to {MAX_HEAD_SIZE} is expected"
        )));
    }
    let name = config.text("hidden_act").unwrap_or("silu");
    let activation = Activation::named(name)
        .ok_or_else(|| config.problem(format!("`hidden_act`: `{name}` is not supported")))?;
    let layers = config.size("num_hidden_layers")?;
    if layers > MOST_LAYERS {
        return Err(config.problem(format!("`num_hidden_layers` is {layers}, up to {MOST_LAYERS} are read")));
    }
    let epsilon = config.number_or("rms_norm_eps", 1e-6) as f32;
    if !(epsilon >= 0.0 && epsilon.is_finite()) {
        return Err(config.problem(format!("`rms_norm_eps` is {epsilon}, expected a small positive number")));
    }
    Ok(DecoderShape {
        family: config.text("model_type").unwrap_or_default().to_string(),
        hidden,
        intermediate: config.size("intermediate_size")?,
        heads,
        kv_heads,
        size,
        vocabulary: config.size("vocab_size")?,
        positions: config.size_or("max_position_embeddings", 2048)?,
        epsilon,
        scale: 1.0 / (size as f32).sqrt(),
        embedding_scale: 1.0,
        activation,
        norm_offset: 0.0,
        head_norms: false,
        output_norms: false,
        tied: config.flag("tie_word_embeddings", tied),
        ropes: vec![rope(config, size, theta, None)?],
        layers: vec![LayerShape { window: None, rope: 0 }; layers],
    })
}

/// The window of each layer, `every` of which is called `sliding_attention` in `layer_types`.
pub(crate) fn layer_types(config: &JsonFile, layers: usize) -> Result<Option<Vec<bool>>, LmError> {
    let Some(types) = config.value().get("layer_types").and_then(Value::as_array) else { return Ok(None) };
    let sliding = |index: usize| match types.get(index).and_then(Value::as_str) {
        Some("full_attention") => Ok(false),
        Some("sliding_attention") => Ok(true),
        other => Err(config.problem(format!(
            "`layer_types[{index}]` is {}, expected full_attention or sliding_attention",
            other.unwrap_or("absent")
        ))),
    };
    (0..layers).map(sliding).collect::<Result<Vec<bool>, LmError>>().map(Some)
}

/// Rotary angles from `rope_parameters` (newer files; by kind of layer where there are two) or `rope_scaling`.
pub(crate) fn rope(config: &JsonFile, size: usize, theta: f64, kind: Option<&str>) -> Result<Rope, LmError> {
    let parameters = config.value().get("rope_parameters").filter(|v| !v.is_null());
    let own = parameters.map(|p| kind.and_then(|kind| p.get(kind)).unwrap_or(p));
    let old =
        config.value().get("rope_scaling").filter(|v| !v.is_null() && kind != Some("sliding_attention"));
    let number = |value: Option<&Value>, key: &str| value.and_then(|v| v.get(key)).and_then(Value::as_f64);
    let theta = number(own, "rope_theta").unwrap_or(theta);
    if !(theta > 1.0 && theta.is_finite()) {
        return Err(config.problem(format!("`rope_theta` is {theta}, expected a number above 1")));
    }
    let part = number(own, "partial_rotary_factor")
        .unwrap_or_else(|| config.number_or("partial_rotary_factor", 1.0));
    if part != 1.0 {
        return Err(config.problem(format!("`partial_rotary_factor` {part} is not supported")));
    }
    let scaling = own.or(old);
    let named = |key: &str| scaling.and_then(|s| s.get(key)).and_then(Value::as_str);
    let need = |key: &str| {
        let found = number(scaling, key).filter(|x| x.is_finite() && *x > 0.0);
        found.ok_or_else(|| config.problem(format!("rope scaling needs a positive number `{key}`")))
    };
    let plain = Rope::plain(size, theta);
    match named("rope_type").or_else(|| named("type")) {
        None | Some("default") => Ok(plain),
        Some("linear") => Ok(plain.linear(need("factor")?)),
        Some("llama3") => {
            let (low, high) = (need("low_freq_factor")?, need("high_freq_factor")?);
            if low >= high {
                return Err(
                    config.problem(format!("`low_freq_factor` {low} is not below `high_freq_factor` {high}"))
                );
            }
            Ok(plain.llama3(need("factor")?, low, high, need("original_max_position_embeddings")?))
        }
        Some("yarn") if number(scaling, "mscale").is_none() && number(scaling, "truncate").is_none() => {
            let factor = need("factor")?;
            let positions = config.number_or("max_position_embeddings", 2048.0);
            let context = number(scaling, "original_max_position_embeddings").unwrap_or(positions);
            let (fast, slow) = (number(scaling, "beta_fast"), number(scaling, "beta_slow"));
            let scale = number(scaling, "attention_factor").unwrap_or(0.1 * factor.ln() + 1.0);
            Ok(plain.yarn(theta, factor, context, fast.unwrap_or(32.0), slow.unwrap_or(1.0), scale))
        }
        Some(other) => Err(config.problem(format!(
            "rope scaling `{other}` is not supported as it is set; supported: default, linear, llama3, yarn"
        ))),
    }
}
