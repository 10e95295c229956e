//! SHA-256, by which files, models, texts and runs are told from others: the one place of all crates that hashes. The names are those of
//! Python's `hashlib`.

use sha2::Digest;
use std::io::{self, Read};
use std::path::Path;

/// A hash of bytes that come one after another.
#[derive(Clone, Debug, Default)]
pub struct Sha256(sha2::Sha256);

impl Sha256 {
    /// Of nothing yet.
    pub fn new() -> Sha256 {
        Sha256::default()
    }

    /// Takes more.
    pub fn update(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.update(bytes);
    }

    /// Takes a part with its length before it: the bytes of one part never count as those of another.
    pub fn update_part(&mut self, part: impl AsRef<[u8]>) {
        let part = part.as_ref();
        self.update((part.len() as u64).to_le_bytes());
        self.update(part);
    }

    /// The 32 bytes.
    pub fn digest(self) -> [u8; 32] {
        self.0.finalize().into()
    }

    /// The 64 hexadecimal digits.
    pub fn hex_digest(self) -> String {
        hex(&self.digest())
    }

    /// The first eight bytes as a number, the greatest first: a seed that follows from what was hashed.
    pub fn seed(self) -> u64 {
        self.digest().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

/// Bytes in hexadecimal, two digits each.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The hash of bytes or of a text.
pub fn digest(bytes: impl AsRef<[u8]>) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(bytes);
    hash.digest()
}

/// The same in hexadecimal.
pub fn hex_digest(bytes: impl AsRef<[u8]>) -> String {
    hex(&digest(bytes))
}

/// The hash of a file in hexadecimal.
///
/// # Errors
/// It cannot be read.
pub fn file_hex_digest(path: &Path) -> io::Result<String> {
    file_hex_digest_with(path, &mut |_| {})
}

/// The same; `progress` is told how many bytes have been read.
///
/// # Errors
/// As [`file_hex_digest`].
pub fn file_hex_digest_with(path: &Path, progress: &mut dyn FnMut(u64)) -> io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut done = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hash.hex_digest());
        }
        hash.update(&buffer[..read]);
        done += read as u64;
        progress(done);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of FIPS 180-4.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn the_hash_is_that_of_the_standard() {
        assert_eq!(hex_digest("abc"), ABC);
        let mut hash = Sha256::new();
        hash.update("a");
        hash.update(b"bc");
        assert_eq!(hash.clone().hex_digest(), ABC);
        assert_eq!(hash.seed(), 0xba78_16bf_8f01_cfea);
        assert_eq!(hex(&[0, 10, 255]), "000aff");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        let mut read = 0;
        assert_eq!(file_hex_digest_with(&path, &mut |bytes| read = bytes).unwrap(), ABC);
        assert_eq!((read, file_hex_digest(&path).unwrap()), (3, ABC.into()));
        assert!(file_hex_digest(&folder.path().join("absent")).is_err());
    }

    #[test]
    fn parts_are_told_from_each_other() {
        let of = |parts: &[&str]| {
            let mut hash = Sha256::new();
            parts.iter().for_each(|part| hash.update_part(part));
            hash.hex_digest()
        };
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
        assert_ne!(of(&["a", "b"]), of(&["ab", ""]));
        assert_ne!(of(&["a"]), of(&["a", ""]));
    }
}
