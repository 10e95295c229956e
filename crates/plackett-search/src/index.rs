//! An index directory: open it, search it.

use crate::analysis::Analysis;
use crate::bm25::{QueryTerms, Scorer};
use crate::chunk::document_of_first;
use crate::directory::SharedDirectory;
use crate::filter::Allowed;
use crate::graph::NoGraph;
use crate::rm3::{self, Feedback, Rm3};
use crate::schema::Fields;
use crate::snapshot::{NO_VECTOR, Snapshot};
use crate::snippet::{Snippet, passage};
use crate::vectors::VectorFile;
use crate::{
    Bm25, Embedder, IndexSettings, IndexWriter, ModelIdentity, NewIndex, SearchError, SyncState, TermScore,
    graph, manifest, schema,
};
use plackett_core::Document;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tantivy::collector::DocSetCollector;
use tantivy::query::TermQuery;
use tantivy::schema::{IndexRecordOption, Value};
use tantivy::{DocAddress, TantivyDocument, Term};

/// What a commit records besides the segments of the inverted index.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Payload {
    pub vector_files: Vec<String>,
    pub next_vector_file: u64,
    /// Commits whose living vectors are in the first of the files; the others are of one commit each.
    #[serde(default)]
    pub compacted: u64,
    /// The file with what the collection was at the last sync. A program that does not know it leaves it out of its commits,
    /// and the next sync looks at all documents anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_state: Option<String>,
}

impl Payload {
    /// The number under which the inverted index knows the next commit's vectors.
    pub(crate) fn next_slot(&self) -> u64 {
        self.compacted + self.vector_files.len() as u64 - u64::from(self.compacted > 0)
    }

    /// Name of the next vector file.
    pub(crate) fn next_name(&self) -> String {
        format!("{:08}.vec", self.next_vector_file)
    }
}

/// Numbers about an index.
#[derive(Clone, Debug, Serialize)]
pub struct IndexStats {
    /// Documents.
    pub documents: usize,
    /// Passages into which they are cut; as many as documents where those are whole.
    pub passages: usize,
    /// Segments of the inverted index.
    pub segments: usize,
    /// Vectors in files; at most a third of them, as of the last commit, of deleted and replaced documents.
    pub stored_vectors: usize,
    /// Vectors that the graph for approximate search links; 0 without one.
    pub graph_vectors: usize,
    /// Mean number of terms per passage, over all searched fields.
    pub mean_length: f64,
    /// Bytes on disk.
    pub bytes: u64,
}

/// A searchable collection in a directory: texts, postings and vectors of one committed state.
pub struct Index {
    pub(crate) directory: PathBuf,
    pub(crate) settings: IndexSettings,
    pub(crate) inner: tantivy::Index,
    pub(crate) fields: Fields,
    pub(crate) payload: Payload,
    pub(crate) analyzer: Analysis,
    pub(crate) snapshot: Arc<Snapshot>,
}

impl Index {
    /// Makes an empty index in a new or empty directory. [`crate::NewIndex`] makes one that nobody sees before it is
    /// filled.
    ///
    /// # Errors
    /// The directory holds something; the settings name an unknown analyser or no field; the disk.
    pub fn create(directory: impl AsRef<Path>, settings: &IndexSettings) -> Result<Index, SearchError> {
        NewIndex::begin(directory, settings)?.finish()
    }

    /// Opens an index for searching. Costs the reading of ids and lengths, not of texts, and needs no right to write.
    ///
    /// # Errors
    /// A folder that is no index, of a newer version, unfinished, or with missing or damaged files, each with its reason.
    pub fn open(directory: impl AsRef<Path>) -> Result<Index, SearchError> {
        let directory = directory.as_ref();
        let settings = manifest::read(directory).map_err(|error| error.for_reader(directory))?;
        Index::open_with(directory, settings).map_err(|error| error.for_reader(directory))
    }

    /// Opens an index that is being built.
    pub(crate) fn open_unfinished(directory: &Path) -> Result<Index, SearchError> {
        Index::open_with(directory, manifest::read_any(directory)?)
    }

