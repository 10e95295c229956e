//! Models that several tests read.

pub mod gguf_file;
pub mod smollm2;
