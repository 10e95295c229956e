//! Folders that a command makes.

use super::{Output, training_folder};
use anyhow::bail;
use std::path::Path;

/// Says where a folder has what the same command has made before, which the new one takes the place of.
pub fn remark_on_replaced(folder: &Path, own: &str, output: &Output) {
    if folder.join(own).is_file() {
        output.warn(&format!("--output: the model in {} is replaced by the new one", folder.display()));
    }
}

/// Refuses a folder that holds something, except what the same command has made before, which `own` is a file of, and what a training
/// that was killed has left.
pub fn check_output_folder(folder: &Path, own: Option<&str>) -> anyhow::Result<()> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return match folder.exists() {
            true => bail!("--output: {} is no folder; name one", folder.display()),
            false => Ok(()),
        };
    };
    let mut others = entries.flatten().filter(|entry| entry.path() != training_folder::folder_in(folder));
    if others.next().is_none() || own.is_some_and(|own| folder.join(own).is_file()) {
        return Ok(());
    }
    bail!("--output: {} holds other files, which would be written over; name a new folder", folder.display())
}