    fn open_with(directory: &Path, settings: IndexSettings) -> Result<Index, SearchError> {
        let analyzer = Analysis::of(&settings)?;
        let (schema, fields) = schema::build(&settings)?;
        let text = directory.join("text");
        let failed = || SearchError::from_tantivy(&text);
        let folder = SharedDirectory::open(&text).map_err(|e| failed()(e.into()))?;
        let inner = tantivy::Index::open(folder).map_err(failed())?;
        if inner.schema() != schema {
            let problem = "the postings do not fit the manifest's fields".into();
            return Err(SearchError::Corrupt { path: text, problem });
        }
        schema::register(&inner, analyzer);
        let (payload, snapshot) = load(&inner, directory, &settings, &fields)?;
        Ok(Index { directory: directory.into(), settings, inner, fields, payload, analyzer, snapshot })
    }

    /// Takes up the last committed state, which another process may have written.
    pub fn reload(&mut self) -> Result<(), SearchError> {
        (self.payload, self.snapshot) = load(&self.inner, &self.directory, &self.settings, &self.fields)?;
        Ok(())
    }

    /// The one writer. `embedder` is needed, and used, only when the index has vectors.
    ///
    /// # Errors
    /// Another process writes, or has put an index of other settings in the place of this one; the embedder does not fit the
    /// index.
    pub fn writer<'a>(
        &'a mut self,
        embedder: Option<&'a dyn Embedder>,
    ) -> Result<IndexWriter<'a>, SearchError> {
        let directory = self.directory.clone();
        IndexWriter::open(self, embedder).map_err(|error| error.for_writer(&directory))
    }

    /// Refuses an index in whose place there is one of other settings by now. Whoever holds the writer's lock knows that none
    /// comes later.
    pub(crate) fn check_settings(&self) -> Result<(), SearchError> {
        match manifest::read_any(&self.directory)? == self.settings {
            true => Ok(()),
            false => Err(SearchError::WrittenOver { path: self.directory.clone() }),
        }
    }

    /// Checks that a model is the one with which the vectors were made.
    ///
    /// # Errors
    /// It is another one ([`SearchError::OtherModel`]), or there are no vectors.
    pub fn check_model(&self, found: &ModelIdentity) -> Result<(), SearchError> {
        match &self.settings.model {
            Some(own) if own.is_same(found) => Ok(()),
            Some(own) => Err(SearchError::OtherModel {
                index: self.directory.clone(),
                expected: own.to_string(),
                found: found.to_string(),
            }),
            None => {
                let problem = "the index has no vectors; make it again with a model, or search its words";
                Err(SearchError::Argument(format!("{}: {problem}", self.directory.display())))
            }
        }
    }

    /// Choices made when the index was created.
    pub fn settings(&self) -> &IndexSettings {
        &self.settings
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Number of documents.
    pub fn len(&self) -> usize {
        self.snapshot.documents
    }

    /// Number of passages that are searched: of documents, where those are whole.
    pub fn passages(&self) -> usize {
        self.snapshot.passages
    }

    /// Whether there is no document.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Passages that have a vector. In an index with vectors all have one but those whose texts have not one token.
    pub fn vectors(&self) -> usize {
        self.snapshot.with_vector
    }

    /// Whether passages have vectors.
    pub fn has_vectors(&self) -> bool {
        self.settings.model.is_some()
    }

    /// Numbers about the index.
    pub fn stats(&self) -> IndexStats {
        IndexStats {
            documents: self.len(),
            passages: self.passages(),
            segments: self.snapshot.segments.len(),
            stored_vectors: self.snapshot.vectors.iter().map(VectorFile::len).sum(),
            graph_vectors: self.snapshot.approximate.as_ref().map_or(0, |a| a.graph.len()),
            mean_length: self.snapshot.mean_lengths.iter().sum(),
            bytes: bytes_in(&self.directory),
        }
    }

    /// Checks every checksum: minutes for a large index, where opening takes a moment.
    pub fn verify(&self) -> Result<(), SearchError> {
        for (name, file) in self.payload.vector_files.iter().zip(self.snapshot.vectors.iter()) {
            file.verify(&self.vector_folder().join(name))?;
        }
        if let Err(graph @ NoGraph::Unusable { .. }) = &self.snapshot.approximate {
            return Err(SearchError::NoGraph { path: self.directory.clone(), problem: graph.to_string() });
        }
        SyncState::of(&self.directory, &self.payload)?;
        let text = self.directory.join("text");
        let damaged = self.inner.validate_checksum().map_err(SearchError::from_tantivy(&text))?;
        match damaged.into_iter().next() {
            None => Ok(()),
            Some(file) => Err(SearchError::Corrupt {
                path: text.join(file),
                problem: "the checksum does not fit".into(),
            }),
        }
    }

    /// A document by its id, or a passage by its own.
    pub fn document(&self, id: &str) -> Result<Option<Document>, SearchError> {
        match self.address(id)? {
            Some(address) => {
                let mut document = self.stored(address, id)?;
                if self.has_passages() && document_of_first(id).is_none() {
                    document.metadata = self.metadata_of(id)?;
                }
                Ok(Some(document))
            }
            None if self.has_passages() => self.whole_document(id),
            None => Ok(None),
        }
    }

    /// What is stored at a place of the inverted index; `id` is for messages.
    pub(crate) fn stored(&self, address: DocAddress, id: &str) -> Result<Document, SearchError> {
        let path = self.directory.join("text");
        let stored: TantivyDocument =
            self.snapshot.searcher.doc(address).map_err(SearchError::from_tantivy(&path))?;
        let text = stored.get_first(self.fields.source).and_then(|v| v.as_str()).unwrap_or_default();
        serde_json::from_str(text)
            .map_err(|e| SearchError::Corrupt { path, problem: format!("document `{id}`: {e}") })
    }

    /// The vector of a passage (a document, where those are whole) as it is stored; `None` where there is none.
    ///
    /// # Errors
    /// The postings cannot be read.
    pub fn vector(&self, id: &str) -> Result<Option<Vec<f32>>, SearchError> {
        let Some(address) = self.address(id)? else { return Ok(None) };
        let segment = self.snapshot.segments.get(address.segment_ord as usize);
        let row = segment.and_then(|segment| segment.rows.get(address.doc_id as usize).copied());
        let Some(row) = row.filter(|row| *row != NO_VECTOR) else { return Ok(None) };
        let file = self.snapshot.vectors.get((row >> 32) as usize);
        Ok(file.map(|file| file.numbers((row as u32) as usize)))
    }

    /// What the collection was at the last sync, as of the commit that is open; `None` where the index was never synced.
    ///
    /// # Errors
    /// The file is damaged, or a later commit has taken its place.
    pub fn sync_state(&self) -> Result<Option<SyncState>, SearchError> {
        SyncState::of(&self.directory, &self.payload)
    }

    /// All documents, in no particular order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        let whole = self.fields.passage.is_none();
        self.passage_ids().filter_map(move |id| if whole { Some(id) } else { document_of_first(id) })
    }

    /// All that is searched, in no particular order: passages, or documents where those are whole.
    pub fn passage_ids(&self) -> impl Iterator<Item = &str> {
        let readers = self.snapshot.searcher.segment_readers().iter().zip(&self.snapshot.segments);
        readers.flat_map(|(reader, segment)| {
            reader.doc_ids_alive().filter_map(|doc| segment.ids.get(doc as usize))
        })
    }

    /// The `depth` best documents (passages, where they are cut into such) by BM25, ordered by score and then by descending
    /// id.
    pub fn search_bm25(
        &self,
        query: &str,
        bm25: &Bm25,
        depth: usize,
    ) -> Result<Vec<(String, f64)>, SearchError> {
        self.search_terms(&self.query_terms(query), bm25, depth)
    }

    /// As [`Index::search_bm25`], for terms with weights (query expansion makes such).
    pub fn search_terms(
        &self,
        terms: &QueryTerms,
        bm25: &Bm25,
        depth: usize,
    ) -> Result<Vec<(String, f64)>, SearchError> {
        self.all().search_terms(terms, bm25, depth)
    }

    /// As [`Index::search_terms`], among all or those that are allowed.
    pub(crate) fn best(
        &self,
        terms: &QueryTerms,
        bm25: &Bm25,
        depth: usize,
        allowed: Option<&Allowed>,
    ) -> Result<Vec<(String, f64)>, SearchError> {
        self.check(bm25)?;
        if let Some((term, weight)) = terms.iter().find(|(_, weight)| !weight.is_finite() || **weight < 0.0) {
            let problem = format!("the term `{term}` has the weight {weight}; weights are numbers from 0");
            return Err(SearchError::Argument(problem));
        }
        self.scorer(bm25).search(terms, depth, allowed).map_err(SearchError::from_tantivy(&self.directory))
    }

    /// The query that RM3 makes of a query, from the texts of the best documents by BM25.
    pub fn expand(&self, query: &str, bm25: &Bm25, rm3: &Rm3) -> Result<QueryTerms, SearchError> {
        self.all().expand(query, bm25, rm3)
    }

    /// As [`Index::expand`], from the best of all or of those that are allowed.
    pub(crate) fn expand_by(
        &self,
        query: &str,
        bm25: &Bm25,
        rm3: &Rm3,
        allowed: Option<&Allowed>,
    ) -> Result<QueryTerms, SearchError> {
        let share = 0.0..=1.0;
        if !share.contains(&rm3.original_weight) || !share.contains(&rm3.largest_share) {
            let problem = format!("RM3 needs shares between 0 and 1; found {rm3:?}");
            return Err(SearchError::Argument(problem));
        }
        let terms = self.query_terms(query);
        let mut feedback = Vec::new();
        for (id, score) in self.best(&terms, bm25, rm3.documents, allowed)? {
            let Some(document) = self.document(&id)? else { continue };
            feedback.push(Feedback { score, terms: self.document_terms(&document, bm25) });
        }
        let most = rm3.largest_share * self.passages() as f64;
        let scorer = self.scorer(bm25);
        let rare = |term: &str| scorer.df(term).map(|df| df as f64 <= most);
        rm3::expand(&terms, &feedback, rm3, rare).map_err(SearchError::from_tantivy(&self.directory))
    }

    /// The passage of a document's text that speaks to a query; its rarer terms count more.
    pub fn snippet(&self, text: &str, query: &str, width: usize) -> Result<Snippet, SearchError> {
        let bm25 = Bm25::default();
        let scorer = self.scorer(&bm25);
        let mut terms = self.query_terms(query);
        for (term, weight) in &mut terms {
            let df = scorer.df(term).map_err(SearchError::from_tantivy(&self.directory))?;
            *weight = scorer.idf(df);
        }
        Ok(passage(text, self.analyzer.terms(text), &terms, width))
    }

    /// The terms of a document's searched fields with their weighted number of occurrences.
    fn document_terms(&self, document: &Document, bm25: &Bm25) -> QueryTerms {
        let mut terms = QueryTerms::new();
        for (number, name) in self.settings.fields.iter().enumerate() {
            for (term, _) in self.analyzer.terms(&crate::writer::field_text(document, name)) {
                *terms.entry(term).or_default() += bm25.weight(number);
            }
        }
        terms
    }

    /// The terms of a query with their number of occurrences.
    pub fn query_terms(&self, query: &str) -> QueryTerms {
        let mut terms = QueryTerms::new();
        for (term, _) in self.analyzer.terms(query) {
            *terms.entry(term).or_default() += 1.0;
        }
        terms
    }

    /// The parts of a document's BM25 score; `None` when there is no such document.
    pub fn explain(&self, query: &str, bm25: &Bm25, id: &str) -> Result<Option<Vec<TermScore>>, SearchError> {
        self.check(bm25)?;
        let Some(address) = self.address(id)? else { return Ok(None) };
        let parts =
            self.scorer(bm25).explain(&self.query_terms(query), address.segment_ord as usize, address.doc_id);
        parts.map(Some).map_err(SearchError::from_tantivy(&self.directory))
    }

    pub(crate) fn vector_folder(&self) -> PathBuf {
        self.directory.join("vectors")
    }

    pub(crate) fn scorer<'a>(&'a self, bm25: &'a Bm25) -> Scorer<'a> {
        Scorer { snapshot: &self.snapshot, fields: &self.fields, bm25 }
    }

    fn check(&self, bm25: &Bm25) -> Result<(), SearchError> {
        let fields = self.settings.fields.len();
        let good = bm25.k1.is_finite()
            && bm25.k1 >= 0.0
            && (0.0..=1.0).contains(&bm25.b)
            && (bm25.weights.is_empty() || bm25.weights.len() == fields)
            && bm25.weights.iter().all(|w| w.is_finite() && *w >= 0.0);
        if good {
            return Ok(());
        }
        Err(SearchError::Argument(format!(
            "BM25 needs k1 ≥ 0, b between 0 and 1, and no weights or {fields} that are not negative; found {bm25:?}"
        )))
    }

    /// Whether a document with this id is committed.
    pub(crate) fn holds(&self, id: &str) -> Result<bool, SearchError> {
        Ok(!self.is_empty() && !self.addresses(&self.fields.of_document(id))?.is_empty())
    }

    pub(crate) fn address(&self, id: &str) -> Result<Option<DocAddress>, SearchError> {
        Ok(self.addresses(&Term::from_field_text(self.fields.id, id))?.into_iter().next())
    }

    /// The places of all that has a term.
    pub(crate) fn addresses(&self, term: &Term) -> Result<HashSet<DocAddress>, SearchError> {
        let query = TermQuery::new(term.clone(), IndexRecordOption::Basic);
        let found = self.snapshot.searcher.search(&query, &DocSetCollector);
        found.map_err(SearchError::from_tantivy(&self.directory))
    }
}

