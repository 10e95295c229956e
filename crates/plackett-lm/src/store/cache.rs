//! Pulled models on disk: whole or not there.

use crate::sha256;
use crate::store::error::StoreError;
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::path::{Component, Path, PathBuf};

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

/// Reads the manifest of a pulled model from bytes; `path` is for messages.
pub fn parse_manifest(bytes: &[u8], path: &Path) -> Result<Manifest, StoreError> {
    let bad = |problem: String| StoreError::Manifest { path: path.into(), problem };
    let manifest: Manifest =
        serde_json::from_slice(bytes).map_err(|e| bad(format!("not a manifest ({e})")))?;
    for file in &manifest.files {
        // Checking a model reads what its manifest names: that must be files of its folder.
        let inside = Path::new(&file.path).components().all(|part| matches!(part, Component::Normal(_)));
        if !inside || file.path.is_empty() {
            return Err(bad(format!("`{}` is no file of this folder", file.path)));
        }
    }
    Ok(manifest)
}

/// The manifest of a folder; `None` when there is no model.
pub(super) fn read_manifest(folder: &Path) -> Result<Option<Manifest>, StoreError> {
    let path = folder.join(MANIFEST);
    match std::fs::read(&path) {
        Ok(bytes) => parse_manifest(&bytes, &path).map(Some),
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(source) => Err(StoreError::Io { path, source }),
    }
}

/// Compares every file of a pulled model with its record. A folder without a manifest is an error.
pub fn verify_files(folder: &Path) -> Result<Manifest, StoreError> {
    verify_files_with(folder, &|_, _, _| {})
}

/// The same; `progress` is told the file, and how many bytes of how many of all files have been read.
pub fn verify_files_with(folder: &Path, progress: &dyn Fn(&str, u64, u64)) -> Result<Manifest, StoreError> {
    let Some(manifest) = read_manifest(folder)? else {
        return Err(StoreError::NotPulled { path: folder.into() });
    };
    let total = manifest.files.iter().map(|record| record.size).sum();
    let mut before = 0;
    for record in &manifest.files {
        let path = folder.join(&record.path);
        let mut told = |read: u64| progress(&record.path, before + read, total);
        let found = sha256::file_hex_digest_with(&path, &mut told).map_err(StoreError::io(&path))?;
        before += record.size;
        if found != record.sha256 {
            let remedy = format!("remove {} and pull the model again", path.display());
            return Err(StoreError::Hash { path, expected: record.sha256.clone(), found, remedy });
        }
    }
    Ok(manifest)
}

/// Whether every file of a manifest is there with its size: what a pull may rely on without reading everything.
pub(super) fn is_complete(folder: &Path, manifest: &Manifest) -> bool {
    manifest
        .files
        .iter()
        .all(|file| std::fs::metadata(folder.join(&file.path)).is_ok_and(|found| found.len() == file.size))
}

/// Whether a file holds exactly these bytes.
pub(super) fn holds(path: &Path, bytes: &[u8]) -> bool {
    let Ok(mut file) = std::fs::File::open(path) else { return false };
    if file.metadata().map_or(true, |found| found.len() != bytes.len() as u64) {
        return false;
    }
    let mut buffer = vec![0; 1 << 18];
    bytes.chunks(buffer.len()).all(|expected| {
        let part = &mut buffer[..expected.len()];
        file.read_exact(part).is_ok() && part == expected
    })
}

/// SHA-256 of a file in hexadecimal.
pub(super) fn hash_file(path: &Path) -> Result<String, StoreError> {
    sha256::file_hex_digest(path).map_err(StoreError::io(path))
}

/// A folder that becomes a model when it is complete. One process at a time has that of a model.
pub(super) struct Staging {
    folder: PathBuf,
    old: PathBuf,
    finished: bool,
    /// Held until the end: the system gives it back when a process is killed.
    _lock: std::fs::File,
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.finished {
            // What stays behind is removed when the model is pulled next.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

impl Staging {
    /// Waits for other processes that fetch this model, and removes what a killed one left.
    pub(super) fn begin(cache: &Path, target: &Path) -> Result<Staging, StoreError> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let (models, locks) = (cache.join("models"), cache.join("locks"));
        for folder in [&models, &locks] {
            std::fs::create_dir_all(folder).map_err(StoreError::io(folder))?;
        }
        let lock = locks.join(format!("{name}.lock"));
        let file = std::fs::File::create(&lock).map_err(StoreError::io(&lock))?;
        file.lock().map_err(StoreError::io(&lock))?;
        let (folder, old) = (models.join(format!(".pull-{name}")), models.join(format!(".old-{name}")));
        for left in [&folder, &old] {
            match std::fs::remove_dir_all(left) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(StoreError::Io { path: left.clone(), source: e });
                }
                _ => {}
            }
        }
        std::fs::create_dir(&folder).map_err(StoreError::io(&folder))?;
        Ok(Staging { folder, old, finished: false, _lock: file })
    }

    pub(super) fn path(&self) -> &Path {
        &self.folder
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.folder.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(StoreError::io(parent))?;
        }
        let mut file = std::fs::File::create(&path).map_err(StoreError::io(&path))?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(StoreError::io(&path))
    }

    /// Records every file and gives the folder its name. What was there before is replaced.
    pub(super) fn finish(
        mut self,
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
        if target.exists() {
            std::fs::rename(target, &self.old).map_err(StoreError::io(target))?;
        }
        std::fs::rename(&self.folder, target).map_err(StoreError::io(target))?;
        self.finished = true;
        if self.old.exists() {
            std::fs::remove_dir_all(&self.old).map_err(StoreError::io(&self.old))?;
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
