//! A world of films for recipes: people who liked some ask for others, and a small decoder answers with titles.

mod demonstrations;
mod language;
mod next;
mod rewards;
mod world;

pub use demonstrations::{Demonstrations, demonstrations};
pub use language::{FilmLanguage, Measured, measure};
pub use rewards::{FilmRewarder, Policy};
pub use world::{FILES, FilmWorld, Talk};
