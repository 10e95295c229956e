//! The graph file: 8 bytes magic, u32 version, u32 CRC of all that follows, u64 length of the head, the head (JSON: what
//! the graph links), then usearch's own bytes. Little-endian.

use crate::index::Payload;
use crate::vectors::VectorFile;
use serde::{Deserialize, Serialize};

const MAGIC: &[u8; 8] = b"PLKTHNSW";
const VERSION: u32 = 1;
const FIXED: usize = 24;
/// Where the CRC begins to count.
const COUNTED: usize = 16;

/// A vector file that a graph links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Linked {
    name: String,
    vectors: usize,
    crc: u32,
}

/// What a graph is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Head {
    /// The first files of a commit, in its order.
    pub files: Vec<Linked>,
    /// Vectors in the graph: those whose documents lived when it was made.
    pub nodes: usize,
    /// Squared length to which all vectors are lifted.
    pub bound: f32,
}

impl Head {
    pub(super) fn new(payload: &Payload, vectors: &[VectorFile], nodes: usize, bound: f32) -> Head {
        Head { files: linked(payload, vectors), nodes, bound }
    }

    /// Whether the graph links the first files of a commit.
    pub(super) fn fits(&self, payload: &Payload, vectors: &[VectorFile]) -> bool {
        !self.files.is_empty() && linked(payload, vectors).starts_with(&self.files)
    }
}

fn linked(payload: &Payload, vectors: &[VectorFile]) -> Vec<Linked> {
    let files = payload.vector_files.iter().zip(vectors);
    files.map(|(name, file)| Linked { name: name.clone(), vectors: file.len(), crc: file.crc() }).collect()
}

/// A whole file; `graph` writes usearch's bytes into a place of `length` bytes.
pub(super) fn write(
    head: &Head,
    length: usize,
    graph: impl FnOnce(&mut [u8]) -> Result<(), String>,
) -> Result<Vec<u8>, String> {
    let head = serde_json::to_vec(head).map_err(|e| e.to_string())?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend((head.len() as u64).to_le_bytes());
    bytes.extend(head);
    let start = bytes.len();
    bytes.resize(start + length, 0);
    graph(&mut bytes[start..])?;
    let crc = crc32fast::hash(&bytes[COUNTED..]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    Ok(bytes)
}

/// Checks a file and returns its head and where usearch's bytes begin.
pub(super) fn read(bytes: &[u8]) -> Result<(Head, usize), String> {
    if bytes.len() < FIXED || &bytes[..8] != MAGIC {
        return Err("it is not a graph file".into());
    }
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    if word(8) != VERSION {
        return Err(format!("it has version {}, this program reads {VERSION}", word(8)));
    }
    if crc32fast::hash(&bytes[COUNTED..]) != word(12) {
        return Err("the checksum does not fit".into());
    }
    let length = usize::try_from(u64::from(word(16)) | u64::from(word(20)) << 32).ok();
    let end = length.and_then(|length| length.checked_add(FIXED)).filter(|end| *end <= bytes.len());
    let end = end.ok_or("its head is longer than the file")?;
    let head = serde_json::from_slice(&bytes[FIXED..end]).map_err(|e| format!("its head: {e}"))?;
    Ok((head, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_damaged_byte_is_found() {
        let files = vec![Linked { name: "00000001.vec".into(), vectors: 3, crc: 7 }];
        let head = Head { files, nodes: 3, bound: 1.25 };
        let good = write(&head, 4, |bytes| {
            bytes.copy_from_slice(b"hnsw");
            Ok(())
        });
        let good = good.unwrap();
        let (read_head, start) = read(&good).unwrap();
        assert_eq!((read_head, &good[start..]), (head, &b"hnsw"[..]));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 4;
            assert!(read(&bad).is_err(), "byte {at}");
            assert!(read(&good[..at]).is_err(), "{at} bytes");
        }
    }
}
