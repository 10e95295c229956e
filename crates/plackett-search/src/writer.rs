//! Changing an index: add, replace, delete, commit.
//!
//! A commit writes the new vectors to a file of their own and waits for the disk; then the inverted index, whose one
//! small file names segments and vector files together, is renamed into place. A crash before that rename leaves the
//! last committed state; files that no commit names are removed by the next writer. When more than a third of the
//! vectors are of no document any more, a second commit switches to a compacted file (see `compaction`). Last comes the
//! graph for approximate search, which no commit names (see `graph`).

use crate::graph::{self, HNSW_FROM};
use crate::index::{Index, Payload};
use crate::snapshot::NO_VECTOR;
use crate::vectors::VectorFile;
use crate::{Analyzer, Embedder, HAS_HNSW, SearchError, compaction, vectors};
use plackett_core::{Document, Truncation};
use std::path::Path;
use tantivy::tokenizer::PreTokenizedString;
use tantivy::{IndexWriter as Inner, TantivyDocument, Term};

/// Memory for documents that are not on disk yet, per writer.
const BUFFER_BYTES: usize = 64 << 20;
/// Bytes of the longest term that the inverted index takes up.
const LONGEST_ID: usize = 65_530;
/// Documents that are embedded together.
const EMBED_TOGETHER: usize = 256;

/// What a commit holds.
#[derive(Clone, Debug, Default)]
pub struct Committed {
    /// Documents in the index.
    pub documents: usize,
    /// Documents added or replaced since the last commit.
    pub written: usize,
    /// Texts that the embedding model did not see whole.
    pub truncated: Vec<Truncation>,
}

/// The one writer of an index. Dropped without a commit it changes nothing.
pub struct IndexWriter<'a> {
    index: &'a mut Index,
    inner: Inner,
    embedder: Option<&'a dyn Embedder>,
    analyzer: Analyzer,
    payload: Payload,
    waiting: Vec<Document>,
    vectors: Vec<f32>,
    /// Vectors in files.
    stored: usize,
    written: usize,
    truncated: Vec<Truncation>,
    graph_from: usize,
    graph_progress: Box<dyn FnMut(usize, usize) + 'a>,
}

impl<'a> IndexWriter<'a> {
    pub(crate) fn open(
        index: &'a mut Index,
        embedder: Option<&'a dyn Embedder>,
    ) -> Result<Self, SearchError> {
        match (&index.settings.model, embedder) {
            (Some(model), None) => {
                let problem =
                    format!("the index has vectors of `{}`: give that model to add documents", model.name);
                return Err(SearchError::Argument(problem));
            }
            (Some(model), Some(embedder)) if embedder.dim() != model.dim => {
                return Err(SearchError::Argument(format!(
                    "the index has vectors of {} numbers (`{}`), the given model makes {}",
                    model.dim,
                    model.name,
                    embedder.dim()
                )));
            }
            _ => {}
        }
        if let (Some(_), Some(found)) = (&index.settings.model, embedder.and_then(Embedder::model)) {
            index.check_model(found)?;
        }
        let embedder = embedder.filter(|_| index.settings.model.is_some());
        let inner: Inner = index
            .inner
            .writer_with_num_threads(1, BUFFER_BYTES)
            .map_err(SearchError::from_tantivy(&index.directory))?;
        begin_afresh(&inner, index)?;
        index.reload()?;
        let payload = index.payload.clone();
        remove_leftovers(&index.vector_folder(), &payload)?;
        let analyzer = Analyzer::named(&index.settings.analyzer)?;
        let stored = index.snapshot.vectors.iter().map(VectorFile::len).sum();
        Ok(IndexWriter {
            index,
            inner,
            embedder,
            analyzer,
            payload,
            waiting: Vec::new(),
            vectors: Vec::new(),
            stored,
            written: 0,
            truncated: Vec::new(),
            graph_from: HNSW_FROM,
            graph_progress: Box::new(|_, _| {}),
        })
    }

    /// Commits make a graph for approximate search from so many vectors on, and later ones extend it: [`HNSW_FROM`]
    /// unless told otherwise, never with `usize::MAX`. In a program without usearch this means nothing.
    pub fn graph_from(&mut self, vectors: usize) {
        self.graph_from = vectors;
    }

    /// Is told, while a graph is made, how many vectors of how many it has.
    pub fn on_graph_progress(&mut self, progress: impl FnMut(usize, usize) + 'a) {
        self.graph_progress = Box::new(progress);
    }

