//! The families of models: which tensors they have and what a layer computes.

pub(crate) mod bart;
mod bert;
pub(crate) mod decoder_families;
mod decoder_fields;
pub(crate) mod decoder_shape;
pub(crate) mod encoder;
pub(crate) mod encoder_families;
pub(crate) mod fields;
mod gemma;
mod gemma3;
mod llama;
mod mistral;
mod modernbert;
pub(crate) mod projection;
mod qwen2;
mod qwen3;
pub(crate) mod t5;
