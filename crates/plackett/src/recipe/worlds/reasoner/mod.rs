//! A small world for recipes in which a decoder reasons in a few tokens and then answers about documents: it names the best one, orders or
//! grades them. It first imitates a teacher, and is then rewarded for answers by judgments that the teacher does not know.

mod form;
mod language;
mod measure;
mod rewards;
mod showing;
mod teacher;
#[cfg(test)]
mod tests;
mod world;

pub use form::form_of;
pub use language::ReasonLanguage;
pub use measure::{Asked, Measured};
pub use rewards::ReasonRewarder;
pub use showing::{Format, Shape, Showing};
pub use teacher::Teacher;
pub use world::JudgedList;
