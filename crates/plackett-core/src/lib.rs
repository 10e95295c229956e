//! The ranking data model: requests, candidates, rankings, runs and judgments, and the mathematics and files around
//! them. Everything else in Plackett speaks these types; this crate knows no other one.
//!
//! Data flows one way: [`RankRequest`] → [`Candidate`]s → a model pass → [`Ranking`] → [`Run`] → a measure.
#![forbid(unsafe_code)]

pub mod aggregation;
pub mod ask_tell;
pub mod bradley_terry;
pub mod clustering;
pub mod continuation;
pub mod declaration;
pub mod diversity;
pub mod formats;
pub mod fusion;
pub mod hard_negatives;
pub mod losses;
pub mod parse;
pub mod permutation;
pub mod pipeline;
pub mod plackett_luce;
pub mod remap;
pub mod sorting;
pub mod summary;
pub mod title_list;
pub mod tsp;
pub mod windows;

mod cosine;
mod counted;
mod document;
mod ids;
mod pieces;
mod preferences;
mod qrels;
mod ranking;
mod request;
mod run;

pub use cosine::cosine;
pub use counted::counted;
pub use document::{Document, Metadata, Query, field_named, names_field};
pub use ids::{IdList, IdListFull};
pub use pieces::Pieces;
pub use preferences::{PreferenceLevel, Preferences, QueryPreferences};
pub use qrels::{Judgment, Qrels, QueryQrels};
pub use ranking::{Ranked, Ranking, Status, TieReport, Trace, Truncation, next_score_below};
pub use request::{Candidate, RankRequest};
pub use run::{Run, RunQuery, order_by_score};
