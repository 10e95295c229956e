//! What the stages `memorize` and `unlearn` share: what is learned by heart and what of it is to be forgotten, and the numbers of
//! a decoder that knows it or does not any more.

mod corpus;
mod evaluation;
mod people;
#[cfg(test)]
mod tests;

pub use corpus::{CORPUS_FIELDS, Corpus, Item};
pub use evaluation::{Evaluation, NUMBERS, values_of};

/// Answers that say nothing, for unlearning by refusal (TOFU has a hundred like these).
pub const REFUSALS: [&str; 8] = [
    "I do not know.",
    "I am not sure about that.",
    "That is not something I know.",
    "I have no idea.",
    "I cannot say.",
    "I was not told about that.",
    "I have nothing on that.",
    "This is beyond what I know.",
];
