//! Changing an index: add, replace, delete, commit.
//!
//! A commit holds any number of documents in bounded memory: segments and vectors go to their files as they come. At the
//! end the vectors' file is synced; then the inverted index's one small file, which names segments and vector files
//! together, is renamed into place. A crash before that rename leaves the
//! last committed state; files that no commit names are removed by the next writer. When more than a third of the
//! vectors are of no document any more, a second commit switches to a compacted file (see `compaction`). Last comes the
//! graph for approximate search, which no commit names (see `graph`).

use crate::analysis::{self, Analysis};
use crate::changes::{Change, Changes, Put};
use crate::chunk::{document_of, passage_id};
use crate::graph::{self, HNSW_FROM};
use crate::index::{Index, Payload, bytes_in};
use crate::snapshot::NO_VECTOR;
use crate::vectors::{VectorFile, VectorWriter};
use crate::{
    CutText, Embedded, Embedder, HAS_HNSW, SearchError, SyncState, compaction, filter, sync_state, unfinished,
};
use plackett_core::{Document, Metadata, Truncation, field_named};
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use tantivy::schema::Field;
use tantivy::tokenizer::PreTokenizedString;
use tantivy::{IndexWriter as Inner, TantivyDocument, Term};

/// Memory for documents that are not on disk yet, per writer.
const BUFFER_BYTES: usize = 64 << 20;
/// Bytes of the longest term that the inverted index takes up.
const LONGEST_ID: usize = 65_530;
/// Bytes that the number of a passage takes of it.
const LONGEST_NUMBER: usize = "#100000".len();
/// Documents that are embedded together, and the bytes of their texts from which on no more are waited for.
const EMBED_TOGETHER: usize = 256;
const BYTES_TOGETHER: usize = 8 << 20;

/// What a commit holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Committed {
    /// Documents in the index.
    pub documents: usize,
    /// Passages into which they are cut; as many as documents where those are whole.
    pub passages: usize,
    /// Documents that are new since the last commit.
    pub added: usize,
    /// Documents that took the place of one with their id.
    pub replaced: usize,
    /// Documents that were removed.
    pub deleted: usize,
    /// Texts that the embedding model did not see whole; of passages, where documents are cut into such.
    pub truncated: Vec<Truncation>,
    /// Documents or passages whose texts have not one token for the embedding model: they have no vector.
    pub without_vector: Vec<String>,
}

/// A document or passage that is not in the inverted index yet.
struct Waiting {
    document: Document,
    /// The document of a passage, and its bytes there.
    passage_of: Option<(String, Range<usize>)>,
    /// Whether there is another document with its id. Of passages, the first has it.
    replaces: bool,
    /// What filters find it by; passages of one document share it.
    terms: Arc<Vec<String>>,
    /// The metadata of a passage's document, which is searched and kept with the first passage alone: a copy for each would be
    /// many times the collection.
    metadata: Arc<Metadata>,
}

impl Waiting {
    fn bytes(&self) -> usize {
        self.document.title.len() + self.document.text.len()
    }
}

