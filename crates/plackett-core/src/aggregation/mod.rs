//! Many rankings, or many comparisons, of the same items made into one ranking.
//!
//! - [`borda`], [`copeland`], [`greedy`], [`kwiksort`]: orders from a matrix of [`Preferences`]
//!   (Bradley–Terry strengths: [`crate::bradley_terry`]);
//! - [`kemeny`]: the order with the least Kendall distance to all, exact where that can be had;
//! - [`self_consistency`]: the central ranking of one model's answers to shuffled lists; [`kendall_taus`]: how far they agree;
//! - [`Grouping`] and [`GroupScores`]: scores given within random groups, repeated and averaged (GroupRank);
//! - [`log_rank_fusion`]: two teachers' rankings made into labels.
//!
//! Rankings of *documents* of different systems are joined in [`crate::fusion`].

mod groups;
mod kemeny;
mod preferences;
mod self_consistency;
mod simple;

pub use groups::{GroupScores, Grouping, log_rank_fusion};
pub use kemeny::{KEMENY_EXACT, Kemeny, kemeny};
pub use preferences::Preferences;
pub use self_consistency::{kendall_taus, self_consistency, shuffles};
pub use simple::{borda, copeland, greedy, kwiksort};

/// Input that cannot be joined.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AggregationError {
    /// Rankings of different lengths.
    #[error("ranking {ranking} has {found} items, the first has {wanted}; all must order the same items")]
    Length {
        /// Which, from 0.
        ranking: usize,
        /// Items of the first.
        wanted: usize,
        /// Its items.
        found: usize,
    },
    /// A weight that is negative or not finite.
    #[error("the weight of {what} is {value}; it must be finite and at least 0")]
    Weight {
        /// Of what.
        what: String,
        /// The weight.
        value: f64,
    },
    /// An item out of range.
    #[error("item {item} is out of range; there are {len} items, counted from 0")]
    Item {
        /// The item.
        item: usize,
        /// How many there are.
        len: usize,
    },
    /// A score that is not finite.
    #[error("the score of item {item} is {score}; scores must be finite")]
    Score {
        /// The item.
        item: usize,
        /// Its score.
        score: f64,
    },
}

#[cfg(test)]
mod tests;
