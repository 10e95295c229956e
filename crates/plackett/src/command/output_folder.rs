//! Folders that a command makes.

use anyhow::bail;
use std::path::Path;

/// Refuses a folder that holds something, except what the same command has made before, which `own` is a file of.
pub fn check_output_folder(folder: &Path, own: Option<&str>) -> anyhow::Result<()> {
    let Ok(mut entries) = std::fs::read_dir(folder) else {
        return match folder.exists() {
            true => bail!("--output: {} is no folder; name one", folder.display()),
            false => Ok(()),
        };
    };
    if entries.next().is_none() || own.is_some_and(|own| folder.join(own).is_file()) {
        return Ok(());
    }
    bail!("--output: {} holds other files, which would be written over; name a new folder", folder.display())
}
