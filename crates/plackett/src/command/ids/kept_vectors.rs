//! Vectors that are kept block by block while they are made, so that a build that was killed loses the last block at most.
//!
//! They lie in the folder `CATALOGUE.unfinished`: `vectors.f32` has the rows, `progress.jsonl` first what they are the vectors of, then for
//! each block its rows, its texts that were cut, and its SHA-256. A block that a kill or a disk has damaged does not fit its hash, and is
//! made again with all after it.

use anyhow::{Context, bail};
use plackett::content_hash::is_stream;
use plackett_ids::bytes_of;
use plackett_lm::sha256;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const VECTORS: &str = "vectors.f32";
const PROGRESS: &str = "progress.jsonl";

/// The folder in which the vectors of a catalogue are kept. Where the catalogue goes to no file, its name follows from what they are the
/// vectors of, so that it is found again, and it lies in the `cache` of the user: among the temporary files of a machine, where
/// everybody may write, somebody else could have put it there first.
pub fn folder_of(output: &Path, identity: &str, cache: &Path) -> PathBuf {
    if is_stream(output) {
        return cache.join(format!("vectors-{}.unfinished", &sha256::hex_digest(identity)[..16]));
    }
    let mut name = output.file_name().unwrap_or_default().to_os_string();
    name.push(".unfinished");
    output.with_file_name(name)
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Block {
    rows: usize,
    cut: usize,
    sha256: String,
}

/// Vectors on their way.
pub struct KeptVectors {
    folder: PathBuf,
    dimension: usize,
    vectors: File,
    /// Locked, so that two builds do not write into each other.
    progress: File,
    rows: usize,
    cut: usize,
    is_of_another: bool,
}

impl KeptVectors {
    /// Takes up what an earlier run has left in the folder, where it is of the same `identity` (one line), or begins.
    ///
    /// # Errors
    /// Another run is writing there, or a file cannot be read or written.
    pub fn open(folder: &Path, identity: &str, dimension: usize) -> anyhow::Result<KeptVectors> {
        let shown = || format!("{}: vectors are kept there until the catalogue is written", folder.display());
        std::fs::create_dir_all(folder).with_context(shown)?;
        let open = |name: &str| {
            let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).clone();
            options.open(folder.join(name)).with_context(shown)
        };
        let (vectors, progress) = (open(VECTORS)?, open(PROGRESS)?);
        match progress.try_lock() {
            Err(TryLockError::WouldBlock) => {
                bail!("{}: another build is writing there; wait for its end", folder.display())
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(shown),
            Ok(()) => {}
        }
        let folder = folder.to_path_buf();
        let mut kept =
            KeptVectors { folder, dimension, vectors, progress, rows: 0, cut: 0, is_of_another: false };
        kept.take_up(identity).with_context(shown)?;
        Ok(kept)
    }

    /// Goes behind the last block that is whole, and cuts off what comes after it.
    fn take_up(&mut self, identity: &str) -> std::io::Result<()> {
        let mut text = Vec::new();
        BufReader::new(&self.progress).read_to_end(&mut text)?;
        let mut lines = text.as_slice();
        let mut line = Vec::new();
        let mut next = || -> std::io::Result<Option<Vec<u8>>> {
            line.clear();
            lines.read_until(b'\n', &mut line)?;
            Ok(line.strip_suffix(b"\n").map(<[u8]>::to_vec))
        };
        let first = next()?;
        let mut end = 0;
        if first.as_deref() == Some(identity.as_bytes()) {
            end = identity.len() as u64 + 1;
            let mut bytes = BufReader::with_capacity(1 << 20, &self.vectors);
            while let Some(line) = next()? {
                let Ok(block) = serde_json::from_slice::<Block>(&line) else { break };
                let length = (block.rows as u64).saturating_mul(4 * self.dimension as u64);
                let mut own = Vec::new();
                (&mut bytes).take(length).read_to_end(&mut own)?;
                if own.len() as u64 != length || sha256::hex_digest(&own) != block.sha256 {
                    break;
                }
                (self.rows, self.cut) = (self.rows + block.rows, self.cut + block.cut);
                end += line.len() as u64 + 1;
            }
        } else {
            self.is_of_another = !text.is_empty();
        }
        self.progress.set_len(end)?;
        self.vectors.set_len((self.rows * self.dimension * 4) as u64)?;
        self.progress.seek(SeekFrom::End(0))?;
        self.vectors.seek(SeekFrom::End(0))?;
        if end == 0 {
            writeln!(self.progress, "{identity}")?;
        }
        Ok(())
    }

    /// Vectors that are there.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many of their texts were cut.
    pub fn cut(&self) -> usize {
        self.cut
    }

    /// Whether there was something of other items or another model, which is gone.
    pub fn is_of_another(&self) -> bool {
        self.is_of_another
    }

    /// Adds a block, `cut` of whose texts were longer than the model reads.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&mut self, vectors: &[f32], cut: usize) -> anyhow::Result<()> {
        let shown = || format!("{}: vectors cannot be kept", self.folder.display());
        let bytes = bytes_of(vectors);
        let rows = vectors.len() / self.dimension.max(1);
        // A block counts from its line on, which is written after it.
        self.vectors.write_all(&bytes).with_context(shown)?;
        let line = serde_json::to_string(&Block { rows, cut, sha256: sha256::hex_digest(&bytes) })?;
        writeln!(self.progress, "{line}").with_context(shown)?;
        (self.rows, self.cut) = (self.rows + rows, self.cut + cut);
        Ok(())
    }

    /// The file of the rows, to read.
    ///
    /// # Errors
    /// It cannot be opened again.
    pub fn file(&self) -> anyhow::Result<File> {
        let path = self.folder.join(VECTORS);
        File::open(&path).with_context(|| path.display().to_string())
    }

    /// Removes the folder.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(self) -> anyhow::Result<()> {
        let gone = || format!("{}: it is no longer needed and cannot be removed", self.folder.display());
        for name in [VECTORS, PROGRESS] {
            std::fs::remove_file(self.folder.join(name)).with_context(gone)?;
        }
        std::fs::remove_dir(&self.folder).with_context(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_a_stream_are_kept_in_the_cache_of_the_user() {
        let cache = Path::new("/home/somebody/.cache/plackett");
        let of = |output: &str, identity: &str| folder_of(Path::new(output), identity, cache);
        assert_eq!(of("a/c.jsonl", "x"), Path::new("a/c.jsonl.unfinished"));
        let stream = of("-", "x");
        assert_eq!(stream.parent(), Some(cache));
        assert!(stream == of("-", "x") && stream != of("-", "y"), "{}", stream.display());
    }

    #[test]
    fn what_is_whole_is_taken_up_and_the_rest_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("c.jsonl.unfinished");
        let begun = |identity: &str| KeptVectors::open(&at, identity, 2).unwrap();
        let mut kept = begun("{\"a\":1}");
        assert_eq!((kept.rows(), kept.is_of_another()), (0, false));
        kept.add(&[1.0, 2.0, 3.0, 4.0], 1).unwrap();
        kept.add(&[5.0, 6.0], 2).unwrap();
        assert!(KeptVectors::open(&at, "{\"a\":1}", 2).err().unwrap().to_string().contains("another build"));
        drop(kept);
        let again = begun("{\"a\":1}");
        assert_eq!((again.rows(), again.cut()), (3, 3));
        drop(again);
        // A block without its line, a line that was cut, and a block that was changed.
        let (vectors, progress) = (at.join(VECTORS), at.join(PROGRESS));
        let (rows, lines) = (std::fs::read(&vectors).unwrap(), std::fs::read(&progress).unwrap());
        std::fs::write(&vectors, [&rows[..], &[9; 8]].concat()).unwrap();
        assert_eq!(begun("{\"a\":1}").rows(), 3);
        assert_eq!(std::fs::read(&vectors).unwrap(), rows);
        std::fs::write(&progress, &lines[..lines.len() - 5]).unwrap();
        assert_eq!(begun("{\"a\":1}").rows(), 2);
        std::fs::write(&progress, &lines).unwrap();
        std::fs::write(&vectors, [&[7; 4], &rows[4..]].concat()).unwrap();
        let mut kept = begun("{\"a\":1}");
        assert_eq!((kept.rows(), kept.cut()), (0, 0));
        kept.add(&[0.5, 0.25], 0).unwrap();
        assert_eq!(kept.file().unwrap().metadata().unwrap().len(), 8);
        drop(kept);
        let other = begun("{\"a\":2}");
        assert_eq!((other.rows(), other.is_of_another()), (0, true));
        other.remove().unwrap();
        assert!(!at.exists());
    }
}
