//! Rerankers: methods that order the candidates of a request.
//!
//! A ranker gets many requests at once, so that it can pack their texts into shared model passes, and is a pure function
//! of its inputs: the same requests give the same rankings, whatever else is in the batch. Methods: [`BiEncoder`],
//! [`LateInteraction`], [`CrossEncoder`], and the last on a server, [`RemoteReranker`]; [`ranker()`] makes one by name from any model that has the ability.
#![forbid(unsafe_code)]

mod batch;
mod bi_encoder;
mod cross_encoder;
mod decoders;
mod engine;
mod late_interaction;
mod long_text;
pub mod method;
pub mod model;
mod ranker;
mod reading;
mod remote;
mod similarity;

pub use batch::{Progress, Settings};
pub use bi_encoder::BiEncoder;
pub use cross_encoder::CrossEncoder;
pub use late_interaction::LateInteraction;
pub use long_text::{Chunks, Join, LongText, UnknownPolicy};
pub use method::{Abilities, Method, UnknownMethod, WrongModel, ranker};
pub use ranker::{RankError, Ranker};
pub use remote::RemoteReranker;
