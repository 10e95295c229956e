//! SHA-256 of files and folders, by which inputs are told from others of their name.

use plackett_lm::sha256::{Sha256, file_hex_digest_with};
use std::io;
use std::path::{Path, PathBuf};

/// What a file or folder holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// Bytes of the file, or of all files in the folder.
    pub bytes: u64,
}

/// Whether what is read there can be read once only: `-` for standard input, a pipe or a device.
pub fn is_stream(path: &Path) -> bool {
    path == Path::new("-") || path.metadata().is_ok_and(|data| !data.is_file() && !data.is_dir())
}

/// The content of a file as it lies on the disk, packed or not; of a folder, the names and contents of all files in it.
///
/// # Errors
/// Something cannot be read.
pub fn content(path: &Path) -> io::Result<Content> {
    if !path.is_dir() {
        return file(path);
    }
    let mut files = Vec::new();
    walk(path, &mut files)?;
    // By name inside the folder: the order of its entries is the system's affair.
    let mut named = Vec::new();
    for path_of_file in files {
        let inside = path_of_file.strip_prefix(path).unwrap_or(&path_of_file);
        named.push((inside.to_string_lossy().replace('\\', "/"), file(&path_of_file)?));
    }
    named.sort_by(|a, b| a.0.cmp(&b.0));
    let mut hasher = Sha256::new();
    for (name, content) in &named {
        hasher.update(format!("{}  {name}\n", content.sha256));
    }
    let bytes = named.iter().map(|(_, content)| content.bytes).sum();
    Ok(Content { sha256: hasher.hex_digest(), bytes })
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // A link to a folder is not followed: it may lead back here.
        match entry.file_type()?.is_dir() {
            true => walk(&entry.path(), files)?,
            false if entry.path().is_file() => files.push(entry.path()),
            false => {}
        }
    }
    Ok(())
}

fn file(path: &Path) -> io::Result<Content> {
    let mut bytes = 0;
    let sha256 = file_hex_digest_with(path, &mut |read| bytes = read)?;
    Ok(Content { sha256, bytes })
}

/// SHA-256 of parts, each told from the next: the bytes of one never count as those of another.
pub fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update_part(part);
    }
    hasher.digest()
}

/// SHA-256 of bytes that come one after another, and how many there are.
#[derive(Clone, Debug, Default)]
pub struct RunningHash {
    hasher: Sha256,
    bytes: u64,
}

impl RunningHash {
    /// Takes more.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    /// All that came.
    pub fn content(self) -> Content {
        Content { sha256: self.hasher.hex_digest(), bytes: self.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_lm::sha256::hex_digest;

    #[test]
    fn a_folder_is_told_by_the_names_and_contents_of_its_files() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("a/x", "one");
        write("y", "three");
        let first = content(folder.path()).unwrap();
        assert_eq!(first.bytes, 8);
        write("y", "four!");
        assert_ne!(content(folder.path()).unwrap(), first);
        write("y", "three");
        assert_eq!(content(folder.path()).unwrap(), first);
        std::fs::rename(folder.path().join("y"), folder.path().join("z")).unwrap();
        assert_ne!(content(folder.path()).unwrap().sha256, first.sha256);
        let one = content(&folder.path().join("a/x")).unwrap();
        assert_eq!((one.sha256, one.bytes), (hex_digest("one"), 3));
        assert!(content(&folder.path().join("absent")).is_err());
    }

    #[test]
    fn parts_are_told_from_each_other() {
        assert_eq!(digest(&[b"a", b"b"]), digest(&[b"a", b"b"]));
        assert_ne!(digest(&[b"a", b"b"]), digest(&[b"ab", b""]));
        assert_ne!(digest(&[b"a"]), digest(&[b"a", b""]));
    }
}
