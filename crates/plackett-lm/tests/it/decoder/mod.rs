//! Decoders on tiny random models of every family: parity with transformers, and the promises about caches, batches,
//! threads, memory and blocks.

mod adapters;
mod asked;
mod block_store;
mod blocks;
mod caches;
mod early_exit;
mod gguf;
mod gguf_refusals;
pub mod golden;
mod heads;
mod memory;
mod parity;
mod refusals;
mod score_heads;
