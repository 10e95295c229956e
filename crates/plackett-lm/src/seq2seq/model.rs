//! An encoder–decoder, opened from a directory.

use crate::encoder::pass::{Buffers, Pass, Read};
use crate::error::LmError;
use crate::family::bart::Bart;
use crate::family::encoder::Family;
use crate::family::t5::T5;
use crate::files::config::JsonFile;
use crate::files::weights::{NamedTensor, WeightSet};
use crate::seq2seq::bart::BartDecoder;
use crate::seq2seq::decoder::Decoder;
use crate::seq2seq::t5::T5Decoder;
use crate::text::lm_tokenizer::LmTokenizer;
use crate::text::sequence::Sequence;
use crate::text::tokenizer::{Text, Truncated};
use plackett_kernel::Isa;
use plackett_kernel::Precision;
use std::path::{Path, PathBuf};

/// Families that can be opened, by `model_type` of config.json.
pub const SUPPORTED: &[&str] = &["t5", "mt5", "bart"];

/// Whether a directory's config.json names one of these families.
pub fn is_directory(directory: &Path) -> bool {
    let config = JsonFile::open(directory, "config.json");
    config.is_ok_and(|config| config.text("model_type").is_some_and(|family| SUPPORTED.contains(&family)))
}

/// How a model is opened.
#[derive(Clone, Debug, Default)]
pub struct EncoderDecoderOptions {
    /// Number format of the weights.
    pub precision: Precision,
    /// Worker threads; all cores when absent.
    pub threads: Option<usize>,
    /// Bytes that weights, the buffers of a call and the keys and values of a session may take together; work is split to
    /// keep it, with the same results. Logits belong to the caller.
    pub memory_budget: Option<usize>,
}

/// An encoder–decoder, ready for sessions of any number of threads.
pub struct EncoderDecoder {
    family: String,
    encoder: Box<dyn Family>,
    pub(super) decoder: Box<dyn Decoder>,
    text: Option<Text>,
    tokens: Option<LmTokenizer>,
    pub(super) pool: rayon::ThreadPool,
    buffers: Buffers,
    pub(super) isa: Isa,
    pub(super) memory_budget: Option<usize>,
}

impl EncoderDecoder {
    /// Opens a Hugging Face directory. Without `tokenizer.json` it takes token ids only.
    ///
    /// # Errors
    /// Names the file, tensor or field that is missing or wrong.
    pub fn open(
        directory: impl AsRef<Path>,
        options: &EncoderDecoderOptions,
    ) -> Result<EncoderDecoder, LmError> {
        let directory = directory.as_ref();
        let config = JsonFile::open(directory, "config.json")?;
        let weights = WeightSet::open(directory)?;
        crate::files::int8_format::check_format(&weights, directory)?;
        let mut model = EncoderDecoder::of_weights(&config, &weights, options)?;
        if directory.join("tokenizer.json").exists() {
            model.tokens = Some(LmTokenizer::open(directory)?);
            let text = Text::open(directory, false)?;
            text.check_vocabulary(model.encoder.vocabulary())?;
            model.text = Some(text);
        }
        Ok(model)
    }

    /// A model of tensors that are in memory, under the names that a directory's `model.safetensors` has, with what its `config.json` says. It takes
    /// token ids only.
    ///
    /// # Errors
    /// Names the tensor or field that is missing or wrong.
    pub fn of_tensors(
        config: &serde_json::Value,
        tensors: &[NamedTensor],
        options: &EncoderDecoderOptions,
    ) -> Result<EncoderDecoder, LmError> {
        let path = PathBuf::from("a model in memory");
        let config = JsonFile::parse(config.to_string().as_bytes(), path.clone())?;
        EncoderDecoder::of_weights(&config, &WeightSet::of_tensors(path, tensors)?, options)
    }

    /// A model without a tokenizer.
    fn of_weights(
        config: &JsonFile,
        weights: &WeightSet,
        options: &EncoderDecoderOptions,
    ) -> Result<EncoderDecoder, LmError> {
        let precision = options.precision;
        let (encoder, decoder): (Box<dyn Family>, Box<dyn Decoder>) =
            match config.text("model_type").unwrap_or_default() {
                "t5" | "mt5" => (
                    Box::new(T5::open(config, weights, precision)?),
                    Box::new(T5Decoder::open(config, weights, precision)?),
                ),
                "bart" => {
                    let prefix = weights.prefix(&["model.", ""], "shared.weight")?;
                    (
                        Box::new(Bart::open(config, weights, precision, prefix)?),
                        Box::new(BartDecoder::open(config, weights, precision, prefix)?),
                    )
                }
                _ => return Err(config.unknown_architecture(SUPPORTED)),
            };
        let threads = options.threads.unwrap_or(0);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let pool = pool.thread_name(|i| format!("plackett-lm-{i}")).build();
        let pool = pool.map_err(|e| LmError::Argument(format!("cannot start {threads} threads: {e}")))?;
        Ok(EncoderDecoder {
            family: config.text("model_type").unwrap_or_default().to_string(),
            encoder,
            decoder,
            text: None,
            tokens: None,
            pool,
            buffers: Buffers::default(),
            isa: Isa::detect(),
            memory_budget: options.memory_budget,
        })
    }

