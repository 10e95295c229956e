//! Decoders: language models that read from left to right.
//!
//! ```no_run
//! use plackett_lm::decode::Wanted;
//! use plackett_lm::decoder::{DecoderModel, DecoderOptions, Places, Request, Wants};
//! let model = DecoderModel::open("SmolLM2-135M-Instruct.Q4_1.gguf", &DecoderOptions::default())?;
//! let prompt = model.tokens().encode("Is the sky blue? Answer yes or no:", true, false)?;
//! let answers: Vec<u32> = [" yes", " no"].iter().filter_map(|t| model.tokens().encode(t, false, false).ok()?.pop()).collect();
//! // Two rows of the output matrix, never the whole vocabulary.
//! let wants = Wants { logits_at: Places::Last, ids: Wanted::Only(&answers), ..Wants::default() };
//! let request = Request { tokens: &prompt, cache: None, pattern: Default::default(), adapter: None, wants };
//! let answer = model.forward(&[request])?.remove(0);
//! assert_eq!(answer.logits[0].len(), 2);
//! # Ok::<(), plackett_lm::LmError>(())
//! ```

mod additions;
mod asked;
mod blocks;
mod cache;
mod check;
mod embedder;
mod head;
mod joined;
mod kept;
mod mapped;
mod model;
mod pass;
mod plan;
mod reads;
mod request;
mod room;
mod schedule;
mod session;
mod shape;
mod source;
mod stretch;
mod tokens;
mod weights;
mod yes_no;

pub use blocks::{BlockStore, BlockTable, BlockWriter, parse_block_table};
pub use cache::{Cache, CacheFormat};
pub use embedder::DecoderEmbedder;
pub use model::{DecoderInfo, DecoderModel, DecoderOptions};
pub use request::{Answer, AttentionWanted, Pattern, Places, Request, Wants};
pub use session::DecoderSession;
pub(crate) use shape::{LayerShape, Rope, Shape};
pub use tokens::Tokens;
pub use yes_no::YesNo;