    /// Documents in the last commit that this writer knows.
    pub fn documents(&self) -> usize {
        self.index.len()
    }

    /// Adds a document, or replaces the one with its id.
    pub fn put(&mut self, document: Document) -> Result<(), SearchError> {
        if document.id.is_empty() {
            return Err(SearchError::Argument(
                "a document has an empty id; ids must have at least one character".into(),
            ));
        }
        if document.id.len() > LONGEST_ID {
            let (length, start) = (document.id.len(), document.id.chars().take(40).collect::<String>());
            return Err(SearchError::Argument(format!(
                "the id `{start}…` has {length} bytes; at most {LONGEST_ID} can be found again: is it the right field?"
            )));
        }
        self.waiting.push(document);
        if self.waiting.len() >= EMBED_TOGETHER { self.write_waiting() } else { Ok(()) }
    }

    /// Removes the document with an id, if there is one.
    pub fn delete(&mut self, id: &str) -> Result<(), SearchError> {
        self.write_waiting()?;
        self.inner.delete_term(Term::from_field_text(self.index.fields.id, id));
        Ok(())
    }

    /// Makes everything so far permanent and visible.
    pub fn commit(&mut self) -> Result<Committed, SearchError> {
        self.make_permanent()?;
        self.index.reload()?;
        Ok(self.account())
    }

    fn make_permanent(&mut self) -> Result<(), SearchError> {
        self.write_waiting()?;
        if !self.vectors.is_empty() {
            let name = self.payload.next_name();
            let path = self.index.vector_folder().join(&name);
            let dim = self.index.settings.model.as_ref().map_or(1, |m| m.dim);
            vectors::write(&path, self.index.settings.vectors, dim, &self.vectors)?;
            self.payload.vector_files.push(name);
            self.payload.next_vector_file += 1;
            self.stored += self.vectors.len() / dim;
            self.vectors.clear();
        }
        self.record()?;
        let path = self.index.directory.clone();
        self.tidy().map_err(|source| match source {
            SearchError::Graph { .. } => source,
            source => SearchError::AfterCommit { path, source: source.into() },
        })
    }

    /// What a commit saves room and time with. A failure leaves the committed state as it is.
    fn tidy(&mut self) -> Result<(), SearchError> {
        self.give_back_room()?;
        if HAS_HNSW && self.embedder.is_some() && self.graph_from != usize::MAX {
            self.index.reload()?;
            graph::keep(self.index, self.graph_from, &mut self.graph_progress)?;
        }
        Ok(())
    }

    /// Commits what the inverted index has taken up together with the names of the vector files.
    fn record(&mut self) -> Result<(), SearchError> {
        let directory = &self.index.directory;
        let text = serde_json::to_string(&self.payload).map_err(|e| SearchError::Argument(e.to_string()))?;
        let mut prepared = self.inner.prepare_commit().map_err(SearchError::from_tantivy(directory))?;
        prepared.set_payload(&text);
        prepared.commit().map_err(SearchError::from_tantivy(directory))?;
        Ok(())
    }

    /// Compacts the vectors when enough of them are of no document any more.
    fn give_back_room(&mut self) -> Result<(), SearchError> {
        let Some(dim) = self.index.settings.model.as_ref().map(|model| model.dim) else { return Ok(()) };
        let metas =
            self.index.inner.load_metas().map_err(SearchError::from_tantivy(&self.index.directory))?;
        // In an index with vectors every document has one.
        let living = metas.segments.iter().map(|segment| segment.num_docs() as usize).sum();
        if !compaction::is_due(self.stored, living) {
            return Ok(());
        }
        self.index.reload()?;
        let (folder, format) = (self.index.vector_folder(), self.index.settings.vectors);
        self.payload = compaction::compact(&self.index.snapshot, &self.payload, &folder, format, dim)?;
        self.record()?;
        self.stored = living;
        // Lets go of the old files, which some systems do not remove while they are mapped. One that a search in another
        // process still holds there is removed by the next writer.
        self.index.reload()?;
        let _ = remove_leftovers(&folder, &self.payload);
        Ok(())
    }

    fn account(&mut self) -> Committed {
        Committed {
            documents: self.index.len(),
            written: std::mem::take(&mut self.written),
            truncated: std::mem::take(&mut self.truncated),
        }
    }

    /// Commits, and waits until merges in the background are done.
    pub fn finish(mut self) -> Result<Committed, SearchError> {
        self.make_permanent()?;
        let IndexWriter { index, inner, written, truncated, .. } = self;
        inner.wait_merging_threads().map_err(SearchError::from_tantivy(&index.directory))?;
        index.reload()?;
        Ok(Committed { documents: index.len(), written, truncated })
    }

