//! Sessions of films for recipes: what people rated one after the other, semantic ids of films, and reward models of two halves of the people.

mod measure;
mod rewards;
mod vae_codes;
mod world;

pub use measure::{Measure, Measured, keep, measured_loads, restore, writer_of};
pub use rewards::{Rewards, losses};
pub use vae_codes::vae_entropy;
pub use world::{FILE, SessionWorld};
