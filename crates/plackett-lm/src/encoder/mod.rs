//! Encoders: a pass of all layers over whole sequences, and what is read of its states.

pub(crate) mod heads;
mod late;
pub(crate) mod model;
pub(crate) mod outputs;
pub(crate) mod pass;
pub(crate) mod quantize;
pub(crate) mod sentence;
