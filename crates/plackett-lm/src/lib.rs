//! The native inference engine, on the CPU: encoders from Hugging Face and sentence-transformers directories
//! ([`EncoderModel`]), decoders from the same and from GGUF files ([`decoder`]), T5 and BART ([`seq2seq`]) and decoding
//! under constraints ([`decode`]).
//!
//! ```no_run
//! use plackett_lm::{EmbedOptions, EncoderModel, EncoderOptions};
//! let model = EncoderModel::open("models/all-MiniLM-L6-v2-int8", &EncoderOptions::default())?;
//! let vectors = model.embed(&["a text", "another"], &EmbedOptions::default())?;
//! assert_eq!(vectors.data.len(), 2 * vectors.dim);
//! # Ok::<(), plackett_lm::LmError>(())
//! ```
//!
//! A call takes any number of texts. They are packed without padding, and each text's numbers are the same whatever
//! else is in the call and however many threads work on it.
#![deny(unsafe_code)]

mod adapter;
pub mod decode;
pub mod decoder;
mod encoder;
mod error;
mod factorize;
mod family;
mod files;
pub mod seq2seq;
pub mod sha256;
pub mod store;
mod text;

/// Models in GGUF files: header, block formats, hyperparameters, tensor names and tokenizer.
///
/// ```no_run
/// use plackett_lm::gguf::{GgufArchitecture, GgufFile};
/// let file = GgufFile::open("SmolLM2-135M-Instruct.Q4_1.gguf".as_ref())?;
/// let shape = GgufArchitecture::read(&file)?;
/// let norm = file.f32("output_norm.weight", &[shape.embedding])?;
/// let row = file.tensor("token_embd.weight")?.row(17)?;
/// assert_eq!(norm.len(), row.len());
/// # Ok::<(), plackett_lm::LmError>(())
/// ```
pub mod gguf {
    pub use crate::error::gguf::{GgufError, GgufFault};
    pub use crate::files::gguf::config::{ARCHITECTURES, GgufArchitecture, RopeScaling};
    pub use crate::files::gguf::file::{GgufFile, GgufTensor};
    pub use crate::files::gguf::header::{GgufHeader, TensorInfo, parse_header};
    pub use crate::files::gguf::names::{RowOrder, gguf_name, hugging_face_name, rope_rows, unrope_rows};
    pub use crate::files::gguf::value::{GgufArray, GgufValue};
    pub use crate::text::gguf_tokenizer::GgufTokenizer;
    pub use plackett_kernel::{BlockFormat, dequantize};
}

pub use adapter::{Adapter, AdapterId, LoraDelta, Merged, merge_adapter};
pub use encoder::heads::ScoreActivation;
pub use encoder::model::{EncoderModel, EncoderOptions};
pub use encoder::outputs::{EmbedOptions, Embeddings, ModelInfo, PairScores, Side, TokenEmbeddings};
pub use encoder::quantize::{Quantized, quantize, quantize_with};
pub use error::{Described, LmError};
pub use factorize::{Factors, LinearWeight, ModelLinears, write_factors};
pub use family::decoder_families::SUPPORTED_DECODERS;
pub use family::encoder_families::SUPPORTED as SUPPORTED_FAMILIES;
pub use files::config::Pooling;
pub use files::factors::FactorizedLayer;
pub use files::int8_format::FORMAT_KEY;
pub use files::model_copy::write_folder;
pub use files::safetensors::{Header, read_header};
pub use plackett_kernel::{Isa, Precision};
pub use text::beginning::text_slices;
pub use text::chat;
pub use text::sequence::Sequence;
pub use text::tokenizer::Truncated;
