//! The native inference engine, on the CPU: encoders from Hugging Face and sentence-transformers directories
//! ([`EncoderModel`]), decoders from the same and from GGUF files ([`decoder`]), T5 and BART ([`seq2seq`]), decoding under
//! constraints ([`decode`]) and servers as models ([`remote`]).
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
pub mod chat;
mod config;
pub mod decode;
pub mod decoder;
mod encoder;
mod error;
mod family;
mod forward;
pub mod gguf;
mod header;
mod heads;
mod kernel;
mod late;
mod places;
mod quantize;
pub mod remote;
mod sentence;
pub mod seq2seq;
pub mod store;
mod text;
mod weights;

pub use adapter::{Adapter, AdapterId, LoraDelta};
pub use config::Pooling;
pub use encoder::{
    EmbedOptions, Embeddings, EncoderModel, EncoderOptions, ModelInfo, PairScores, Side, TokenEmbeddings,
};
pub use error::{Described, LmError};
pub use family::{SUPPORTED as SUPPORTED_FAMILIES, SUPPORTED_DECODERS};
pub use forward::Sequence;
pub use header::{Header, read_header};
pub use heads::ScoreActivation;
pub use kernel::Isa;
pub use quantize::{FORMAT_KEY, Quantized, quantize, quantize_with};
pub use text::Truncated;
pub use weights::Precision;
