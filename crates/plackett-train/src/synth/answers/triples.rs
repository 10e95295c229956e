//! Triples of a question, an answer of its own, and one of another question, as a stream: forty million rows are never held.

use super::collections::{AnswerCollection, AnswerCollections, Author, Split};
use crate::random::Stream;

/// A question with one of its answers and one of another question; places in the collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Triple {
    /// The question.
    pub question: usize,
    /// The answer that was written for it.
    pub positive: usize,
    /// An answer that was not.
    pub negative: usize,
}

/// Draws `negatives` of the same collection for each answer of a part, answer by answer; the same for the same seed.
///
/// Only answers of other questions of the whole collection are drawn (the published builder does not say so; an answer of the same
/// question would be a false negative). A draw may come twice.
pub struct Triples<'c> {
    collections: &'c AnswerCollections,
    collection: &'c AnswerCollection,
    split: Split,
    negatives: usize,
    seed: u64,
    positive: usize,
    drawn: usize,
}

/// Attempts at an answer of another question.
const ATTEMPTS: u64 = 64;

impl<'c> Triples<'c> {
    /// Of an author and a part.
    pub fn new(
        collections: &'c AnswerCollections,
        (author, split): (Author, Split),
        negatives: usize,
        seed: u64,
    ) -> Triples<'c> {
        let collection = collections.of(author);
        Triples { collections, collection, split, negatives, seed, positive: 0, drawn: 0 }
    }
}

impl Iterator for Triples<'_> {
    type Item = Triple;

    fn next(&mut self) -> Option<Triple> {
        loop {
            let question = *self.collection.question.get(self.positive)?;
            if self.drawn >= self.negatives || self.collections.splits[question] != self.split {
                (self.positive, self.drawn) = (self.positive + 1, 0);
                continue;
            }
            let stream = Stream::new(self.seed, self.positive as u64);
            let first = self.drawn as u64 * ATTEMPTS;
            self.drawn += 1;
            let draw = |attempt: u64| stream.below(first + attempt, self.collection.answers.len());
            // A collection of one question has no other answers, and gives no triples.
            let other = (0..ATTEMPTS).map(draw).find(|answer| self.collection.question[*answer] != question);
            if let Some(negative) = other {
                return Some(Triple { question, positive: self.positive, negative });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::collections::AnswerRecord;
    use super::*;

    #[test]
    fn triples_are_a_stream_of_other_questions() {
        let record = |at: usize| AnswerRecord {
            question: format!("q{at}"),
            human_answers: vec![format!("a{at}"), format!("b{at}")],
            ..AnswerRecord::default()
        };
        let made = AnswerCollections::build(&(0..10).map(record).collect::<Vec<_>>());
        let all: Vec<Triple> = Triples::new(&made, (Author::Human, Split::Train), 1000, 3).collect();
        assert_eq!(all.len(), 8 * 2 * 1000);
        assert!(all.iter().all(|triple| made.human.question[triple.negative] != triple.question));
        assert!(all.iter().all(|triple| made.human.question[triple.positive] == triple.question));
        let again: Vec<Triple> = Triples::new(&made, (Author::Human, Split::Train), 1000, 3).collect();
        assert_eq!(all, again);
        assert_eq!(Triples::new(&made, (Author::Model, Split::Train), 4, 3).count(), 0);
    }
}
