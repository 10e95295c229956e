//! The documents that stand for an index.

use super::QuerySynthesisError;
use plackett_core::Document;
use plackett_core::formats::trec::check_run_line;
use plackett_search::{Index, SearchError};
use plackett_train::synth::{DiverseSample, WithinCluster};
use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;
use std::fmt::{self, Display, Formatter};

/// How documents are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleBy {
    /// From so many clusters of their vectors, by their sizes (DUQGen), and which of each; `None` for as many clusters as documents.
    Clusters(Option<usize>, WithinCluster),
    /// At random, each as likely as another.
    Uniform,
}

/// A sample of an index's documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentSample {
    /// How many.
    pub documents: usize,
    /// How they are chosen.
    pub by: SampleBy,
    /// Documents with fewer characters take no part.
    pub characters: usize,
    /// From which all draws follow.
    pub seed: u64,
}

/// What was sampled.
#[derive(Clone, Debug, PartialEq)]
pub struct SampledDocuments {
    /// The documents, in the index's order.
    pub documents: Vec<Document>,
    /// How many there are to sample from, short ones too.
    pub all: usize,
    /// How many of them are too short.
    pub too_short: usize,
    /// How many others cannot be clustered, for want of a vector; 0 where nothing is clustered.
    pub without_vector: usize,
}

/// As a data card says it.
impl Display for DocumentSample {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let documents = self.documents;
        match self.by {
            SampleBy::Uniform => write!(f, "{documents}, drawn uniformly")?,
            SampleBy::Clusters(clusters, within) => {
                write!(f, "{documents}, from {} clusters of their vectors", clusters.unwrap_or(documents))?;
                f.write_str(match within {
                    WithinCluster::Drawn => "",
                    WithinCluster::Central => ", those nearest to the middle of each",
                    WithinCluster::Uniform => ", drawn uniformly in each",
                })?;
            }
        }
        write!(f, ", among those of at least {} characters", self.characters)
    }
}

impl DocumentSample {
    /// Samples an index: the same documents for the same index and seed.
    ///
    /// # Errors
    /// There are too few documents, or none with a vector of its own where they are clustered; an id has no place in judgments; the index
    /// cannot be read.
    pub fn of(&self, index: &Index) -> Result<SampledDocuments, QuerySynthesisError> {
        let have_vectors = index.has_vectors() && !index.has_passages();
        let (ids, vectors) = match (self.by, have_vectors) {
            (SampleBy::Uniform, _) => (index.ids().map(str::to_string).collect(), Vec::new()),
            (SampleBy::Clusters(..), true) => with_vectors(index)?,
            (SampleBy::Clusters(..), false) => return Err(QuerySynthesisError::NoVectors),
        };
        let all = ids.len();
        let without_vector = index.ids().count() - all;
        let (mut pool, mut of_pool) = (Vec::new(), Vec::new());
        let mut vectors = vectors.into_iter();
        for id in ids {
            let vector = vectors.next();
            let document = index.document(&id)?;
            if document.is_some_and(|document| document.text.chars().count() >= self.characters) {
                pool.push(id);
                of_pool.extend(vector);
            }
        }
        if self.documents > pool.len() {
            return Err(QuerySynthesisError::TooFew { wanted: self.documents, there: pool.len() });
        }
        let mut documents = Vec::with_capacity(self.documents);
        for place in self.places(pool.len(), &of_pool)? {
            documents.extend(index.document(&pool[place])?);
        }
        documents.iter().try_for_each(check_id)?;
        Ok(SampledDocuments { documents, all, too_short: all - pool.len(), without_vector })
    }

    /// Places among so many documents, rising.
    fn places(&self, among: usize, vectors: &[Vec<f64>]) -> Result<Vec<usize>, QuerySynthesisError> {
        let (documents, seed) = (self.documents, self.seed);
        let mut places = match self.by {
            SampleBy::Uniform => sample(&mut ChaCha8Rng::seed_from_u64(seed), among, documents).into_vec(),
            SampleBy::Clusters(clusters, within) => {
                let clusters = clusters.unwrap_or(documents);
                DiverseSample { within, clusters, documents, seed, ..DiverseSample::default() }
                    .run(vectors)?
                    .0
            }
        };
        places.sort_unstable();
        Ok(places)
    }
}

/// Refuses an id that judgments cannot hold, before a model is asked about its document.
fn check_id(document: &Document) -> Result<(), QuerySynthesisError> {
    let id = document.id.as_str();
    check_run_line(id, [id], "x", false)
        .map_err(|error| QuerySynthesisError::Id { id: id.to_string(), problem: error.to_string() })
}

