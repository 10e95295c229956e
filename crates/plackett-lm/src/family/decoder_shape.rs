//! What distinguishes one decoder from another: sizes, constants and the small choices of its family.

use crate::error::LmError;
use plackett_kernel::Activation;

/// Sizes and choices of a decoder, read from a configuration by its family's file.
#[derive(Clone, Debug)]
pub(crate) struct DecoderShape {
    /// `model_type` of config.json, or the architecture of a GGUF file.
    pub family: String,
    /// Numbers per token between layers.
    pub hidden: usize,
    /// Inner width of the feed-forward part.
    pub intermediate: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and values; divides `heads`.
    pub kv_heads: usize,
    /// Numbers per head.
    pub size: usize,
    /// Rows of the embedding matrix.
    pub vocabulary: usize,
    /// Positions that the model was made for.
    pub positions: usize,
    /// Under the root of every normalisation.
    pub epsilon: f32,
    /// Factor of attention scores.
    pub scale: f32,
    /// Factor of input vectors.
    pub embedding_scale: f32,
    /// Of the gate in the feed-forward part.
    pub activation: Activation,
    /// Added to the stored weights of normalisations.
    pub norm_offset: f32,
    /// Whether queries and keys are normalised, head by head, before they are turned.
    pub head_norms: bool,
    /// Whether the outputs of attention and feed-forward part are normalised before they are added.
    pub output_norms: bool,
    /// Whether logits come from the embedding matrix.
    pub tied: bool,
    /// Kinds of rotary angles.
    pub ropes: Vec<Rope>,
    /// Layer by layer.
    pub layers: Vec<LayerShape>,
}

/// What one layer does its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LayerShape {
    /// Tokens that a query sees, its own included; `None` for all.
    pub window: Option<usize>,
    /// Which of the kinds of rotary angles.
    pub rope: usize,
}

/// Angles per position of each pair of dimensions, and the factor of the turned numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rope {
    /// One for each pair.
    pub frequencies: Vec<f64>,
    /// 1, except with YaRN.
    pub factor: f64,
}

impl DecoderShape {
    /// The same with so many layers, from the first.
    ///
    /// # Errors
    /// [`LmError::Argument`] where there are none or not so many.
    pub(crate) fn first_layers(mut self, depth: Option<usize>) -> Result<DecoderShape, LmError> {
        let layers = self.layers.len();
        match depth {
            Some(depth) if !(1..=layers).contains(&depth) => Err(LmError::Argument(format!(
                "a depth of {depth} layers is wanted, and the model has {layers}; give a number from 1 to {layers}"
            ))),
            depth => {
                self.layers.truncate(depth.unwrap_or(layers));
                Ok(self)
            }
        }
    }

    /// Numbers of a row of queries, keys and values.
    pub(crate) fn qkv(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.size
    }

    /// Query heads that share a head of keys.
    pub(crate) fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Numbers of the contexts of all heads.
    pub(crate) fn contexts(&self) -> usize {
        self.heads * self.size
    }
}

impl Rope {
    /// θ^(−2i/d) for the pairs of `dimensions` (Su et al. 2021).
    pub(crate) fn plain(dimensions: usize, theta: f64) -> Rope {
        let frequencies = (0..dimensions / 2).map(|i| theta.powf(-2.0 * i as f64 / dimensions as f64));
        Rope { frequencies: frequencies.collect(), factor: 1.0 }
    }

    /// Positions divided by a factor.
    pub(crate) fn linear(mut self, factor: f64) -> Rope {
        self.frequencies.iter_mut().for_each(|f| *f /= factor);
        self
    }

    /// Each frequency divided by its own number.
    pub(crate) fn divided(mut self, divisors: &[f32]) -> Rope {
        self.frequencies.iter_mut().zip(divisors).for_each(|(f, d)| *f /= f64::from(*d));
        self
    }

    /// Llama 3.1: waves longer than the training context over `low` are stretched by `factor`, those shorter than it
    /// over `high` are left, with a ramp between.
    pub(crate) fn llama3(mut self, factor: f64, low: f64, high: f64, context: f64) -> Rope {
        for frequency in &mut self.frequencies {
            let turns = context * *frequency / std::f64::consts::TAU;
            let ramp = ((turns - low) / (high - low)).clamp(0.0, 1.0);
            *frequency *= (1.0 - ramp) / factor + ramp;
        }
        self
    }

    /// YaRN (Peng et al. 2023): frequencies that turn less than `slow` times over the training context are stretched,
    /// those that turn more than `fast` times are left, with a ramp over the dimensions between.
    pub(crate) fn yarn(
        mut self,
        theta: f64,
        factor: f64,
        context: f64,
        fast: f64,
        slow: f64,
        scale: f64,
    ) -> Rope {
        let pairs = self.frequencies.len() as f64;
        let dimension = |turns: f64| pairs * (context / (turns * std::f64::consts::TAU)).ln() / theta.ln();
        let low = dimension(fast).floor().max(0.0);
        let high = dimension(slow).ceil().min(2.0 * pairs - 1.0).max(low + 0.001);
        for (i, frequency) in self.frequencies.iter_mut().enumerate() {
            let stretched = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
            *frequency *= stretched / factor + 1.0 - stretched;
        }
        self.factor = scale;
        self
    }

    /// Cosines and sines at a position.
    pub(crate) fn at(&self, position: u32, cosines: &mut [f32], sines: &mut [f32]) {
        for ((frequency, c), s) in self.frequencies.iter().zip(cosines).zip(sines) {
            let (sine, cosine) = (f64::from(position) * frequency).sin_cos();
            (*c, *s) = ((cosine * self.factor) as f32, (sine * self.factor) as f32);
        }
    }
}
