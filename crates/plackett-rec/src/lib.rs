//! Sequential and generative recommendation.
//!
//! Interactions of users with items come from a file ([`Interactions`]), are filtered ([`k_core`]) and split in time
//! ([`leave_last_out`], [`split_at`]). A [`Recommender`] gives a score to every item of the catalogue for what comes after a
//! history; [`RECOMMENDERS`] lists them, floors among them ([`floors`]). [`evaluate`] ranks the whole catalogue.
//!
//! [`sequential`] are models on the trainer's tape that read a history in its order; [`hstu`] is one of them, with an
//! inference path of its own: keys and values of a history are kept, and many candidates are scored in one pass. [`setrec`] reads
//! items as sets of vectors, and [`synergen`] searches and recommends, retrieves and ranks with one model;
//! [`onerec`] writes whole sessions, [`tiger`], [`p5`] and [`minionerec`] the next item, all in the inference engine.
#![forbid(unsafe_code)]

mod cached_attention;
mod codebook;
mod error;
mod evaluation;
mod explanation;
pub mod floors;
mod head_tasks;
pub mod hstu;
pub mod interactions;
pub mod minionerec;
mod model_folder;
pub mod onerec;
pub mod p5;
mod popularity_groups;
mod prefix_attention;
mod recommender;
pub mod repeat_stream;
pub mod sequential;
pub mod setrec;
pub mod synergen;
pub mod tiger;

pub use codebook::{CodeUse, Codebook};
pub use error::RecError;
pub use evaluation::{
    EvaluationOptions, ListStatistics, TargetRank, best, evaluate, list_statistics, target_rank,
};
pub use explanation::{Reason, reasons};
pub use interactions::{
    Account, Event, Interactions, ItemWords, ReadLimits, TestCase, Training, borrowed, k_core,
    leave_last_out, read_interactions, read_interactions_within, read_item_texts, read_item_texts_within,
    read_item_words, read_titles, split_at, split_names,
};
pub use model_folder::{CatalogueItem, ModelFolder};
pub use popularity_groups::{PopularityGroup, popularity_groups};
pub use recommender::{
    Configured, FitData, FitStep, Fitting, RECOMMENDERS, Recommender, RecommenderSpec, Request, find, parse,
};