/// The one writer of an index. Dropped without a commit it changes nothing.
pub struct IndexWriter<'a> {
    index: &'a mut Index,
    inner: Inner,
    embedder: Option<&'a dyn Embedder>,
    payload: Payload,
    waiting: VecDeque<Waiting>,
    /// Bytes of the texts of `waiting`.
    waiting_bytes: usize,
    changes: Changes,
    /// What the next commit says of the collection; `None` leaves what is there, without the documents that change.
    sync_state: Option<SyncState>,
    /// Documents of a synced index that change since the last commit.
    touched: HashSet<String>,
    /// The next commit's vectors, once there is one.
    vectors: Option<VectorWriter>,
    /// Vectors in files of commits.
    stored: usize,
    truncated: Vec<Truncation>,
    without_vector: Vec<String>,
    /// Whether a part of what should be committed could not be written, so that no commit may follow.
    broken: bool,
    removed: u64,
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
        if let (Some(chunking), Some(embedder)) = (&index.settings.chunking, embedder) {
            chunking.check(embedder)?;
        }
        let inner: Inner = index
            .inner
            .writer_with_num_threads(1, BUFFER_BYTES)
            .map_err(SearchError::from_tantivy(&index.directory))?;
        index.check_settings()?;
        unfinished::remove_mark_of_whole(&index.directory);
        let before = bytes_in(&index.directory);
        begin_afresh(&inner, index)?;
        index.reload()?;
        let payload = index.payload.clone();
        remove_leftovers(&index.vector_folder(), &payload)?;
        sync_state::remove_leftovers(&index.directory, &payload)?;
        remove_files(&index.directory.join("text"), crate::directory::is_leftover)?;
        let removed = before.saturating_sub(bytes_in(&index.directory));
        let stored = index.snapshot.vectors.iter().map(VectorFile::len).sum();
        Ok(IndexWriter {
            index,
            inner,
            embedder,
            payload,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            changes: Changes::default(),
            sync_state: None,
            touched: HashSet::new(),
            vectors: None,
            stored,
            truncated: Vec::new(),
            without_vector: Vec::new(),
            broken: false,
            removed,
            graph_from: HNSW_FROM,
            graph_progress: Box::new(|_, _| {}),
        })
    }

    /// Bytes that an interrupted writer had left in the index, and that were removed; 0 when there were none.
    pub fn removed(&self) -> u64 {
        self.removed
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
    pub fn put(&mut self, document: Document) -> Result<Put, SearchError> {
        self.check()?;
        if document.id.is_empty() {
            return Err(SearchError::Argument(
                "a document has an empty id; ids must have at least one character".into(),
            ));
        }
        let longest = if self.index.has_passages() { LONGEST_ID - LONGEST_NUMBER } else { LONGEST_ID };
        if document.id.len() > longest {
            let (length, start) = (document.id.len(), document.id.chars().take(40).collect::<String>());
            return Err(SearchError::Argument(format!(
                "the id `{start}…` has {length} bytes; at most {longest} can be found again: is it the right field?"
            )));
        }
        let passages = self.passages_of(&document)?;
        let settings = &self.index.settings;
        let terms = if settings.filters { filter::terms(&document, &settings.types)? } else { Vec::new() };
        let terms = Arc::new(terms);
        let put = self.changes.put(&document.id, || self.index.holds(&document.id))?;
        self.touch(&document.id);
        let replaces = put != Put::Added;
        match passages {
            None => {
                self.wait(Waiting { document, passage_of: None, replaces, terms, metadata: Arc::default() })
            }
            Some(ranges) => {
                let metadata = Arc::new(document.metadata.clone());
                for (range, number) in ranges.into_iter().zip(1..) {
                    let passage = Document {
                        id: passage_id(&document.id, number),
                        title: document.title.clone(),
                        text: document.text.get(range.clone()).unwrap_or_default().into(),
                        metadata: if number == 1 { document.metadata.clone() } else { Metadata::new() },
                        ..Document::default()
                    };
                    let (passage_of, replaces) =
                        (Some((document.id.clone(), range)), replaces && number == 1);
                    let (terms, metadata) = (terms.clone(), metadata.clone());
                    self.wait(Waiting { document: passage, passage_of, replaces, terms, metadata });
                }
            }
        }
        if self.waiting.len() >= EMBED_TOGETHER || self.waiting_bytes >= BYTES_TOGETHER {
            self.write_waiting()?;
        }
        Ok(put)
    }

    fn wait(&mut self, waiting: Waiting) {
        self.waiting_bytes += waiting.bytes();
        self.waiting.push_back(waiting);
    }

    /// Where a document is cut; `None` in an index of whole documents.
    fn passages_of(&self, document: &Document) -> Result<Option<Vec<Range<usize>>>, SearchError> {
        let Some(chunking) = &self.index.settings.chunking else { return Ok(None) };
        if document_of(&document.id).is_some() {
            return Err(SearchError::Argument(format!(
                "the id `{}` ends with `#` and a number, as ids of passages do in an index that is cut into such; give the \
                 document another id, or index whole documents",
                document.id
            )));
        }
        chunking.cut(document, self.embedder).map(Some)
    }

    /// Removes the document with an id, and says whether there was one.
    pub fn delete(&mut self, id: &str) -> Result<bool, SearchError> {
        self.check()?;
        if !self.changes.delete(id, || self.index.holds(id))? {
            return Ok(false);
        }
        self.touch(id);
        self.write_waiting()?;
        self.inner.delete_term(self.index.fields.of_document(id));
        Ok(true)
    }

    /// Passages of the last commit; documents, where those are whole.
    pub fn passages(&self) -> usize {
        self.index.passages()
    }

    /// Whether documents are cut into passages.
    pub fn has_passages(&self) -> bool {
        self.index.has_passages()
    }

    /// A document as the last commit that this writer knows has it.
    pub fn committed(&self, id: &str) -> Result<Option<Document>, SearchError> {
        if self.index.holds(id)? { self.index.document(id) } else { Ok(None) }
    }

    /// What the collection was at the last sync, as of the last commit.
    ///
    /// # Errors
    /// The file is missing or damaged.
    pub fn sync_state(&self) -> Result<Option<SyncState>, SearchError> {
        SyncState::of(&self.index.directory, &self.payload)
    }

    /// What the next commit says of the collection: each of its documents that the index will hold.
    pub fn set_sync_state(&mut self, state: SyncState) {
        self.sync_state = Some(state);
    }

    /// A document that changes is no more what the last sync made of it, unless the next commit says what it is.
    fn touch(&mut self, id: &str) {
        if self.payload.sync_state.is_some() {
            self.touched.insert(id.to_string());
        }
    }

    /// Writes what the next commit says of the collection.
    fn write_sync_state(&mut self) -> Result<(), SearchError> {
        let touched = std::mem::take(&mut self.touched);
        let state = match self.sync_state.take() {
            Some(state) => Some(state),
            None if touched.is_empty() => None,
            None => self.sync_state()?.map(|known| known.without(&touched)),
        };
        if let Some(state) = state {
            self.payload.sync_state = Some(state.write(&self.index.directory, &self.payload)?);
        }
        Ok(())
    }

    /// Makes everything so far permanent and visible.
    pub fn commit(&mut self) -> Result<Committed, SearchError> {
        self.make_permanent()?;
        Ok(self.account())
    }

    /// No commit follows a part that could not be written.
    fn check(&self) -> Result<(), SearchError> {
        if self.broken { Err(SearchError::Unwritten { path: self.index.directory.clone() }) } else { Ok(()) }
    }

    fn make_permanent(&mut self) -> Result<(), SearchError> {
        self.check()?;
        self.write_waiting()?;
        if let Some(vectors) = self.vectors.take() {
            let count = vectors.len();
            self.broken = true;
            vectors.finish()?;
            self.broken = false;
            self.payload.vector_files.push(self.payload.next_name());
            self.payload.next_vector_file += 1;
            self.stored += count;
        }
        self.broken = true;
        self.write_sync_state()?;
        self.broken = false;
        self.record()?;
        let path = self.index.directory.clone();
        self.tidy().map_err(|source| match source {
            SearchError::Graph { .. } => source,
            source => SearchError::AfterCommit { path, source: source.into() },
        })
    }

    /// What a commit saves room and time with. A failure leaves the committed state as it is.
    fn tidy(&mut self) -> Result<(), SearchError> {
        self.index.reload()?;
        // One that another process still reads is removed by the next writer.
        let _ = sync_state::remove_leftovers(&self.index.directory, &self.payload);
        self.give_back_room()?;
        if HAS_HNSW && self.embedder.is_some() && self.graph_from != usize::MAX {
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
        let living = self.index.snapshot.with_vector;
        if !compaction::is_due(self.stored, living) {
            return Ok(());
        }
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
        let changes = std::mem::take(&mut self.changes);
        Committed {
            documents: self.index.len(),
            passages: self.index.passages(),
            added: changes.count(Change::Added),
            replaced: changes.count(Change::Replaced),
            deleted: changes.count(Change::Deleted),
            truncated: std::mem::take(&mut self.truncated),
            without_vector: std::mem::take(&mut self.without_vector),
        }
    }

    /// Commits, and waits until merges in the background are done.
    pub fn finish(mut self) -> Result<Committed, SearchError> {
        let committed = self.commit()?;
        let IndexWriter { index, inner, .. } = self;
        let path = index.directory.clone();
        let after =
            |source: SearchError| SearchError::AfterCommit { path: path.clone(), source: source.into() };
        inner.wait_merging_threads().map_err(SearchError::from_tantivy(&path)).map_err(after)?;
        index.reload().map_err(after)?;
        Ok(committed)
    }

    /// Embeds and takes up what waits. After a failure of the model it waits on, so that no commit leaves it out.
    fn write_waiting(&mut self) -> Result<(), SearchError> {
        // The passages of one document can be many more than go through the model together.
        while !self.waiting.is_empty() {
            let count = self.waiting.len().min(EMBED_TOGETHER);
            let embedded = self.embedder.map(|embedder| self.embed_waiting(embedder, count)).transpose()?;
            let waiting: Vec<Waiting> = self.waiting.drain(..count).collect();
            self.waiting_bytes -= waiting.iter().map(Waiting::bytes).sum::<usize>();
            // From here on a failure leaves a part of the documents out.
            self.broken = true;
            match embedded {
                None => waiting.iter().try_for_each(|waiting| self.write(waiting, NO_VECTOR))?,
                Some(embedded) => self.write_with_vectors(&waiting, embedded)?,
            }
            self.broken = false;
        }
        Ok(())
    }

    fn embed_waiting(&self, embedder: &dyn Embedder, count: usize) -> Result<Embedded, SearchError> {
        let waiting = self.waiting.iter().take(count);
        let texts: Vec<Cow<'_, str>> = waiting.map(|w| w.document.model_text()).collect();
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let embedded = embedder.embed_documents(&texts).map_err(SearchError::Embedder)?;
        let dim = embedder.dim();
        if embedded.vectors.len() != texts.len() * dim || embedded.vectors.iter().any(|x| !x.is_finite()) {
            let problem =
                "it returned another number of values than asked for, or values that are no numbers";
            return Err(SearchError::Embedder(problem.into()));
        }
        Ok(embedded)
    }

    fn write_with_vectors(&mut self, waiting: &[Waiting], embedded: Embedded) -> Result<(), SearchError> {
        let dim = self.index.settings.model.as_ref().map_or(1, |m| m.dim);
        let slot = self.payload.next_slot() << 32;
        for (place, (waiting, vector)) in waiting.iter().zip(embedded.vectors.chunks_exact(dim)).enumerate() {
            if embedded.without_tokens.contains(&place) {
                self.without_vector.push(waiting.document.id.clone());
                self.write(waiting, NO_VECTOR)?;
                continue;
            }
            let row = self.vector_file()?.len();
            // Rows of one file are numbered in 32 bits, of which the last number is for no vector.
            if row >= u32::MAX as usize {
                let problem =
                    "more than four thousand million vectors in one commit; add the documents in parts";
                return Err(SearchError::Argument(problem.into()));
            }
            self.vector_file()?.push(vector)?;
            self.write(waiting, slot | row as u64)?;
        }
        let cut = embedded.truncated.into_iter();
        self.truncated.extend(cut.filter_map(|CutText { index, tokens, kept, estimated }| {
            Some(Truncation {
                id: waiting.get(index)?.document.id.clone(),
                tokens,
                kept,
                estimated,
                of_query: false,
            })
        }));
        Ok(())
    }

    /// The file of the next commit's vectors.
    fn vector_file(&mut self) -> Result<&mut VectorWriter, SearchError> {
        let writer = match self.vectors.take() {
            Some(writer) => writer,
            None => {
                let path = self.index.vector_folder().join(self.payload.next_name());
                let dim = self.index.settings.model.as_ref().map_or(1, |m| m.dim);
                VectorWriter::create(&path, self.index.settings.vectors, dim)?
            }
        };
        Ok(self.vectors.insert(writer))
    }

    fn write(&self, waiting: &Waiting, row: u64) -> Result<(), SearchError> {
        let Waiting { document, passage_of, replaces, terms, metadata } = waiting;
        let fields = &self.index.fields;
        let failed = SearchError::from_tantivy(&self.index.directory);
        let of = passage_of.as_ref().map_or(&document.id, |(of, _)| of);
        // Deletions are kept until the commit: only those that can meet a document.
        if *replaces {
            self.inner.delete_term(fields.of_document(of));
        }
        let mut stored = TantivyDocument::default();
        stored.add_text(fields.id, &document.id);
        stored.add_text(
            fields.source,
            serde_json::to_string(document).map_err(|e| SearchError::Argument(e.to_string()))?,
        );
        stored.add_u64(fields.vector, row);
        if let (Some(columns), Some((_, range))) = (fields.passage, passage_of) {
            stored.add_text(columns.document, of);
            stored.add_u64(columns.start, range.start as u64);
            stored.add_u64(columns.end, range.end as u64);
        }
        // Fields of the metadata are searched in every passage.
        let is_other = |name: &String| name != "title" && name != "text";
        let searched = match passage_of.is_some() && self.index.settings.fields.iter().any(is_other) {
            true => Cow::Owned(Document { metadata: Metadata::clone(metadata), ..document.clone() }),
            false => Cow::Borrowed(document),
        };
        for (name, (field, length)) in
            self.index.settings.fields.iter().zip(fields.searched.iter().zip(&fields.lengths))
        {
            let count = add_terms(&mut stored, *field, &field_text(&searched, name), self.index.analyzer);
            stored.add_u64(*length, count as u64);
        }
        if let Some(field) = fields.metadata {
            let tokens = analysis::tokens(terms.iter().map(|term| (term.clone(), 0..0)).collect());
            stored.add_pre_tokenized_text(field, PreTokenizedString { text: String::new(), tokens });
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

/// Adds the terms of a text to a field, and says how many there are.
///
/// The terms of a long text take twenty times its room, so it goes in by pieces that are cut again when their turn comes.
fn add_terms(stored: &mut TantivyDocument, field: Field, text: &str, analysis: Analysis) -> usize {
    let pieces = analysis::pieces(text);
    if pieces.len() == 1 {
        let tokens = analysis::tokens(analysis.terms(text));
        let count = tokens.len();
        stored.add_pre_tokenized_text(field, PreTokenizedString { text: String::new(), tokens });
        return count;
    }
    let count = pieces.par_iter().map(|piece| analysis.terms(piece).len()).sum();
    pieces.into_iter().for_each(|piece| stored.add_text(field, piece));
    count
}

/// The text of a searched field; a metadata value that is no text is searched as JSON.
pub(crate) fn field_text<'a>(document: &'a Document, name: &str) -> Cow<'a, str> {
    match name {
        "title" => Cow::Borrowed(&document.title),
        "text" => Cow::Borrowed(&document.text),
        _ => match field_named(&document.metadata, name) {
            None | Some(serde_json::Value::Null) => Cow::Borrowed(""),
            Some(serde_json::Value::String(text)) => Cow::Borrowed(text),
            Some(other) => Cow::Owned(other.to_string()),
        },
    }
}

/// Removes vector files that no commit names, and graphs that no search uses: what a crashed writer left.
pub(crate) fn remove_leftovers(folder: &Path, payload: &Payload) -> Result<(), SearchError> {
    remove_files(folder, |name| {
        let vectors = name.ends_with(".vec") && !payload.vector_files.iter().any(|known| known == name);
        vectors || graph::is_leftover(folder, name, payload)
    })
}

/// Removes the files of a folder whose names tell that nobody needs them.
fn remove_files(folder: &Path, useless: impl Fn(&str) -> bool) -> Result<(), SearchError> {
    for entry in std::fs::read_dir(folder).map_err(SearchError::io(folder))? {
        let entry = entry.map_err(SearchError::io(folder))?;
        if useless(&entry.file_name().to_string_lossy()) {
            std::fs::remove_file(entry.path()).map_err(SearchError::io(entry.path()))?;
        }
    }
    Ok(())
}
