//! What the phases of an adapter leave behind: of SoRA's scheduler a family of adapters from dense to sparse, each with its size and what
//! it is worth (Ding and others, Sparse Low-rank Adaptation, 2023, Algorithm 1).

use crate::TrainError;
use crate::files::write_whole;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The adapter of a phase, in the folder of the phase, as [`open`](crate::adapter::open) reads it.
pub const PHASE_ADAPTER: &str = "adapter.safetensors";

/// The file there that says what it is.
const RECORD: &str = "phase.json";

/// What an adapter is at the end of a phase.
#[derive(Clone, Debug, PartialEq)]
pub struct PhaseMember {
    /// What tells the phase from the others, as `xi = 0.3`.
    pub setting: String,
    /// Numbers of what is left of the adapter.
    pub size: usize,
    /// Components of each layer, by its name.
    pub ranks: Vec<(String, usize)>,
}

/// What a phase has left.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct PhaseRecord {
    /// Its number, from 1.
    pub phase: usize,
    /// What tells it from the others, as `xi = 0.3`.
    pub setting: String,
    /// Numbers of what is left of the adapter.
    pub size: usize,
    /// What was measured at its end, and the value; `None` without validation examples.
    pub measured: Option<(String, f64)>,
    /// Components of each layer, by its name.
    pub ranks: Vec<(String, usize)>,
}

impl PhaseRecord {
    /// Writes it beside the adapter.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), TrainError> {
        let path = folder.join(RECORD);
        let form = |problem: String| TrainError::Form { path: path.clone(), problem };
        let text = serde_json::to_vec_pretty(self).map_err(|error| form(error.to_string()))?;
        write_whole(&path, &text)
    }
}

/// The folder of a phase in that of a training.
pub fn phase_folder(work: &Path, phase: usize) -> PathBuf {
    work.join(format!("phase-{phase}"))
}

/// What the phases before one have left.
///
/// # Errors
/// A file cannot be read, or is damaged.
pub fn before(work: &Path, phase: usize) -> Result<Vec<PhaseRecord>, TrainError> {
    let mut records = Vec::new();
    for phase in 1..phase {
        let path = phase_folder(work, phase).join(RECORD);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            text => text.map_err(|error| TrainError::file(&path, error))?,
        };
        let record = serde_json::from_str(&text);
        records.push(record.map_err(|error| TrainError::Form { path, problem: error.to_string() })?);
    }
    Ok(records)
}
