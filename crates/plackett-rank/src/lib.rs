//! Rerankers: methods that order the candidates of a request.
//!
//! A ranker gets many requests at once, so that it can pack their texts into shared model passes, and is a pure function
//! of its inputs: the same requests give the same rankings, whatever else is in the batch. Methods are declarations in one
//! registry ([`method::METHODS`]); [`MethodSpec::ranker`] makes a ranker from any model that has what the method needs.
#![forbid(unsafe_code)]

pub mod ask;
pub mod audit;
mod batch;
pub mod budget;
mod depth;
mod empty;
pub mod engine;
mod fallback;
pub mod feedback;
mod long_text;
pub mod method;
mod methods;
pub mod model;
pub mod prompt;
pub mod prompting;
mod ranker;
mod reading;
pub mod testing;
pub mod training_example;

/// What the names of those facts of a trace begin with that are remarks for whoever asks.
pub const REMARK: &str = "remark:";

/// What the fact `scores` of a trace says where a ranking's scores count places, since its method has none.
pub const PLACES: &str = "places; the method has none";

pub use batch::{Progress, Settings};
pub use depth::Depth;
pub use engine::RemoteReranker;
pub use fallback::{Fallback, InputOrder};
pub use long_text::{Chunks, Join, LongText, PolicyError};
pub use method::{MethodError, MethodSpec, UnknownMethod, ranker};
pub use methods::{BiEncoder, CrossEncoder, LateInteraction, block_recipe, kept_sum};
pub use model::Abilities;
pub use ranker::{RankError, Ranker};
pub use reading::has_words;
