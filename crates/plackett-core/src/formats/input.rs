//! Opening files: compression by magic number, standard input as `-`, and lines with numbers and a limit.

use super::FormatError;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// The longest line that is read, in bytes.
pub const LINE_LIMIT: usize = 8 << 20;

/// Opens a file, or standard input for `-`; gzip (several members too) and zstd are undone.
pub fn open_input(path: &Path) -> Result<Box<dyn BufRead + Send>, FormatError> {
    if path.as_os_str() == "-" {
        return decoded(BufReader::with_capacity(1 << 16, io::stdin()), path);
    }
    if path.is_dir() {
        return Err(FormatError::whole(path, "is a folder, expected a file"));
    }
    let file = File::open(path).map_err(FormatError::io(path))?;
    decoded(BufReader::with_capacity(1 << 16, file), path)
}

/// Undoes compression of any reader; `path` is for messages.
pub(crate) fn decoded<'a>(
    mut reader: impl BufRead + Send + 'a,
    path: &Path,
) -> Result<Box<dyn BufRead + Send + 'a>, FormatError> {
    let start = reader.fill_buf().map_err(FormatError::io(path))?;
    if start.starts_with(&[0x1f, 0x8b]) {
        Ok(Box::new(BufReader::with_capacity(1 << 16, flate2::bufread::MultiGzDecoder::new(reader))))
    } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let decoder = zstd::stream::read::Decoder::with_buffer(reader).map_err(FormatError::io(path))?;
        Ok(Box::new(BufReader::with_capacity(1 << 16, decoder)))
    } else {
        Ok(Box::new(reader))
    }
}

/// The whole content of a file, uncompressed.
pub fn read_input(path: &Path) -> Result<Vec<u8>, FormatError> {
    let mut reader = open_input(path)?;
    let hint = std::fs::metadata(path).map_or(0, |m| m.len() as usize);
    let mut bytes = Vec::with_capacity(hint + 1);
    match reader.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(decoding_error(path, memchr::memchr_iter(b'\n', &bytes).count() as u64, error)),
    }
}

/// An error of a reader: damage to compressed data is told apart from the system's own refusals.
pub(crate) fn decoding_error(path: &Path, line: u64, error: io::Error) -> FormatError {
    use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    if matches!(error.kind(), UnexpectedEof | InvalidData | InvalidInput | Other)
        && error.raw_os_error().is_none()
    {
        FormatError::Compressed { path: path.to_path_buf(), line, problem: error.to_string() }
    } else {
        FormatError::Io { path: path.to_path_buf(), source: error }
    }
}

/// Lines of a text file with their numbers. Line ends (`\n` or `\r\n`) and a byte order mark are taken off.
pub struct Lines<R> {
    reader: R,
    path: PathBuf,
    line: u64,
    limit: usize,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// Lines of a reader; `path` is for messages.
    pub fn new(reader: R, path: impl Into<PathBuf>) -> Self {
        Lines { reader, path: path.into(), line: 0, limit: LINE_LIMIT, buffer: Vec::new() }
    }

    /// Another limit than [`LINE_LIMIT`].
    pub fn with_limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// Number of the line that was read last, from 1.
    pub fn number(&self) -> u64 {
        self.line
    }

    /// The file's name for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next line, or `None` at the end.
    pub fn next_line(&mut self) -> Result<Option<&str>, FormatError> {
        self.buffer.clear();
        let mut limited = (&mut self.reader).take(self.limit as u64 + 1);
        match limited.read_until(b'\n', &mut self.buffer) {
            Ok(0) => return Ok(None),
            Ok(_) => self.line += 1,
            Err(error) => return Err(decoding_error(&self.path, self.line, error)),
        }
        if self.buffer.len() > self.limit {
            let problem =
                format!("longer than {} bytes; split the text or check that this is a text file", self.limit);
            return Err(FormatError::line(&self.path, self.line, problem));
        }
        let mut bytes = &self.buffer[..];
        bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        if self.line == 1 {
            bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(error) => Err(not_utf8(&self.path, self.line, error.valid_up_to())),
        }
    }
}

/// The message for bytes that are no text.
pub(crate) fn not_utf8(path: &Path, line: u64, column: usize) -> FormatError {
    let problem = format!("byte {} is not UTF-8; convert the file (for example with iconv)", column + 1);
    FormatError::line(path, line, problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn write(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_members_and_zstd_read_like_plain_text() {
        let (_a, plain) = write("x", b"one\ntwo\n");
        let (_b, gz) = write("x.gz", &[gzip(b"one\n"), gzip(b"two\n")].concat());
        let (_c, zst) = write("x.zst", &zstd::encode_all(&b"one\ntwo\n"[..], 0).unwrap());
        for path in [plain, gz, zst] {
            assert_eq!(read_input(&path).unwrap(), b"one\ntwo\n");
        }
    }

    #[test]
    fn a_truncated_gzip_names_file_and_line() {
        let text: String = (0..5000).map(|i| format!("line {i} {}\n", i * i)).collect();
        let mut bytes = gzip(text.as_bytes());
        bytes.truncate(bytes.len() / 2);
        let (_folder, path) = write("cut.gz", &bytes);
        let mut lines = Lines::new(open_input(&path).unwrap(), &path);
        let error = loop {
            match lines.next_line() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the truncation went unnoticed"),
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.contains("cut.gz, after line") && error.contains("fetch the file again"), "{error}");
    }

    #[test]
    fn lines_lose_their_ends_and_the_byte_order_mark() {
        let mut lines = Lines::new(&b"\xef\xbb\xbfa\r\nb\n\nlast"[..], "f");
        let mut seen = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            seen.push(line.to_string());
        }
        assert_eq!(seen, ["a", "b", "", "last"]);
    }

    #[test]
    fn long_lines_and_foreign_bytes_are_refused_with_their_place() {
        let mut lines = Lines::new(&b"ok\nlonger than that\n"[..], "f").with_limit(6);
        lines.next_line().unwrap();
        assert!(lines.next_line().unwrap_err().to_string().starts_with("f, line 2: longer than 6 bytes"));
        let mut lines = Lines::new(&b"ok\nab\xff\n"[..], "f");
        lines.next_line().unwrap();
        assert!(lines.next_line().unwrap_err().to_string().starts_with("f, line 2: byte 3 is not UTF-8"));
    }
}
