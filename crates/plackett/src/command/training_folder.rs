//! Where a command keeps the log and checkpoints of a training until its model is written: the folder `training.unfinished` in that of the model.

use anyhow::{Context, bail};
use plackett_core::formats::atomic;
use plackett_train::trainer::CHECKPOINT;
use std::fs::{DirEntry, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

/// The folder in the folder of the model.
const WORK: &str = "training.unfinished";

/// The file in it that says what is trained.
const IDENTITY: &str = "training.json";

/// The file in it with a line for each step.
pub const STEPS: &str = "steps.jsonl";

/// The file in it that is locked while a command trains.
pub const LOCK: &str = "lock";

/// Steps between two checkpoints, where nobody says how many.
pub const EVERY: usize = 100;

/// Where a training by rewards has its weights of the moment, from which answers are written.
pub const POLICY: &str = "policy";

/// Where the training of a model is kept.
pub fn folder_in(model: &Path) -> PathBuf {
    model.join(WORK)
}

/// Whether a training that was interrupted has left a checkpoint in a folder of trainings, or in a part of it.
pub fn is_begun(work: &Path) -> bool {
    let parts = std::fs::read_dir(work).into_iter().flatten().flatten().map(|entry| entry.path());
    work.join(CHECKPOINT).is_file() || parts.into_iter().any(|part| part.join(CHECKPOINT).is_file())
}

/// Keeps every other command out of a folder of trainings, as long as it lives.
pub struct TrainingLock {
    _file: File,
}

/// Takes the folder of a training for this command alone; makes it where it is missing.
///
/// # Errors
/// Another command is training there, or the folder cannot be made.
pub fn lock(work: &Path) -> anyhow::Result<TrainingLock> {
    let unusable = || format!("--output: {} cannot be made", work.display());
    std::fs::create_dir_all(work).with_context(unusable)?;
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(work.join(LOCK));
    let file = file.with_context(unusable)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => bail!(
            "--output: another command is at work in {}; wait for its end, or name another folder",
            work.display()
        ),
        // A file system without locks: whoever runs the same command twice at once is not stopped there.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(TrainingLock { _file: file }),
    }
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

/// How many folders are not there yet that the folder of a model needs: itself, and those that it lies in.
pub fn new_folders(model: &Path) -> usize {
    model.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists()).count()
}

/// Takes back what [`lock`] and [`begin`] have made, a log without steps and the weights that a policy answers with: a training that is refused
/// leaves nothing. `new` is how many folders were not there before ([`new_folders`]).
pub fn withdraw(work: &Path, new: usize) {
    let is_nothing = |entry: &DirEntry| {
        let name = entry.file_name();
        let is_empty = || entry.metadata().is_ok_and(|file| file.len() == 0);
        name == LOCK || name == IDENTITY || name == POLICY || (name == STEPS && is_empty())
    };
    let mut entries = std::fs::read_dir(work).into_iter().flatten().flatten();
    if !entries.all(|entry| is_nothing(&entry)) {
        return;
    }
    // Why the training was refused is told; a folder that stays is harmless.
    let _ = std::fs::remove_dir_all(work);
    for made in work.ancestors().skip(1).take(new) {
        let _ = std::fs::remove_dir(made);
    }
}

/// Refuses a folder in which a learning of docids was interrupted: its model is not there yet, or is about to be replaced.
///
/// # Errors
/// It is such a folder.
pub fn check_finished(flag: &str, model: &Path) -> anyhow::Result<()> {
    if is_begun(&folder_in(model)) {
        bail!(
            "{flag} {}: a learning was interrupted there; finish it by the same `plackett ids learn` (or `ids tune`) that began it, or \
             name another folder",
            model.display()
        );
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_of_one_training_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let work = folder_in(folder.path());
        let first = lock(&work).unwrap();
        let refused = lock(&work).err().unwrap().to_string();
        assert!(refused.contains("another command is at work") && refused.contains("--output"), "{refused}");
        assert!(!is_begun(&work), "a lock is no checkpoint");
        remove(&work).unwrap();
        drop(first);
        assert!(!work.exists());
        drop(lock(&work).unwrap());
        assert!(lock(&work).is_ok());
    }

    #[test]
    fn a_refused_training_leaves_nothing_and_a_begun_one_all() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("models").join("model");
        let (work, new) = (folder_in(&model), new_folders(&model));
        assert_eq!(new, 2);
        let begun = lock(&work).unwrap();
        begin(&work, "identity").unwrap();
        withdraw(&work, new);
        drop(begun);
        assert_eq!((new_folders(&model), folder.path().exists()), (2, true));
        drop(lock(&work).unwrap());
        withdraw(&work, 0);
        assert!(model.exists() && !work.exists(), "the folder was there before");
        drop(lock(&work).unwrap());
        std::fs::write(work.join(STEPS), "").unwrap();
        withdraw(&work, 0);
        assert!(!work.exists(), "a log without a step");
        drop(lock(&work).unwrap());
        std::fs::write(work.join(STEPS), "{}").unwrap();
        withdraw(&work, 1);
        assert!(work.join(STEPS).exists());
    }
}
