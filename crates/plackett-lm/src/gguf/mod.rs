//! Models in GGUF files: header, block formats, hyperparameters, tensor names and tokenizer.
//!
//! ```no_run
//! use plackett_lm::gguf::{GgufArchitecture, GgufFile};
//! let file = GgufFile::open("SmolLM2-135M-Instruct.Q4_1.gguf".as_ref())?;
//! let shape = GgufArchitecture::read(&file)?;
//! let norm = file.f32("output_norm.weight", &[shape.embedding])?;
//! let row = file.tensor("token_embd.weight")?.row(17)?;
//! assert_eq!(norm.len(), row.len());
//! # Ok::<(), plackett_lm::LmError>(())
//! ```

mod blocks;
mod codes;
mod config;
mod error;
mod file;
mod header;
mod names;
mod parts;
mod pieces;
mod tokenizer;
mod value;

pub use blocks::{BlockFormat, dequantize};
pub(crate) use codes::Codes;
pub use config::{ARCHITECTURES, GgufArchitecture, RopeScaling};
pub use error::{GgufError, GgufFault};
pub use file::{GgufFile, GgufTensor};
pub use header::{GgufHeader, TensorInfo, parse_header};
pub use names::{RowOrder, gguf_name, hugging_face_name, rope_rows, unrope_rows};
pub(crate) use parts::{part_of, split_error};
pub use tokenizer::GgufTokenizer;
pub use value::{GgufArray, GgufValue};
