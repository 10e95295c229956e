//! RichRAG's list ranker: a small decoder that points at candidates, one after another, so that they cover the sides of a question
//! together (Wang and others, RichRAG, 2024).
//!
//! The paper reads every candidate together with the question and its sides in an encoder that is trained too. Here candidates, question
//! and sides are vectors of a frozen encoder, computed once; what the pair reading gave is given by a head over them
//! ([`ListRanker::read`]): what a candidate is about is said by the sides that are near to it. The decoder is the paper's: it begins with a
//! start vector, takes in the candidates that were chosen (through a map of their own, since their vectors are frozen), attends to those
//! that were not, and points. Each step keeps its own mask in training and in writing, so that both compute the same (the published code
//! does not).

mod decoder;
mod file;
mod initialize;
mod job;
mod model;
mod preferences;
mod silver;
#[cfg(test)]
mod tests;
mod writing;

pub use decoder::{Pointed, Walk};
pub use file::{CONFIG, WEIGHTS};
pub use job::ListRankerJob;
pub use model::{ListQuestion, ListRanker, ListRankerConfig, Memory};
pub use preferences::{ListPair, PreferenceTask};
pub use silver::{SilverExample, SilverTask};
pub use writing::Draw;
