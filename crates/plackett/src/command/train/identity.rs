//! What tells a training from all others, so that one that was killed goes on in its folder and none is mixed with another.

use crate::command::training_folder::{self, TrainingLock};
use anyhow::{Context, bail};
use plackett::content_hash;
use plackett_core::formats::atomic;
use plackett_train::trainer::CHECKPOINT;
use serde_json::Value;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where the log and checkpoints lie in the folder of the model.
pub const WORK: &str = "training";

/// The file there that says what is trained.
const IDENTITY: &str = "training.json";

/// The weights of a model.
pub const WEIGHTS: &str = "model.safetensors";

/// Names and contents of the files that the result depends on.
///
/// # Errors
/// One that cannot be read.
pub fn hashes<'p>(files: impl IntoIterator<Item = &'p Path>) -> anyhow::Result<Vec<(String, String)>> {
    let hash = |path: &Path| -> anyhow::Result<(String, String)> {
        let content = content_hash::content(path).with_context(|| path.display().to_string())?;
        Ok((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), content.sha256))
    };
    files.into_iter().map(hash).collect()
}

/// The bits are the same with `recompute` and without: a training that had too little memory may go on with it.
pub fn leave_out_recompute(identity: &mut Value) {
    if let Some(settings) = identity["file"]["settings"].as_object_mut() {
        settings.shift_remove("recompute");
    }
}

/// A folder of a model that is taken for a training. No other command trains there as long as it lives.
pub struct Claimed {
    _alone: TrainingLock,
    /// Where the log and checkpoints lie.
    work: PathBuf,
    /// How many folders were not there before.
    new: usize,
    /// Whether this training was begun here before.
    is_known: bool,
}

impl Claimed {
    /// Takes back what [`claim`] has made where no step was taken: a training that is refused leaves nothing. What an earlier run of it
    /// has left stays.
    pub fn withdraw(&self) {
        if !self.is_known {
            training_folder::withdraw(&self.work, self.new);
        }
    }
}

/// Takes the folder of the model for this training: one that is new or empty, or that this training has begun. One that ended
/// before its first checkpoint is nobody's.
///
/// # Errors
/// Something else is in the folder, another command trains there, or it cannot be written.
pub fn claim(folder: &Path, identity: &str) -> anyhow::Result<Claimed> {
    let (shown, work) = (format!("-o {}", folder.display()), folder.join(WORK));
    let (path, new) = (work.join(IDENTITY), training_folder::new_folders(folder));
    match std::fs::read_to_string(&path) {
        Ok(text) if text == identity => {
            let alone = training_folder::lock(&work)?;
            return Ok(Claimed { _alone: alone, work, new, is_known: true });
        }
        Ok(_) if folder.join(WEIGHTS).exists() || work.join(CHECKPOINT).exists() => {
            bail!(
                "{shown}: there is a training with other settings, data or model; give another folder, or delete this one"
            )
        }
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).context(shown),
        // What ended before its first checkpoint leaves its identity; another file of that name is somebody's.
        Ok(text) if is_identity(&text) && is_unused(folder, true).with_context(|| shown.clone())? => {}
        Err(_) if is_unused(folder, false).with_context(|| shown.clone())? => {}
        _ => {
            bail!(
                "{shown}: there is something in this folder that would be mixed with the model; give another one"
            )
        }
    }
    let alone = training_folder::lock(&work)?;
    atomic::write(&path, |out| write!(out, "{identity}"))?;
    Ok(Claimed { _alone: alone, work, new, is_known: false })
}

/// Whether a text says what is trained.
fn is_identity(text: &str) -> bool {
    serde_json::from_str(text).is_ok_and(|identity: Value| identity.get("file").is_some())
}

/// Whether a folder has nothing in it, or is not there, or has what a training leaves that ended before its first checkpoint; `known` says that
/// it has written down what it is.
fn is_unused(folder: &Path, known: bool) -> std::io::Result<bool> {
    let work = folder.join(WORK);
    let is_empty = |name: &str| work.join(name).metadata().is_ok_and(|file| file.len() == 0);
    let is_begun = |name: &str| match name {
        training_folder::LOCK => is_empty(name),
        IDENTITY | training_folder::STEPS | training_folder::POLICY => known,
        _ => name.starts_with('.'),
    };
    Ok(all_are(folder, |name| name == WORK)? && all_are(&work, is_begun)?)
}

/// Whether what is said holds of the names of everything in a folder; of a folder that is not there it does.
fn all_are(folder: &Path, of: impl Fn(&str) -> bool) -> std::io::Result<bool> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        entries => entries?,
    };
    for entry in entries {
        if !of(&entry?.file_name().to_string_lossy()) {
            return Ok(false);
        }
    }
    Ok(true)
}
