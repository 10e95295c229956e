//! SETRec (Lin et al., Order-agnostic identifier for large language model-based generative recommendation, SIGIR 2025): an item is a set of
//! vectors without an order, one of what users did and some of its text, and the next item's are all emitted in one step.
//!
//! The backbone here is a small causal transformer from drawn weights in the place of a language model; there is no text prompt.

mod fit;
mod layout;
mod model;
#[cfg(test)]
mod tests;

pub use fit::{SetRecTask, SlotScores};
pub use layout::{Layout, SetBatch};
pub use model::{ItemVectors, SetRec, SetRecConfig, Tokens};
