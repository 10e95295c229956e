//! Rankings that cover several aspects of a question: round robin, maximal marginal relevance, and greedy coverage.
//!
//! Coverage comes as a matrix of aspects and candidates ([`Coverage`]); in RichRAG its numbers are recalls of gold
//! sub-answers ([`rouge`], [`Rouge::most_recall`]). [`Coverage::silver`] is the upper bound that RichRAG trains towards and
//! measures against.

mod coverage;
mod mmr;
mod repetition;
mod rouge;
mod round_robin;

pub use coverage::{Coverage, Silver};
pub use mmr::{Mmr, mmr};
pub use repetition::distinct;
pub use rouge::{Overlap, Rouge, RougeText, com_rouge, rouge};
pub use round_robin::round_robin;

/// Input that has no diverse ranking.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DiversityError {
    /// Sizes that do not fit.
    #[error("{what}: {found} instead of {wanted}")]
    Size {
        /// Of what.
        what: &'static str,
        /// What there should be.
        wanted: usize,
        /// What there is.
        found: usize,
    },
    /// A number out of its range.
    #[error("{what} is {value}; it must be {wanted}")]
    Number {
        /// Which number.
        what: String,
        /// Its value.
        value: f64,
        /// The range, in words.
        wanted: &'static str,
    },
    /// A candidate out of range or twice in a list.
    #[error("candidate {item} stands twice or is out of range; there are {len}, counted from 0")]
    Item {
        /// The candidate.
        item: usize,
        /// How many there are.
        len: usize,
    },
}