    /// Embeds and takes up what waits. After a failure of the model it waits on, so that no commit leaves it out.
    fn write_waiting(&mut self) -> Result<(), SearchError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let dim = self.index.settings.model.as_ref().map_or(1, |m| m.dim);
        let first_row = self.vectors.len() / dim;
        if let Some(embedder) = self.embedder {
            self.embed_waiting(embedder, dim)?;
        }
        let documents = std::mem::take(&mut self.waiting);
        let file = self.payload.next_slot() << 32;
        for (number, document) in documents.iter().enumerate() {
            let row = if self.embedder.is_some() { file | (first_row + number) as u64 } else { NO_VECTOR };
            self.write(document, row)?;
        }
        self.written += documents.len();
        Ok(())
    }

    fn embed_waiting(&mut self, embedder: &dyn Embedder, dim: usize) -> Result<(), SearchError> {
        let texts: Vec<String> = self.waiting.iter().map(|d| d.model_text().into_owned()).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let embedded = embedder.embed_documents(&texts).map_err(SearchError::Embedder)?;
        if embedded.vectors.len() != texts.len() * dim || embedded.vectors.iter().any(|x| !x.is_finite()) {
            let problem =
                "it returned another number of values than asked for, or values that are no numbers";
            return Err(SearchError::Embedder(problem.into()));
        }
        self.vectors.extend(embedded.vectors);
        let cut = embedded.truncated.into_iter();
        self.truncated.extend(cut.filter_map(|(index, tokens, kept)| {
            Some(Truncation { id: self.waiting.get(index)?.id.clone(), tokens, kept })
        }));
        Ok(())
    }

    fn write(&mut self, document: &Document, row: u64) -> Result<(), SearchError> {
        let fields = &self.index.fields;
        let failed = SearchError::from_tantivy(&self.index.directory);
        self.inner.delete_term(Term::from_field_text(fields.id, &document.id));
        let mut stored = TantivyDocument::default();
        stored.add_text(fields.id, &document.id);
        stored.add_text(
            fields.source,
            serde_json::to_string(document).map_err(|e| SearchError::Argument(e.to_string()))?,
        );
        stored.add_u64(fields.vector, row);
        for (name, (field, length)) in
            self.index.settings.fields.iter().zip(fields.searched.iter().zip(&fields.lengths))
        {
            let text = field_text(document, name);
            let tokens = crate::analysis::tokens(self.analyzer.terms(&text));
            stored.add_u64(*length, tokens.len() as u64);
            stored.add_pre_tokenized_text(*field, PreTokenizedString { text: String::new(), tokens });
        }
        self.inner.add_document(stored).map_err(failed)?;
        Ok(())
    }
}

/// Keeps what an earlier writer did, or left undone, away from this one's work in the inverted index.
///
/// Operations are numbered from the last commit's number on, which a writer gives again to its first one. A merge that
/// starts meanwhile takes deletions up to that number for committed: it can lose the first, and a replaced document is
/// there twice. So the first number goes to a deletion of nothing (no id is empty). And a writer that is killed in a
/// commit leaves files under numbers that come again, over which the next commit would fail.
fn begin_afresh(inner: &Inner, index: &Index) -> Result<(), SearchError> {
    inner.delete_term(Term::from_field_text(index.fields.id, ""));
    let removed = inner.garbage_collect_files().wait();
    removed.map(|_| ()).map_err(SearchError::from_tantivy(&index.directory))
}

/// The text of a searched field; a metadata value that is no text is searched as JSON.
pub(crate) fn field_text(document: &Document, name: &str) -> String {
    match name {
        "title" => document.title.clone(),
        "text" => document.text.clone(),
        _ => match document.metadata.get(name) {
            None | Some(serde_json::Value::Null) => String::new(),
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        },
    }
}

/// Removes vector files that no commit names, and graphs that no search uses: what a crashed writer left.
pub(crate) fn remove_leftovers(folder: &Path, payload: &Payload) -> Result<(), SearchError> {
    for entry in std::fs::read_dir(folder).map_err(SearchError::io(folder))? {
        let entry = entry.map_err(SearchError::io(folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let vectors = name.ends_with(".vec") && !payload.vector_files.contains(&name);
        if vectors || graph::is_leftover(folder, &name, payload) {
            std::fs::remove_file(entry.path()).map_err(SearchError::io(entry.path()))?;
        }
    }
    Ok(())
}
