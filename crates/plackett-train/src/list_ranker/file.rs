//! A list ranker in a folder.

use super::model::{ListRanker, ListRankerConfig};
use crate::TrainError;
use crate::files::write_whole;
use crate::nn::{SafetensorsSource, save};
use crate::tape::Parameters;
use std::path::Path;

/// The file of its shape.
pub const CONFIG: &str = "list_ranker.json";
/// The file of its weights.
pub const WEIGHTS: &str = "list_ranker.safetensors";

impl ListRanker {
    /// Writes shape and weights into a folder.
    ///
    /// # Errors
    /// A file cannot be written, or a number is not finite.
    pub fn save(&self, parameters: &Parameters, folder: &Path) -> Result<(), TrainError> {
        save(&folder.join(WEIGHTS), parameters, |name| Some(name.to_string()))?;
        let path = folder.join(CONFIG);
        let json = serde_json::to_vec_pretty(&self.config)
            .map_err(|error| TrainError::Form { path: path.clone(), problem: error.to_string() })?;
        write_whole(&path, &json)
    }

    /// Reads what [`ListRanker::save`] has written.
    ///
    /// # Errors
    /// A file that cannot be read, or is not as it was written.
    pub fn open(folder: &Path, parameters: &mut Parameters) -> Result<ListRanker, TrainError> {
        let path = folder.join(CONFIG);
        let json = std::fs::read(&path).map_err(|source| TrainError::file(&path, source))?;
        let config: ListRankerConfig = serde_json::from_slice(&json)
            .map_err(|error| TrainError::Form { path: path.clone(), problem: error.to_string() })?;
        let mut source = SafetensorsSource::open(&folder.join(WEIGHTS))?;
        ListRanker::load(parameters, &mut source, config)
    }
}
