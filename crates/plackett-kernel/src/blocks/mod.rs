//! The block formats of GGUF files: groups of numbers with shared scales.

pub(crate) mod codes;
pub(crate) mod formats;
