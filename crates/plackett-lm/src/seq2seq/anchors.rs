//! One step of a decoder over vectors in the place of a source's states: what MVP makes an "anchor" of (Multi-View-guided
//! Passage Reranking, 2025). Such vectors have no order: attention to a source knows no positions.

use crate::error::LmError;
use crate::files::config::JsonFile;
use crate::files::weights::{NamedTensor, WeightSet};
use crate::seq2seq::decoder::Decoder;
use crate::seq2seq::model::EncoderDecoder;
use crate::seq2seq::pass::{BranchInput, DecoderPass, KvPiece};
use crate::seq2seq::t5::T5Decoder;
use plackett_kernel::{Isa, Precision};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rayon::prelude::*;
use serde_json::json;
use std::f64::consts::TAU;
use std::path::{Path, PathBuf};

/// A small decoder without an encoder of its own, for anchors over the vectors of any encoder of the same width. Its files are
/// those of a T5 (`config.json`, `model.safetensors`), of which the decoder, its output included, and one row of `shared.weight` are read.
/// `views` of its configuration is the number of views with which it was trained.
pub struct AnchorDecoder {
    decoder: T5Decoder,
    isa: Isa,
    views: Option<usize>,
}

impl AnchorDecoder {
    /// The folder beside an encoder's files in which its decoder is looked for.
    pub const FOLDER: &str = "anchor";
    /// Layers of a decoder that was not trained, or not yet.
    pub const LAYERS: usize = 2;
    /// Numbers of one of its heads, where the width is a multiple of it.
    pub const HEAD: usize = 64;

    /// Whether an encoder's directory has one, in the folder `anchor`.
    pub fn is_beside(encoder: &Path) -> bool {
        encoder.join(AnchorDecoder::FOLDER).join("config.json").exists()
    }

    /// Opens the one in the folder `anchor` of an encoder's directory.
    ///
    /// # Errors
    /// Names the file, tensor or field that is missing or wrong.
    pub fn open_beside(encoder: &Path, precision: Precision) -> Result<AnchorDecoder, LmError> {
        let directory = encoder.join(AnchorDecoder::FOLDER);
        let config = JsonFile::open(&directory, "config.json")?;
        let views = config.value().get("views").map(|_| config.size("views")).transpose()?;
        let decoder = T5Decoder::open(&config, &WeightSet::open(&directory)?, precision)?;
        Ok(AnchorDecoder { decoder, isa: Isa::detect(), views })
    }

    /// One of two layers whose weights were drawn, with the deviations with which T5 begins its training. The same seed gives
    /// the same weights. It knows nothing, but it computes what a trained one would.
    ///
    /// # Errors
    /// [`LmError::Argument`] for a width of 0.
    pub fn untrained(hidden: usize, seed: u64) -> Result<AnchorDecoder, LmError> {
        if hidden == 0 {
            return Err(LmError::Argument("an anchor decoder needs a width above 0".into()));
        }
        let path = PathBuf::from(format!("untrained anchor decoder of seed {seed}"));
        let size = if hidden.is_multiple_of(AnchorDecoder::HEAD) { AnchorDecoder::HEAD } else { hidden };
        let (heads, inner) = (hidden / size, 4 * hidden);
        let config = json!({
            "model_type": "t5", "d_model": hidden, "num_heads": heads, "d_kv": size, "d_ff": inner,
            "num_layers": AnchorDecoder::LAYERS, "tie_word_embeddings": false, "decoder_start_token_id": 0,
        });
        let config = JsonFile::parse(config.to_string().as_bytes(), path.clone())?;
        let weights = WeightSet::of_tensors(path, &drawn(hidden, heads, size, inner, seed))?;
        let decoder = T5Decoder::open(&config, &weights, Precision::F32)?;
        Ok(AnchorDecoder { decoder, isa: Isa::detect(), views: None })
    }

    /// The number of views with which it was trained; `None` where its files do not say, or it was not.
    pub fn views(&self) -> Option<usize> {
        self.views
    }

    /// Numbers of a vector.
    pub fn hidden(&self) -> usize {
        self.decoder.parts().hidden
    }

    /// The state after the start token, for each list of vectors (`vectors × hidden`) that it attends to.
    ///
    /// # Errors
    /// [`LmError::Argument`] for a list without vectors or of another width.
    pub fn first_states(&self, lists: &[&[f32]]) -> Result<Vec<Vec<f32>>, LmError> {
        first_states(&self.decoder, self.isa, lists)
    }
}

impl EncoderDecoder {
    /// Numbers of a state.
    pub fn hidden(&self) -> usize {
        self.decoder.parts().hidden
    }

