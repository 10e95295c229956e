//! What an index is made of: written once, before the first document, and checked at every opening.

use crate::filter::FieldType;
use crate::{ANALYZER_VERSION, Chunking, SearchError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// Newest layout that this program reads and the one it writes. Raise it when files or fields change their meaning.
pub const FORMAT_VERSION: u64 = 3;
/// The file that makes a folder an index.
pub const MANIFEST: &str = "plackett-index.json";
const KIND: &str = "plackett-index";

/// The model that made the vectors of an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelIdentity {
    /// Name or directory with which it can be opened again.
    pub name: String,
    /// Numbers per vector.
    pub dim: usize,
    /// SHA-256 of its configuration and weights. Indexes of older programs lack it: any model of the same name and
    /// dimension is taken for theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

impl ModelIdentity {
    /// Whether `found` makes vectors that compare with this model's. The name does not matter: a model may move.
    pub fn is_same(&self, found: &ModelIdentity) -> bool {
        let known = self.fingerprint.as_ref().zip(found.fingerprint.as_ref());
        self.dim == found.dim && known.is_none_or(|(own, other)| own == other)
    }
}

impl std::fmt::Display for ModelIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` ({} numbers", self.name, self.dim)?;
        if let Some(hash) = &self.fingerprint {
            // Sixteen digits tell models apart and can be read; the manifest has all.
            write!(f, ", SHA-256 {}…", hash.chars().take(16).collect::<String>())?;
        }
        f.write_str(")")
    }
}

/// How vectors are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VectorFormat {
    /// Four bytes a number.
    #[default]
    F32,
    /// One byte a number and a scale per vector.
    Int8,
}

/// Choices that hold for the life of an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexSettings {
    /// Name of the analyser.
    pub analyzer: String,
    /// Its version, from 1 to [`ANALYZER_VERSION`]; indexes of format version 1 do not name it and have 1.
    #[serde(default = "first_version")]
    pub analyzer_version: u32,
    /// Fields that are searched: `title`, `text`, and names of metadata fields.
    pub fields: Vec<String>,
    /// The model of the vectors; `None` for an index without.
    pub model: Option<ModelIdentity>,
    /// How vectors are kept.
    #[serde(default)]
    pub vectors: VectorFormat,
    /// Whether the metadata can be filtered by. Indexes of format versions 1 and 2 cannot.
    #[serde(default)]
    pub filters: bool,
    /// What the values of some metadata fields must be, by path; those of others are what they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, FieldType>,
    /// How documents are cut into passages; `None` where they are whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunking: Option<Chunking>,
    /// Whether the vectors came with the documents, so that those which the model would make may be others. Indexes of older
    /// programs do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_vectors: Option<bool>,
}

fn first_version() -> u32 {
    1
}

impl Default for IndexSettings {
    fn default() -> Self {
        IndexSettings {
            analyzer: "english".into(),
            analyzer_version: ANALYZER_VERSION,
            fields: vec!["title".into(), "text".into()],
            model: None,
            vectors: VectorFormat::F32,
            filters: true,
            types: BTreeMap::new(),
            chunking: None,
            given_vectors: Some(false),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    kind: String,
    format_version: u64,
    created_by: String,
    settings: IndexSettings,
}

/// Writes the manifest of a new index, into a folder that nobody knows yet.
pub(crate) fn write(directory: &Path, settings: &IndexSettings) -> Result<(), SearchError> {
    let manifest = Manifest {
        kind: KIND.into(),
        format_version: FORMAT_VERSION,
        created_by: format!("plackett {}", env!("CARGO_PKG_VERSION")),
        settings: settings.clone(),
    };
    let path = directory.join(MANIFEST);
    let text = serde_json::to_vec_pretty(&manifest).map_err(|e| SearchError::Argument(e.to_string()))?;
    let failed = |e: std::io::Error| SearchError::Io { path: path.clone(), source: e };
    let mut file = std::fs::File::create(&path).map_err(failed)?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::File::open(directory).and_then(|d| d.sync_all()).map_err(failed)
}

/// Reads the manifest, or says why the folder is no index.
pub(crate) fn read(directory: &Path) -> Result<IndexSettings, SearchError> {
    crate::unfinished::refuse(directory)?;
    read_any(directory)
}

/// The same of an index that may be unfinished.
pub(crate) fn read_any(directory: &Path) -> Result<IndexSettings, SearchError> {
    let path = directory.join(MANIFEST);
    let foreign = |problem: &str| SearchError::Foreign { path: directory.into(), problem: problem.into() };
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && directory.is_dir() => {
            return Err(foreign(
                "no plackett index (there is no plackett-index.json); make one with `plackett index`",
            ));
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(foreign("no such folder; make an index with `plackett index`"));
        }
        Err(source) => return Err(SearchError::Io { path, source }),
    };
    parse(&bytes, directory)
}

/// Checks the bytes of a manifest; `directory` is for messages.
pub fn parse(bytes: &[u8], directory: &Path) -> Result<IndexSettings, SearchError> {
    let corrupt = |problem: String| SearchError::Corrupt { path: directory.join(MANIFEST), problem };
    let value: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|e| corrupt(format!("not JSON: {e}")))?;
    if value.get("kind").and_then(|k| k.as_str()) != Some(KIND) {
        let problem = "plackett-index.json is not the manifest of an index; choose another folder".into();
        return Err(SearchError::Foreign { path: directory.into(), problem });
    }
    let found = value.get("format_version").and_then(|v| v.as_u64()).unwrap_or(0);
    if found > FORMAT_VERSION {
        return Err(SearchError::Newer { path: directory.into(), found, known: FORMAT_VERSION });
    }
    let manifest: Manifest = serde_json::from_value(value).map_err(|e| corrupt(e.to_string()))?;
    let version = manifest.settings.analyzer_version;
    if !(1..=ANALYZER_VERSION).contains(&version) {
        return Err(corrupt(format!(
            "its analyser has version {version}, this program knows 1 to {ANALYZER_VERSION}"
        )));
    }
    Ok(manifest.settings)
}