fn load(
    inner: &tantivy::Index,
    directory: &Path,
    settings: &IndexSettings,
    fields: &Fields,
) -> Result<(Payload, Arc<Snapshot>), SearchError> {
    let failed = || SearchError::from_tantivy(directory.join("text"));
    // The reader is opened before the payload is read and the two are compared by commit, so that a commit between the
    // two reads cannot pair old segments with new vector files.
    let mut missed = None;
    loop {
        let before = inner.load_metas().map_err(failed())?;
        let reader = inner.reader_builder().reload_policy(tantivy::ReloadPolicy::Manual);
        let reader: tantivy::Result<tantivy::IndexReader> = reader.try_into();
        let after = inner.load_metas().map_err(failed())?;
        if before.opstamp != after.opstamp {
            continue;
        }
        let searcher = match reader {
            Ok(reader) => reader.searcher(),
            // A reader that could not lock the files can find one removed whose segment has been merged meanwhile.
            Err(_) if segments(&before) != segments(&after) => continue,
            Err(error) => return Err(failed()(error)),
        };
        let payload: Payload = match &after.payload {
            None => Payload::default(),
            Some(text) => serde_json::from_str(text).map_err(|e| SearchError::Corrupt {
                path: directory.join("text/meta.json"),
                problem: format!("its payload is not ours: {e}"),
            })?,
        };
        let dim = settings.model.as_ref().map_or(0, |m| m.dim);
        let files = payload.vector_files.iter();
        let files = files.map(|name| VectorFile::open(&directory.join("vectors").join(name), dim));
        let vectors = match files.collect::<Result<Vec<VectorFile>, SearchError>>() {
            // A writer that compacts removes files after the commit that names them no longer: read that one.
            Err(SearchError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound
                    && missed.as_ref() != Some(&payload.vector_files) =>
            {
                missed = Some(payload.vector_files);
                continue;
            }
            Err(SearchError::Io { path, source }) if source.kind() == std::io::ErrorKind::NotFound => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let problem = format!("vectors/{name} is missing");
                return Err(SearchError::Corrupt { path: directory.into(), problem });
            }
            opened => opened?,
        };
        let vectors = Arc::new(vectors);
        let graph = graph::open(&directory.join("vectors"), &payload, &vectors);
        let compacted = payload.compacted;
        let snapshot = Snapshot::load(searcher, fields, vectors, graph, compacted, directory)?;
        return Ok((payload, Arc::new(snapshot)));
    }
}

/// Names of the segments that a commit has now.
fn segments(metas: &tantivy::IndexMeta) -> Vec<tantivy::index::SegmentId> {
    metas.segments.iter().map(|segment| segment.id()).collect()
}

/// Bytes of all files in a folder.
pub(crate) fn bytes_in(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => bytes_in(&entry.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        })
        .sum()
}
