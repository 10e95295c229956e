//! What can be wrong with a manifest.

use crate::pipeline::ModelError;
use plackett_core::formats::FormatError;
use std::path::PathBuf;

/// Why a manifest cannot be made, read or followed.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A file or folder cannot be read.
    #[error("{flag} `{}`", path.display())]
    Input {
        /// The flag that named it, or `FILE`.
        flag: String,
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The content of a model cannot be told.
    #[error("model {model}: {source}")]
    Model {
        /// Its name.
        model: String,
        /// Why.
        source: Box<ModelError>,
    },
    /// The working folder is gone.
    #[error("the working folder cannot be told; it may have been removed: {source}")]
    Folder {
        /// What the system said.
        source: std::io::Error,
    },
    /// Not a manifest.
    #[error("{}: {problem}; a manifest that `plackett rerank --output` wrote is expected", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A manifest of a form that this version does not know.
    #[error(
        "{}: a manifest of version {version}, and this is plackett {} which reads version {}; use the version that wrote it",
        path.display(), env!("CARGO_PKG_VERSION"), super::MANIFEST_VERSION
    )]
    Version {
        /// Its path.
        path: PathBuf,
        /// Its version.
        version: u64,
    },
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] FormatError),
}
