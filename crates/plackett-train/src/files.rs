//! Files that are there whole or not at all.

use crate::TrainError;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Writes a file beside its place, on the disk, and gives it its name. What lies beside has one name, so that a killed training leaves one
/// part of a checkpoint and not one for each kill, as `plackett_core::formats::atomic` with names of its own would.
///
/// # Errors
/// It cannot be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let failed = |source| TrainError::file(path, source);
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".unfinished");
    let beside = path.with_file_name(name);
    let mut file = File::create(&beside).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&beside, path).map_err(failed)
}
