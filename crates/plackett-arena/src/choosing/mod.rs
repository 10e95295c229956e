//! Choosing among generated candidates: a population that grows through the stages of a generator and is thinned on the way
//! ([`StagedSearch`]), beams that are drawn and scored again every few tokens ([`RescoredSearch`]), and a search whose query is what was generated, corrected round by round ([`FeedbackLoop`]).

mod cluster;
mod edits;
mod feedback;
mod plans;
mod potential;
mod rescored;
mod schedule;
mod segments;
mod staged;
#[cfg(test)]
mod tests;

pub use cluster::{one_of_each_cluster, principal_projection};
pub use edits::{Applied, Edit, Hunk, apply, is_balanced, pattern, token_edits};
pub use feedback::{Collection, Feedback, FeedbackLoop, Generator, QueryBy, Round, Shown, WordVector, hits};
pub use plans::{Overlap, PlanSearch, adherence, content_plan, overlap};
pub use potential::{Potential, draw_by_potential, potential_weights};
pub use rescored::{Continuation, Drawn, Rescored, RescoredSearch, Samples};
pub use schedule::{Schedule, Thinning};
pub use segments::{SHORTEST, segments, sentence_spans};
pub use staged::{Found, StagedSampler, StagedSearch};