    /// `model_type` of config.json.
    pub fn family(&self) -> &str {
        &self.family
    }

    /// `f32`, or `int8`, where activations are rounded too.
    pub fn precision(&self) -> &'static str {
        self.decoder.parts().numbers()
    }

    /// Instruction set of the kernels.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Worker threads.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Number of token ids.
    pub fn vocabulary(&self) -> usize {
        self.decoder.parts().vocabulary
    }

    /// The token with which every output starts; it is not part of the output.
    pub fn start(&self) -> u32 {
        self.decoder.parts().start
    }

    /// The token that ends an output, when the model has one.
    pub fn end(&self) -> Option<u32> {
        self.decoder.parts().end
    }

    /// Its tokenizer, for constraints and for the texts of outputs; `None` without `tokenizer.json`.
    pub fn tokenizer(&self) -> Option<&LmTokenizer> {
        self.tokens.as_ref()
    }

    /// Longest source in tokens.
    pub fn source_tokens(&self) -> usize {
        self.encoder.positions()
    }

    /// Longest output in tokens, the start token included.
    pub fn output_tokens(&self) -> usize {
        self.decoder.parts().positions
    }

    /// Bytes of the matrices.
    pub fn weight_bytes(&self) -> usize {
        self.encoder.weight_bytes() + self.decoder.parts().bytes()
    }

    /// Token ids of texts, each cut to `most` tokens and to what the model takes; those that were cut are named.
    ///
    /// # Errors
    /// The model has no tokenizer; a text that it refuses.
    pub fn encode(&self, texts: &[&str], most: usize) -> Result<(Vec<Vec<u32>>, Vec<Truncated>), LmError> {
        let Some(text) = &self.text else {
            return Err(LmError::Argument(
                "the model's directory has no tokenizer.json; give token ids".into(),
            ));
        };
        let most = most.min(self.source_tokens());
        let (mut ids, mut cut) = (Vec::with_capacity(texts.len()), Vec::new());
        for (index, one) in texts.iter().enumerate() {
            let encoded = text.single(index, ("", one), most)?;
            let kept = encoded.sequence.len();
            if kept < encoded.whole {
                let (tokens, estimated) = (encoded.whole, encoded.estimated);
                cut.push(Truncated { index, tokens, kept, estimated });
            }
            ids.push(encoded.sequence.ids);
        }
        Ok((ids, cut))
    }

    /// The encoder's states of some sources, `tokens × hidden` each.
    ///
    /// # Errors
    /// An empty or too long source, an id beyond the vocabulary; the memory budget.
    pub fn states(&self, sources: &[&[u32]]) -> Result<Vec<Vec<f32>>, LmError> {
        self.read_states(sources, <[f32]>::to_vec)
    }

    /// What a reader takes of the encoder's states of each source.
    pub(super) fn read_states(
        &self,
        sources: &[&[u32]],
        read: impl Fn(&[f32]) -> Vec<f32> + Sync,
    ) -> Result<Vec<Vec<f32>>, LmError> {
        let (most, vocabulary) = (self.source_tokens(), self.encoder.vocabulary());
        for (index, source) in sources.iter().enumerate() {
            let problem = match source {
                [] => "it has no tokens; at least one is expected".to_string(),
                _ if source.len() > most => {
                    format!("it has {} tokens, the model takes {most}; cut it", source.len())
                }
                _ => match source.iter().find(|id| **id as usize >= vocabulary) {
                    Some(id) => format!("the id {id} is not below {vocabulary}; give this model's tokens"),
                    None => continue,
                },
            };
            return Err(LmError::Tokenization { index, problem });
        }
        let sequences: Vec<Sequence> = sources.iter().map(|ids| Sequence::single(ids.to_vec())).collect();
        let pass = Pass {
            family: self.encoder.as_ref(),
            isa: self.isa,
            pool: &self.pool,
            buffers: &self.buffers,
            // The decoder's weights are there too.
            memory_budget: self
                .memory_budget
                .map(|budget| budget.saturating_sub(self.decoder.parts().bytes())),
            layers: usize::MAX,
            tokens: Read::All,
        };
        let decoder = self.decoder.parts().bytes();
        pass.run(&sequences, |_, states| read(states)).map_err(|error| match error {
            LmError::MemoryBudget { tokens, needed, budget } => {
                LmError::MemoryBudget { tokens, needed: needed + decoder, budget: budget + decoder }
            }
            other => other,
        })
    }
}
