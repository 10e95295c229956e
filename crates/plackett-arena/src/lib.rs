//! Votes between models become ratings with honest intervals ([`rating`]), and prompts are routed to the model that answers
//! them best ([`routing`]); of many candidates the best one is found on the way ([`choosing`]). A model is anything with a name whose answers can be compared or scored: language models, image
//! generators, rankers, pipelines.
#![forbid(unsafe_code)]

pub mod choosing;
mod error;
pub mod judge;
pub mod rating;
pub mod routing;
pub mod sampler;
mod vote;
mod vote_file;

pub use error::ArenaError;
pub use vote::{Verdict, Vote, VoteAccount, VoteFilter, Votes};
pub use vote_file::{VoteOptions, parse_votes, read_votes};
