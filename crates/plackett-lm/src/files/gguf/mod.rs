//! GGUF files: header, hyperparameters, tensors and their names.

pub(crate) mod config;
pub(crate) mod file;
pub(crate) mod header;
pub(crate) mod names;
pub(crate) mod parts;
pub(crate) mod value;
