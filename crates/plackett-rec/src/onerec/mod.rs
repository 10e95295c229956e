//! OneRec (Deng et al., Unifying retrieve and rank with generative recommender and iterative preference alignment, arXiv 2502.18965, 2025): an
//! encoder–decoder reads what somebody liked and writes a whole session of items as semantic ids; a reward model learned from logs says which
//! of its own sessions it is to prefer.
//!
//! [`sessions`] makes sessions of what users did, [`ItemTokens`] gives items tokens, [`OneRec`] is the model on the trainer's tape (its decoder's
//! feed-forward networks are mixtures of experts, [`Mixture`]) and [`SessionTask`] its training; [`OneRecInference`] is the same model in the inference
//! engine, where it writes by the searches of `plackett_lm::decode`; one item is a session of length one. [`SessionReward`] is the reward model,
//! [`AlignmentTask`] a round of preference alignment. [`SPEC`] is the model as a recommender, without the alignment.

mod alignment;
mod attention;
mod balanced_ids;
mod decode;
mod inference;
mod item_tokens;
mod mixture;
mod model;
mod recommender;
mod reward;
mod rewarded;
mod session_decoder;
mod session_recommender;
mod session_task;
mod sessions;
#[cfg(test)]
mod tests;

pub use alignment::{AlignmentSettings, AlignmentTask};
pub(crate) use balanced_ids::balanced_ids;
pub use decode::{Generated, SessionSearch};
pub use inference::OneRecInference;
pub use item_tokens::ItemTokens;
pub(crate) use item_tokens::tell_apart;
pub use mixture::{Mixture, Routed};
pub use model::{OneRec, OneRecConfig, SessionBatch};
pub use recommender::SPEC;
pub use reward::{RewardConfig, RewardTask, SessionReward, TARGETS, logged_targets};
pub(crate) use rewarded::RewardPlan;
pub(crate) use session_recommender::{ItemIds, SessionPlan, SessionRecommender, session_spec};
pub use session_task::SessionTask;
pub use sessions::{Session, SessionRule, Sessions, sessions};
