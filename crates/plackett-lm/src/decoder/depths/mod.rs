//! Decoding at several depths of one model whose intermediate layers were trained to be read with its last normalisation and
//! output matrix (Sorted LLaMA: Unlocking the Potential of Intermediate Layers of Large Language Models for Dynamic Inference
//! Using Sorted Fine-Tuning, 2023).
//!
//! The layers of a model are cut into stages, and a prefix has keys and values of each stage apart (`prefix.rs`). A token
//! that has passed some stages waits with its state until a later token needs the next one: then all that wait go through
//! it together, so that keys and values are those of a pass of all tokens through all layers. `exit.rs` leaves the model
//! at the first depth that is sure enough, token by token; `speculate.rs` lets a shallow depth draft and the whole model
//! check the drafts. Both are a `DecodeModel`, so that every search and constraint goes over them.

pub(super) mod exit;
mod pick;
mod prefix;
mod prefixes;
pub(super) mod speculate;
mod stages;
#[cfg(test)]
mod tests;