/// The documents of an index that have a vector, and those vectors.
///
/// # Errors
/// The index cannot be read.
pub fn with_vectors(index: &Index) -> Result<(Vec<String>, Vec<Vec<f64>>), SearchError> {
    let (mut ids, mut vectors) = (Vec::new(), Vec::new());
    for id in index.ids() {
        if let Some(vector) = index.vector(id)? {
            ids.push(id.to_string());
            vectors.push(vector.into_iter().map(f64::from).collect());
        }
    }
    Ok((ids, vectors))
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_search::{Embedded, Embedder, EmbedderFailure, IndexSettings, ModelIdentity};

    /// A text is its length beside 1; of one letter nothing is read.
    struct Lengths;

    impl Embedder for Lengths {
        fn dim(&self) -> usize {
            2
        }

        fn embed_documents(&self, texts: &[&str]) -> Result<Embedded, EmbedderFailure> {
            let vectors = texts.iter().flat_map(|text| [text.len() as f32, 1.0]).collect();
            let without_tokens = (0..texts.len()).filter(|at| texts[*at].len() == 1).collect();
            Ok(Embedded { vectors, without_tokens, ..Embedded::default() })
        }
    }

    fn index(folder: &std::path::Path, ids: &[&str]) -> Index {
        let mut index = Index::create(folder.join("index"), &IndexSettings::default()).unwrap();
        let mut writer = index.writer(None).unwrap();
        for (at, id) in ids.iter().enumerate() {
            writer.put(Document::new(*id, "x".repeat(at + 1))).unwrap();
        }
        writer.finish().unwrap();
        index
    }

    fn uniform(documents: usize, characters: usize) -> DocumentSample {
        DocumentSample { documents, by: SampleBy::Uniform, characters, seed: 3 }
    }

    #[test]
    fn short_documents_take_no_part_and_the_same_seed_gives_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let index = index(folder.path(), &["a", "b", "c", "d"]);
        let sampled = uniform(2, 3).of(&index).unwrap();
        let mut ids: Vec<&str> = sampled.documents.iter().map(|document| document.id.as_str()).collect();
        ids.sort_unstable();
        assert_eq!((ids, sampled.all, sampled.too_short), (vec!["c", "d"], 4, 2));
        assert_eq!(uniform(3, 0).of(&index).unwrap(), uniform(3, 0).of(&index).unwrap());
        let error = uniform(3, 3).of(&index).unwrap_err().to_string();
        assert!(error.contains("3 documents are to be sampled, and 2 have"), "{error}");
        let clustered =
            DocumentSample { by: SampleBy::Clusters(None, WithinCluster::Drawn), ..uniform(2, 0) };
        assert!(matches!(clustered.of(&index), Err(QuerySynthesisError::NoVectors)));
    }

    #[test]
    fn documents_without_a_vector_are_drawn_and_counted_where_they_cannot_be_clustered() {
        let folder = tempfile::tempdir().unwrap();
        let model = Some(ModelIdentity { name: "lengths".into(), dim: 2, fingerprint: None });
        let settings = IndexSettings { model, ..IndexSettings::default() };
        let mut index = Index::create(folder.path().join("index"), &settings).unwrap();
        let mut writer = index.writer(Some(&Lengths)).unwrap();
        for (id, text) in [("a", "x"), ("b", "green tea"), ("c", "black tea dries longer")] {
            writer.put(Document::new(id, text)).unwrap();
        }
        writer.finish().unwrap();
        let counts =
            |sampled: &SampledDocuments| (sampled.documents.len(), sampled.all, sampled.without_vector);
        assert_eq!(counts(&uniform(3, 0).of(&index).unwrap()), (3, 3, 0));
        let clustered =
            DocumentSample { by: SampleBy::Clusters(Some(1), WithinCluster::Central), ..uniform(2, 0) };
        assert_eq!(counts(&clustered.of(&index).unwrap()), (2, 2, 1));
    }

    #[test]
    fn a_card_says_how_documents_were_sampled() {
        assert_eq!(uniform(5, 300).to_string(), "5, drawn uniformly, among those of at least 300 characters");
        let clustered =
            DocumentSample { by: SampleBy::Clusters(None, WithinCluster::Drawn), ..uniform(5, 0) };
        let wanted = "5, from 5 clusters of their vectors, among those of at least 0 characters";
        assert_eq!(clustered.to_string(), wanted);
        let central = DocumentSample { by: SampleBy::Clusters(Some(2), WithinCluster::Central), ..clustered };
        assert!(central.to_string().starts_with("5, from 2 clusters of their vectors, those nearest to the"));
    }

    #[test]
    fn an_id_that_judgments_cannot_hold_is_told_before_anything_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let index = index(folder.path(), &["a b"]);
        let error = uniform(1, 0).of(&index).unwrap_err().to_string();
        assert!(error.contains("the document `a b` cannot be judged"), "{error}");
    }
}
