//! A world of films for recipes: people who liked some ask for others, and a small decoder answers with titles;
//! or people search for one by genre and decade.

mod demonstrations;
mod items;
mod language;
mod next;
mod rewards;
mod searches;
mod world;

pub use demonstrations::{Demonstrations, demonstrations};
pub use language::{FilmLanguage, Measured, measure};
pub use rewards::{FilmRewarder, Policy};
pub use searches::{FilmSearches, film_texts};
pub use world::{FILES, FilmWorld, Talk};
