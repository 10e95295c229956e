//! One file a method, a folder for a family: what is read of a model, and how that becomes an order.

pub(crate) mod bi_encoder;
pub(crate) mod cross_encoder;
pub(crate) mod e2rank;
pub(crate) mod erank;
mod first_stage;
pub(crate) mod group_rank;
pub(crate) mod in_context;
pub(crate) mod last_but_not_late;
pub(crate) mod late_interaction;
pub(crate) mod listwise;
pub(crate) mod mono_t5;
pub(crate) mod mvp;
mod next_label;
pub(crate) mod pairwise;
pub(crate) mod query_likelihood;
pub(crate) mod rank_t5;
pub(crate) mod setwise;
mod similarity;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod yes_no;

pub use bi_encoder::BiEncoder;
pub use cross_encoder::CrossEncoder;
pub use in_context::block_rank::block_recipe;
pub use in_context::outliers::kept_sum;
pub use late_interaction::LateInteraction;
