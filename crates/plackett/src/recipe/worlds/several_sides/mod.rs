//! Questions with several sides: how they are made of questions and passages, how rankers are asked them, what a list ranker learns of them.

pub mod asked_question;
pub mod faceted;
pub mod list_ranker_examples;
