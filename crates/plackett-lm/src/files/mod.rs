//! Files of models: safetensors with their configurations, and GGUF. Everything in them is outside input.

pub(crate) mod config;
pub(crate) mod factors;
pub(crate) mod gguf;
pub(crate) mod int8_format;
mod json_offsets;
pub(crate) mod model_copy;
pub(crate) mod safetensors;
pub(crate) mod stored_tensors;
pub(crate) mod weights;
