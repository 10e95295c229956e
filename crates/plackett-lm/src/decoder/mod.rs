//! Decoders: language models that read from left to right.
//!
//! ```no_run
//! use plackett_lm::decode::LogitIds;
//! use plackett_lm::decoder::{DecoderModel, DecoderOptions, Positions, Request, OutputRequest};
//! let model = DecoderModel::open("SmolLM2-135M-Instruct.Q4_1.gguf", &DecoderOptions::default())?;
//! let prompt = model.tokenizer().encode("Is the sky blue? Answer yes or no:", true, false)?;
//! let answers: Vec<u32> = [" yes", " no"].iter().filter_map(|t| model.tokenizer().encode(t, false, false).ok()?.pop()).collect();
//! // Two rows of the output matrix, never the whole vocabulary.
//! let outputs = OutputRequest { logits_at: Positions::Last, logit_ids: LogitIds::Only(&answers), ..OutputRequest::default() };
//! let request = Request { tokens: &prompt, cache: None, pattern: Default::default(), adapter: None, outputs };
//! let answer = model.forward(&[request])?.remove(0);
//! assert_eq!(answer.logits[0].len(), 2);
//! # Ok::<(), plackett_lm::LmError>(())
//! ```

mod block_store;
mod check;
mod chunk;
mod collect;
mod compute;
mod depths;
mod embedder;
mod forward;
mod kv;
mod last_layer;
mod list_scorer;
mod lm_head;
mod lora;
mod model;
mod pair_prompt;
mod pair_tokens;
mod prompted_scorer;
mod query_blocks;
mod request;
mod schedule;
mod score_head;
mod session;
mod source;
mod weights;

pub use crate::text::lm_tokenizer::LmTokenizer;
pub use block_store::{BlockStore, BlockTable, BlockWriter, parse_block_table};
pub use depths::exit::{ExitCounts, ExitSession, ExitThreshold, MissingKeys};
pub use depths::speculate::{DraftCounts, SpeculativeSession};
pub use embedder::DecoderEmbedder;
pub use kv::cache::KvCache;
pub use kv::format::CacheFormat;
pub use list_scorer::{BLOCK as LIST_BLOCK, ListScorer, ListScores, ReadLength};
pub use model::{DecoderInfo, DecoderModel, DecoderOptions};
pub use pair_prompt::{PAIR_PROMPT_KEY, PAIR_PROMPTS, PairPrompt};
pub use pair_tokens::{PairText, PairTokens};
pub use prompted_scorer::PromptedScorer;
pub use request::{AttentionPattern, AttentionRequest, OutputRequest, Positions, Request, SequenceOutput};
pub use score_head::ScoreHead;
pub use session::DecoderSession;
