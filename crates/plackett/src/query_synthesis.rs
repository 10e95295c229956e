//! Queries that a language model writes for a few documents that stand for a collection (DUQGen; Chandradevan, Dhole and Agichtein,
//! NAACL 2024), as a collection to learn from.
//!
//! Documents are sampled from clusters of an index's vectors ([`DocumentSample`]), a model continues a prompt for each of them ([`QueryWriter`]),
//! what it writes is cleaned and searched for ([`CleanedQueries::read`]), and what is left becomes a BEIR folder with a data card
//! ([`QueryCollection`]), perhaps with lists of the right and wrong documents of each query ([`Negatives`]).

mod collection;
mod negatives;
mod prompt;
mod sampling;
mod search;
mod writer;

pub use collection::{QueryCollection, hash_of};
pub use negatives::{EXAMPLES_FILE, Negatives, TRIPLES_FILE, WrittenLists};
pub use prompt::{DOCUMENT_PLACE, QueryPrompt, USUAL_EXAMPLES};
pub use sampling::{DocumentSample, SampleBy, SampledDocuments, with_vectors};
pub use search::{QuerySearch, RoundTrip};
pub use writer::QueryWriter;

use crate::pipeline::QueryError;
use crate::unfinished::UnfinishedError;
use plackett_core::Document;
use plackett_core::formats::FormatError;
use plackett_rank::model::CallError;
use plackett_search::SearchError;
use plackett_train::TrainError;
use plackett_train::synth::{QueryLetters, UselessQuery, clean_queries};
use std::collections::BTreeMap;

/// Why queries cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum QuerySynthesisError {
    /// The index.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// Documents cannot be sampled as asked.
    #[error(transparent)]
    Sample(#[from] TrainError),
    /// A file of the collection.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A query that a search failed for.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The model did not write.
    #[error("the model: {0}")]
    Call(#[from] CallError),
    /// Documents cannot be clustered.
    #[error(
        "the documents of the index have no vectors of their own to be clustered by; index them with vectors and whole, not as passages, or draw \
         them uniformly"
    )]
    NoVectors,
    /// Fewer documents than are to be sampled.
    #[error(
        "{wanted} documents are to be sampled, and {there} have text enough (and a vector, where they are clustered); take fewer, or let shorter ones \
         take part"
    )]
    TooFew {
        /// As many are asked for.
        wanted: usize,
        /// As many can be.
        there: usize,
    },
    /// An id that has no place in judgments.
    #[error("the document `{id}` cannot be judged in a BEIR folder: {problem}")]
    Id {
        /// The document.
        id: String,
        /// What is wrong with its id.
        problem: String,
    },
    /// Replies cannot be kept.
    #[error(transparent)]
    Kept(#[from] UnfinishedError),
}

impl QuerySynthesisError {
    /// Whether a server failed and not what it was asked.
    pub fn is_outage(&self) -> bool {
        match self {
            QuerySynthesisError::Query(error) => error.is_outage(),
            QuerySynthesisError::Call(error) => error.is_outage(),
            _ => false,
        }
    }
}

/// A query that is of use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenQuery {
    /// Its id: that of its document, with a number behind it where documents have several.
    pub id: String,
    /// What is asked.
    pub text: String,
    /// The place of its document among those that were asked about.
    pub document: usize,
}

/// The queries in what a model has written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CleanedQueries {
    /// Those of use.
    pub kept: Vec<WrittenQuery>,
    /// How many were written, of use or not.
    pub written: usize,
    /// How many are of no use, by kind; kinds without any are not there.
    pub left_out: BTreeMap<UselessQuery, usize>,
}

