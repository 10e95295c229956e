//! Policies that are rewarded for what they write: rollouts by the inference engine, rewards and advantages within a group of
//! rollouts, losses with importance ratios.
//!
//! One way through it: [`PolicyTask`] is a [`Task`](crate::trainer::Task) of the trainer. For each step, or for several ([`Updates`]), it writes the
//! weights as they are, lets a [`Rollouts`] of the inference engine answer its prompts several times, freely or held to a [`Form`], asks a [`Rewarder`] what
//! each answer is worth, and gives the trainer a [`PolicyLoss`] of the log-probabilities. What is drawn follows from the seed
//! and the step, so a training that was killed goes on bit by bit.

mod advantage;
mod form;
mod item_job;
mod item_rewarder;
mod loss;
mod record;
mod reward;
mod rollout;
mod task;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_forms;
#[cfg(test)]
mod tests_of_updates;
mod updates;

pub use advantage::{EPSILON, group_advantages, rank_advantages};
pub use form::{Form, FormState, Place};
pub use item_job::{ItemData, ItemExample, ItemOutcome, ItemPolicyJob, ItemScores, ItemSource};
pub use item_rewarder::{ItemRewarder, ItemWorth, SequenceScores, SequenceVectors, sequence_scores};
pub use loss::{DivergenceMean, PolicyLoss, RatioLevel, Term, TokenLogProbabilities};
pub use record::{KeptRecords, RolloutRecord, constant_steps};
pub use reward::{
    BeamReward, ITEM_REWARDS, ItemReward, ItemRewardSpec, RankCredit, Shares, beam_rewards, rank_rewards,
};
pub use rollout::{Rollouts, Sampled};
pub use task::{Answered, Credit, Generation, PolicyTask, Rewarder, check_worth};
pub use updates::Updates;
