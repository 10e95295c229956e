//! Methods that ask a model with prompts: what they all share.
//!
//! A method is written as if there were one request and a model that answers at once ([`PromptMethod::rank`]). Here many
//! requests run side by side, and whenever all of them wait for the model, what they ask goes to it in one call, so that
//! also methods whose next prompt depends on the last answer are packed across requests.

mod context;
mod fit;
mod ranker;
mod recipe;
mod together;

pub(crate) use fit::of_document;

pub use context::{Order, RankContext};
pub use ranker::{PromptMethod, PromptRanker};
pub use recipe::BlockRecipe;
