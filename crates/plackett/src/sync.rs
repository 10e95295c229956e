//! Keeping an index in step with a collection: what is there unchanged is passed over, what is gone is removed.
//!
//! Each file that is one document is told by a hash of its bytes and of its reader, before it is read as a document; a record
//! of a collection by a hash of the document it gives. The hashes lie in the index and are committed with its documents
//! ([`plackett_search::SyncState`]).

use crate::content_hash::digest;
use plackett_core::Document;
use plackett_core::formats::{FileCheck, SingleKind};
use plackett_search::{ContentHash, IndexWriter, SearchError, SyncState};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The name of a collection that has no place: standard input.
const NAMELESS: &str = "-";

/// Why an index cannot be kept in step with a collection.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// It is kept in step with another one, whose documents would be removed.
    #[error(
        "{index}: the index is kept in step with {known}, and a sync with {asked} would remove its documents; name {known}, \
         or give {asked} an index of its own"
    )]
    OtherCollection {
        /// The index.
        index: String,
        /// The collection of the last sync.
        known: String,
        /// The one that is given now.
        asked: String,
    },
    /// Two documents of the collection have one id.
    #[error("the id `{id}` comes a second time; ids must be different")]
    Twice {
        /// The id.
        id: String,
    },
    /// The index.
    #[error(transparent)]
    Search(#[from] SearchError),
}

/// One sync of a collection with an index.
///
/// [`CollectionSync::file_check`] goes into the options of the reader, [`CollectionSync::begin`] comes before the first
/// document, [`CollectionSync::is_unchanged`] is asked of each that the reader gives, and [`CollectionSync::finish`] comes
/// before the commit.
#[derive(Debug)]
pub struct CollectionSync {
    shared: Arc<Mutex<Progress>>,
}

/// What is known, and what was seen so far.
#[derive(Debug, Default)]
struct Progress {
    /// The state of the last sync.
    known: SyncState,
    /// The state that comes.
    now: SyncState,
    unchanged: usize,
    /// Documents of files that are there and cannot be read.
    kept: Vec<String>,
    changed: bool,
    /// The file that is being read: the document that comes next is made of it.
    file: Option<(String, ContentHash)>,
}

impl Progress {
    /// Leaves the document of a file as it is; of a folder, whose name ends with `/`, all that was in it.
    fn keep(&mut self, id: &str) {
        let known = &self.known.documents;
        let mut kept: Vec<(String, ContentHash)> = match id.ends_with('/') {
            true => {
                let inside = known.iter().filter(|(known, _)| known.starts_with(id));
                inside.map(|(id, hash)| (id.clone(), *hash)).collect()
            }
            false => known.get(id).map(|hash| (id.to_string(), *hash)).into_iter().collect(),
        };
        kept.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (id, hash) in kept {
            self.now.documents.insert(id.clone(), hash);
            self.kept.push(id);
        }
    }
}

