//! How alike two orders are. Ties are part of every definition here, never a matter of input order.

mod kendall;
mod overlap;
mod spearman;

pub use kendall::{TauAp, kendall_tau_a, kendall_tau_b, tau_ap};
pub use overlap::{Overlap, rank_biased_overlap};
pub(crate) use spearman::mid_ranks;
pub use spearman::spearman;

/// Why two lists could not be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CorrelationError {
    /// The lists differ in length.
    #[error("the two lists must be equally long; they have {0} and {1} values")]
    Lengths(usize, usize),
    /// Fewer than two values.
    #[error("a rank correlation needs at least two values, got {0}")]
    TooShort(usize),
    /// A value is not a number.
    #[error("value {0} (counted from 0) is not a number and so has no rank")]
    NotANumber(usize),
    /// All values of one list are equal.
    #[error("all values of one list are equal, so the correlation is not defined")]
    Constant,
    /// An item stands twice in one ranking.
    #[error("item `{0}` stands twice in one ranking")]
    Duplicate(String),
    /// The persistence must lie between 0 and 1.
    #[error("the persistence p must lie strictly between 0 and 1, found {0}")]
    Persistence(String),
}

fn check(x: &[f64], y: &[f64]) -> Result<(), CorrelationError> {
    if x.len() != y.len() {
        return Err(CorrelationError::Lengths(x.len(), y.len()));
    }
    if x.len() < 2 {
        return Err(CorrelationError::TooShort(x.len()));
    }
    match x.iter().zip(y).position(|(a, b)| a.is_nan() || b.is_nan()) {
        Some(place) => Err(CorrelationError::NotANumber(place)),
        None => Ok(()),
    }
}
