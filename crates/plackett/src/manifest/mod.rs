//! What a result was made of and with: enough to make it again, and to say what has changed when it cannot.

mod difference;
mod error;

pub use difference::Difference;
pub use error::ManifestError;

use crate::content_hash::{Content, content, is_stream};
use crate::pipeline::{Models, Pipeline, StageDescription};
use plackett_core::Trace;
use plackett_core::formats::atomic;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Grows when a field goes away or changes its meaning.
pub const MANIFEST_VERSION: u32 = 1;

/// A model and its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelHash {
    /// Its name, directory or address.
    pub name: String,
    /// SHA-256 of its configuration and weights; `None` for a server, which shows neither.
    pub sha256: Option<String>,
}

/// A file or folder that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputHash {
    /// The flag that named it, or `FILE`.
    pub flag: String,
    /// Its path as it was given.
    pub path: PathBuf,
    /// SHA-256 of its content; `None` for standard input and pipes, which cannot be read again.
    pub sha256: Option<String>,
    /// Its size in bytes, where it has one.
    pub bytes: Option<u64>,
}

impl InputHash {
    /// Reads an input whole. Standard input (`-`) and pipes are left alone: who reads them takes from them.
    ///
    /// # Errors
    /// [`ManifestError::Input`] when it cannot be read.
    pub fn of(flag: &str, path: &Path) -> Result<InputHash, ManifestError> {
        let (flag, path) = (flag.to_string(), path.to_path_buf());
        if is_stream(&path) {
            return Ok(InputHash { flag, path, sha256: None, bytes: None });
        }
        match content(&path) {
            Ok(Content { sha256, bytes }) => {
                Ok(InputHash { flag, path, sha256: Some(sha256), bytes: Some(bytes) })
            }
            Err(source) => Err(ManifestError::Input { flag, path, source }),
        }
    }
}

/// Everything that the result of a command depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSettings {
    /// The version of Plackett.
    pub plackett: String,
    /// The subcommand.
    pub command: String,
    /// The folder in which it ran, from which paths go out.
    pub folder: PathBuf,
    /// Its arguments as they were understood, by name. Flags that only say where something is written are left out.
    pub arguments: Map<String, Value>,
    /// The rerankers with all their options.
    pub stages: Vec<StageDescription>,
    /// Their models.
    pub models: Vec<ModelHash>,
    /// Files that it reads.
    pub inputs: Vec<InputHash>,
}

impl RunSettings {
    /// Those of a pipeline with the arguments of a command. Reads all inputs and all weights.
    ///
    /// # Errors
    /// A model's files cannot be read; the working folder is gone.
    pub fn of(
        command: &str,
        arguments: Map<String, Value>,
        pipeline: &Pipeline,
        models: &Models,
        inputs: Vec<InputHash>,
    ) -> Result<RunSettings, ManifestError> {
        let stages = pipeline.descriptions().to_vec();
        let names: BTreeSet<&str> = stages.iter().map(|stage| stage.model.as_str()).collect();
        let opened = models;
        let hash = |name: &str| {
            let found = opened.fingerprint(name);
            let sha256 =
                found.map_err(|e| ManifestError::Model { model: name.into(), source: Box::new(e) })?;
            Ok(ModelHash { name: name.to_string(), sha256 })
        };
        let mut models = names.into_iter().map(hash).collect::<Result<Vec<ModelHash>, ManifestError>>()?;
        for name in pipeline.first_stage_models() {
            // The folder of a docid model has more than a model: its catalogue is read too.
            models.push(match Path::new(name).is_dir() {
                true => {
                    let sha256 = InputHash::of("model", Path::new(name))?.sha256;
                    ModelHash { name: name.to_string(), sha256 }
                }
                false => hash(name)?,
            });
        }
        Ok(RunSettings { stages, ..RunSettings::without_stages(command, arguments, models, inputs)? })
    }

    /// Those of a command that has no pipeline.
    ///
    /// # Errors
    /// The working folder is gone.
    pub fn without_stages(
        command: &str,
        arguments: Map<String, Value>,
        models: Vec<ModelHash>,
        inputs: Vec<InputHash>,
    ) -> Result<RunSettings, ManifestError> {
        Ok(RunSettings {
            plackett: env!("CARGO_PKG_VERSION").to_string(),
            command: command.to_string(),
            folder: std::env::current_dir().map_err(|source| ManifestError::Folder { source })?,
            arguments,
            stages: Vec::new(),
            models,
            inputs,
        })
    }

    /// What is not as it was when `before` was written down.
    pub fn differences(&self, before: &RunSettings) -> Vec<Difference> {
        difference::between(before, self)
    }
}

/// The result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputHash {
    /// Its path as it was given.
    pub path: PathBuf,
    /// SHA-256 of its bytes, before they are packed where the name ends in `.gz` or `.zst`.
    pub sha256: String,
    /// How many there are.
    pub bytes: u64,
}

/// What the work cost, all requests together. Calls that an interrupted run made for requests that it did not finish are
/// not in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Sequences that went through a model.
    pub passes: u64,
    /// Tokens read by models.
    pub prompt_tokens: u64,
    /// Tokens written by models.
    pub generated_tokens: u64,
    /// Passes or parts of passes answered from a cache.
    pub cache_hits: u64,
    /// Seconds.
    pub seconds: f64,
}

impl Cost {
    /// Adds the cost of one ranking.
    pub fn add(&mut self, trace: &Trace) {
        self.passes += trace.passes;
        self.prompt_tokens += trace.prompt_tokens;
        self.generated_tokens += trace.generated_tokens;
        self.cache_hits += trace.cache_hits;
        self.seconds += trace.seconds;
    }
}

/// A run, as it lies beside its result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_VERSION`].
    pub manifest_version: u32,
    /// What the result depends on.
    #[serde(flatten)]
    pub settings: RunSettings,
    /// Requests that were read.
    pub requests: usize,
    /// Requests that have an answer in the result.
    pub ranked: usize,
    /// Requests that could not be ranked and are left out.
    pub failed: usize,
    /// Prompt templates that answers were made with: name and the beginning of the hash.
    pub prompts: BTreeSet<String>,
    /// The result.
    pub output: OutputHash,
    /// What it cost.
    pub cost: Cost,
    /// When it was finished.
    pub finished: String,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`ManifestError::File`] when it cannot be read or is none; [`ManifestError::Version`] when a later version wrote it.
    pub fn read(path: &Path) -> Result<Manifest, ManifestError> {
        let failed = |problem: String| ManifestError::File { path: path.to_path_buf(), problem };
        let text =
            std::fs::read_to_string(path).map_err(|error| failed(plackett_core::formats::plain(&error)))?;
        let value: Value =
            serde_json::from_str(&text).map_err(|error| failed(format!("no JSON ({error})")))?;
        match value.get("manifest_version").and_then(Value::as_u64) {
            Some(version) if version != u64::from(MANIFEST_VERSION) => {
                Err(ManifestError::Version { path: path.to_path_buf(), version })
            }
            Some(_) => serde_json::from_value(value).map_err(|error| failed(error.to_string())),
            None => Err(failed("it has no `manifest_version`".into())),
        }
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ManifestError> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| ManifestError::File { path: path.to_path_buf(), problem: error.to_string() })?;
        atomic::write(path, |out| writeln!(out, "{text}"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
