//! What the graph keeps of a vector, and how far two of them are apart.
//!
//! The graph keeps no vectors but where they are: distances are computed from the vector files, in f32, as in the exact
//! scan. HNSW wants a distance; the nearest by it must be those with the largest dot product, whatever their lengths. So
//! each vector gets one more number, its lift √(bound² − |x|²), which makes all of them equally long (Bachrach et al.,
//! Speeding Up the Xbox Recommender System, 2014); a query has lift 0.

use crate::vectors::VectorFile;
use std::cell::RefCell;

/// Bytes of an entry.
pub(super) const BYTES: usize = 16;
/// The place of the vector that is searched for.
const QUERY: u64 = u64::MAX;
/// Farther than any vector: for entries that no sound graph has.
const NOWHERE: f32 = f32::MAX;

thread_local! {
    /// The vector that this thread searches for.
    static ASKED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// One vector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Entry {
    /// File in the upper, row in the lower 32 bits.
    place: u64,
    /// |x|².
    square: f32,
    /// √(bound² − |x|²), 0 for a longer vector.
    lift: f32,
}

impl Entry {
    /// The vector at a place; `square` is its squared length, `bound` that of the longest.
    pub(super) fn new(place: u64, square: f32, bound: f32) -> Entry {
        Entry { place, square, lift: (bound - square).max(0.0).sqrt() }
    }

    /// Makes a vector the one that this thread searches for.
    pub(super) fn asking(vector: &[f32]) -> Entry {
        ASKED.with_borrow_mut(|asked| {
            asked.clear();
            asked.extend_from_slice(vector);
        });
        Entry { place: QUERY, square: 0.0, lift: 0.0 }
    }

    pub(super) fn to_bytes(self) -> [i8; BYTES] {
        let mut bytes = [0; BYTES];
        let parts = self.place.to_le_bytes().into_iter();
        let parts = parts.chain(self.square.to_le_bytes()).chain(self.lift.to_le_bytes());
        bytes.iter_mut().zip(parts).for_each(|(byte, part)| *byte = part as i8);
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; BYTES]) -> Entry {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Entry {
            place: u64::from(word(0)) | u64::from(word(4)) << 32,
            square: f32::from_bits(word(8)),
            lift: f32::from_bits(word(12)),
        }
    }

    /// How far two entries are apart; never panics, since its caller is C++.
    pub(super) fn distance(self, other: Entry, vectors: &[VectorFile]) -> f32 {
        let (stored, other) = if self.place == QUERY { (other, self) } else { (self, other) };
        let Some((file, row)) = find(vectors, stored.place) else { return NOWHERE };
        if other.place == QUERY {
            let dot = ASKED.try_with(|asked| asked.try_borrow().ok().map(|asked| file.dot(row, &asked)));
            return dot.ok().flatten().map_or(NOWHERE, |dot| -dot);
        }
        let Some((other_file, other_row)) = find(vectors, other.place) else { return NOWHERE };
        let apart = stored.lift - other.lift;
        stored.square + other.square - 2.0 * file.dot_stored(row, other_file, other_row) + apart * apart
    }
}

fn find(vectors: &[VectorFile], place: u64) -> Option<(&VectorFile, usize)> {
    let file = vectors.get((place >> 32) as usize)?;
    let row = (place as u32) as usize;
    (row < file.len()).then_some((file, row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VectorFormat;

    #[test]
    fn the_nearest_have_the_largest_dot_products_whatever_their_lengths() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v");
        let values = [3.0, 0.0, 0.0, 1.0, 0.5, 0.5];
        crate::vectors::write(&path, VectorFormat::F32, 2, &values).unwrap();
        let files = [VectorFile::open(&path, 2).unwrap()];
        let squares = [9.0, 1.0, 0.5];
        let entry = |row: usize| Entry::new(row as u64, squares[row], 9.0);
        assert_eq!(Entry::from_bytes(&entry(2).to_bytes().map(|b| b as u8)), entry(2));
        let query = Entry::asking(&[1.0, 2.0]);
        let apart = [0, 1, 2].map(|row| query.distance(entry(row), &files));
        assert_eq!(apart, [-3.0, -2.0, -1.5]);
        assert_eq!(entry(1).distance(query, &files), -2.0);
        // |x−y|² with the lifts 0 and √8.
        assert!((entry(0).distance(entry(1), &files) - 18.0).abs() < 1e-5);
        for place in [3, 1 << 32, QUERY - 1] {
            assert_eq!(Entry::new(place, 1.0, 9.0).distance(entry(0), &files), NOWHERE);
            assert_eq!(query.distance(Entry::new(place, 1.0, 9.0), &files), NOWHERE);
        }
        assert_eq!(query.distance(query, &files), NOWHERE);
    }
}
