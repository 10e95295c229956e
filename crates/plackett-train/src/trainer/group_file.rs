//! A scorer of groups in a folder, and whose vectors it reads.

use super::bert_files::write_json;
use super::{GroupScorer, GroupShape};
use crate::TrainError;
use crate::nn::{SafetensorsSource, save};
use crate::tape::Parameters;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;

/// The file of its shape.
const CONFIG: &str = "config.json";
/// The file of its weights.
const WEIGHTS: &str = "model.safetensors";
/// The kind of model that the first one names.
const KIND: &str = "group-scorer";

/// The model that makes the vectors of a scorer's items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VectorOrigin {
    /// The name or folder under which it is opened.
    pub name: String,
    /// SHA-256 of its configuration and weights: vectors of another model mean nothing to the scorer.
    pub fingerprint: String,
}

/// What the first file says.
#[derive(Deserialize)]
struct Config {
    shape: GroupShape,
    vectors: VectorOrigin,
}

impl GroupScorer {
    /// Whether a folder says that it holds one.
    pub fn is_in(folder: &Path) -> bool {
        let config = std::fs::read(folder.join(CONFIG)).unwrap_or_default();
        let config: Value = serde_json::from_slice(&config).unwrap_or_default();
        config["model_type"] == KIND
    }

    /// Writes shape and weights into a folder, with the model of its vectors.
    ///
    /// # Errors
    /// A file cannot be written, or a number is not finite.
    pub fn save(
        &self,
        folder: &Path,
        parameters: &Parameters,
        origin: &VectorOrigin,
    ) -> Result<(), TrainError> {
        std::fs::create_dir_all(folder).map_err(|source| TrainError::file(folder, source))?;
        save(&folder.join(WEIGHTS), parameters, |name| Some(name.to_string()))?;
        let config = json!({"model_type": KIND, "shape": self.shape, "vectors": origin});
        write_json(&folder.join(CONFIG), &config)
    }

    /// Reads what [`GroupScorer::save`] has written.
    ///
    /// # Errors
    /// A file that cannot be read, or is not as it was written.
    pub fn open(
        folder: &Path,
        parameters: &mut Parameters,
    ) -> Result<(GroupScorer, VectorOrigin), TrainError> {
        let path = folder.join(CONFIG);
        let config = std::fs::read(&path).map_err(|source| TrainError::file(&path, source))?;
        let Config { shape, vectors } = serde_json::from_slice(&config)
            .map_err(|error| TrainError::Form { path, problem: error.to_string() })?;
        let mut source = SafetensorsSource::open(&folder.join(WEIGHTS))?;
        Ok((GroupScorer::load(parameters, &mut source, shape)?, vectors))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::Compute;
    use crate::trainer::{Embedding, GroupEncoderShape, GroupHead, ItemGroup};

    #[test]
    fn a_scorer_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!GroupScorer::is_in(folder.path()));
        let encoder = Some(GroupEncoderShape { layers: 1, heads: 2, inner: 3 });
        let (embedding, head) = (Embedding::Hidden(5, 4), GroupHead::Successor);
        let shape = GroupShape { inputs: 2, embedding, encoder, head };
        let mut parameters = Parameters::default();
        let scorer = GroupScorer::new(&mut parameters, shape, 7).unwrap();
        let origin = VectorOrigin { name: "m".into(), fingerprint: "f".into() };
        scorer.save(folder.path(), &parameters, &origin).unwrap();
        assert!(GroupScorer::is_in(folder.path()));
        let mut read = Parameters::default();
        let (again, found) = GroupScorer::open(folder.path(), &mut read).unwrap();
        assert_eq!((found, again.head()), (origin, GroupHead::Successor));
        let group = ItemGroup { items: vec![0.5, 1.0, -1.0, 2.0], ranks: vec![1, 2], ..ItemGroup::default() };
        let of = |scorer: &GroupScorer, parameters: &Parameters| {
            scorer.item_scores(parameters, &Compute::new(1), &group)
        };
        assert_eq!(of(&again, &read), of(&scorer, &parameters));
        std::fs::write(folder.path().join(CONFIG), "{\"model_type\": \"group-scorer\"}").unwrap();
        let error = GroupScorer::open(folder.path(), &mut Parameters::default()).err().unwrap();
        assert!(error.to_string().contains("shape"), "{error}");
    }
}
