//! Vectors as NumPy keeps them: `.npy`, an array of rows of numbers (the format of NumPy's enhancement proposal 1).

use super::input::{Input, name_of, open_foreign};
use super::{AtomicFile, FormatError};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

const MAGIC: &[u8] = b"\x93NUMPY";
/// Bytes of a header at most; one of two dimensions has about a hundred.
const LONGEST_HEADER: usize = 1 << 16;
/// Numbers of a row at most: a damaged length must not ask for all memory.
const LONGEST_ROW: usize = 1 << 20;

/// The rows of an array of floating-point numbers, one after another.
pub struct NpyRows {
    input: Input<'static>,
    file: String,
    rows: usize,
    dim: usize,
    /// Bytes of a number.
    width: usize,
    read: usize,
    done: bool,
}

impl NpyRows {
    /// Opens an array of two dimensions, packed or not.
    ///
    /// # Errors
    /// It is no such array, or its numbers are not floating-point numbers of 32 or 64 bits in the usual order.
    pub fn open(path: &Path) -> Result<NpyRows, FormatError> {
        let file = name_of(path);
        let mut input = open_foreign(path, None)?;
        let wrong = |problem: &str| FormatError::File {
            file: file.clone(),
            problem: format!(
                "{problem}; write vectors with numpy.save, as a float32 array of one row for each document"
            ),
        };
        let header = header(&mut input).map_err(|problem| wrong(&problem))?;
        let value = |name: &str| Some(header.split_once(&format!("'{name}':"))?.1.trim_start());
        let width = match value("descr").and_then(|rest| rest.split('\'').nth(1)) {
            Some("<f4") => 4,
            Some("<f8") => 8,
            Some(other) => {
                return Err(wrong(&format!("has numbers of the type `{}`", super::error::shown(other))));
            }
            None => return Err(wrong("does not say of which type its numbers are")),
        };
        if !value("fortran_order").is_some_and(|rest| rest.starts_with("False")) {
            return Err(wrong("has its numbers column by column"));
        }
        let shape = value("shape").and_then(|rest| rest.strip_prefix('(')?.split_once(')'));
        let shape: Option<Vec<usize>> = shape.and_then(|(shape, _)| {
            let sizes = shape.split(',').map(str::trim).filter(|size| !size.is_empty());
            sizes.map(|size| size.parse().ok()).collect()
        });
        match shape.as_deref() {
            Some([rows, dim]) if (1..=LONGEST_ROW).contains(dim) => {
                Ok(NpyRows { input, file, rows: *rows, dim: *dim, width, read: 0, done: false })
            }
            _ => Err(wrong("is not an array of rows and columns")),
        }
    }

    /// Rows of the array.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Numbers of a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    fn row(&mut self) -> Result<Vec<f32>, FormatError> {
        let mut bytes = vec![0; self.dim * self.width];
        let row = self.read + 1;
        let failed = |problem: String| FormatError::File { file: self.file.clone(), problem };
        self.input.read_exact(&mut bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => {
                failed(format!("ends within row {row} of {}; write it again", self.rows))
            }
            _ => failed(format!("row {row} cannot be read ({}); write it again", super::plain(&error))),
        })?;
        let numbers = bytes.chunks_exact(self.width).map(|number| match number {
            [a, b, c, d] => f32::from_le_bytes([*a, *b, *c, *d]),
            [a, b, c, d, e, f, g, h] => f64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]) as f32,
            _ => f32::NAN,
        });
        let numbers: Vec<f32> = numbers.collect();
        if numbers.iter().any(|number| !number.is_finite()) {
            return Err(failed(format!("row {row} has a value that is no number; mend what wrote it")));
        }
        Ok(numbers)
    }
}

impl Iterator for NpyRows {
    type Item = Result<Vec<f32>, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done || self.read == self.rows {
            return None;
        }
        let row = self.row();
        self.read += 1;
        self.done = row.is_err();
        Some(row)
    }
}

/// The words of the header, of format version 1, 2 or 3.
fn header(input: &mut Input<'_>) -> Result<String, String> {
    let short = |_| "is no NumPy array".to_string();
    let mut start = [0; 8];
    input.read_exact(&mut start).map_err(short)?;
    if !start.starts_with(MAGIC) {
        return Err("is no NumPy array".into());
    }
    let length = if start[6] == 1 {
        let mut length = [0; 2];
        input.read_exact(&mut length).map_err(short)?;
        usize::from(u16::from_le_bytes(length))
    } else {
        let mut length = [0; 4];
        input.read_exact(&mut length).map_err(short)?;
        u32::from_le_bytes(length) as usize
    };
    if length > LONGEST_HEADER {
        return Err("has a header of impossible length".into());
    }
    let mut words = vec![0; length];
    input.read_exact(&mut words).map_err(short)?;
    String::from_utf8(words).map_err(|_| "has a header that is no text".into())
}

/// An array of rows of 32-bit numbers that is written row by row, and takes its name when it is whole.
pub struct NpyWriter {
    file: AtomicFile,
    name: String,
    left: usize,
    dim: usize,
}

