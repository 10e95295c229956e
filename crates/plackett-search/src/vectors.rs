//! Vector files: one per commit, written whole and synced before the commit that names them.
//!
//! Layout, little-endian: 8 bytes magic, u32 version, u32 format (0 f32, 1 int8), u32 dimension, u32 CRC of the data,
//! u64 count; then `count` vectors. An int8 vector is its f32 scale and `dimension` bytes. Version 2, a compacted file of
//! several commits, has before its vectors their addresses in the inverted index: `count` ascending u64.

use crate::{SearchError, VectorFormat};
use std::fs::File;
use std::io::{BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"PLKTVEC\0";
const PLAIN: u32 = 1;
const COMPACTED: u32 = 2;
const HEADER: usize = 32;
/// Bytes of an address.
const ADDRESS: usize = 8;

/// The vectors of one commit, or the living ones of several.
pub(crate) struct VectorFile {
    bytes: memmap2::Mmap,
    format: VectorFormat,
    dim: usize,
    count: usize,
    crc: u32,
    /// First byte of the vectors.
    start: usize,
}

/// What the header says, checked against the number of bytes.
pub struct VectorHeader {
    /// Number format.
    pub format: VectorFormat,
    /// Numbers per vector.
    pub dim: usize,
    /// Vectors.
    pub count: usize,
    /// CRC-32 of the data.
    pub crc: u32,
    /// Whether the vectors of several commits are there, after their addresses.
    pub compacted: bool,
}

fn stride(format: VectorFormat, dim: usize) -> usize {
    match format {
        VectorFormat::F32 => 4 * dim,
        VectorFormat::Int8 => 4 + dim,
    }
}

/// Reads the header of vector file bytes; `path` is for messages.
pub fn parse_header(bytes: &[u8], path: &Path) -> Result<VectorHeader, SearchError> {
    let corrupt = |problem: String| SearchError::Corrupt { path: path.into(), problem };
    if bytes.len() < HEADER || &bytes[..8] != MAGIC {
        return Err(corrupt("not a vector file".into()));
    }
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    if word(8) > COMPACTED {
        return Err(SearchError::Newer { path: path.into(), found: word(8).into(), known: COMPACTED.into() });
    }
    let compacted = match word(8) {
        PLAIN => false,
        COMPACTED => true,
        other => return Err(corrupt(format!("vector file version {other} is unknown"))),
    };
    let format = match word(12) {
        0 => VectorFormat::F32,
        1 => VectorFormat::Int8,
        other => return Err(corrupt(format!("vector format {other} is unknown"))),
    };
    let dim = word(16) as usize;
    if dim == 0 {
        // Any count of such vectors would fit the file, and a search would go through all of them.
        return Err(corrupt("vectors of 0 numbers".into()));
    }
    let address = if compacted { ADDRESS } else { 0 };
    let count = u64::from(word(24)) | u64::from(word(28)) << 32;
    let expected = usize::try_from(count).ok().and_then(|n| n.checked_mul(stride(format, dim) + address));
    if expected.and_then(|n| n.checked_add(HEADER)) != Some(bytes.len()) {
        return Err(corrupt(format!("{count} vectors of {dim} numbers do not fit {} bytes", bytes.len())));
    }
    Ok(VectorHeader { format, dim, count: count as usize, crc: word(20), compacted })
}

/// The vectors of a commit on their way into their file, so that memory does not grow with their number. Dropped before
/// the end it leaves no file.
pub(crate) struct VectorWriter {
    out: BufWriter<File>,
    path: PathBuf,
    format: VectorFormat,
    dim: usize,
    count: usize,
    crc: crc32fast::Hasher,
    /// One vector as it is stored.
    bytes: Vec<u8>,
    finished: bool,
}

impl VectorWriter {
    /// Begins a file that no commit names yet.
    pub(crate) fn create(path: &Path, format: VectorFormat, dim: usize) -> Result<VectorWriter, SearchError> {
        let file = File::create(path).map_err(SearchError::io(path))?;
        let mut writer = VectorWriter {
            out: BufWriter::with_capacity(1 << 20, file),
            path: path.into(),
            format,
            dim,
            count: 0,
            crc: crc32fast::Hasher::new(),
            bytes: Vec::new(),
            finished: false,
        };
        // The checksum is known at the end; a file without one is named by no commit.
        writer.out.write_all(&[0; HEADER]).map_err(SearchError::io(path))?;
        Ok(writer)
    }

    /// Vectors so far: the row of the next one.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Adds a vector of `dim` numbers.
    pub(crate) fn push(&mut self, vector: &[f32]) -> Result<(), SearchError> {
        self.bytes.clear();
        match self.format {
            VectorFormat::F32 => self.bytes.extend(vector.iter().flat_map(|x| x.to_le_bytes())),
            VectorFormat::Int8 => {
                let scale = vector.iter().fold(0.0f32, |m, x| m.max(x.abs())) / 127.0;
                self.bytes.extend(scale.to_le_bytes());
                let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
                self.bytes.extend(vector.iter().map(|x| (x * inverse).round() as i8 as u8));
            }
        }
        self.crc.update(&self.bytes);
        self.count += 1;
        self.out.write_all(&self.bytes).map_err(SearchError::io(&self.path))
    }

    /// Writes the header, and waits for the disk.
    pub(crate) fn finish(mut self) -> Result<(), SearchError> {
        let header = header(PLAIN, self.format, self.dim, self.count, self.crc.clone().finalize());
        let out = &mut self.out;
        let written = out.rewind().and_then(|()| out.write_all(&header)).and_then(|()| out.flush());
        written.map_err(SearchError::io(&self.path))?;
        sync(self.out.get_ref(), &self.path)?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for VectorWriter {
    fn drop(&mut self) {
        if !self.finished {
            // What cannot be removed now is removed by the next writer.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Writes vectors (`count × dim`) under a name that does not exist yet, and waits for the disk.
#[cfg(test)]
pub(crate) fn write(
    path: &Path,
    format: VectorFormat,
    dim: usize,
    vectors: &[f32],
) -> Result<(), SearchError> {
    let mut writer = VectorWriter::create(path, format, dim)?;
    vectors.chunks_exact(dim).try_for_each(|vector| writer.push(vector))?;
    writer.finish()
}

/// Writes a file, and waits for the disk.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), SearchError> {
    let mut file = File::create(path).map_err(SearchError::io(path))?;
    file.write_all(bytes).map_err(SearchError::io(path))?;
    sync(&file, path)
}

/// Writes vectors of other files under a new name, each as (address, place), ascending by address, and waits for the
/// disk. `bytes` gives what a place holds.
pub(crate) fn write_compacted<'a>(
    path: &Path,
    format: VectorFormat,
    dim: usize,
    living: &[(u64, u64)],
    bytes: impl Fn(u64) -> &'a [u8],
) -> Result<(), SearchError> {
    let mut crc = crc32fast::Hasher::new();
    let file = File::create(path).map_err(SearchError::io(path))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let mut write = || -> std::io::Result<()> {
        // The checksum is known at the end; a file without one is named by no commit.
        out.write_all(&[0; HEADER])?;
        for (address, _) in living {
            crc.update(&address.to_le_bytes());
            out.write_all(&address.to_le_bytes())?;
        }
        for (_, place) in living {
            crc.update(bytes(*place));
            out.write_all(bytes(*place))?;
        }
        out.rewind()?;
        out.write_all(&header(COMPACTED, format, dim, living.len(), crc.clone().finalize()))?;
        out.flush()
    };
    write().map_err(SearchError::io(path))?;
    sync(out.get_ref(), path)
}

fn header(version: u32, format: VectorFormat, dim: usize, count: usize, crc: u32) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    for word in [version, format as u32, dim as u32, crc] {
        header.extend(word.to_le_bytes());
    }
    header.extend((count as u64).to_le_bytes());
    header
}

/// Waits until a file and its name are on the disk.
fn sync(file: &std::fs::File, path: &Path) -> Result<(), SearchError> {
    file.sync_all().map_err(SearchError::io(path))?;
    sync_folder(path)
}

/// Waits until the name of a file is on the disk.
pub(crate) fn sync_folder(path: &Path) -> Result<(), SearchError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::File::open(folder).and_then(|f| f.sync_all()).map_err(SearchError::io(folder))
}

impl VectorFile {
    /// Maps a file and checks its header; the data are checked by [`VectorFile::verify`] only.
    pub(crate) fn open(path: &Path, dim: usize) -> Result<VectorFile, SearchError> {
        let file = std::fs::File::open(path).map_err(SearchError::io(path))?;
        // SAFETY: vector files are never changed after they were written; whoever truncates one under a running
        // search ends the process, as with every memory-mapped index.
        #[allow(unsafe_code)]
        let bytes = unsafe { memmap2::Mmap::map(&file) }.map_err(SearchError::io(path))?;
        let header = parse_header(&bytes, path)?;
        if header.dim != dim {
            let problem = format!("vectors of {} numbers, the index has {dim}", header.dim);
            return Err(SearchError::Corrupt { path: path.into(), problem });
        }
        let start = HEADER + if header.compacted { header.count * ADDRESS } else { 0 };
        Ok(VectorFile { format: header.format, dim, count: header.count, crc: header.crc, start, bytes })
    }

    /// Number of vectors.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// CRC-32 of the data, by the header.
    #[cfg(feature = "usearch")]
    pub(crate) fn crc(&self) -> u32 {
        self.crc
    }

    /// Checks the data against the header's checksum.
    pub(crate) fn verify(&self, path: &Path) -> Result<(), SearchError> {
        if crc32fast::hash(&self.bytes[HEADER..]) != self.crc {
            return Err(SearchError::Corrupt {
                path: path.into(),
                problem: "the checksum does not fit".into(),
            });
        }
        Ok(())
    }

    /// A vector as it is stored; `row` is below [`VectorFile::len`].
    pub(crate) fn bytes_of(&self, row: usize) -> &[u8] {
        let size = stride(self.format, self.dim);
        &self.bytes[self.start + row * size..][..size]
    }

    /// The address of a row of a compacted file.
    pub(crate) fn address(&self, row: usize) -> Option<u64> {
        self.bytes[HEADER..self.start].as_chunks::<ADDRESS>().0.get(row).map(|b| u64::from_le_bytes(*b))
    }

    /// The row of an address in a compacted file.
    pub(crate) fn find(&self, address: u64) -> Option<usize> {
        let addresses = self.bytes[HEADER..self.start].as_chunks::<ADDRESS>().0;
        addresses.binary_search_by_key(&address, |b| u64::from_le_bytes(*b)).ok()
    }

    /// The numbers of a vector; `row` is below [`VectorFile::len`].
    pub(crate) fn numbers(&self, row: usize) -> Vec<f32> {
        let bytes = self.bytes_of(row);
        match self.format {
            VectorFormat::F32 => bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            VectorFormat::Int8 => {
                let (scale, levels) = scaled(bytes);
                levels.iter().map(|b| scale * f32::from(*b as i8)).collect()
            }
        }
    }

    /// Dot product of a query with vector `row`, which is below [`VectorFile::len`].
    pub(crate) fn dot(&self, row: usize, query: &[f32]) -> f32 {
        let bytes = self.bytes_of(row);
        match self.format {
            VectorFormat::F32 => lanes(query, bytes.as_chunks::<4>().0, |q, b| q * f32::from_le_bytes(*b)),
            VectorFormat::Int8 => {
                let (scale, levels) = scaled(bytes);
                scale * lanes(query, levels, |q, b| q * f32::from(*b as i8))
            }
        }
    }

    /// Dot product of two stored vectors of one index; the rows are below their files' [`VectorFile::len`].
    #[cfg(feature = "usearch")]
    pub(crate) fn dot_stored(&self, row: usize, other: &VectorFile, other_row: usize) -> f32 {
        let (left, right) = (self.bytes_of(row), other.bytes_of(other_row));
        match self.format {
            VectorFormat::F32 => lanes(left.as_chunks::<4>().0, right.as_chunks::<4>().0, |a, b| {
                f32::from_le_bytes(*a) * f32::from_le_bytes(*b)
            }),
            VectorFormat::Int8 => {
                let ((scale, left), (other_scale, right)) = (scaled(left), scaled(right));
                // Whole numbers, in pieces whose sums fit.
                let pieces = left.chunks(1 << 16).zip(right.chunks(1 << 16));
                let product = |(a, b): (&u8, &u8)| i32::from(*a as i8) * i32::from(*b as i8);
                let sums = pieces.map(|(a, b)| a.iter().zip(b).map(product).sum::<i32>() as f32);
                scale * other_scale * sums.sum::<f32>()
            }
        }
    }
}

/// Scale and levels of an int8 vector.
fn scaled(bytes: &[u8]) -> (f32, &[u8]) {
    let (scale, levels) = bytes.split_at(4);
    (f32::from_le_bytes([scale[0], scale[1], scale[2], scale[3]]), levels)
}

/// A sum of products in sixteen lanes: it vectorises and has one fixed order of additions.
#[inline(always)]
fn lanes<A, B>(left: &[A], right: &[B], product: impl Fn(&A, &B) -> f32) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0f32; LANES];
    let (mut left, mut right) = (left.chunks_exact(LANES), right.chunks_exact(LANES));
    for (a, b) in (&mut left).zip(&mut right) {
        for i in 0..LANES {
            sums[i] += product(&a[i], &b[i]);
        }
    }
    let rest: f32 = left.remainder().iter().zip(right.remainder()).map(|(a, b)| product(a, b)).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_give_the_dot_products_back() {
        let folder = tempfile::tempdir().unwrap();
        let vectors: Vec<f32> = (0..3 * 37).map(|i| ((i * 31) % 17) as f32 / 8.0 - 1.0).collect();
        let query: Vec<f32> = (0..37).map(|i| (i as f32 * 0.37).sin()).collect();
        for (format, tolerance) in [(VectorFormat::F32, 1e-5), (VectorFormat::Int8, 0.1)] {
            let path = folder.path().join(format!("{format:?}"));
            write(&path, format, 37, &vectors).unwrap();
            let file = VectorFile::open(&path, 37).unwrap();
            file.verify(&path).unwrap();
            assert_eq!(file.len(), 3);
            for row in 0..3 {
                let expected: f32 = vectors[row * 37..][..37].iter().zip(&query).map(|(v, q)| v * q).sum();
                assert!((file.dot(row, &query) - expected).abs() < tolerance);
            }
        }
    }

    #[test]
    fn damage_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v");
        write(&path, VectorFormat::F32, 4, &[0.5; 8]).unwrap();
        let good = std::fs::read(&path).unwrap();
        let header = |bytes: &[u8]| parse_header(bytes, &path).err().map(|e| e.to_string());
        assert!(header(&good[..20]).unwrap().contains("not a vector file"));
        assert!(header(&good[..good.len() - 1]).unwrap().contains("do not fit"));
        let mut newer = good.clone();
        newer[8] = 9;
        assert!(header(&newer).unwrap().contains("version 9"));
        let mut older = good.clone();
        older[8] = 0;
        assert!(header(&older).unwrap().contains("version 0 is unknown"));
        let mut nothing = good[..HEADER].to_vec();
        nothing[16] = 0;
        assert!(header(&nothing).unwrap().contains("0 numbers"));
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        std::fs::write(&path, flipped).unwrap();
        assert!(VectorFile::open(&path, 4).unwrap().verify(&path).is_err());
        assert!(VectorFile::open(&path, 5).is_err());
    }
}
