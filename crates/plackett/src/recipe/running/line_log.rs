//! A file in a stage's folder to which lines are added while it works, so that a killed run goes on where it was.

use crate::recipe::error::StageError;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The file, open at its end.
pub struct LineLog {
    path: PathBuf,
    file: File,
}

impl LineLog {
    /// Opens the file, or begins it, and gives the lines that it has. A line that a kill cut short is taken off.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn open(path: PathBuf) -> Result<(LineLog, Vec<Vec<u8>>), StageError> {
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(StageError::cache(&path))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(StageError::cache(&path))?;
        let whole = whole_lines(&bytes);
        file.set_len(whole.len() as u64).map_err(StageError::cache(&path))?;
        file.seek(SeekFrom::End(0)).map_err(StageError::cache(&path))?;
        let lines = lines(whole).map(<[u8]>::to_vec).collect();
        Ok((LineLog { path, file }, lines))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds lines, which end without a line break; on return they are on the disk.
    ///
    /// # Errors
    /// The disk is full or gone.
    pub fn add(&mut self, lines: &[String]) -> Result<(), StageError> {
        let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(StageError::cache(&self.path))
    }
}

/// The bytes up to the last line break.
pub fn whole_lines(bytes: &[u8]) -> &[u8] {
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    &bytes[..whole]
}

/// The lines of some bytes that are not empty.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_are_found_again_and_a_cut_one_is_taken_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let (mut log, found) = LineLog::open(path.clone()).unwrap();
        assert!(found.is_empty());
        log.add(&["1".into(), "22".into()]).unwrap();
        drop(log);
        let cut = [&std::fs::read(&path).unwrap()[..], b"33"].concat();
        std::fs::write(&path, cut).unwrap();
        let (mut log, found) = LineLog::open(path.clone()).unwrap();
        assert_eq!(found, [b"1".to_vec(), b"22".to_vec()]);
        log.add(&["4".into()]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n22\n4\n");
    }
}
