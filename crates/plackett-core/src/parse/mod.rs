//! Reading what a model wrote when it was asked for a ranking and could not be held to a form.
//!
//! Every parser here takes any text and always comes to a result: what could not be read is said in the result and
//! never an error, because one odd answer must not end a query. [`parse_order`] reads orders (listwise),
//! [`parse_choice`] one label (setwise), [`parse_preferred`] "Passage A" or "Passage B" (pairwise),
//! [`parse_scores`] score sheets (groupwise), and [`parse_list`] lists of lines (sub-aspects).

mod answer;
mod choice;
mod digits;
mod labels;
mod list;
mod order;
mod scores;

pub use answer::{Answer, answer_text};
pub use choice::{parse_choice, parse_preferred};
pub use labels::LabelStyle;
pub use list::parse_list;
pub use order::{AnswerClass, OrderFormat, ParsedOrder, parse_order};
pub use scores::{ScoreSheet, parse_scores};
