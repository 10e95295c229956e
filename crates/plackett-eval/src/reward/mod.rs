//! Rewards for what a model writes when it is trained to rank by reinforcement learning.
//!
//! A reward looks at one answer (a rollout) of a group that was drawn for the same prompt or the same query. Where a paper
//! leaves constants open, the ones taken here are fields with documented defaults.

mod choice;
mod cross_document;
mod group;
mod multi_view;
mod tags;

pub use choice::choice_reward;
pub use cross_document::{CrossDocument, squared_error};
pub use group::GroupReward;
pub use multi_view::{MultiView, View};
