//! Giving back the room of vectors that no document has any more.
//!
//! The inverted index says of each document in which commit's vectors its own lies, and at which row: its address, which
//! never changes. A compacted file holds the living vectors of all commits before it, each under its address. It is
//! written and synced first; a commit without changes then names it instead of the old files, which are removed last. A
//! crash between these steps leaves one of the two states, and files that the next writer removes.

use crate::index::Payload;
use crate::snapshot::{NO_VECTOR, Snapshot};
use crate::vectors::{self, VectorFile};
use crate::{SearchError, VectorFormat};
use std::path::Path;

/// Whether more than a third of the stored vectors belong to no document.
pub(crate) fn is_due(stored: usize, living: usize) -> bool {
    // Rows of one file are numbered in 32 bits.
    stored.saturating_sub(living) > stored / 3 && living < u32::MAX as usize
}

/// Writes the living vectors of a state into one file and returns what the next commit has to record.
pub(crate) fn compact(
    snapshot: &Snapshot,
    payload: &Payload,
    folder: &Path,
    format: VectorFormat,
    dim: usize,
) -> Result<Payload, SearchError> {
    // Address, and where the vector is now.
    let mut living: Vec<(u64, u64)> = Vec::with_capacity(snapshot.passages);
    for (reader, segment) in snapshot.searcher.segment_readers().iter().zip(&snapshot.segments) {
        let column = reader.fast_fields().u64(crate::schema::VECTOR);
        let column = column.map_err(SearchError::from_tantivy(folder))?;
        let pairs = reader.doc_ids_alive().filter_map(|doc| {
            let row = segment.rows[doc as usize];
            Some((column.first(doc)?, row)).filter(|_| row != NO_VECTOR)
        });
        living.extend(pairs);
    }
    living.sort_unstable();
    let name = payload.next_name();
    let bytes = |row: u64| snapshot.vectors[(row >> 32) as usize].bytes_of((row as u32) as usize);
    vectors::write_compacted(&folder.join(&name), format, dim, &living, bytes)?;
    Ok(Payload {
        vector_files: vec![name],
        next_vector_file: payload.next_vector_file + 1,
        compacted: payload.next_slot(),
        sync_state: payload.sync_state.clone(),
    })
}

/// Finds vectors by address in the files that a commit names.
pub(crate) struct Locator<'a> {
    files: &'a [VectorFile],
    compacted: u64,
    /// Where the next address of a compacted file probably is: segments hold documents in the order of their addresses.
    next: usize,
}

impl<'a> Locator<'a> {
    /// `compacted` commits are in the first file.
    pub(crate) fn new(files: &'a [VectorFile], compacted: u64) -> Self {
        Locator { files, compacted, next: 0 }
    }

    /// File in the upper, row in the lower 32 bits; `None` where no vector has this address.
    pub(crate) fn find(&mut self, address: u64) -> Option<u64> {
        let (slot, row) = (address >> 32, (address as u32) as usize);
        if slot < self.compacted {
            let file = self.files.first()?;
            let row = match file.address(self.next) {
                Some(found) if found == address => self.next,
                _ => file.find(address)?,
            };
            self.next = row + 1;
            return Some(row as u64);
        }
        let file = slot - self.compacted + u64::from(self.compacted > 0);
        let known = row < self.files.get(usize::try_from(file).ok()?)?.len();
        known.then_some(file << 32 | row as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_a_third_is_due() {
        for (stored, living, due) in
            [(0, 0, false), (3, 2, false), (3, 1, true), (9, 6, false), (100, 66, true)]
        {
            assert_eq!(is_due(stored, living), due, "{living} of {stored}");
        }
    }

    #[test]
    fn addresses_lead_to_the_same_bytes_after_two_compactions() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let stored = |values: [f32; 3]| values.map(|x| [x, 1.0]).concat();
        for (format, name) in [(VectorFormat::F32, "f"), (VectorFormat::Int8, "i")] {
            let plain = path(&format!("{name}0"));
            vectors::write(&plain, format, 2, &stored([2.0, 3.0, 4.0])).unwrap();
            let old = VectorFile::open(&plain, 2).unwrap();
            let living = [(1u64, 1u64), (2, 2)];
            let target = path(&format!("{name}1"));
            vectors::write_compacted(&target, format, 2, &living, |row| old.bytes_of(row as usize)).unwrap();
            let file = VectorFile::open(&target, 2).unwrap();
            file.verify(&target).unwrap();
            let later = path(&format!("{name}2"));
            vectors::write(&later, format, 2, &stored([5.0, 6.0, 7.0])).unwrap();
            let files = [file, VectorFile::open(&later, 2).unwrap()];
            let mut locator = Locator::new(&files, 1);
            // In and against the order; a removed one, one of a later commit, and rows and commits that are not there.
            for (address, place) in [
                (1, Some(0)),
                (2, Some(1)),
                (1, Some(0)),
                (0, None),
                (1 << 32 | 2, Some(1 << 32 | 2)),
                (1 << 32 | 3, None),
                (2 << 32, None),
                (NO_VECTOR, None),
            ] {
                assert_eq!(locator.find(address), place, "{address:x}");
            }
            assert_eq!(files[0].bytes_of(0), old.bytes_of(1));
            assert_eq!(files[0].dot(1, &[1.0, 0.0]), old.dot(2, &[1.0, 0.0]));
        }
    }
}
