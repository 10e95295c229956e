//! What a collection was when the index was last kept in step with it: a hash for each document.
//!
//! A commit names the file that holds it together with the segments and the vectors, so that it is always that of the
//! committed documents. Documents that change otherwise are taken out of it by the same commit: a sync then looks at them
//! anew. The file is one of `sync/`, written and synced before the commit that names it; those that no commit names are
//! removed by the next writer.

use crate::SearchError;
use crate::index::Payload;
use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// A SHA-256.
pub type ContentHash = [u8; 32];

/// Beginning of the file.
const MAGIC: &[u8; 8] = b"PLKSYNC1";
/// Bytes of a collection's name and of an id at most: a damaged length must not ask for all memory.
const LONGEST: usize = 1 << 20;

/// The documents of one collection as they were put into an index, by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncState {
    /// The collection, by a name that whoever syncs gives it.
    pub collection: String,
    /// A hash of what each document was made of.
    pub documents: HashMap<String, ContentHash>,
}

impl SyncState {
    /// No document of a collection.
    pub fn new(collection: impl Into<String>) -> SyncState {
        SyncState { collection: collection.into(), documents: HashMap::new() }
    }

    /// The state of a commit; `None` where none was kept.
    pub(crate) fn of(directory: &Path, payload: &Payload) -> Result<Option<SyncState>, SearchError> {
        let Some(name) = &payload.sync_state else { return Ok(None) };
        let path = folder(directory).join(name);
        let damaged = |problem: &str| SearchError::Corrupt { path: path.clone(), problem: problem.into() };
        match std::fs::read(&path) {
            Ok(bytes) => parse(&bytes).map(Some).map_err(damaged),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(damaged("the file is missing")),
            Err(source) => Err(SearchError::Io { path, source }),
        }
    }

    /// Takes documents out.
    pub(crate) fn without(mut self, ids: &HashSet<String>) -> SyncState {
        self.documents.retain(|id, _| !ids.contains(id));
        self
    }

    /// Writes the state for the next commit, and gives the name that the commit has to record.
    pub(crate) fn write(&self, directory: &Path, payload: &Payload) -> Result<String, SearchError> {
        let folder = folder(directory);
        std::fs::create_dir_all(&folder).map_err(SearchError::io(&folder))?;
        let name = next_name(payload.sync_state.as_deref());
        let path = folder.join(&name);
        let failed = || SearchError::io(&path);
        let mut file = std::fs::File::create(&path).map_err(failed())?;
        file.write_all(&self.bytes()).and_then(|()| file.sync_all()).map_err(failed())?;
        std::fs::File::open(&folder)
            .and_then(|folder| folder.sync_all())
            .map_err(SearchError::io(&folder))?;
        Ok(name)
    }

    /// The file: beginning, collection, number of documents, each with its id and hash, and a checksum of all before.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let text = |bytes: &mut Vec<u8>, text: &str| {
            bytes.extend((text.len() as u32).to_le_bytes());
            bytes.extend(text.as_bytes());
        };
        text(&mut bytes, &self.collection);
        bytes.extend((self.documents.len() as u64).to_le_bytes());
        let mut sorted: Vec<(&String, &ContentHash)> = self.documents.iter().collect();
        sorted.sort();
        for (id, hash) in sorted {
            text(&mut bytes, id);
            bytes.extend(hash);
        }
        let sum = crc32fast::hash(&bytes);
        bytes.extend(sum.to_le_bytes());
        bytes
    }
}

/// Where the files of an index are.
fn folder(directory: &Path) -> PathBuf {
    directory.join("sync")
}

/// The name behind the one that the last commit recorded.
fn next_name(known: Option<&str>) -> String {
    let number = known.and_then(|name| name.strip_suffix(".state")?.parse::<u64>().ok());
    format!("{:08}.state", number.map_or(1, |number| number.saturating_add(1)))
}

/// Removes the files that no commit names.
pub(crate) fn remove_leftovers(directory: &Path, payload: &Payload) -> Result<(), SearchError> {
    let folder = folder(directory);
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(&folder).map_err(SearchError::io(&folder))? {
        let entry = entry.map_err(SearchError::io(&folder))?;
        if payload.sync_state.as_deref().is_none_or(|known| entry.file_name() != *known) {
            std::fs::remove_file(entry.path()).map_err(SearchError::io(entry.path()))?;
        }
    }
    Ok(())
}

fn parse(bytes: &[u8]) -> Result<SyncState, &'static str> {
    let cut = "it is cut short";
    let (body, sum) = bytes.split_last_chunk::<4>().ok_or(cut)?;
    if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
        return Err("the checksum does not fit");
    }
    let mut rest = body.strip_prefix(MAGIC).ok_or("it does not begin as such a file does")?;
    let collection = text(&mut rest)?;
    let count = u64::from_le_bytes(array(&mut rest)?);
    let mut documents = HashMap::new();
    for _ in 0..count {
        let id = text(&mut rest)?;
        documents.insert(id, array(&mut rest)?);
    }
    if rest.is_empty() { Ok(SyncState { collection, documents }) } else { Err("it goes on behind its end") }
}

fn array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], &'static str> {
    let mut bytes = [0; N];
    rest.read_exact(&mut bytes).map_err(|_| "it is cut short")?;
    Ok(bytes)
}

fn text(rest: &mut &[u8]) -> Result<String, &'static str> {
    let length = u32::from_le_bytes(array(rest)?) as usize;
    if length > LONGEST {
        return Err("it has a name of impossible length");
    }
    let (text, behind) = rest.split_at_checked(length).ok_or("it is cut short")?;
    *rest = behind;
    String::from_utf8(text.to_vec()).map_err(|_| "it has a name that is no text")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> SyncState {
        let documents = [("a/b.md".to_string(), [7; 32]), ("ü".to_string(), [0; 32])].into();
        SyncState { collection: "/notes".into(), documents }
    }

    #[test]
    fn what_is_written_is_read_again_and_damage_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let mut payload = Payload::default();
        assert_eq!(SyncState::of(folder.path(), &payload).unwrap(), None);
        let name = state().write(folder.path(), &payload).unwrap();
        assert_eq!(name, "00000001.state");
        payload.sync_state = Some(name.clone());
        assert_eq!(SyncState::of(folder.path(), &payload).unwrap(), Some(state()));
        let second = state().write(folder.path(), &payload).unwrap();
        assert_eq!(second, "00000002.state");
        remove_leftovers(folder.path(), &payload).unwrap();
        assert!(!folder.path().join("sync").join(second).exists(), "no commit names it");
        let path = folder.path().join("sync").join(name);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            assert!(parse(&whole[..at]).is_err(), "{at}");
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(parse(&changed).is_err(), "{at}");
        }
        std::fs::remove_file(&path).unwrap();
        let error = SyncState::of(folder.path(), &payload).unwrap_err().to_string();
        assert!(error.contains("00000001.state") && error.contains("missing"), "{error}");
    }

    #[test]
    fn documents_that_change_otherwise_are_taken_out() {
        let left = state().without(&HashSet::from(["ü".to_string(), "none".to_string()]));
        assert_eq!(left.documents.keys().collect::<Vec<_>>(), ["a/b.md"]);
    }
}
