//! Pulled models on disk: whole or not there.

use super::StoreError;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

const MANIFEST: &str = "plackett-model.json";

/// One file of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Path inside the folder, with slashes.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
}

/// What a pulled model is and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// In words.
    pub source: String,
    /// Licence of the weights, when it is known.
    pub licence: Option<String>,
    /// All files.
    pub files: Vec<FileRecord>,
}

/// The manifest of a folder; `None` when there is no model.
pub(super) fn read_manifest(folder: &Path) -> Result<Option<Manifest>, StoreError> {
    let path = folder.join(MANIFEST);
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|e| StoreError::Manifest { path, problem: format!("not a manifest ({e})") }),
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(source) => Err(StoreError::Io { path, source }),
    }
}

/// Compares every file of a pulled model with its record. A folder without a manifest is an error.
pub fn verify_files(folder: &Path) -> Result<Manifest, StoreError> {
    let Some(manifest) = read_manifest(folder)? else {
        let path = folder.join(MANIFEST);
        return Err(StoreError::Manifest {
            path,
            problem: "there is none, so nothing to compare with".into(),
        });
    };
    for record in &manifest.files {
        let path = folder.join(&record.path);
        let found = hash_file(&path)?;
        if found != record.sha256 {
            return Err(StoreError::Hash { path, expected: record.sha256.clone(), found });
        }
    }
    Ok(manifest)
}

/// SHA-256 of a file in hexadecimal.
pub(super) fn hash_file(path: &Path) -> Result<String, StoreError> {
    let mut file = std::fs::File::open(path).map_err(StoreError::io(path))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).map_err(StoreError::io(path))?;
        if read == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A folder that becomes a model when it is complete.
pub(super) struct Staging {
    folder: tempfile::TempDir,
}

impl Staging {
    pub(super) fn begin(cache: &Path) -> Result<Staging, StoreError> {
        let parent = cache.join("models");
        std::fs::create_dir_all(&parent).map_err(StoreError::io(&parent))?;
        let folder =
            tempfile::Builder::new().prefix(".pull-").tempdir_in(&parent).map_err(StoreError::io(&parent))?;
        Ok(Staging { folder })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.folder.path().join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(StoreError::io(parent))?;
        }
        let mut file = std::fs::File::create(&path).map_err(StoreError::io(&path))?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(StoreError::io(&path))
    }

    /// Records every file and gives the folder its name. What another process put there meanwhile is replaced.
    pub(super) fn finish(
        self,
        target: &Path,
        source: &str,
        licence: Option<String>,
    ) -> Result<(), StoreError> {
        let mut files = Vec::new();
        record(self.path(), self.path(), &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let manifest = Manifest { source: source.into(), licence, files };
        let text = serde_json::to_vec_pretty(&manifest)
            .map_err(|e| StoreError::Manifest { path: target.into(), problem: e.to_string() })?;
        self.write(MANIFEST, &text)?;
        let staged = self.folder.keep();
        readable(&staged);
        let old: Option<PathBuf> = target.exists().then(|| staged.with_extension("old"));
        if let Some(old) = &old {
            std::fs::rename(target, old).map_err(StoreError::io(target))?;
        }
        std::fs::rename(&staged, target).map_err(StoreError::io(target))?;
        if let Some(old) = old {
            std::fs::remove_dir_all(&old).map_err(StoreError::io(&old))?;
        }
        let parent = target.parent().unwrap_or(Path::new("."));
        std::fs::File::open(parent).and_then(|f| f.sync_all()).map_err(StoreError::io(parent))
    }
}

fn record(root: &Path, folder: &Path, files: &mut Vec<FileRecord>) -> Result<(), StoreError> {
    for entry in std::fs::read_dir(folder).map_err(StoreError::io(folder))? {
        let path = entry.map_err(StoreError::io(folder))?.path();
        if path.is_dir() {
            record(root, &path, files)?;
            continue;
        }
        let file = std::fs::File::open(&path).map_err(StoreError::io(&path))?;
        file.sync_all().map_err(StoreError::io(&path))?;
        let size = file.metadata().map_err(StoreError::io(&path))?.len();
        let inside = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        files.push(FileRecord { path: inside, size, sha256: hash_file(&path)? });
    }
    Ok(())
}

/// Temporary folders are private; a model may be read by other users. Where that is refused it stays private.
fn readable(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755));
    }
}
