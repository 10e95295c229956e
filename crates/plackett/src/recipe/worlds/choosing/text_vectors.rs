//! Vectors of an embedding model, kept by text.

use crate::pipeline::ModelError;
use crate::recipe::error::StageError;
use crate::recipe::task::Task;
use plackett_lm::EmbedOptions;
use plackett_lm::store::BUNDLED;
use std::collections::HashMap;
use std::path::Path;

const TEXTS: &str = "texts.json";
const VECTORS: &str = "vectors.f32";
/// Texts that are embedded in one call.
const TOGETHER: usize = 256;

/// Texts with their vectors; those of the bundled encoder have the length 1.
#[derive(Debug)]
pub struct TextVectors {
    texts: Vec<String>,
    places: HashMap<String, usize>,
    data: Vec<f32>,
    dimension: usize,
}

impl TextVectors {
    /// Embeds texts with the bundled encoder, equal ones once.
    ///
    /// # Errors
    /// The model cannot be opened or fails.
    pub fn embed(task: &Task<'_>, texts: Vec<String>) -> Result<TextVectors, StageError> {
        TextVectors::embed_with(task, BUNDLED, texts)
    }

    /// The same with any embedding model of this machine.
    ///
    /// # Errors
    /// As [`TextVectors::embed`].
    pub fn embed_with(task: &Task<'_>, model: &str, texts: Vec<String>) -> Result<TextVectors, StageError> {
        let mut places = HashMap::new();
        let mut distinct = Vec::new();
        for text in texts {
            if !places.contains_key(&text) {
                places.insert(text.clone(), distinct.len());
                distinct.push(text);
            }
        }
        let model = task.environment.models(Some(model)).open(None)?;
        let (mut data, mut dimension) = (Vec::new(), 0);
        for (at, group) in distinct.chunks(TOGETHER).enumerate() {
            (task.progress)(task.name, (at * TOGETHER) as u64, distinct.len() as u64);
            let views: Vec<&str> = group.iter().map(String::as_str).collect();
            let made = model.embed(&views, &EmbedOptions::default()).map_err(ModelError::from)?;
            dimension = made.dim;
            data.extend(made.data);
        }
        Ok(TextVectors { texts: distinct, places, data, dimension })
    }

    /// Keeps them in a folder.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), StageError> {
        let (texts, vectors) = (folder.join(TEXTS), folder.join(VECTORS));
        let json = serde_json::to_vec(&self.texts).map_err(|error| damaged(&texts, error.to_string()))?;
        std::fs::write(&texts, json).map_err(StageError::cache(&texts))?;
        let bytes: Vec<u8> = self.data.iter().flat_map(|x| x.to_le_bytes()).collect();
        std::fs::write(&vectors, bytes).map_err(StageError::cache(&vectors))
    }

    /// Reads what [`TextVectors::write`] has kept.
    ///
    /// # Errors
    /// A file cannot be read, or is not as it was written.
    pub fn read(folder: &Path) -> Result<TextVectors, StageError> {
        let (path, vectors) = (folder.join(TEXTS), folder.join(VECTORS));
        let json = std::fs::read(&path).map_err(StageError::cache(&path))?;
        let texts: Vec<String> =
            serde_json::from_slice(&json).map_err(|error| damaged(&path, error.to_string()))?;
        let bytes = std::fs::read(&vectors).map_err(StageError::cache(&vectors))?;
        let data: Vec<f32> =
            bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let dimension = data.len() / texts.len().max(1);
        if dimension == 0 || dimension * texts.len() * 4 != bytes.len() {
            let problem = format!("{} bytes for {} texts", bytes.len(), texts.len());
            return Err(damaged(&vectors, problem));
        }
        let places = texts.iter().cloned().enumerate().map(|(at, text)| (text, at)).collect();
        Ok(TextVectors { texts, places, data, dimension })
    }

    /// How many texts there are.
    pub fn count(&self) -> usize {
        self.texts.len()
    }

    /// The numbers of a vector.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The vector of a text.
    ///
    /// # Errors
    /// The text is none of those that were embedded: the stage that embeds is of other texts.
    pub fn get(&self, text: &str) -> Result<&[f32], StageError> {
        let place = self.places.get(text).ok_or_else(|| {
            let begin: String = text.chars().take(60).collect();
            let problem =
                format!("it has no vector of `{begin}…`; name a stage `text-vectors` of the same texts");
            StageError::Field { field: "vectors", problem }
        })?;
        Ok(&self.data[place * self.dimension..][..self.dimension])
    }
}

fn damaged(path: &Path, problem: String) -> StageError {
    StageError::Damaged { path: path.to_path_buf(), problem }
}

/// The dot product in f64, which is the cosine of vectors of the length 1.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum()
}