impl CleanedQueries {
    /// Cleans what was written for documents, as many texts for each of them; with a round trip, queries that do not find their own document
    /// are of no use either.
    ///
    /// # Errors
    /// A search fails.
    pub fn read(
        documents: &[Document],
        written: &[String],
        letters: QueryLetters,
        round_trip: Option<&RoundTrip<'_>>,
        progress: &dyn Fn(usize),
    ) -> Result<CleanedQueries, QuerySynthesisError> {
        let each = (written.len() / documents.len().max(1)).max(1);
        let mut made = CleanedQueries { written: written.len(), ..CleanedQueries::default() };
        let texts = written.iter().map(String::as_str);
        for (at, query) in clean_queries(texts, letters).into_iter().enumerate() {
            let document = at / each;
            let Some(own) = documents.get(document) else { break };
            match query {
                Ok(text) => {
                    let id = if each == 1 { own.id.clone() } else { format!("{}-{}", own.id, at % each + 1) };
                    made.kept.push(WrittenQuery { id, text, document });
                }
                Err(reason) => *made.left_out.entry(reason).or_default() += 1,
            }
        }
        if let Some(round_trip) = round_trip {
            let places = round_trip.places(documents, &made.kept, progress)?;
            let lost = places.iter().filter(|place| place.is_none()).count();
            let mut places = places.into_iter();
            made.kept.retain(|_| places.next().flatten().is_some());
            if lost > 0 {
                made.left_out.insert(UselessQuery::NotFound, lost);
            }
        }
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{ModelOptions, Models, Pipeline};
    use plackett_rank::Settings;
    use plackett_search::{Index, IndexSettings};

    const LETTERS: QueryLetters = QueryLetters::Ascii;

    #[test]
    fn queries_of_no_use_are_counted_by_kind() {
        let folder = tempfile::tempdir().unwrap();
        let mut index = Index::create(folder.path().join("index"), &IndexSettings::default()).unwrap();
        let documents =
            [("1", "green tea"), ("2", "black tea"), ("3", "figs"), ("4", "dates"), ("5", "plums")]
                .map(|(id, text)| Document::new(id, text));
        let mut writer = index.writer(None).unwrap();
        for document in &documents {
            writer.put(document.clone()).unwrap();
        }
        writer.finish().unwrap();
        let models = Models::new(None, ModelOptions::default());
        let pipeline = Pipeline::resolve("bm25", Some(&index), &models, &Settings::default()).unwrap();
        let written = ["green tea", "Green tea?", "?", "plums", "caf\u{e9}"].map(String::from);
        let read = |depth: usize| {
            let search = QuerySearch { index: &index, pipeline: &pipeline };
            let round_trip = RoundTrip { search, depth };
            let round_trip = (depth > 0).then_some(&round_trip);
            let made = CleanedQueries::read(&documents, &written, LETTERS, round_trip, &|_| {}).unwrap();
            (made.kept.iter().map(|query| query.id.clone()).collect::<Vec<_>>(), made.left_out)
        };
        let (kept, left_out) = read(0);
        assert_eq!(kept, ["1", "4"]);
        let of = [(UselessQuery::Empty, 1), (UselessQuery::NotAscii, 1), (UselessQuery::Duplicate, 1)];
        assert_eq!(left_out, BTreeMap::from(of));
        // `plums` is asked about the fourth document, and finds the fifth.
        let (kept, left_out) = read(2);
        assert_eq!((kept, left_out[&UselessQuery::NotFound]), (vec!["1".to_string()], 1));
    }

    #[test]
    fn several_queries_of_a_document_have_numbers() {
        let documents = [Document::new("a", "x"), Document::new("b", "y")];
        let written = ["one", "two", "Two", "three"].map(String::from);
        let made = CleanedQueries::read(&documents, &written, LETTERS, None, &|_| {}).unwrap();
        let kept: Vec<(&str, usize)> =
            made.kept.iter().map(|query| (query.id.as_str(), query.document)).collect();
        assert_eq!(kept, [("a-1", 0), ("a-2", 0), ("b-2", 1)]);
        assert_eq!((made.written, made.left_out), (4, BTreeMap::from([(UselessQuery::Duplicate, 1)])));
    }
}