    /// The state of the decoder after the start token, as it is before it becomes logits, for each list of vectors
    /// (`vectors × hidden`) that stands in the place of a source's states. The order of the vectors does not matter but for
    /// rounding.
    ///
    /// # Errors
    /// [`LmError::Argument`] for a list without vectors or of another width.
    pub fn first_states(&self, lists: &[&[f32]]) -> Result<Vec<Vec<f32>>, LmError> {
        self.pool.install(|| first_states(self.decoder.as_ref(), self.isa, lists))
    }

    /// The encoder's states of the first `count` tokens of some sources, `count × hidden` each.
    ///
    /// # Errors
    /// A source of fewer tokens, or too long; an id beyond the vocabulary; the memory budget.
    pub fn leading_states(&self, sources: &[&[u32]], count: usize) -> Result<Vec<Vec<f32>>, LmError> {
        if let Some(index) = sources.iter().position(|source| source.len() < count) {
            let problem = format!("it has {} tokens, and states of {count} are wanted", sources[index].len());
            return Err(LmError::Tokenization { index, problem });
        }
        let kept = count * self.hidden();
        self.read_states(sources, |states| states.get(..kept).unwrap_or(states).to_vec())
    }
}

fn first_states(decoder: &dyn Decoder, isa: Isa, lists: &[&[f32]]) -> Result<Vec<Vec<f32>>, LmError> {
    let parts = decoder.parts();
    if let Some(index) = lists.iter().position(|list| list.is_empty() || list.len() % parts.hidden != 0) {
        return Err(LmError::Argument(format!(
            "list {index} has {} numbers; vectors of {} are expected, at least one",
            lists[index].len(),
            parts.hidden
        )));
    }
    let pass = DecoderPass { decoder, isa };
    let keys: Vec<KvPiece> = lists.par_iter().map(|list| pass.read(list)).collect();
    let start = [parts.start];
    let branches: Vec<BranchInput<'_>> =
        keys.iter().map(|source| BranchInput { tokens: &start, before: Vec::new(), source }).collect();
    let (_, states) = pass.run(&branches);
    Ok(states.chunks_exact(parts.hidden).map(<[f32]>::to_vec).collect())
}

/// The tensors that [`T5Decoder::open`] reads, with normally distributed numbers.
fn drawn(hidden: usize, heads: usize, size: usize, inner: usize, seed: u64) -> Vec<NamedTensor> {
    const BUCKETS: usize = 32;
    let mut random = Normal(ChaCha8Rng::seed_from_u64(seed));
    let width = heads * size;
    let deviation = |numbers: usize| 1.0 / (numbers as f64).sqrt();
    let mut tensors: Vec<NamedTensor> = Vec::new();
    let mut draw = |name: String, shape: [usize; 2], deviation: f64| {
        let values = (0..shape[0] * shape[1]).map(|_| (random.next() * deviation) as f32).collect();
        tensors.push((name, shape.to_vec(), values));
    };
    draw("shared.weight".into(), [1, hidden], 1.0);
    draw("lm_head.weight".into(), [1, hidden], 1.0);
    // There is one token to look at; what its bias would be does not matter.
    draw(
        "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight".into(),
        [BUCKETS, heads],
        deviation(hidden),
    );
    for layer in 0..AnchorDecoder::LAYERS {
        for (part, kind) in ["SelfAttention", "EncDecAttention"].into_iter().enumerate() {
            let at = format!("decoder.block.{layer}.layer.{part}.{kind}");
            draw(format!("{at}.q.weight"), [width, hidden], deviation(hidden * size));
            draw(format!("{at}.k.weight"), [width, hidden], deviation(hidden));
            draw(format!("{at}.v.weight"), [width, hidden], deviation(hidden));
            draw(format!("{at}.o.weight"), [hidden, width], deviation(width));
        }
        let at = format!("decoder.block.{layer}.layer.2.DenseReluDense");
        draw(format!("{at}.wi.weight"), [inner, hidden], deviation(hidden));
        draw(format!("{at}.wo.weight"), [hidden, inner], deviation(inner));
    }
    let norms = (0..AnchorDecoder::LAYERS).flat_map(|layer| {
        (0..3).map(move |part| format!("decoder.block.{layer}.layer.{part}.layer_norm.weight"))
    });
    for name in norms.chain(["decoder.final_layer_norm.weight".to_string()]) {
        tensors.push((name, vec![hidden], vec![1.0; hidden]));
    }
    tensors
}

/// Normally distributed numbers (Box and Muller 1958).
struct Normal(ChaCha8Rng);

impl Normal {
    fn next(&mut self) -> f64 {
        // In (0, 1]: a logarithm is taken.
        let unit = |bits: u64| ((bits >> 11) + 1) as f64 / (1u64 << 53) as f64;
        let (radius, angle) = (unit(self.0.next_u64()), unit(self.0.next_u64()));
        (-2.0 * radius.ln()).sqrt() * (TAU * angle).cos()
    }
}
