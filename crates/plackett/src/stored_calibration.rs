//! Calibrations beside the models whose scores they explain: in the cache, under everything that the scores depend on, so that no other
//! method, option, prompt or weight ever gets them.

use crate::pipeline::{ModelError, Models, Pipeline};
use plackett_core::formats::{FormatError, atomic};
use plackett_eval::calibration::Calibration;
use plackett_lm::sha256;
use plackett_lm::store::{Store, StoreError};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Why a stored calibration cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StoredCalibrationError {
    /// Nothing was stored for this.
    #[error(
        "nothing is stored for `{0}` with these weights, options and prompts; learn it first: plackett calibrate QRELS RUN --for '{0}'"
    )]
    Absent(String),
    /// There is no cache folder.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The weights cannot be read.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// It cannot be written.
    #[error(transparent)]
    File(#[from] FormatError),
}

/// Where the calibration of a pipeline's scores is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCalibration {
    expression: String,
    path: PathBuf,
}

impl StoredCalibration {
    /// The place for a pipeline. `reading` is how long texts are read, on which scores depend too.
    ///
    /// # Errors
    /// There is no cache folder, or the weights cannot be read.
    pub fn of(
        pipeline: &Pipeline,
        models: &Models,
        reading: &Value,
    ) -> Result<StoredCalibration, StoredCalibrationError> {
        let mut stages = Vec::new();
        for stage in pipeline.descriptions() {
            stages.push(json!({
                "method": stage.method,
                "options": stage.options,
                "prompts": stage.prompts,
                "model": models.fingerprint(&stage.model)?.unwrap_or_else(|| stage.model.clone()),
            }));
        }
        let key = json!({"stages": stages, "reading": reading}).to_string();
        let name = sha256::hex_digest(key);
        let folder = Store::from_environment(true)?.calibrations();
        Ok(StoredCalibration { expression: pipeline.to_string(), path: folder.join(format!("{name}.json")) })
    }

    /// The file, whether it is there or not.
    pub fn path(&self) -> &PathBuf {
        &self.path
    }

    /// The file, where something is stored.
    ///
    /// # Errors
    /// Nothing is.
    pub fn existing(self) -> Result<PathBuf, StoredCalibrationError> {
        match self.path.is_file() {
            true => Ok(self.path),
            false => Err(StoredCalibrationError::Absent(self.expression)),
        }
    }

    /// Stores a calibration, in place of an older one.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn store(&self, calibration: &Calibration) -> Result<(), StoredCalibrationError> {
        if let Some(folder) = self.path.parent() {
            let failed = |source| FormatError::Write { file: folder.display().to_string(), source };
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let text = json!(calibration).to_string();
        Ok(atomic::write(&self.path, |out| writeln!(out, "{text}"))?)
    }
}
