//! Tests of the engine through its public interface. One binary: each is linked by itself, and that takes longer than most tests.

mod chat;
mod decode;
mod decoder;
mod gguf_blocks;
mod golden_encoders;
mod parity;
mod real_decoder;
mod real_gguf;
mod real_model;
mod refusals;
mod rerankers;
mod seq2seq;
mod seq2seq_speed;
mod support;
