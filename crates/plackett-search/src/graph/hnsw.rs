//! The graph itself, by usearch.

use super::entry::{BYTES, Entry};
use super::file::{self, Head};
use super::{NoGraph, Progress, shape};
use crate::index::Payload;
use crate::snapshot::Snapshot;
use crate::vectors::VectorFile;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

/// Candidates that are looked at to find the links of a new node.
const EF_BUILD: usize = 128;
/// Longer vectors than the longest so far by this much, squared, and the graph is made anew: lifts would be wrong.
const LONGER: f32 = 1.02;
/// Vectors added between two reports of progress.
const REPORT_EVERY: usize = 500;

/// A graph that can be searched.
pub(crate) struct Graph {
    /// Reads `bytes` in place, and is dropped before them: fields are, in their order.
    index: Index,
    bytes: memmap2::Mmap,
    head: Head,
    searches: Semaphore,
}

impl Graph {
    pub(crate) fn open(
        path: Option<&Path>,
        payload: &Payload,
        vectors: &Arc<Vec<VectorFile>>,
    ) -> Result<Graph, NoGraph> {
        let path = path.ok_or(NoGraph::Missing)?;
        let unusable = |problem: String| NoGraph::Unusable { path: path.into(), problem };
        let file = std::fs::File::open(path).map_err(|e| unusable(e.to_string()))?;
        // SAFETY: graph files are never changed after they were renamed into place; whoever truncates one under a running
        // search ends the process, as with every memory-mapped index.
        #[allow(unsafe_code)]
        let bytes = unsafe { memmap2::Mmap::map(&file) }.map_err(|e| unusable(e.to_string()))?;
        let (head, start) = file::read(&bytes).map_err(unusable)?;
        if !head.fits(payload, vectors) {
            return Err(unusable("it links other vectors than the index has".into()));
        }
        if !shape::is_sound(&bytes[start..], head.nodes) {
            return Err(unusable("its links lead nowhere".into()));
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut index = empty(threads).map_err(unusable)?;
        // SAFETY: the bytes are mapped as long as this graph lives, which keeps them, and nobody writes to them. They were
        // checked above: every length and link that usearch follows stays inside them.
        #[allow(unsafe_code)]
        unsafe { index.view_from_buffer(&bytes[start..]) }.map_err(|e| unusable(e.to_string()))?;
        measure(&mut index, vectors.clone());
        Ok(Graph { index, bytes, head, searches: Semaphore::new(threads) })
    }

    /// Vectors in the graph.
    pub(crate) fn len(&self) -> usize {
        self.head.nodes
    }

    /// How many of the commit's vector files it links: the first ones.
    pub(crate) fn files(&self) -> usize {
        self.head.files.len()
    }

    /// Places of up to `count` vectors near `query` for which `alive` holds, in no order to rely on. Fewer come back only
    /// when no more can be reached.
    pub(crate) fn search(
        &self,
        query: &[f32],
        count: usize,
        alive: impl Fn(u64) -> bool,
    ) -> Result<Vec<u64>, String> {
        let _permit = self.searches.acquire();
        let asked = Entry::asking(query).to_bytes();
        let found = self.index.filtered_search(&asked, count, alive).map_err(said)?;
        Ok(found.keys)
    }

    /// The bytes of a graph file for all living vectors of a state. An `old` graph of its first files is extended.
    ///
    /// One thread adds them in the order of their places, so that the same commits give the same bytes.
    pub(crate) fn make(
        snapshot: &Snapshot,
        payload: &Payload,
        old: Option<&Graph>,
        progress: Progress<'_>,
    ) -> Result<Vec<u8>, String> {
        let vectors = &snapshot.vectors;
        let known = old.map_or(0, Graph::files);
        let owners = snapshot.owners();
        let new: Vec<(u64, f32)> =
            owners.living(known..vectors.len()).map(|place| (place, square(vectors, place))).collect();
        let longest = new.iter().fold(0.0f32, |longest, (_, square)| longest.max(*square));
        if old.is_some_and(|old| longest > old.head.bound * LONGER) {
            return Graph::make(snapshot, payload, None, progress);
        }
        let (bound, nodes) = (old.map_or(longest, |old| old.head.bound), old.map_or(0, Graph::len));
        let mut index = empty(1)?;
        if let Some(old) = old {
            let (_, start) = file::read(&old.bytes)?;
            index.load_from_buffer(&old.bytes[start..]).map_err(said)?;
        }
        index.reserve_capacity_and_threads(nodes + new.len(), 1).map_err(said)?;
        measure(&mut index, vectors.clone());
        for (number, (place, square)) in new.iter().enumerate() {
            if number % REPORT_EVERY == 0 {
                progress(nodes + number, nodes + new.len());
            }
            index.add(*place, &Entry::new(*place, *square, bound).to_bytes()).map_err(said)?;
        }
        progress(nodes + new.len(), nodes + new.len());
        let head = Head::new(payload, vectors, nodes + new.len(), bound);
        file::write(&head, index.serialized_length(), |place| index.save_to_buffer(place).map_err(said))
    }
}

/// What usearch said.
fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn square(vectors: &[VectorFile], place: u64) -> f32 {
    let (file, row) = (&vectors[(place >> 32) as usize], (place as u32) as usize);
    file.dot_stored(row, file, row)
}

/// A graph without nodes. Threads are said first: usearch gives each a stream of random numbers of its own.
fn empty(threads: usize) -> Result<Index, String> {
    let options = IndexOptions {
        dimensions: BYTES,
        metric: MetricKind::IP,
        quantization: ScalarKind::I8,
        connectivity: shape::CONNECTIVITY,
        expansion_add: EF_BUILD,
        // The number of results asked for is the smallest breadth of a search, and the only one used here.
        expansion_search: 1,
        multi: false,
    };
    let index = Index::new(&options).map_err(said)?;
    index.reserve_capacity_and_threads(0, threads).map_err(said)?;
    Ok(index)
}

/// Makes usearch measure by the vector files.
fn measure(index: &mut Index, vectors: Arc<Vec<VectorFile>>) {
    let entry = |bytes: *const i8| {
        // SAFETY: usearch calls the metric with entries of the graph and with what was given to `add` and to a search:
        // all have `BYTES` bytes, the dimensions with which the graph was made and its shape checked.
        #[allow(unsafe_code)]
        let bytes = unsafe { &*bytes.cast::<[u8; BYTES]>() };
        Entry::from_bytes(bytes)
    };
    index.change_metric::<i8>(Box::new(move |a, b| entry(a).distance(entry(b), &vectors)));
}

/// As many searches at once as usearch has room for; more wait (the standard library has no semaphore).
struct Semaphore {
    free: Mutex<usize>,
    released: Condvar,
}

struct Permit<'a>(&'a Semaphore);

impl Semaphore {
    fn new(count: usize) -> Semaphore {
        Semaphore { free: Mutex::new(count), released: Condvar::new() }
    }

    fn acquire(&self) -> Permit<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self.released.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Permit(self)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.released.notify_one();
    }
}
