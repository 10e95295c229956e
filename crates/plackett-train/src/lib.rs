//! The training engine: a tape of coarse operations on the kernels, model families with the parameter names of Hugging
//! Face, adapters, objectives, optimisers and the trainer.
//!
//! One way through it: a model of [`nn`] calls the operations of [`Engine`] on a [`Tape`]; scores, pooled vectors or
//! log-probabilities come out; an objective makes one number of them with the small operations of the tape;
//! [`Tape::backward`] adds the gradients of the parameters, with which an optimiser takes a step.
//!
//! Every sum is one chain in a stated order, so that weights are bit-identical for any number of threads.
#![forbid(unsafe_code)]

pub mod adapter;
pub mod engine;
mod error;
pub mod files;
pub mod in_context;
pub mod list_ranker;
pub mod modular;
pub mod nn;
pub mod objective;
pub mod optimizer;
pub mod random;
pub mod rank_then_score;
pub mod residual_codes;
pub mod rl;
pub mod synth;
pub mod tape;
pub mod trainer;
pub mod unlearning;

/// The example of `docs/training.md`, as a test.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/training.md")]
struct TrainingPage;

pub use engine::Engine;
pub use error::TrainError;
pub use plackett_lm::sha256;
pub use tape::{Compute, Parameter, ParameterId, Parameters, Tape, Var};
