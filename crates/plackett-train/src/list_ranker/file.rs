//! A list ranker in a folder, and whose vectors it reads.

use super::model::{ListRanker, ListRankerConfig};
use crate::TrainError;
use crate::files::write_whole;
use crate::nn::{SafetensorsSource, save};
use crate::tape::Parameters;
use crate::trainer::VectorOrigin;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path;

/// The file of its shape.
pub const CONFIG: &str = "list_ranker.json";
/// The file of its weights.
pub const WEIGHTS: &str = "list_ranker.safetensors";
/// The file that says of which kind the model is, and whose vectors it reads.
const ORIGIN: &str = "config.json";
/// The kind of model that it names.
const KIND: &str = "list-ranker";

/// What it says beside the kind.
#[derive(Deserialize)]
struct Origin {
    vectors: VectorOrigin,
}

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

    /// Whether a folder says that it holds one, with the model of its vectors.
    pub fn is_in(folder: &Path) -> bool {
        let config = std::fs::read(folder.join(ORIGIN)).unwrap_or_default();
        let config: Value = serde_json::from_slice(&config).unwrap_or_default();
        config["model_type"] == KIND
    }

    /// Writes what [`ListRanker::save`] writes into a folder that is made where there is none, and the model of the vectors.
    ///
    /// # Errors
    /// A file cannot be written, or a number is not finite.
    pub fn save_with_origin(
        &self,
        parameters: &Parameters,
        folder: &Path,
        origin: &VectorOrigin,
    ) -> Result<(), TrainError> {
        std::fs::create_dir_all(folder).map_err(|source| TrainError::file(folder, source))?;
        self.save(parameters, folder)?;
        let path = folder.join(ORIGIN);
        let json = serde_json::to_vec_pretty(&json!({"model_type": KIND, "vectors": origin}))
            .map_err(|error| TrainError::Form { path: path.clone(), problem: error.to_string() })?;
        write_whole(&path, &json)
    }

    /// The model of the vectors; `None` where a folder does not say, as that of a recipe's stage.
    ///
    /// # Errors
    /// A file that is not as it was written.
    pub fn origin(folder: &Path) -> Result<Option<VectorOrigin>, TrainError> {
        if !ListRanker::is_in(folder) {
            return Ok(None);
        }
        let path = folder.join(ORIGIN);
        let json = std::fs::read(&path).map_err(|source| TrainError::file(&path, source))?;
        let Origin { vectors } = serde_json::from_slice(&json)
            .map_err(|error| TrainError::Form { path, problem: error.to_string() })?;
        Ok(Some(vectors))
    }
}
