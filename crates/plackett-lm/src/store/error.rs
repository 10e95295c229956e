//! Why a model cannot be had.

use std::path::PathBuf;

/// What went wrong and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// File or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Nowhere to keep models.
    #[error("no folder for models: set PLACKETT_CACHE to one that can be written")]
    NoCache,
    /// The model is not on this machine.
    #[error("the model `{name}` is not on this machine (looked in {cache} and the Hugging Face cache); {remedy}", cache = cache.display())]
    NotHere {
        /// The model.
        name: String,
        /// Plackett's cache.
        cache: PathBuf,
        /// What to do.
        remedy: String,
    },
    /// There is something of this name, but it is no model.
    #[error("`{name}` {problem}; {remedy}")]
    NoModel {
        /// What was given as a model.
        name: String,
        /// What it is, and what was expected.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// It would have to be fetched, which is forbidden.
    #[error("`{name}` would have to be fetched, and --offline (or HF_HUB_OFFLINE) forbids it; {remedy}")]
    Offline {
        /// The model.
        name: String,
        /// What to do.
        remedy: String,
    },
    /// The bundled model was asked for before it was unpacked.
    #[error("`{name}` comes with the plackett program, which unpacks it; it cannot be pulled")]
    NotUnpacked {
        /// The model.
        name: String,
    },
    /// A file that is not what was recorded.
    #[error("{path}: SHA-256 is {found}, expected {expected}; {remedy}")]
    Hash {
        /// The file.
        path: PathBuf,
        /// Recorded.
        expected: String,
        /// Computed.
        found: String,
        /// What to do.
        remedy: String,
    },
    /// A directory of which nothing was recorded. It may be the user's own: never advise to remove it.
    #[error(
        "{path}: no hashes are recorded for it, because `plackett model pull` did not put it there; `plackett model list` names those that can be verified"
    )]
    NotPulled {
        /// The directory.
        path: PathBuf,
    },
    /// A manifest that cannot be read.
    #[error("{path}: {problem}; remove the folder and pull again")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// `pip` or the hub failed: something outside this program.
    #[error("{service} could not deliver `{name}`: {problem}")]
    Service {
        /// `pip` or the hub.
        service: &'static str,
        /// The model or package.
        name: String,
        /// What it said.
        problem: String,
    },
    /// An archive with entries that are refused.
    #[error("{path}: {problem}")]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl StoreError {
    /// Whether the fault lies with a service outside this program (exit code 3).
    pub fn is_outside(&self) -> bool {
        matches!(self, StoreError::Service { .. })
    }

    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> StoreError {
        let path = path.into();
        move |source| StoreError::Io { path, source }
    }
}
