//! A vector for each item, in memory or in a file: what schemes that cluster read, block by block, so that a million vectors need no
//! place in memory.

use crate::{IdsError, Item};
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, PoisonError};

/// Bytes of a number.
const BYTES: usize = size_of::<f32>();
/// Rows that are read at once.
pub(crate) const READ_ROWS: usize = 8192;
/// The greatest number of a vector: squares of it, summed, are numbers still.
const GREATEST: f32 = 1e15;

/// Vectors of one length, a row each.
pub struct VectorTable {
    rows: usize,
    dimension: usize,
    store: Store,
}

enum Store {
    Memory(Vec<f32>),
    File(Mutex<File>),
}

impl fmt::Debug for VectorTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.is_in_file() { "file" } else { "memory" };
        write!(f, "VectorTable({} × {}, in {place})", self.rows, self.dimension)
    }
}

impl VectorTable {
    /// A table of zeros in memory.
    pub fn in_memory(rows: usize, dimension: usize) -> VectorTable {
        VectorTable { rows, dimension, store: Store::Memory(vec![0.0; rows * dimension]) }
    }

    /// A table whose rows stand one after another in a file from its beginning, as little-endian f32. The file has to be readable, and where
    /// rows are set, writable.
    pub fn in_file(file: File, rows: usize, dimension: usize) -> VectorTable {
        VectorTable { rows, dimension, store: Store::File(Mutex::new(file)) }
    }

    /// A table in memory of a vector for each item.
    ///
    /// # Errors
    /// There is not one for each item, or they have no common length or a number that cannot be used.
    pub fn of_rows(items: &[Item], vectors: &[Vec<f64>]) -> Result<VectorTable, IdsError> {
        let (count, found) = (items.len(), vectors.len());
        if count != found {
            return Err(IdsError::Data(format!(
                "there are {count} items and {found} vectors; give one for each"
            )));
        }
        let mut table = VectorTable::in_memory(count, vectors.first().map_or(0, Vec::len));
        for (row, (item, vector)) in items.iter().zip(vectors).enumerate() {
            let vector: Vec<f32> = vector.iter().map(|x| *x as f32).collect();
            table.set(row, &item.id, &vector)?;
        }
        Ok(table)
    }

    /// The same in memory.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn into_memory(self) -> Result<VectorTable, IdsError> {
        if !self.is_in_file() {
            return Ok(self);
        }
        let mut values = vec![0.0; self.rows * self.dimension];
        // Block by block: what is read has its bytes beside its numbers for a moment.
        for (at, block) in values.chunks_mut(READ_ROWS * self.dimension.max(1)).enumerate() {
            self.read(at * READ_ROWS, block)?;
        }
        Ok(VectorTable { store: Store::Memory(values), ..self })
    }

    /// How many vectors there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Numbers of a vector.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Whether they lie in a file.
    pub fn is_in_file(&self) -> bool {
        matches!(self.store, Store::File(_))
    }

    /// Puts the vector of an item into a row; `id` is for messages.
    ///
    /// # Errors
    /// It has another length than the others, or a number that is none or beyond 10¹⁵; the file cannot be written.
    pub fn set(&mut self, row: usize, id: &str, vector: &[f32]) -> Result<(), IdsError> {
        let length = self.dimension;
        if vector.is_empty() || vector.len() != length {
            return Err(IdsError::Data(format!(
                "the vector of `{id}` has {} numbers, the first one {length}; all need the same, one at least",
                vector.len()
            )));
        }
        if let Some(problem) = unusable(vector) {
            return Err(IdsError::Data(format!(
                "the vector of `{id}` has a number that {problem}; leave the item out or make its vector anew"
            )));
        }
        let first = row * length;
        match &mut self.store {
            Store::Memory(values) => values[first..first + length].copy_from_slice(vector),
            Store::File(file) => {
                let file = file.get_mut().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start((first * BYTES) as u64))?;
                file.write_all(&bytes_of(vector))?;
            }
        }
        Ok(())
    }

    /// Reads rows that follow each other, from `first` on, as many as `into` holds.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&self, first: usize, into: &mut [f32]) -> Result<(), IdsError> {
        let place = first * self.dimension;
        match &self.store {
            Store::Memory(values) => into.copy_from_slice(&values[place..place + into.len()]),
            Store::File(file) => {
                let mut bytes = vec![0; into.len() * BYTES];
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start((place * BYTES) as u64))?;
                file.read_exact(&mut bytes)?;
                let numbers = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
                into.iter_mut().zip(numbers).for_each(|(to, from)| *to = from);
            }
        }
        Ok(())
    }

    /// The vectors of some rows, one after another; rows that follow each other are read at once.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn gather(&self, rows: &[usize]) -> Result<Vec<f32>, IdsError> {
        let mut values = vec![0.0; rows.len() * self.dimension];
        let mut from = 0;
        for run in rows.chunk_by(|a, b| a + 1 == *b) {
            let to = from + run.len() * self.dimension;
            self.read(run[0], &mut values[from..to])?;
            from = to;
        }
        Ok(values)
    }

    /// Goes over all vectors in their order, some at a time: told the first row of the block and its vectors, which it may change.
    ///
    /// # Errors
    /// The file cannot be read, or what `look` says.
    pub(crate) fn blocks(
        &self,
        rows: usize,
        mut look: impl FnMut(usize, &mut [f32]) -> Result<(), IdsError>,
    ) -> Result<(), IdsError> {
        let mut block = Vec::new();
        for first in (0..self.rows).step_by(rows.max(1)) {
            block.resize(rows.min(self.rows - first) * self.dimension, 0.0);
            self.read(first, &mut block)?;
            look(first, &mut block)?;
        }
        Ok(())
    }
}

