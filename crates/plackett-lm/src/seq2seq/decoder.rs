//! What the decoders of all families consist of.

use crate::family::bart::LayerNorm;
use crate::family::t5::RmsNorm;
use crate::seq2seq::experts::Experts;
use plackett_kernel::{Isa, Linear, Relative};

/// Where the norm of a part stands, and which one it is.
pub(crate) enum Norm {
    /// Before the part; its result is added.
    Before(RmsNorm),
    /// After the sum of the part's input and result.
    After(LayerNorm),
}

impl Norm {
    /// What goes into the part.
    pub(crate) fn enter<'a>(&self, x: &'a [f32], scratch: &'a mut Vec<f32>) -> &'a [f32] {
        match self {
            Norm::After(_) => x,
            Norm::Before(norm) => {
                scratch.clear();
                scratch.extend_from_slice(x);
                norm.apply(scratch);
                scratch
            }
        }
    }

    /// Adds what came out of the part.
    pub(crate) fn leave(&self, isa: Isa, x: &mut [f32], result: &[f32]) {
        match self {
            Norm::After(norm) => norm.add(isa, x, result),
            Norm::Before(_) => x.iter_mut().zip(result).for_each(|(x, y)| *x += y),
        }
    }
}

/// The feed-forward part of a layer.
pub(crate) enum FeedForward {
    /// One network for all rows: the dense layers before and after the activation.
    Dense { inner: Linear, outer: Linear },
    /// A few of many networks for each row.
    Experts(Experts),
}

impl FeedForward {
    fn matrices(&self) -> Vec<&Linear> {
        match self {
            FeedForward::Dense { inner, outer } => vec![inner, outer],
            FeedForward::Experts(experts) => experts.matrices(),
        }
    }

    /// Numbers of the buffers of a row.
    fn row_numbers(&self) -> usize {
        match self {
            // What goes into the activation, and its result rounded.
            FeedForward::Dense { inner, .. } => 2 * inner.outputs(),
            FeedForward::Experts(experts) => experts.row_numbers(),
        }
    }
}

/// One layer: attention to what was written, attention to the source, feed-forward part.
pub(crate) struct Layer {
    pub own_norm: Norm,
    /// Queries, keys and values side by side.
    pub qkv: Linear,
    pub own_out: Linear,
    pub source_norm: Norm,
    pub query: Linear,
    /// Keys and values of the source side by side.
    pub source: Linear,
    pub source_out: Linear,
    pub inner_norm: Norm,
    pub forward: FeedForward,
}

/// A decoder as its family opens it.
pub(crate) struct DecoderParts {
    pub hidden: usize,
    pub heads: usize,
    pub head_size: usize,
    /// Factor of the scores of attention.
    pub scale: f32,
    /// Biases by distance of the attention to what was written.
    pub relative: Option<Relative>,
    pub layers: Vec<Layer>,
    /// From the last states to logits.
    pub output: Linear,
    /// Most tokens of an output, the start token included.
    pub positions: usize,
    pub vocabulary: usize,
    /// The token with which every output starts.
    pub start: u32,
    /// The token that ends an output.
    pub end: Option<u32>,
}

impl DecoderParts {
    /// Numbers of all heads together.
    pub(crate) fn width(&self) -> usize {
        self.heads * self.head_size
    }

    /// Bytes of the keys and values of a token.
    pub(crate) fn key_bytes(&self) -> usize {
        4 * self.layers.len() * 2 * self.width()
    }

    /// Bytes of the buffers of a row.
    pub(crate) fn row_bytes(&self) -> usize {
        let forward = self.layers.iter().map(|layer| layer.forward.row_numbers()).max().unwrap_or(0);
        // States, the norm's copy of them, queries to values, contexts, results, the feed-forward part.
        4 * (3 * self.hidden + 4 * self.width() + forward)
    }

    /// All matrices.
    pub(crate) fn matrices(&self) -> impl Iterator<Item = &Linear> {
        let layers = self.layers.iter();
        layers
            .flat_map(|l| {
                let attention = [&l.qkv, &l.own_out, &l.query, &l.source, &l.source_out];
                attention.into_iter().chain(l.forward.matrices())
            })
            .chain([&self.output])
    }

    /// The numbers of the weights: `f32` when no matrix is rounded.
    pub(crate) fn numbers(&self) -> &'static str {
        self.matrices().map(Linear::numbers).find(|n| *n != "f32").unwrap_or("f32")
    }

    /// Bytes of weights.
    pub(crate) fn bytes(&self) -> usize {
        self.matrices().map(Linear::bytes).sum()
    }
}

/// A family's own parts of a decoder.
pub(crate) trait Decoder: Send + Sync {
    /// What it shares with the others.
    fn parts(&self) -> &DecoderParts;
    /// The input vector of a token at a place.
    fn embed(&self, isa: Isa, id: u32, place: usize, row: &mut [f32], scratch: &mut Vec<f32>);
    /// What stands between the two dense layers of [`FeedForward::Dense`]: `inner` is the first one's result, and what goes
    /// into the second stands at the start of each row.
    fn activate(&self, isa: Isa, inner: &mut [f32]);
    /// What stands between the last layer and the states that are read.
    fn finish(&self, isa: Isa, rows: &mut [f32]);
    /// By what states are multiplied before they become logits.
    fn output_scale(&self) -> f32 {
        1.0
    }
}
