//! What kinds of one subject share, a room for each: a small world or a collection, a language for it, and measures.

pub mod categories;
pub mod choosing;
pub mod film;
pub mod film_sessions;
pub mod ordered_groups;
pub mod product;
pub mod reasoner;
pub mod recommending;
pub mod several_sides;
pub mod shopping;
pub mod unlearning;
pub mod wiki;
