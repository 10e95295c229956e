//! Ratings from votes: Elo in the order of time, Bradley–Terry and its models of ties with intervals, and what a leaderboard
//! shows.

mod board;
mod bootstrap;
mod elo;
mod fit;
mod model;
mod pairs;
#[cfg(test)]
mod tests;

pub use board::{Board, BoardOptions, BoardRow, IntervalKind};
pub use bootstrap::{Bootstrap, BootstrapUnit, bootstrap};
pub use elo::{EloOptions, elo, elo_spread};
pub use fit::{RatingFit, RatingOptions, fit, votes_to_separate};
pub use model::TieModel;
pub use pairs::{Cell, PairTable};

/// Elo's scale: how many points tenfold odds are.
pub const SCALE: f64 = 400.0;
/// Standard errors from the middle of a 95 % interval to its ends.
pub const Z95: f64 = 1.959_963_984_540_054;
/// The mean of all ratings.
pub const START: f64 = 1000.0;

/// Points of a difference of log-strengths.
pub fn points(log_strength: f64) -> f64 {
    log_strength * SCALE / std::f64::consts::LN_10
}