/// What is wrong with a vector, where something is.
fn unusable(vector: &[f32]) -> Option<&'static str> {
    if vector.iter().any(|x| x.is_nan()) {
        return Some("is none");
    }
    vector.iter().any(|x| x.abs() > GREATEST).then_some("is beyond 1e15")
}

/// Numbers as a file of vectors has them.
pub fn bytes_of(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|x| x.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_in_a_file_is_that_in_memory() {
        let items = ["a", "b", "c", "d"].map(Item::new);
        let vectors: Vec<Vec<f64>> = (0..4).map(|at| vec![f64::from(at), 0.5, -1.0]).collect();
        let memory = VectorTable::of_rows(&items, &vectors).unwrap();
        let mut file = VectorTable::in_file(tempfile::tempfile().unwrap(), 4, 3);
        for row in [2, 0, 3, 1] {
            let vector: Vec<f32> = vectors[row].iter().map(|x| *x as f32).collect();
            file.set(row, "x", &vector).unwrap();
        }
        for table in [&memory, &file] {
            assert_eq!(table.gather(&[0, 1, 3]).unwrap(), [0.0, 0.5, -1.0, 1.0, 0.5, -1.0, 3.0, 0.5, -1.0]);
            let mut seen = Vec::new();
            let look = |first: usize, block: &mut [f32]| {
                seen.push((first, block.len()));
                Ok(())
            };
            table.blocks(3, look).unwrap();
            assert_eq!(seen, [(0, 9), (3, 3)]);
        }
        assert!(file.is_in_file() && !memory.is_in_file());
        let loaded = file.into_memory().unwrap();
        assert!(!loaded.is_in_file() && loaded.gather(&[1, 3]).unwrap() == memory.gather(&[1, 3]).unwrap());
        let short = VectorTable::in_file(tempfile::tempfile().unwrap(), 4, 3);
        assert!(short.gather(&[0]).unwrap_err().to_string().contains("file of vectors"));
    }

    #[test]
    fn vectors_that_cannot_be_used_are_named() {
        let items = ["a", "b"].map(Item::new);
        let of =
            |second: Vec<f64>| VectorTable::of_rows(&items, &[vec![1.0], second]).unwrap_err().to_string();
        for (vector, part) in
            [(vec![], "has 0 numbers"), (vec![f64::NAN], "is none"), (vec![1e200], "beyond 1e15")]
        {
            let message = of(vector);
            assert!(message.contains("`b`") && message.contains(part), "{message}");
        }
    }
}