impl CollectionSync {
    /// A sync with the collection of a path; `-` is standard input.
    pub fn new(collection: &Path) -> CollectionSync {
        let now = SyncState::new(name_of(collection));
        CollectionSync { shared: Arc::new(Mutex::new(Progress { now, ..Progress::default() })) }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up the state of the last sync, and says where the collection was then if it has moved.
    ///
    /// # Errors
    /// The index is kept in step with another collection, which is still there; the state is damaged.
    pub fn begin(&self, writer: &IndexWriter<'_>, index: &Path) -> Result<Option<String>, SyncError> {
        let mut progress = self.progress();
        let Some(known) = writer.sync_state()? else { return Ok(None) };
        let (before, asked) = (known.collection.clone(), progress.now.collection.clone());
        progress.known = known;
        if before == asked {
            return Ok(None);
        }
        if before == NAMELESS || Path::new(&before).exists() {
            return Err(SyncError::OtherCollection {
                index: index.display().to_string(),
                known: shown(&before),
                asked: shown(&asked),
            });
        }
        Ok(Some(before))
    }

    /// Tells files that are in the index as they are, and takes note of those that cannot be read: a program that was built
    /// without the reader of a kind, or a file that is damaged for the moment, removes nothing.
    pub fn file_check(&self) -> FileCheck {
        let (shared, of_unread) = (Arc::clone(&self.shared), Arc::clone(&self.shared));
        let check = FileCheck::new(move |id: &str, kind: SingleKind, bytes: &[u8]| {
            let hash = digest(&[kind.reader().as_bytes(), bytes]);
            let mut progress = shared.lock().unwrap_or_else(PoisonError::into_inner);
            if progress.known.documents.get(id) != Some(&hash) {
                progress.file = Some((id.to_string(), hash));
                return false;
            }
            progress.unchanged += 1;
            progress.now.documents.insert(id.to_string(), hash);
            true
        });
        check.on_unread(move |id: &str| {
            of_unread.lock().unwrap_or_else(PoisonError::into_inner).keep(id);
        })
    }

    /// Whether a document that was read is in the index as it is, so that it need not go there again.
    ///
    /// # Errors
    /// Its id came before; the index cannot be read.
    pub fn is_unchanged(&self, document: &Document, writer: &IndexWriter<'_>) -> Result<bool, SyncError> {
        let mut progress = self.progress();
        let file = progress.file.take().filter(|(id, _)| *id == document.id);
        let hash = match file {
            Some((_, hash)) => hash,
            None => hash_of(document),
        };
        let is_known = progress.known.documents.get(&document.id) == Some(&hash);
        if progress.now.documents.insert(document.id.clone(), hash).is_some() {
            return Err(SyncError::Twice { id: document.id.clone() });
        }
        // Another file, or one that no sync has seen, can give the document that is there. Where it would be cut is not kept.
        let is_there = || -> Result<bool, SearchError> {
            let kept = if writer.has_passages() { None } else { writer.committed(&document.id)? };
            Ok(kept.is_some_and(|kept| hash_of(&kept) == hash_of(document)))
        };
        let unchanged = is_known || is_there()?;
        progress.unchanged += usize::from(unchanged);
        progress.changed |= !unchanged;
        Ok(unchanged)
    }

    /// Removes what is gone, and gives the writer the state to commit. Says whether there is anything to commit.
    ///
    /// # Errors
    /// The index cannot be written.
    pub fn finish(&self, writer: &mut IndexWriter<'_>) -> Result<bool, SyncError> {
        let mut progress = self.progress();
        let Progress { known, now, changed, .. } = &mut *progress;
        for id in known.documents.keys().filter(|id| !now.documents.contains_key(*id)) {
            *changed |= writer.delete(id)?;
        }
        if known == now {
            return Ok(*changed);
        }
        writer.set_sync_state(now.clone());
        Ok(true)
    }

    /// Documents that were passed over, since they are in the index as they are.
    pub fn unchanged(&self) -> usize {
        self.progress().unchanged
    }

    /// Documents that stay as an earlier sync made them, since their files cannot be read now.
    pub fn kept(&self) -> Vec<String> {
        self.progress().kept.clone()
    }

    /// Documents of the collection.
    pub fn documents(&self) -> usize {
        self.progress().now.documents.len()
    }
}

/// The name of a collection: its whole path, also when it is gone, so that it is still the same one.
fn name_of(collection: &Path) -> String {
    let gone = || {
        let whole = std::path::absolute(collection).ok().filter(|_| collection != Path::new(NAMELESS))?;
        Some(std::fs::canonicalize(whole.parent()?).ok()?.join(whole.file_name()?))
    };
    let place = std::fs::canonicalize(collection).ok().or_else(gone);
    place.as_deref().unwrap_or(collection).display().to_string()
}

/// A collection in messages.
fn shown(name: &str) -> String {
    if name == NAMELESS { "standard input".into() } else { name.into() }
}

fn hash_of(document: &Document) -> ContentHash {
    // Where headings stand follows from a file, which is told by its bytes.
    let Document { id, title, text, metadata, headings: _ } = document;
    let metadata = serde_json::Value::Object(metadata.clone()).to_string();
    digest(&[id.as_bytes(), title.as_bytes(), text.as_bytes(), metadata.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_core::formats::{DocumentOptions, open_documents};
    use plackett_search::{Embedded, Embedder, EmbedderFailure, Index, IndexSettings, ModelIdentity};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Syncs a folder with an index, and gives the ids that the index then has, and those that were kept.
    fn synced(collection: &Path, index: &mut Index) -> (Vec<String>, Vec<String>) {
        synced_with(collection, index, None)
    }

    /// A model that counts the texts that it has read.
    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Embedder for Counting {
        fn dim(&self) -> usize {
            2
        }

        fn embed_documents(&self, texts: &[&str]) -> Result<Embedded, EmbedderFailure> {
            self.0.fetch_add(texts.len(), Ordering::Relaxed);
            let vectors = texts.iter().flat_map(|text| [text.len() as f32, 1.0]).collect();
            Ok(Embedded { vectors, ..Embedded::default() })
        }
    }

    /// As [`synced`], with a model where the index has vectors.
    fn synced_with(
        collection: &Path,
        index: &mut Index,
        embedder: Option<&dyn Embedder>,
    ) -> (Vec<String>, Vec<String>) {
        let sync = CollectionSync::new(collection);
        let options = DocumentOptions { unchanged: Some(sync.file_check()), ..DocumentOptions::default() };
        let documents = open_documents(collection, &options).unwrap();
        let directory = index.directory().to_path_buf();
        let mut writer = index.writer(embedder).unwrap();
        sync.begin(&writer, &directory).unwrap();
        for document in documents {
            let document = document.unwrap();
            if !sync.is_unchanged(&document, &writer).unwrap() {
                writer.put(document).unwrap();
            }
        }
        sync.finish(&mut writer).unwrap();
        writer.finish().unwrap();
        let mut ids: Vec<String> = index.ids().map(str::to_string).collect();
        ids.sort();
        (ids, sync.kept())
    }

    #[test]
    fn what_was_in_a_folder_that_cannot_be_read_is_kept() {
        let mut progress = Progress::default();
        for id in ["a.txt", "sub/in/c.txt", "sub/b.txt", "subway.txt"] {
            progress.known.documents.insert(id.into(), digest(&[id.as_bytes()]));
        }
        progress.keep("sub/");
        assert_eq!(progress.kept, ["sub/b.txt", "sub/in/c.txt"]);
        progress.keep("a.txt");
        progress.keep("unknown.txt");
        assert_eq!((progress.kept.len(), progress.now.documents.len()), (3, 3));
    }

    #[test]
    fn an_unchanged_folder_is_not_read_into_the_model_again() {
        let folder = tempfile::tempdir().unwrap();
        let notes = folder.path().join("notes");
        std::fs::create_dir(&notes).unwrap();
        let write = |number: usize, words: &str| {
            std::fs::write(notes.join(format!("{number}.txt")), format!("{number} {words}")).unwrap();
        };
        (0..30).for_each(|number| write(number, "has five words here"));
        // Of five words, windows of two that share none are three.
        for (chunking, passages) in [(None, 1), (Some("2/0"), 3)] {
            let model = Some(ModelIdentity { name: "counting".into(), dim: 2, fingerprint: None });
            let chunking = chunking.map(|written: &str| written.parse().unwrap());
            let settings = IndexSettings { model, chunking, ..IndexSettings::default() };
            let place = folder.path().join(format!("i{passages}"));
            let (mut index, counting) = (Index::create(place, &settings).unwrap(), Counting::default());
            let mut read = |expected: usize, why: &str| {
                assert_eq!(synced_with(&notes, &mut index, Some(&counting)).0.len(), 30);
                assert_eq!(counting.0.swap(0, Ordering::Relaxed), expected, "{why}, {passages} passages");
            };
            read(30 * passages, "all are new");
            read(0, "nothing has changed");
            write(7, "has other words now");
            read(passages, "one file has changed");
            read(0, "nothing has changed since");
            write(7, "has five words here");
        }
    }

    #[test]
    fn a_collection_that_is_gone_has_the_name_it_had() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("notes.md");
        std::fs::write(&file, "words").unwrap();
        let before = name_of(&file);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(name_of(&file), before);
        assert_eq!(name_of(Path::new("-")), NAMELESS);
    }

    #[test]
    fn files_that_cannot_be_read_are_kept_and_lost_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let notes = folder.path().join("notes");
        std::fs::create_dir(&notes).unwrap();
        for name in ["a.txt", "b.txt", "c.txt"] {
            std::fs::write(notes.join(name), "words").unwrap();
        }
        let settings = IndexSettings::default();
        let mut index = Index::create(folder.path().join("i"), &settings).unwrap();
        assert_eq!(synced(&notes, &mut index).0, ["a.txt", "b.txt", "c.txt"]);
        std::fs::write(notes.join("b.txt"), b"w\xf6rter").unwrap();
        std::fs::remove_file(notes.join("c.txt")).unwrap();
        let expected = (vec!["a.txt".to_string(), "b.txt".into()], vec!["b.txt".to_string()]);
        assert_eq!(synced(&notes, &mut index), expected);
        assert_eq!(synced(&notes, &mut index), expected, "the state still has it");
        // A later sync that reads the file again replaces it.
        std::fs::write(notes.join("b.txt"), "other words").unwrap();
        assert!(synced(&notes, &mut index).1.is_empty());
        assert_eq!(index.document("b.txt").unwrap().unwrap().text, "other words");
    }
}
