//! A world of things that people bought one after the other, for recipes in which a small decoder writes the next one's identifier.

mod language;
mod prompts;
mod world;

pub use language::{IdLanguage, NextMeasured};
pub use prompts::{PromptLanguage, texts_of};
pub use world::{FILES, HELD_OUT, Shopper, ShoppingWorld};
