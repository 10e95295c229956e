//! The log of steps: a line of JSON each, so that a killed run has lost none.

use super::checkpoint::Progress;
use crate::TrainError;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// What one step was like.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct StepRecord {
    /// The phase of the training, from 1.
    pub phase: usize,
    /// Its number in the phase, from 1.
    pub step: usize,
    /// The mean loss of its batches.
    pub loss: f32,
    /// The mean entropy of the first choice of its lists, where the objective has a bonus for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entropy: Option<f64>,
    /// The learning rate.
    pub rate: f32,
    /// The norm of the gradients before clipping.
    pub gradient_norm: f64,
    /// Tokens that were read.
    pub tokens: usize,
    /// Lists, pairs or tokens that could not teach.
    pub skipped: usize,
    /// Seconds that it took, without an evaluation after it.
    pub seconds: f64,
    /// What the evaluation after it found; `None` where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<f64>,
}

/// The file of the log.
pub struct StepLog {
    path: PathBuf,
    file: File,
}

impl StepLog {
    /// Opens the log of a folder and gives its records of the steps that are done; those after them, which will be done again,
    /// go.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn open(folder: &Path, done: Progress) -> Result<(StepLog, Vec<StepRecord>), TrainError> {
        let path = folder.join("steps.jsonl");
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            text => text.map_err(|error| TrainError::file(&path, error))?,
        };
        // A line that a kill has cut is of a step that is not done.
        let records = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        let kept: Vec<StepRecord> =
            records.filter(|record: &StepRecord| done.includes(record.phase, record.step)).collect();
        let lines: String = kept.iter().map(line).collect();
        crate::files::write_whole(&path, lines.as_bytes())?;
        let file =
            File::options().append(true).open(&path).map_err(|error| TrainError::file(&path, error))?;
        Ok((StepLog { path, file }, kept))
    }

    /// Adds a record.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&mut self, record: &StepRecord) -> Result<(), TrainError> {
        self.file.write_all(line(record).as_bytes()).map_err(|error| TrainError::file(&self.path, error))
    }
}

fn line(record: &StepRecord) -> String {
    format!("{}\n", serde_json::to_string(record).unwrap_or_default())
}
