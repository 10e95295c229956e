//! Stages at work: their order and their cache, what they read of stages before them, and what they keep line by line, so that a
//! killed run goes on.

pub mod inputs;
pub(crate) mod kept_replies;
pub(crate) mod line_log;
pub mod rankings;
pub mod run;
