//! Which document a stored vector belongs to: the other direction of what the inverted index knows.

use crate::snapshot::{NO_VECTOR, Segment};
use crate::vectors::VectorFile;
use tantivy::Searcher;

/// A vector of no living document.
const NOBODY: u64 = u64::MAX;

/// Per file and row: segment in the upper, document in the lower 32 bits.
pub(crate) struct Owners(Vec<Vec<u64>>);

impl Owners {
    /// `segments` with the places of vectors already found.
    pub(crate) fn of(searcher: &Searcher, segments: &[Segment], vectors: &[VectorFile]) -> Owners {
        let mut owners: Vec<Vec<u64>> = vectors.iter().map(|file| vec![NOBODY; file.len()]).collect();
        for (number, (reader, segment)) in searcher.segment_readers().iter().zip(segments).enumerate() {
            for doc in reader.doc_ids_alive() {
                let place = segment.rows[doc as usize];
                if place != NO_VECTOR {
                    owners[(place >> 32) as usize][(place as u32) as usize] =
                        (number as u64) << 32 | u64::from(doc);
                }
            }
        }
        Owners(owners)
    }

    /// Segment and document of the vector at a place (file in the upper, row in the lower 32 bits), if it has a living
    /// one; any number may be asked for.
    pub(crate) fn get(&self, place: u64) -> Option<(usize, usize)> {
        let owner = *self.0.get((place >> 32) as usize)?.get((place as u32) as usize)?;
        (owner != NOBODY).then_some(((owner >> 32) as usize, (owner as u32) as usize))
    }

    /// Places with living documents in the files from one number up to another, ascending.
    pub(crate) fn living(&self, files: std::ops::Range<usize>) -> impl Iterator<Item = u64> {
        let known = files.start.min(self.0.len())..files.end.min(self.0.len());
        let first = known.start;
        self.0[known].iter().enumerate().flat_map(move |(file, rows)| {
            let owned = rows.iter().enumerate().filter(|(_, owner)| **owner != NOBODY);
            owned.map(move |(row, _)| ((first + file) as u64) << 32 | row as u64)
        })
    }
}
