//! Choosing among generated candidates: a population that grows through the stages of a generator and is thinned on the way
//! ([`StagedSearch`]), and a search whose query is what was generated, corrected round by round ([`FeedbackLoop`]).

mod cluster;
mod feedback;
mod potential;
mod schedule;
mod staged;
#[cfg(test)]
mod tests;

pub use cluster::{one_of_each_cluster, principal_projection};
pub use feedback::{Collection, Feedback, FeedbackLoop, Generator, QueryBy, Round, Shown, WordVector, hits};
pub use potential::{Potential, draw_by_potential, potential_weights};
pub use schedule::{Schedule, Thinning};
pub use staged::{Found, StagedSampler, StagedSearch};
