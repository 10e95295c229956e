//! The families of decoders by name, and the shape that a GGUF file describes.

use crate::error::LmError;
use crate::family::decoder_shape::{DecoderShape, LayerShape, Rope};
use crate::family::{gemma, gemma3, llama, mistral, qwen2, qwen3};
use crate::files::config::JsonFile;
use crate::files::gguf::config::{GgufArchitecture, RopeScaling};
use crate::files::gguf::file::GgufFile;
use plackett_kernel::Activation;

/// Families of decoders that can be opened, by `model_type` of config.json.
pub const SUPPORTED_DECODERS: &[&str] = &["llama", "mistral", "qwen2", "qwen3", "gemma", "gemma3_text"];

/// What stands before `layers.` and `embed_tokens.` in the names of a decoder's tensors, in the order in which it is looked for.
pub(crate) const PREFIXES: &[&str] = &["model.", "", "language_model.model."];

/// The shape that config.json describes.
pub(crate) fn read(config: &JsonFile) -> Result<DecoderShape, LmError> {
    match config.text("model_type").unwrap_or_default() {
        "llama" => llama::read(config),
        "mistral" => mistral::read(config),
        "qwen2" => qwen2::read(config),
        "qwen3" => qwen3::read(config),
        "gemma" => gemma::read(config),
        "gemma3_text" => gemma3::read(config),
        _ => Err(config.unknown_architecture(SUPPORTED_DECODERS)),
    }
}

/// The shape of a model in a GGUF file.
pub(crate) fn from_gguf(own: &GgufArchitecture, file: &GgufFile) -> Result<DecoderShape, LmError> {
    if own.rope_dimensions != own.head_dim {
        return Err(LmError::Architecture {
            path: file.path().to_path_buf(),
            offset: file.header().offset(&format!("{}.rope.dimension_count", own.architecture)),
            found: format!(
                "{} with {} of {} dimensions turned",
                own.architecture, own.rope_dimensions, own.head_dim
            ),
            supported: "heads that are turned whole".into(),
        });
    }
    let divisors = match own.rope_divisors {
        true => Some(file.f32("rope_freqs.weight", &[own.head_dim / 2])?),
        false => None,
    };
    let gemma = own.architecture == "gemma3";
    let mut ropes: Vec<Rope> = Vec::new();
    let layers = (0..own.layers).map(|layer| {
        let found = gguf_rope(own, layer, divisors.as_deref());
        let rope = ropes.iter().position(|rope| *rope == found).unwrap_or_else(|| {
            ropes.push(found);
            ropes.len() - 1
        });
        LayerShape { window: own.window(layer), rope }
    });
    let layers = layers.collect();
    Ok(DecoderShape {
        family: own.architecture.clone(),
        hidden: own.embedding,
        intermediate: own.feed_forward,
        heads: own.heads,
        kv_heads: own.kv_heads,
        size: own.head_dim,
        vocabulary: own.vocabulary,
        positions: own.context,
        epsilon: own.norm_epsilon,
        scale: if gemma { gemma3::gguf_scale(own) } else { 1.0 / (own.head_dim as f32).sqrt() },
        embedding_scale: own.embedding_scale,
        activation: if gemma { Activation::GeluTanh } else { Activation::Silu },
        // Files of gemma hold the sums already.
        norm_offset: 0.0,
        head_norms: own.qk_norm,
        output_norms: gemma,
        tied: own.tied_embeddings,
        ropes,
        layers,
    })
}

fn gguf_rope(own: &GgufArchitecture, layer: usize, divisors: Option<&[f32]>) -> Rope {
    let (base, scaling) = own.rope(layer);
    let plain = Rope::plain(own.head_dim, f64::from(base));
    let plain = match divisors {
        Some(divisors) => plain.divided(divisors),
        None => plain,
    };
    match scaling {
        RopeScaling::None => plain,
        RopeScaling::Linear { factor } => plain.linear(f64::from(factor)),
        RopeScaling::Yarn { factor, original_context, beta_fast, beta_slow, attention_factor } => {
            let factor = f64::from(factor);
            let scale = f64::from(attention_factor) * (0.1 * factor.ln() + 1.0);
            let context = original_context as f64;
            plain.yarn(f64::from(base), factor, context, f64::from(beta_fast), f64::from(beta_slow), scale)
        }
    }
}
