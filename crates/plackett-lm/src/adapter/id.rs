//! Telling adapters apart.

use crate::adapter::files::{CONFIG, WEIGHTS};
use crate::error::LmError;
use crate::sha256::{self, Sha256};
use std::path::Path;
use std::sync::Arc;

/// Which adapter something was computed with: equal when both files of the adapters are, whatever their names. Cheap
/// to clone.
#[derive(Clone, Debug)]
pub struct AdapterId(Arc<(String, String)>);

impl AdapterId {
    pub(super) fn of(directory: &Path) -> Result<AdapterId, LmError> {
        let mut hasher = Sha256::new();
        for file in [CONFIG, WEIGHTS] {
            let path = directory.join(file);
            hasher.update(sha256::digest(std::fs::read(&path).map_err(LmError::io(&path))?));
        }
        let full = directory.canonicalize().unwrap_or_else(|_| directory.to_path_buf());
        let name = full.file_name().map_or_else(|| "adapter".into(), |n| n.to_string_lossy().into_owned());
        Ok(AdapterId(Arc::new((name, hasher.hex_digest()))))
    }

    /// The name of its directory.
    pub fn name(&self) -> &str {
        &self.0.0
    }

    /// SHA-256 of its two files, in hexadecimal.
    pub fn fingerprint(&self) -> &str {
        &self.0.1
    }
}

impl PartialEq for AdapterId {
    fn eq(&self, other: &AdapterId) -> bool {
        self.fingerprint() == other.fingerprint()
    }
}

impl Eq for AdapterId {}

impl std::fmt::Display for AdapterId {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "adapter `{}` ({})", self.name(), &self.fingerprint()[..12])
    }
}
