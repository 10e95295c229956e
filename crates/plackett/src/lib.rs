//! Plackett as a library: the crates of the workspace under one name, and [`Pipeline`]s that join them.
#![forbid(unsafe_code)]

pub mod bundled;
pub mod golden;
pub mod indexing;
pub mod papers;
pub mod pipeline;

pub use pipeline::Pipeline;
pub use plackett_core as core;
pub use plackett_eval as eval;
pub use plackett_lm as lm;
pub use plackett_rank as rank;
pub use plackett_search as search;
