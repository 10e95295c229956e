//! Hyperparameters of a decoder from the metadata of its file.

use crate::error::LmError;
use crate::error::gguf::GgufError;
use crate::files::gguf::file::{GgufFile, missing};
use crate::files::gguf::header::GgufHeader;
use crate::files::gguf::names::RowOrder;
use crate::files::gguf::parts::split_error;
use crate::files::gguf::value::{GgufArray, GgufValue};
use std::path::Path;

/// Heads are allocated before the weights are seen, so they are smaller than no model has them.
pub(crate) const MAX_HEAD_SIZE: usize = 1 << 16;

/// Values of `general.architecture` that are read. Mistral and SmolLM2 files call themselves `llama`.
pub const ARCHITECTURES: [&str; 4] = ["llama", "qwen2", "qwen3", "gemma3"];

/// The shape of a decoder and the constants of its layers.
#[derive(Clone, Debug, PartialEq)]
pub struct GgufArchitecture {
    /// `general.architecture`.
    pub architecture: String,
    /// `general.name`, when there is one.
    pub name: Option<String>,
    /// Number of layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub embedding: usize,
    /// Inner width of the feed-forward part.
    pub feed_forward: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a query, key or value head. It need not be `embedding / heads`.
    pub head_dim: usize,
    /// Rows of the embedding matrix.
    pub vocabulary: usize,
    /// Longest context that the model was made for, in tokens.
    pub context: usize,
    /// Epsilon under the root of every RMS norm.
    pub norm_epsilon: f32,
    /// Base of the rotary angles of layers that see everything.
    pub rope_base: f32,
    /// Base of the rotary angles of layers with a window.
    pub rope_base_windowed: f32,
    /// Leading dimensions of a head that are rotated; even, at most `head_dim`.
    pub rope_dimensions: usize,
    /// How angles are stretched beyond the training context (layers that see everything only, in gemma3).
    pub rope_scaling: RopeScaling,
    /// Whether `rope_freqs.weight` holds a divisor for every rotary frequency (Llama 3.1 and later).
    pub rope_divisors: bool,
    /// How rows of query and key matrices lie in the file.
    pub row_order: RowOrder,
    /// Positions that a windowed layer sees, its own included.
    pub sliding_window: Option<usize>,
    /// Whether a layer has the window, layer by layer, in models that mix both kinds; empty: all layers are alike.
    pub windowed: Vec<bool>,
    /// No `output.weight`: logits come from the embedding matrix.
    pub tied_embeddings: bool,
    /// An RMS norm over each query and key head before the rotation.
    pub qk_norm: bool,
    /// Biases on the query, key and value projections.
    pub qkv_bias: bool,
    /// Embeddings are multiplied by this before the first layer (√embedding in gemma, else 1).
    pub embedding_scale: f32,
}

/// Stretching of rotary angles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RopeScaling {
    /// None.
    None,
    /// Positions are divided by the factor.
    Linear {
        /// The factor.
        factor: f32,
    },
    /// YaRN: low frequencies are stretched, high ones left, with a ramp between (arXiv 2309.00071).
    Yarn {
        /// The factor.
        factor: f32,
        /// Context of training.
        original_context: usize,
        /// Rotations over the training context above which a frequency is left.
        beta_fast: f32,
        /// Rotations below which it is stretched in full.
        beta_slow: f32,
        /// Extra factor on the attention logits' scale.
        attention_factor: f32,
    },
}

impl GgufArchitecture {
    /// Reads and checks the hyperparameters.
    ///
    /// # Errors
    /// [`LmError::Architecture`] for another architecture, [`LmError::Gguf`] with the key and its offset for a missing or
    /// impossible value, [`LmError::MissingTensor`] without an embedding matrix, [`LmError::Unsupported`] for a part of
    /// a split model.
    pub fn read(file: &GgufFile) -> Result<GgufArchitecture, LmError> {
        GgufArchitecture::from_header(file.header(), file.path())
    }

    /// The same from a header; `path` is for messages.
    ///
    /// # Errors
    /// As [`GgufArchitecture::read`].
    pub fn from_header(header: &GgufHeader, path: &Path) -> Result<GgufArchitecture, LmError> {
        let named = |source| LmError::Gguf { path: path.to_path_buf(), source };
        if let Some(count) = header.get("split.count").and_then(GgufValue::as_u64).filter(|n| *n > 1) {
            return Err(split_error(path, count));
        }
        let architecture = header
            .need("general.architecture", "the name of an architecture", GgufValue::as_str)
            .map_err(named)?;
        if !ARCHITECTURES.contains(&architecture) {
            return Err(LmError::Architecture {
                path: path.to_path_buf(),
                offset: header.offset("general.architecture"),
                found: architecture.to_string(),
                supported: ARCHITECTURES.join(", "),
            });
        }
        let table = "token_embd.weight";
        let table = header.tensor(table).ok_or_else(|| missing(header, path, table))?;
        let vocabulary = table.shape.iter().rev().skip(1).product();
        Keys { header, architecture }.read(vocabulary).map_err(named)
    }

