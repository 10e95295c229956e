//! SynerGen (Contextualized generative recommender for unified search and recommendation, arXiv 2509.21777, 2025): one decoder for four things,
//! {search, recommendation} × {retrieval, ranking}.
//!
//! What is published says that there are context, retrieval and ranking tokens, frozen vectors of texts beside trained ones, a rotation
//! driven by timestamps, InfoNCE, and a ranking loss with a pointwise and a pairwise part, trained together on the last interaction of each
//! sequence. Formulas, mask, rotation and sizes are not published; those here are our completion, said where they stand.
//!
//! [`SynerGen`] is the model on the trainer's tape, [`SynerGenTask`] its training; [`SynerGenInference`] reads a history once, and asks behind
//! its keys and values for the whole catalogue and for candidates. [`SynerGenRecommender`] does so without searches, as other recommenders do.

mod config;
mod fit;
mod inference;
mod losses;
mod model;
mod recommender;
#[cfg(test)]
mod tests;
mod time_rotary;
mod tokens;

pub use config::{SynerGenConfig, TextVectors};
pub use fit::{Labels, RankingNegatives, SynerGenLearning, SynerGenTask};
pub use inference::{ContentTables, ContextCache, SynerGenInference};
pub use losses::{SharedNegatives, hybrid_ranking_loss, info_nce};
pub use model::{Contents, SynerGen};
pub use recommender::{SPEC, SynerGenRecommender};
pub use time_rotary::{TimeRotary, time_rotary};
pub use tokens::{Occurrence, Question, TokenRows};
