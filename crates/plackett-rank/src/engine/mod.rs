//! The engine's models, and servers, behind the traits of this crate. Only here their own names are used.

mod decoder;
mod encoder;
mod encoder_language;
mod forms;
mod language;
mod remote;
mod seq2seq;
mod views;

pub use decoder::Decoder;
pub use language::stored::{
    Agreement, BlockIndexError, BlockIndexInfo, BlockIndexWriter, BlockProgress, BlockUpdate, BlocksOf,
};
pub use remote::RemoteReranker;
pub use seq2seq::EncoderDecoderLanguage;
