//! Semantic ids by a residual quantiser with an autoencoder (RQ-VAE; Lee and others, 2022, as TIGER and MiniOneRec use it): an encoder makes a
//! short vector of an item's text, codebooks one after another take the nearest of their vectors away from what is left of it, and a decoder
//! makes the text's vector of the sum. The numbers of the vectors that were taken are the item's codes.

mod model;
mod nearest;
mod task;
#[cfg(test)]
mod tests;

pub use model::{ResidualCodes, ResidualShape};
pub use task::ResidualTask;
