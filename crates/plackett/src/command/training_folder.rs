//! Where a command keeps the log and checkpoints of a training until its model is written: the folder `training.unfinished` in that of the model.

use anyhow::{Context, bail};
use plackett_core::formats::atomic;
use plackett_train::trainer::CHECKPOINT;
use std::path::{Path, PathBuf};

/// The folder in the folder of the model.
const WORK: &str = "training.unfinished";

/// The file in it that says what is trained.
const IDENTITY: &str = "training.json";

/// Steps between two checkpoints, where nobody says how many.
pub const EVERY: usize = 100;

/// Where the training of a model is kept.
pub fn folder_in(model: &Path) -> PathBuf {
    model.join(WORK)
}

/// Whether a training that was interrupted has left a checkpoint in a folder of trainings, or in a part of it.
pub fn is_begun(work: &Path) -> bool {
    let parts = std::fs::read_dir(work).into_iter().flatten().flatten().map(|entry| entry.path());
    work.join(CHECKPOINT).is_file() || parts.into_iter().any(|part| part.join(CHECKPOINT).is_file())
}

/// Begins or goes on with what `identity` tells from every other training: says whether there is a checkpoint to go on from.
///
/// # Errors
/// The folder has the checkpoint of another training, or cannot be written.
pub fn begin(work: &Path, identity: &str) -> anyhow::Result<bool> {
    let file = work.join(IDENTITY);
    if is_begun(work) {
        let known = std::fs::read_to_string(&file).unwrap_or_default();
        if known != identity {
            bail!(
                "--output: {} has the checkpoint of another training that was interrupted; give the same flags and data to go on \
                 there, remove that folder, or name another one",
                work.display()
            );
        }
        return Ok(true);
    }
    std::fs::create_dir_all(work).with_context(|| format!("--output: {} cannot be made", work.display()))?;
    atomic::write(&file, |out| write!(out, "{identity}"))?;
    Ok(false)
}

/// Removes it: the model is written.
///
/// # Errors
/// It cannot be removed.
pub fn remove(work: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(work) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error)
            .with_context(|| format!("{}: it is no longer needed and cannot be removed", work.display())),
        _ => Ok(()),
    }
}
