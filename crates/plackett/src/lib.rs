//! Plackett as a library: the crates of the workspace under one name, and [`Pipeline`]s that join them.
#![forbid(unsafe_code)]

pub mod blocks;
pub mod bundled;
pub mod choosing;
pub mod click_labels;
pub mod content_hash;
mod data_card;
pub mod facets;
pub mod golden;
pub mod group_ranker;
pub mod history_prompts;
pub mod indexing;
pub mod list_synthesis;
pub mod listwise_examples;
pub mod manifest;
pub mod negative_mining;
pub mod own_vectors;
pub mod papers;
pub mod pipeline;
pub mod pointer_ranker;
pub mod query_synthesis;
pub mod recipe;
pub mod replies;
pub mod stored_calibration;
pub mod sync;
pub mod teacher_labels;
pub mod text_vectors;
pub mod training_lists;
pub mod unfinished;

pub use pipeline::Pipeline;
pub use plackett_arena as arena;
pub use plackett_core as core;
pub use plackett_eval as eval;
pub use plackett_genir as genir;
pub use plackett_ids as ids;
pub use plackett_lm as lm;
pub use plackett_rank as rank;
pub use plackett_rec as rec;
pub use plackett_search as search;
pub use plackett_train as train;

/// The examples of docs/library.md, which the tests compile and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/library.md")]
pub struct LibraryGuide;
