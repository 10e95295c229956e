//! Listwise ranking of more candidates than a model reads at once.
//!
//! A listwise model takes a window of candidates and returns their order. Here is which windows it is given, and
//! what becomes of its orders; the model itself stays outside ([`crate::ask_tell`]), so that windows of many
//! queries, and those of one that do not depend on each other, make one batch.
//!
//! - [`WindowSchedule`]: windows that slide from the tail to the head, the one window over everything (full
//!   ranking), and the passes that make a total order for training labels;
//! - [`TopDown`]: partitions compared with a pivot from the first window;
//! - [`Tournament`]: groups of which the best go on to the next stage, several times over.
//!
//! Items are numbered `0..n` in the initial order.

mod schedule;
mod top_down;
mod tournament;

pub use schedule::{SlidingOptions, WindowSchedule, window_ranges};
pub use top_down::{TopDown, TopDownOptions};
pub use tournament::{Stage, Tournament, TournamentOptions};

use crate::ask_tell::TellError;
use crate::permutation::Permutation;

/// A question to a listwise model: order these items, best first. The answer is a permutation of `0..items.len()`,
/// whose entry at rank r is the place in `items` of the item at that rank.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// The items, in the order in which they are shown.
    pub items: Vec<usize>,
    /// How many ranks the algorithm makes use of; what an answer says behind them has no effect on the ranks that
    /// were asked for, so that a model may stop there and leave the rest in the order shown.
    pub wanted: usize,
}

/// What a listwise algorithm has cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowCounts {
    /// Windows asked.
    pub windows: usize,
    /// Items in them, one counted each time it is shown.
    pub items: usize,
}

/// Options that make no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// A number out of its range.
    #[error("{option} is {found}; it must be {wanted}")]
    Option {
        /// Which.
        option: &'static str,
        /// What was given.
        found: usize,
        /// The range, in words.
        wanted: String,
    },
}

impl WindowError {
    fn check(option: &'static str, found: usize, least: usize, most: usize) -> Result<(), WindowError> {
        if (least..=most).contains(&found) {
            return Ok(());
        }
        let wanted =
            if most == usize::MAX { format!("at least {least}") } else { format!("from {least} to {most}") };
        Err(WindowError::Option { option, found, wanted })
    }
}

/// Checks answers against the open windows and counts them.
fn take(open: &[Window], answers: &[Permutation], counts: &mut WindowCounts) -> Result<(), TellError> {
    TellError::check_count(open.len(), answers.len())?;
    for (answer, (window, order)) in open.iter().zip(answers).enumerate() {
        if order.len() != window.items.len() {
            return Err(TellError::Size { answer, wanted: window.items.len(), found: order.len() });
        }
    }
    counts.windows += open.len();
    counts.items += open.iter().map(|window| window.items.len()).sum::<usize>();
    Ok(())
}

/// The items of a window in the order of its answer.
fn ordered(window: &Window, answer: &Permutation) -> Vec<usize> {
    answer.items().iter().map(|&place| window.items[place]).collect()
}

#[cfg(test)]
mod tests;