impl NpyWriter {
    /// Begins a file of so many rows.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create(path: &Path, rows: usize, dim: usize) -> Result<NpyWriter, FormatError> {
        let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dim}), }}");
        // Numbers begin at a multiple of 64 bytes; before them come ten bytes and the header, which ends its line.
        while !(10 + header.len() + 1).is_multiple_of(64) {
            header.push(' ');
        }
        header.push('\n');
        let mut file = AtomicFile::create(path)?;
        let name = name_of(path);
        let write = |file: &mut AtomicFile| -> std::io::Result<()> {
            file.write_all(MAGIC)?;
            file.write_all(&[1, 0])?;
            file.write_all(&(header.len() as u16).to_le_bytes())?;
            file.write_all(header.as_bytes())
        };
        write(&mut file).map_err(|source| FormatError::Write { file: name.clone(), source })?;
        Ok(NpyWriter { file, name, left: rows, dim })
    }

    /// The next row, which has as many numbers as all.
    ///
    /// # Errors
    /// The file cannot be written; another number of numbers, or more rows than were promised.
    pub fn push(&mut self, row: &[f32]) -> Result<(), FormatError> {
        if row.len() != self.dim || self.left == 0 {
            return Err(self.other_shape());
        }
        self.left -= 1;
        let bytes: Vec<u8> = row.iter().flat_map(|number| number.to_le_bytes()).collect();
        self.file.write_all(&bytes).map_err(|source| FormatError::Write { file: self.name.clone(), source })
    }

    /// A row of zeros, which stands for a vector that is not there.
    ///
    /// # Errors
    /// As [`NpyWriter::push`].
    pub fn push_zeros(&mut self) -> Result<(), FormatError> {
        self.push(&vec![0.0; self.dim])
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// The file cannot be written; rows are missing.
    pub fn commit(self) -> Result<(), FormatError> {
        if self.left > 0 {
            return Err(self.other_shape());
        }
        self.file.commit()
    }

    fn other_shape(&self) -> FormatError {
        let problem = "has other rows than it was begun for; nothing was changed".to_string();
        FormatError::File { file: self.name.clone(), problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(header: &str, numbers: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(numbers);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Vec<Vec<f32>>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.npy");
        std::fs::write(&path, bytes).unwrap();
        let rows = NpyRows::open(&path).and_then(|rows| rows.collect());
        rows.map_err(|error: FormatError| error.to_string())
    }

    #[test]
    fn what_is_written_is_read_again_packed_or_not() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["v.npy", "v.npy.zst"] {
            let path = folder.path().join(name);
            let mut writer = NpyWriter::create(&path, 2, 3).unwrap();
            writer.push(&[1.0, -2.5, 0.1]).unwrap();
            assert!(writer.push(&[1.0]).is_err() && !path.exists());
            writer.push_zeros().unwrap();
            assert!(writer.push(&[0.0, 0.0, 0.0]).is_err());
            writer.commit().unwrap();
            let rows = NpyRows::open(&path).unwrap();
            assert_eq!((rows.rows(), rows.dim()), (2, 3));
            let rows: Vec<Vec<f32>> = rows.map(|row| row.unwrap()).collect();
            assert_eq!(rows, [[1.0, -2.5, 0.1], [0.0, 0.0, 0.0]]);
        }
        let bytes = std::fs::read(folder.path().join("v.npy")).unwrap();
        assert_eq!(bytes.len(), 128 + 24, "the header fills 128 bytes");
        let unfinished = NpyWriter::create(&folder.path().join("x.npy"), 1, 1).unwrap();
        assert!(unfinished.commit().is_err() && !folder.path().join("x.npy").exists());
    }

    #[test]
    fn numbers_of_64_bits_are_read_too() {
        let numbers: Vec<u8> = [0.5f64, 2.0].iter().flat_map(|number| number.to_le_bytes()).collect();
        let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 1), }\n";
        assert_eq!(read(&saved(header, &numbers)).unwrap(), [[0.5], [2.0]]);
    }

    #[test]
    fn other_arrays_are_refused_by_what_they_are() {
        let two = [0u8; 8];
        let nan: Vec<u8> = [1.0f32, f32::NAN].iter().flat_map(|number| number.to_le_bytes()).collect();
        let header = |descr: &str, order: &str, shape: &str| {
            format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n")
        };
        for (bytes, piece) in [
            (b"words".to_vec(), "no NumPy array"),
            (saved("{}", &[]), "of which type"),
            (saved(&header("<i8", "False", "(2, 1)"), &two), "`<i8`"),
            (saved(&header("<f4", "True", "(2, 1)"), &two), "column by column"),
            (saved(&header("<f4", "False", "(2,)"), &two), "rows and columns"),
            (saved(&header("<f4", "False", "(2, 0)"), &two), "rows and columns"),
            (saved(&header("<f4", "False", "(3, 1)"), &two), "row 3 of 3"),
            (saved(&header("<f4", "False", "(2, 1)"), &nan), "row 2"),
            (saved(&header("<f4", "False", "(1, 9999999999)"), &two), "rows and columns"),
        ] {
            let error = read(&bytes).unwrap_err();
            assert!(error.contains("v.npy") && error.contains(piece), "{error}");
        }
    }
}
