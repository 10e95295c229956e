//! Where a training that is a part of something greater keeps its log and checkpoints.

use super::Settings;
use crate::TrainError;
use std::path::{Path, PathBuf};

/// A folder for log and checkpoints, from which the same training goes on after a kill, to the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpointing<'k> {
    /// The folder; it is made where it is not there.
    pub folder: &'k Path,
    /// What the training is: a checkpoint of another one is refused.
    pub identity: &'k str,
    /// Steps between two checkpoints; the last step has one too.
    pub every: usize,
}

impl Checkpointing<'_> {
    /// Makes the folder of a part of the training, and sets how often it is kept.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn begin(&self, part: &str, settings: &mut Settings) -> Result<PathBuf, TrainError> {
        let folder = self.folder.join(part);
        std::fs::create_dir_all(&folder).map_err(|source| TrainError::file(&folder, source))?;
        settings.checkpoint = self.every;
        Ok(folder)
    }
}
