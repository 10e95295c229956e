//! Encoder–decoders: T5, Flan-T5 and mT5, and BART. The source is read once, as in the encoders of this crate; any number of
//! branches of outputs then share what was read of it.
//!
//! A [`Session`] is a [`DecodeModel`](crate::decode::DecodeModel), so that everything of [`crate::decode`] works on it:
//! [`Session::sources`] gives a handle for each source, from which outputs go on with [`EncoderDecoder::start`].
//!
//! ```no_run
//! use plackett_lm::decode::*;
//! use plackett_lm::seq2seq::{EncoderDecoder, EncoderDecoderOptions};
//! let model = EncoderDecoder::open("flan-t5-small", &EncoderDecoderOptions::default())?;
//! let mut session = model.session();
//! let (ids, _cut) = model.encode(&["Is water wet?"], 512)?;
//! let source = session.sources(&[&ids[0]])?[0];
//! let labels = TokenTrie::build(&[vec![4273], vec![150]])?.trie; // yes and no
//! let labels = TrieMember::new(labels, model.end())?;
//! let request = DecodeRequest { prefix: source, prompt: &[model.start()], constraint: &labels, index: 0 };
//! let decoded = decode(&mut session, &[request], &DecodeOptions::new(Strategy::Greedy))?;
//! # Ok::<(), plackett_lm::LmError>(())
//! ```

mod bart;
mod half;
mod pass;
mod session;
mod t5;

pub use session::Session;

use crate::LmError;
use crate::config::JsonFile;
use crate::decoder::Tokens;
use crate::family::{bart::Bart, t5::T5};
use crate::forward::{Buffers, Family, Pass, Read, Sequence};
use crate::kernel::Isa;
use crate::text::{Text, Truncated};
use crate::weights::{Precision, WeightSet};
use half::Decoder;
use serde_json::Value;
use std::path::Path;

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
    decoder: Box<dyn Decoder>,
    text: Option<Text>,
    tokens: Option<Tokens>,
    pool: rayon::ThreadPool,
    buffers: Buffers,
    isa: Isa,
    memory_budget: Option<usize>,
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
        crate::quantize::check_format(&weights, directory)?;
        let precision = options.precision;
        let (encoder, decoder): (Box<dyn Family>, Box<dyn Decoder>) =
            match config.text("model_type").unwrap_or_default() {
                "t5" | "mt5" => (
                    Box::new(T5::open(&config, &weights, precision)?),
                    Box::new(t5::T5Decoder::open(&config, &weights, precision)?),
                ),
                "bart" => {
                    let prefix = weights.prefix(&["model.", ""], "shared.weight")?;
                    (
                        Box::new(Bart::open(&config, &weights, precision, prefix)?),
                        Box::new(bart::BartDecoder::open(&config, &weights, precision, prefix)?),
                    )
                }
                _ => return Err(config.unknown_architecture(SUPPORTED)),
            };
        let text = directory.join("tokenizer.json").exists();
        let tokens = text.then(|| Tokens::open(directory)).transpose()?;
        let text = text.then(|| Text::open(directory, false)).transpose()?;
        if let Some(text) = &text {
            text.check_vocabulary(encoder.vocabulary())?;
        }
        let threads = options.threads.unwrap_or(0);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let pool = pool.thread_name(|i| format!("plackett-lm-{i}")).build();
        let pool = pool.map_err(|e| LmError::Argument(format!("cannot start {threads} threads: {e}")))?;
        Ok(EncoderDecoder {
            family: config.text("model_type").unwrap_or_default().to_string(),
            encoder,
            decoder,
            text,
            tokens,
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
        self.decoder.half().numbers()
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
        self.decoder.half().vocabulary
    }

    /// The token with which every output starts; it is not part of the output.
    pub fn start(&self) -> u32 {
        self.decoder.half().start
    }

    /// The token that ends an output, when the model has one.
    pub fn end(&self) -> Option<u32> {
        self.decoder.half().end
    }

    /// Its tokenizer, for constraints and for the texts of outputs; `None` without `tokenizer.json`.
    pub fn tokens(&self) -> Option<&Tokens> {
        self.tokens.as_ref()
    }

    /// Longest source in tokens.
    pub fn source_tokens(&self) -> usize {
        self.encoder.positions()
    }

    /// Longest output in tokens, the start token included.
    pub fn output_tokens(&self) -> usize {
        self.decoder.half().positions
    }

    /// Bytes of the matrices.
    pub fn weight_bytes(&self) -> usize {
        self.encoder.weight_bytes() + self.decoder.half().bytes()
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
            let encoded = text.single(index, one, most)?;
            let kept = encoded.sequence.len();
            if kept < encoded.whole {
                cut.push(Truncated { index, tokens: encoded.whole, kept });
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
                .map(|budget| budget.saturating_sub(self.decoder.half().bytes())),
            layers: usize::MAX,
            tokens: Read::All,
        };
        let decoder = self.decoder.half().bytes();
        pass.run(&sequences, |_, states| states.to_vec()).map_err(|error| match error {
            LmError::MemoryBudget { tokens, needed, budget } => {
                LmError::MemoryBudget { tokens, needed: needed + decoder, budget: budget + decoder }
            }
            other => other,
        })
    }

    /// Sources and outputs of one caller.
    pub fn session(&self) -> Session<'_> {
        Session::new(self)
    }
}

/// A token id of config.json below `vocabulary`, when it is there.
fn token(config: &JsonFile, key: &str, vocabulary: usize) -> Result<Option<u32>, LmError> {
    match config.value().get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64().filter(|id| (*id as usize) < vocabulary) {
            Some(id) => Ok(Some(id as u32)),
            None => {
                Err(config.problem(format!("`{key}` is {value}, expected a token id below {vocabulary}")))
            }
        },
    }
}
