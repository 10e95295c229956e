//! Why a recommendation cannot be had.

use plackett_core::declaration::OptionError;
use plackett_core::formats::FormatError;
use plackett_lm::LmError;
use plackett_train::TrainError;

/// Why a recommendation cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RecError {
    /// A file cannot be read or written, or a line of it is damaged.
    #[error(transparent)]
    File(#[from] FormatError),
    /// Options of a recommender that cannot be.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The training failed.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The decoding engine refused or failed.
    #[error(transparent)]
    Decode(#[from] LmError),
    /// A setting that cannot be, or does not go with the data.
    #[error("{0}")]
    Setting(String),
    /// Numbers of a model that are none.
    #[error(
        "{0}: the weights are damaged or the training has diverged; fit again, with a smaller rate where there is one"
    )]
    Diverged(String),
    /// An item that the catalogue does not have.
    #[error("there is no item {item}: the catalogue has {catalogue} items, numbered from 0")]
    UnknownItem {
        /// What was given.
        item: u32,
        /// How many there are.
        catalogue: usize,
    },
    /// A history that is longer than the model has positions.
    #[error(
        "the history has {events} events and the model {positions} positions; begin again from the newest {}",
        positions.saturating_sub(1)
    )]
    TooLong {
        /// Events that there are.
        events: usize,
        /// The most that the model reads.
        positions: usize,
    },
    /// Interactions that do not fit into the memory that they may take.
    #[error(
        "the interactions take up to {} in memory ({events} events of {users} users with {items} items), and --memory-budget gives {}; give \
         as much, or leave events out (--least-rating, or a part of the file)",
        amount(*.needed, true),
        amount(*.budget, false)
    )]
    Memory {
        /// Events that there are.
        events: u64,
        /// Different users.
        users: u64,
        /// Different items.
        items: u64,
        /// Bytes that all of it takes, from above.
        needed: u64,
        /// Bytes that it may take.
        budget: u64,
    },
    /// Nothing has happened yet, so that there is nothing to go on from.
    #[error("the history is empty; append an event first")]
    EmptyHistory,
}

/// An amount of memory for people, as the flag reads it, with one decimal. What is needed is rounded up and what is given down, so that the two
/// never look the same.
fn amount(bytes: u64, up: bool) -> String {
    if bytes < 1_000_000 {
        return format!("{bytes} bytes");
    }
    let tenths = if up { bytes.div_ceil(100_000) } else { bytes / 100_000 };
    format!("{}.{}MB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_looks_larger_than_what_is_given() {
        let said =
            |needed, budget| RecError::Memory { events: 1, users: 1, items: 1, needed, budget }.to_string();
        let error = said(4_000_001, 4_000_000);
        assert!(error.contains("take up to 4.1MB in memory") && error.contains("gives 4.0MB;"), "{error}");
        let error = said(3_960_000, 3_950_000);
        assert!(error.contains("take up to 4.0MB in memory") && error.contains("gives 3.9MB;"), "{error}");
        let error = said(1_000_000, 999_999);
        assert!(
            error.contains("take up to 1.0MB in memory") && error.contains("gives 999999 bytes;"),
            "{error}"
        );
    }
}
