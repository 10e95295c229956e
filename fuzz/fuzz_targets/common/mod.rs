//! What several targets share: a folder on disk, and the checksum behind which damage hides.
#![allow(dead_code)]

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

/// CRC-32 as the files have it, little-endian.
pub fn crc(bytes: &[u8]) -> [u8; 4] {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    (!crc).to_le_bytes()
}
