//! The folder on disk that the targets of whole models share.

use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A temporary folder with files of a tiny model; the target adds the file that it makes up.
pub struct Folder(TempDir);

impl Folder {
    /// A new folder with these files, named by their paths in it.
    pub fn with(files: &[(&str, &[u8])]) -> Self {
        let folder = Self(TempDir::new().expect("a temporary folder"));
        for (name, bytes) in files {
            folder.write(name, bytes);
        }
        folder
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes one file, over the one of that name, and makes the folders on the way to it.
    pub fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path().join(name);
        let parent = path.parent().expect("a file stands in the folder");
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, bytes))
            .expect("the temporary folder can be written");
    }
}
