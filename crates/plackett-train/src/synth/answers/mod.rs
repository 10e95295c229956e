//! Answers as training data (ChatGPT-RetrievalQA; Askari et al., Gen-IR 2023 and CIKM 2023): questions with answers of people and of a
//! model become two collections over the same questions, split by domain, and triples with negatives drawn at random.

mod collections;
mod profile;
mod quality;
mod triples;

pub use collections::{
    AnswerCollection, AnswerCollections, AnswerRecord, Author, Repairs, Split, split_counts,
};
pub use profile::AnswerProfile;
pub use quality::{Refused, overlap, refused, word_list};
pub use triples::{Triple, Triples};
