//! Files that are there whole or not at all.

use crate::TrainError;
use plackett_core::formats::{FormatError, atomic};
use std::path::Path;

/// Writes a file beside its place, under a name that nobody else has, puts it on the disk, and gives it its own name.
///
/// # Errors
/// It cannot be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    atomic::write(path, |out| out.write_all(bytes)).map_err(|error| match error {
        FormatError::Write { source, .. } => TrainError::file(path, source),
        other => TrainError::file(path, std::io::Error::other(other.to_string())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_under_a_name_that_could_be_guessed_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a.json"), folder.path().join("a.json.unfinished"));
        std::fs::write(&other, "of another").unwrap();
        write_whole(&path, b"first").unwrap();
        write_whole(&path, b"second").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
        assert_eq!(std::fs::read(&other).unwrap(), b"of another");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        let gone = write_whole(&folder.path().join("no/such/file"), b"x").unwrap_err().to_string();
        assert!(gone.contains("no/such/file"), "{gone}");
    }
}
