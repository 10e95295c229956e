//! Rerankers: methods that order the candidates of a request, and cascades of them.
//!
//! A ranker gets many requests at once, so that it can pack their texts into shared model passes, and is a pure function
//! of its inputs: the same requests give the same rankings, whatever else is in the batch.
#![forbid(unsafe_code)]

mod ranker;

pub use ranker::{RankError, Ranker};
