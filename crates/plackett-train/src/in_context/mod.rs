//! Ranking passages in the context of one prompt, as BlockRank learns it (Gupta and others, Scalable In-context Ranking with Generative
//! Models, 2025): one loss on the answer that is written, one on the attention to passages at a middle layer.

mod reading;
mod task;
#[cfg(test)]
mod tests;

pub use reading::{InContextReading, read_prompts};
pub use task::{InContextPrompt, InContextSettings, InContextTask};
