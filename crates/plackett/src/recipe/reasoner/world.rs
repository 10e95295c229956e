//! Queries and documents of a few words, of which a reader of words alone takes some for relevant that are not.

use super::showing::{Format, Shape};
use plackett_train::random::Stream;

/// What may be asked about: the word of a query, and the word of documents that means the same.
pub const TOPICS: [(&str, &str); 6] = [
    ("physician", "doctor"),
    ("automobile", "car"),
    ("feline", "cat"),
    ("beverage", "drink"),
    ("dwelling", "house"),
    ("vessel", "ship"),
];
/// Where a document comes from; the last is not to be believed.
pub const SOURCES: [&str; 3] = ["study", "report", "advert"];
/// What a document claims, where documents agree or not.
pub const CLAIMS: [&str; 4] = ["red", "blue", "green", "white"];
/// Words of a document about something.
pub const WORDS: usize = 2;

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// What its words are about, as places in [`TOPICS`].
    pub words: [usize; WORDS],
    /// Its source or its claim, as a place in [`SOURCES`] or [`CLAIMS`].
    pub mark: usize,
}

/// A query with documents and judgments. With [`Format::Groups`] documents make claims: of those that are all about the query, the ones
/// that claim what most of the list claims have the grade 2, the others 1; whatever else there is has 0. With other formats they
/// have sources, and grades count words about the query, but adverts, which are full of such words, have 0.
#[derive(Clone, Debug)]
pub struct JudgedList {
    /// What is asked about, as a place in [`TOPICS`].
    pub query: usize,
    /// The documents, in a drawn order.
    pub documents: Vec<Document>,
    /// The grade of each, from 0 to 2; those with 2 are relevant.
    pub grades: Vec<usize>,
    /// What most documents claim, where they do.
    pub prevailing: usize,
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
        let prevailing = draws.below(CLAIMS.len());
        let mut list = JudgedList {
            query,
            documents: Vec::with_capacity(shape.items),
            grades: Vec::with_capacity(shape.items),
            prevailing,
            draws: Stream::new(seed, 2 << 40 | number),
        };
        for place in Stream::new(seed, 1 << 40 | number).permutation(shape.items) {
            let role = match place {
                place if place < shape.relevant => Role::Relevant,
                place if place < shape.relevant + shape.decoys => Role::Decoy,
                _ => Role::Other,
            };
            let (document, grade) = list.document(role, shape.format == Format::Groups, &mut draws);
            list.documents.push(document);
            list.grades.push(grade);
        }
        list
    }

    fn document(&self, role: Role, claims: bool, draws: &mut Draws) -> (Document, usize) {
        let about = if role == Role::Other { draws.below(WORDS) } else { WORDS };
        let mut words = [self.query; WORDS];
        for word in &mut words[about..] {
            *word = draws.other(self.query, TOPICS.len());
        }
        words.rotate_left(draws.below(WORDS));
        let mark = match (claims, role) {
            (true, Role::Decoy) => draws.other(self.prevailing, CLAIMS.len()),
            (true, _) => self.prevailing,
            (false, Role::Decoy) => SOURCES.len() - 1,
            (false, _) => draws.below(SOURCES.len() - 1),
        };
        let grade = match (claims, role) {
            (_, Role::Relevant) => 2,
            (true, Role::Decoy) => 1,
            (true, Role::Other) | (false, Role::Decoy) => 0,
            (false, Role::Other) => about,
        };
        (Document { words, mark }, grade)
    }

    /// How many words of a document are about the query.
    pub fn about(&self, document: usize) -> usize {
        self.documents[document].words.iter().filter(|word| **word == self.query).count()
    }

    /// Whether a document is relevant.
    pub fn is_relevant(&self, document: usize) -> bool {
        self.grades[document] == 2
    }
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
            let is_advert = |at: &usize| list.documents[*at].mark == SOURCES.len() - 1;
            let adverts: Vec<usize> = (0..8).filter(is_advert).collect();
            assert_eq!(adverts.len(), 3);
            assert!(adverts.iter().all(|at| list.about(*at) == WORDS && list.grades[*at] == 0));
            assert_eq!((0..8).filter(|at| list.is_relevant(*at)).count(), 2);
            let believed = (0..8).filter(|at| !is_advert(at));
            assert!(believed.into_iter().all(|at| list.grades[at] == list.about(at)));
        }
    }

    #[test]
    fn most_documents_claim_what_prevails_and_the_others_are_worth_less() {
        for list in lists(Format::Groups) {
            let agrees = |at: usize| list.documents[at].mark == list.prevailing;
            assert_eq!((0..8).filter(|at| agrees(*at)).count(), 5);
            for at in 0..8 {
                let grade = if list.about(at) < WORDS { 0 } else { 1 + usize::from(agrees(at)) };
                assert_eq!(list.grades[at], grade);
            }
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
