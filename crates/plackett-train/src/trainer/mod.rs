//! The trainer: examples in an order that follows from the seed, steps, checkpoints from which a killed run goes on bit by
//! bit, a log of every step.

mod byte_decoder;
mod bytes;
mod checkpoint;
mod cross_encoder;
mod examples;
mod job;
mod language_model;
mod log;
mod order;
mod run;
mod settings;
mod task;
#[cfg(test)]
mod tests;

pub use byte_decoder::{ByteDecoder, ByteDecoderShape};
pub use bytes::{BYTE_VOCABULARY, END_OF_TEXT, decode_bytes, encode_bytes};
pub use checkpoint::CHECKPOINT;
pub use cross_encoder::{CrossEncoder, RankingTask};
pub use examples::{
    Candidate, RankingExample, TextExample, keep_negatives, read_ranking_examples, read_text_examples,
};
pub use job::{CutTexts, Outcome, RankingJob, Trained};
pub use language_model::{LanguageModel, LanguageTask};
pub use log::StepRecord;
pub use run::{Hooks, Report, mean_loss, train};
pub use settings::Settings;
pub use task::{StepLoss, Task};
