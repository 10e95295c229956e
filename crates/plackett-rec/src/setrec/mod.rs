//! SETRec (Lin et al., Order-agnostic identifier for large language model-based generative recommendation, SIGIR 2025): an item is a set of
//! vectors without an order, one of what users did and some of its text, and the next item's are all emitted in one step.
//!
//! [`SetRecRecommender`] ranks a catalogue with it, after a SASRec has given the vectors of what users did. [`IdentifierModel`] writes identifiers of several tokens on the same backbone, to be compared with in time ([`measure_speed`]).
//! The backbone here is a small causal transformer from drawn weights in the place of a language model; there is no text prompt.

mod beam_attention;
mod fit;
mod identifiers;
mod layout;
mod model;
mod recommender;
mod speed;
#[cfg(test)]
mod tests;

pub use fit::{SetRecTask, SlotScores};
pub use identifiers::IdentifierModel;
pub use layout::{Layout, SetBatch};
pub use model::{ItemTables, ItemVectors, SetRec, SetRecConfig, Tokens};
pub use recommender::{SPEC, SetRecRecommender, collaborative_vectors};
pub use speed::{SlotSpeed, SpeedShape, measure_speed};
