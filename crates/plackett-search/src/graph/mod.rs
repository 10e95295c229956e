//! Approximate search: a graph (HNSW, Malkov and Yashunin, 2016) over the vectors of a committed state.
//!
//! A graph is derived from vector files that never change, and can always be made again. `00000007.hnsw` links the
//! vectors of all files that the commit names up to `00000007.vec`; it says which files those are, with their numbers of
//! vectors and checksums, and is not used with others. It is written beside its place, synced and renamed after the
//! commit whose vectors it links, so the commit stays the only switch: a crash leaves a state without its graph, which
//! is searched exactly. Vectors of later commits are scanned until they are worth an extension of the graph; vectors of
//! documents that are deleted by now are stepping stones only.

#[cfg(not(feature = "usearch"))]
mod absent;
#[cfg(feature = "usearch")]
mod entry;
#[cfg(feature = "usearch")]
mod file;
#[cfg(feature = "usearch")]
mod hnsw;
mod owners;
#[cfg(feature = "usearch")]
mod shape;

#[cfg(not(feature = "usearch"))]
pub(crate) use absent::Graph;
#[cfg(feature = "usearch")]
pub(crate) use hnsw::Graph;
pub(crate) use owners::Owners;

use crate::SearchError;
use crate::index::{Index, Payload};
use crate::snapshot::Snapshot;
use crate::vectors::VectorFile;
use std::fmt;
use std::path::{Path, PathBuf};

/// Vectors from which a graph is made, and from which `search=auto` uses it: below, the scan of all vectors takes a
/// few milliseconds.
pub const HNSW_FROM: usize = 20_000;
/// The graph is extended when more than its size divided by this number are scanned beside it.
const EXTEND_AT: usize = 16;
const TEMPORARY: &str = ".tmp";

/// Told how many vectors of how many are in the graph.
pub(crate) type Progress<'a> = &'a mut dyn FnMut(usize, usize);

/// A graph and the documents of its vectors.
pub(crate) struct Approximate {
    pub graph: Graph,
    pub owners: Owners,
    /// Vectors of living documents that the graph links.
    pub living: usize,
}

/// Why a state has no graph.
#[derive(Clone, Debug)]
pub(crate) enum NoGraph {
    #[cfg_attr(feature = "usearch", allow(dead_code))]
    WithoutUsearch,
    #[cfg_attr(not(feature = "usearch"), allow(dead_code))]
    Missing,
    #[cfg_attr(not(feature = "usearch"), allow(dead_code))]
    Unusable { path: PathBuf, problem: String },
}

impl fmt::Display for NoGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoGraph::WithoutUsearch => f.write_str("built without usearch"),
            NoGraph::Missing => f.write_str("there is no graph of these vectors"),
            NoGraph::Unusable { path, problem } => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                write!(f, "the graph {name} is of no use: {problem}")
            }
        }
    }
}

/// The graph file of a vector file.
fn name_beside(vector_file: &str) -> String {
    format!("{}.hnsw", vector_file.trim_end_matches(".vec"))
}

/// The newest graph file of a commit.
fn newest(folder: &Path, payload: &Payload) -> Option<PathBuf> {
    payload.vector_files.iter().rev().map(|name| folder.join(name_beside(name))).find(|path| path.exists())
}

/// Whether a file in the folder of vectors is a graph that no search needs any more.
pub(crate) fn is_leftover(folder: &Path, name: &str, payload: &Payload) -> bool {
    let graph = name.ends_with(".hnsw") && newest(folder, payload).is_none_or(|path| !path.ends_with(name));
    graph || name.ends_with(".hnsw.tmp")
}

/// The newest graph of a commit that was just read.
pub(crate) fn open(
    folder: &Path,
    payload: &Payload,
    vectors: &std::sync::Arc<Vec<VectorFile>>,
) -> Result<Graph, NoGraph> {
    // A writer that extends the graph renames the new file and then removes the old one; a look that fell between sees
    // neither and has to be repeated.
    let path = newest(folder, payload).or_else(|| newest(folder, payload));
    Graph::open(path.as_deref(), payload, vectors)
}

/// Makes or extends the graph of the index's last commit where that is due, and takes it up. The writer's lock is held.
pub(crate) fn keep(index: &mut Index, from: usize, progress: Progress<'_>) -> Result<(), SearchError> {
    let snapshot = index.snapshot.clone();
    let Some(extended) = due(&snapshot, from) else { return Ok(()) };
    let Some(last) = index.payload.vector_files.last() else { return Ok(()) };
    let path = index.vector_folder().join(name_beside(last));
    let old = snapshot.approximate.as_ref().ok().filter(|_| extended).map(|old| &old.graph);
    let bytes = Graph::make(&snapshot, &index.payload, old, progress)
        .map_err(|problem| SearchError::Graph { path: path.clone(), problem })?;
    let mut temporary = path.clone().into_os_string();
    temporary.push(TEMPORARY);
    let temporary = PathBuf::from(temporary);
    crate::vectors::write_synced(&temporary, &bytes)?;
    std::fs::rename(&temporary, &path).map_err(SearchError::io(&path))?;
    crate::vectors::sync_folder(&path)?;
    drop(snapshot);
    index.reload()?;
    // One that cannot be removed now is removed by the next writer.
    let _ = crate::writer::remove_leftovers(&index.vector_folder(), &index.payload);
    Ok(())
}

/// Whether a graph is due: `Some(true)` to extend the one there is, `Some(false)` to make one.
fn due(snapshot: &Snapshot, from: usize) -> Option<bool> {
    if from == usize::MAX || snapshot.with_vector == 0 {
        return None;
    }
    let stored = |files: &[VectorFile]| files.iter().map(VectorFile::len).sum::<usize>();
    match &snapshot.approximate {
        Err(NoGraph::WithoutUsearch) => None,
        Err(_) => (snapshot.with_vector >= from).then_some(false),
        Ok(old) => {
            let beside = stored(&snapshot.vectors[old.graph.files().min(snapshot.vectors.len())..]);
            (beside > old.graph.len() / EXTEND_AT).then_some(true)
        }
    }
}
