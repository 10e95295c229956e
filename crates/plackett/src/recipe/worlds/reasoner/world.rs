//! Queries and documents of a few words, of which a reader of words alone takes some for relevant that are not; and documents whose grade
//! depends on the others.

use super::showing::{Format, Shape};
use plackett_train::random::Stream;

/// What may be asked about and written about.
pub const TOPICS: [&str; 6] = ["doctor", "car", "cat", "drink", "house", "ship"];
/// Where a document comes from; the last is not to be believed.
pub const SOURCES: [&str; 3] = ["study", "report", "advert"];
/// Words of a document.
pub const WORDS: usize = 2;
/// The greatest grade.
pub const BEST: usize = 2;
/// How many numbers the least one of a list may be.
const LEAST_NUMBERS: usize = 4;
/// The greatest number of a document.
pub const MOST_NUMBER: usize = LEAST_NUMBERS - 1 + BEST;

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// A text: what its words are about, as places in [`TOPICS`], and where it comes from, as a place in [`SOURCES`].
    Text {
        /// Its words.
        words: [usize; WORDS],
        /// Its source.
        source: usize,
    },
    /// It mentions a number, up to [`MOST_NUMBER`].
    Number(usize),
}

/// A query with documents and judgments. With [`Format::Groups`] documents mention numbers, and grades are relative: 2 for the largest number of
/// the list, 1 and 0 for those below it. With other formats documents are texts, and grades count words that the query has too, but
/// adverts, which are full of such words, have 0.
#[derive(Clone, Debug)]
pub struct JudgedList {
    /// What is asked about, as a place in [`TOPICS`].
    pub query: usize,
    /// The documents, in a drawn order.
    pub documents: Vec<Document>,
    /// The grade of each, from 0 to [`BEST`]; those with the best are relevant.
    pub grades: Vec<usize>,
    /// The largest number, where documents mention numbers.
    pub largest: usize,
    /// What a teacher draws from.
    pub draws: Stream,
}

/// What a document is to be.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Relevant,
    Decoy,
    Other,
}

/// Numbers of a stream, one after another.
struct Draws {
    stream: Stream,
    place: u64,
}

impl Draws {
    fn below(&mut self, end: usize) -> usize {
        self.place += 1;
        self.stream.below(self.place, end)
    }

    /// One of so many, but not this one.
    fn other(&mut self, than: usize, of: usize) -> usize {
        (than + 1 + self.below(of - 1)) % of
    }
}

impl JudgedList {
    /// The list of a number, which follows from the seed.
    pub fn drawn(shape: &Shape, seed: u64, number: u64) -> JudgedList {
        let mut draws = Draws { stream: Stream::new(seed, number), place: 0 };
        let query = draws.below(TOPICS.len());
        let least = draws.below(LEAST_NUMBERS);
        let mut list = JudgedList {
            query,
            documents: Vec::with_capacity(shape.items),
            grades: Vec::with_capacity(shape.items),
            largest: least + BEST,
            draws: Stream::new(seed, 2 << 40 | number),
        };
        for place in Stream::new(seed, 1 << 40 | number).permutation(shape.items) {
            let role = match place {
                place if place < shape.relevant => Role::Relevant,
                place if place < shape.relevant + shape.decoys => Role::Decoy,
                _ => Role::Other,
            };
            let (document, grade) = match shape.format {
                Format::Groups => numbered(role, least),
                _ => list.text(role, &mut draws),
            };
            list.documents.push(document);
            list.grades.push(grade);
        }
        list
    }

    /// A text of a role, and its grade.
    fn text(&self, role: Role, draws: &mut Draws) -> (Document, usize) {
        let about = if role == Role::Other { draws.below(WORDS) } else { WORDS };
        let mut words = [self.query; WORDS];
        for word in &mut words[about..] {
            *word = draws.other(self.query, TOPICS.len());
        }
        words.rotate_left(draws.below(WORDS));
        match role {
            Role::Decoy => (Document::Text { words, source: SOURCES.len() - 1 }, 0),
            _ => (Document::Text { words, source: draws.below(SOURCES.len() - 1) }, about),
        }
    }

    /// How many words of a document the query has too; none of a number.
    pub fn about(&self, document: usize) -> usize {
        match &self.documents[document] {
            Document::Text { words, .. } => words.iter().filter(|word| **word == self.query).count(),
            Document::Number(_) => 0,
        }
    }

    /// Whether a document is relevant.
    pub fn is_relevant(&self, document: usize) -> bool {
        self.grades[document] == BEST
    }
}

/// A document that mentions a number, in a list whose least one is given, and its grade.
fn numbered(role: Role, least: usize) -> (Document, usize) {
    let grade = match role {
        Role::Relevant => BEST,
        Role::Decoy => 1,
        Role::Other => 0,
    };
    (Document::Number(least + grade), grade)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(format: Format) -> Vec<JudgedList> {
        let shape = Shape { format, items: 8, relevant: 2, decoys: 3, shown: 8 };
        (0..50).map(|number| JudgedList::drawn(&shape, 1, number)).collect()
    }

    #[test]
    fn adverts_are_full_of_words_and_worth_nothing() {
        for list in lists(Format::Listwise) {
            let is_advert = |at: &usize| matches!(list.documents[*at], Document::Text { source: 2, .. });
            let (adverts, believed): (Vec<usize>, Vec<usize>) = (0..8).partition(is_advert);
            assert_eq!(adverts.len(), 3);
            assert!(adverts.iter().all(|at| list.about(*at) == WORDS && list.grades[*at] == 0));
            assert!(believed.iter().all(|at| list.grades[*at] == list.about(*at)));
            assert_eq!((0..8).filter(|at| list.is_relevant(*at)).count(), 2);
        }
    }

    #[test]
    fn grades_of_numbers_are_relative_to_the_largest() {
        for list in lists(Format::Groups) {
            let numbers: Vec<usize> = list
                .documents
                .iter()
                .map(|document| match document {
                    Document::Number(number) => *number,
                    Document::Text { .. } => panic!("a text"),
                })
                .collect();
            assert_eq!(numbers.iter().max(), Some(&list.largest));
            assert!(list.largest <= MOST_NUMBER);
            for (number, grade) in numbers.iter().zip(&list.grades) {
                assert_eq!(list.largest - number, BEST - grade);
            }
            assert_eq!(list.grades.iter().filter(|grade| **grade == 1).count(), 3);
        }
    }

    #[test]
    fn lists_follow_from_seed_and_number() {
        let shape = Shape { format: Format::Setwise, items: 5, relevant: 1, decoys: 2, shown: 5 };
        let of = |seed, number| JudgedList::drawn(&shape, seed, number).documents;
        assert_eq!(of(3, 4), of(3, 4));
        assert_ne!(of(3, 4), of(3, 5));
        assert_ne!(of(3, 4), of(4, 4));
    }
}
