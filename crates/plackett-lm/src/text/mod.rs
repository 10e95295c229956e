//! Texts and tokens: tokenizers of encoders and of language models, what the tokens of a vocabulary write, chat templates.

pub(crate) mod beginning;
pub mod chat;
mod gguf_pieces;
pub(crate) mod gguf_tokenizer;
pub(crate) mod lm_tokenizer;
pub(crate) mod sequence;
pub(crate) mod token_bytes;
pub(crate) mod tokenizer;
