//! Unlearning: a decoder forgets some answers and keeps others, by training adapters (LoKU: Cha and others, Towards Robust and
//! Parameter-Efficient Knowledge Unlearning for LLMs, ICLR 2025), and what is measured of it.
//!
//! [`UnlearningJob`] is the whole of it: it measures which weights matter for which texts ([`measure_importance`]) where the
//! adapter begins from that (`fila`), pairs each answer to be forgotten with a random one to be kept ([`UnlearningTask`]) and
//! takes steps with an objective of the registry: `inverted-hinge`, `gradient-ascent`, `gradient-difference`,
//! `gradient-ascent + reference-kl`, `npo`, `refusal`. [`TextUnlearningJob`] is the same from texts to the directory of a model. [`measure_answers`], [`greedy`] and [`measures`] say what is left.

mod answers;
mod greedy;
mod importance;
mod job;
mod measure;
pub mod measures;
mod task;
#[cfg(test)]
mod tests;
mod text_job;

pub use answers::{AnswerBatch, AnswerTask, TokenPair};
pub use greedy::{extraction_likelihood, greedy};
pub use importance::{ImportancePass, measure_importance, row_weights};
pub use job::{Observer, Rebase, UnlearningJob, UnlearningOutcome};
pub use measure::{AnswerMeasure, measure_answers};
pub use task::{Pairing, Reference, UnlearningTask};
pub use text_job::{KnownTexts, TextUnlearningJob, UnlearningTexts};