    /// The window of a layer (from 0); `None` when it sees everything.
    pub fn window(&self, layer: usize) -> Option<usize> {
        if self.windowed.get(layer).copied().unwrap_or(true) { self.sliding_window } else { None }
    }

    /// Base and scaling of the rotary angles of a layer (from 0).
    pub fn rope(&self, layer: usize) -> (f32, RopeScaling) {
        // Only gemma3 has two sets of angles.
        if self.architecture == "gemma3" && self.window(layer).is_some() {
            (self.rope_base_windowed, RopeScaling::None)
        } else {
            (self.rope_base, self.rope_scaling)
        }
    }
}

struct Keys<'a> {
    header: &'a GgufHeader,
    architecture: &'a str,
}

impl Keys<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    fn wrong(&self, name: &str, expected: &'static str, found: String) -> GgufError {
        self.header.wrong(&self.key(name), expected, found)
    }

    /// A whole number, or an array of them that are all the same (a number for each layer).
    fn optional(&self, name: &str) -> Result<Option<usize>, GgufError> {
        let expected = "a whole number, the same for all layers";
        let found = self.header.want(&self.key(name), expected, |value| {
            let number = value.as_u64().or_else(|| {
                let all = value.as_u64s()?;
                all.iter().all(|n| *n == all[0]).then(|| all.first().copied()).flatten()
            });
            number.and_then(|n| usize::try_from(n).ok())
        })?;
        Ok(found)
    }

    fn number(&self, name: &str) -> Result<usize, GgufError> {
        let found = self.optional(name)?;
        self.positive(name, self.header.need(&self.key(name), "a whole number", |_| found)?)
    }

    fn positive(&self, name: &str, found: usize) -> Result<usize, GgufError> {
        // 2^31 keeps products of a few of them far from an overflow.
        if (1..1 << 31).contains(&found) {
            return Ok(found);
        }
        Err(self.wrong(name, "a number from 1 to 2^31", found.to_string()))
    }

    fn or(&self, name: &str, default: usize) -> Result<usize, GgufError> {
        self.optional(name)?.map_or(Ok(default), |found| self.positive(name, found))
    }

    fn float(&self, name: &str) -> Result<Option<f32>, GgufError> {
        let expected = "a positive finite number";
        self.header.want(&self.key(name), expected, |value| {
            value.as_f64().map(|x| x as f32).filter(|x| x.is_finite() && *x > 0.0)
        })
    }

    fn read(&self, vocabulary: usize) -> Result<GgufArchitecture, GgufError> {
        let tensor = |name: &str| self.header.tensor(name).is_some();
        let gemma = self.architecture == "gemma3";
        let embedding = self.number("embedding_length")?;
        let heads = self.number("attention.head_count")?;
        let kv_heads = self.or("attention.head_count_kv", heads)?;
        if !heads.is_multiple_of(kv_heads) {
            return Err(self.wrong(
                "attention.head_count_kv",
                "a divisor of the heads",
                kv_heads.to_string(),
            ));
        }
        let head_dim = self.head_dim(embedding, heads)?;
        let rope_dimensions = self.or("rope.dimension_count", head_dim)?;
        if rope_dimensions > head_dim || !rope_dimensions.is_multiple_of(2) {
            let expected = "an even number up to the width of a head";
            return Err(self.wrong("rope.dimension_count", expected, rope_dimensions.to_string()));
        }
        let layers = self.number("block_count")?;
        if layers > self.header.tensors().count() {
            return Err(self.wrong("block_count", "at most the number of tensors", layers.to_string()));
        }
        let epsilon = "attention.layer_norm_rms_epsilon";
        let norm_epsilon = self.float(epsilon)?;
        let norm_epsilon = self.header.need(&self.key(epsilon), "a number", |_| norm_epsilon)?;
        let rope_base = self.float("rope.freq_base")?.unwrap_or(10_000.0);
        let rope_windowed = if gemma { 10_000.0 } else { rope_base };
        let windowed = self.windowed(layers)?;
        // Qwen files name a window that their models do not use, unless they also say which layers have it.
        let has_window = matches!(self.architecture, "llama" | "gemma3") || !windowed.is_empty();
        let window = self.optional("attention.sliding_window")?.filter(|n| has_window && *n > 0);
        for key in ["attn_logit_softcapping", "final_logit_softcapping"] {
            if let Some(value) = self.header.get(&self.key(key)) {
                return Err(self.wrong(key, "none, since scores are not capped here", value.describe()));
            }
        }
        Ok(GgufArchitecture {
            architecture: self.architecture.to_string(),
            name: self.header.get("general.name").and_then(GgufValue::as_str).map(str::to_string),
            layers,
            embedding,
            feed_forward: self.number("feed_forward_length")?,
            heads,
            kv_heads,
            head_dim,
            vocabulary,
            context: self.number("context_length")?,
            norm_epsilon,
            rope_base,
            rope_base_windowed: self.float("rope.freq_base_swa")?.unwrap_or(rope_windowed),
            rope_dimensions,
            rope_scaling: self.scaling()?,
            rope_divisors: tensor("rope_freqs.weight"),
            row_order: RowOrder::of(self.architecture),
            sliding_window: window,
            windowed,
            tied_embeddings: !tensor("output.weight"),
            qk_norm: matches!(self.architecture, "qwen3" | "gemma3") || tensor("blk.0.attn_q_norm.weight"),
            qkv_bias: tensor("blk.0.attn_q.bias"),
            embedding_scale: if gemma { (embedding as f32).sqrt() } else { 1.0 },
        })
    }

    fn head_dim(&self, embedding: usize, heads: usize) -> Result<usize, GgufError> {
        let Some(found) = self.optional("attention.key_length")? else {
            let size = embedding / heads;
            if embedding.is_multiple_of(heads) && size <= MAX_HEAD_SIZE {
                return Ok(size);
            }
            let expected = "a divisor of the embedding that makes heads of up to 65536 numbers";
            return Err(self.wrong("attention.head_count", expected, heads.to_string()));
        };
        if !(1..=MAX_HEAD_SIZE).contains(&found) {
            return Err(self.wrong("attention.key_length", "a number from 1 to 65536", found.to_string()));
        }
        let values = self.or("attention.value_length", found)?;
        if values != found {
            let expected = "the same as attention.key_length";
            return Err(self.wrong("attention.value_length", expected, values.to_string()));
        }
        Ok(found)
    }

    /// Which layers have the window: a truth value for each, or every how many layers one has none, which is six in
    /// gemma3 files that do not say.
    fn windowed(&self, layers: usize) -> Result<Vec<bool>, GgufError> {
        let key = "attention.sliding_window_pattern";
        let every = match self.header.get(&self.key(key)) {
            None if self.architecture != "gemma3" => return Ok(Vec::new()),
            Some(GgufValue::Array(GgufArray::Bool(all))) if all.len() == layers => return Ok(all.clone()),
            Some(value @ GgufValue::Array(_)) => {
                let expected = "a whole number, or a truth value for each layer";
                return Err(self.wrong(key, expected, value.describe()));
            }
            _ => self.or(key, 6)?,
        };
        Ok((1..=layers).map(|layer| !layer.is_multiple_of(every)).collect())
    }

    fn scaling(&self) -> Result<RopeScaling, GgufError> {
        let kind = self.header.want(&self.key("rope.scaling.type"), "a text", GgufValue::as_str)?;
        let factor = self.float("rope.scaling.factor")?;
        let old = self.float("rope.scale_linear")?;
        Ok(match (kind, factor.or(old)) {
            (Some("none"), _) | (None | Some("linear"), None | Some(1.0)) => RopeScaling::None,
            (None | Some("linear"), Some(factor)) => RopeScaling::Linear { factor },
            (Some("yarn"), Some(factor)) => RopeScaling::Yarn {
                factor,
                original_context: self.number("rope.scaling.original_context_length")?,
                beta_fast: self.float("rope.scaling.yarn_beta_fast")?.unwrap_or(32.0),
                beta_slow: self.float("rope.scaling.yarn_beta_slow")?.unwrap_or(1.0),
                attention_factor: self.float("rope.scaling.attn_factor")?.unwrap_or(1.0),
            },
            (Some(other), _) => {
                let expected = "none, linear, or yarn with rope.scaling.factor";
                return Err(self.wrong("rope.scaling.type", expected, format!("`{other}`")));
            }
        })
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
