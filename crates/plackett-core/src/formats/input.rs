//! Opening files: compression by magic number, standard input as `-`, and lines with numbers and a limit.

use super::FormatError;
use super::foreign::foreign;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The longest line that is read unless another limit is asked for, in bytes.
pub const DEFAULT_LINE_LIMIT: usize = 8 << 20;

/// A reader of plain bytes.
pub type Input<'a> = Box<dyn BufRead + Send + 'a>;

/// How many bytes of a file have been read, packed as they lie there: what a progress bar shows.
pub type BytesRead = Arc<AtomicU64>;

/// Adds what passes through to a count.
pub(crate) struct Counted<R> {
    pub inner: R,
    pub count: Option<BytesRead>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if let Some(count) = &self.count {
            count.fetch_add(read as u64, Ordering::Relaxed);
        }
        Ok(read)
    }
}

/// The name of a file in messages.
pub(crate) fn name_of(path: &Path) -> String {
    if path == Path::new("-") { "standard input or output".into() } else { path.display().to_string() }
}

/// The byte order mark of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Bytes in memory without a byte order mark.
pub fn unmarked(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(MARK).unwrap_or(bytes)
}

/// A line without its end (`\n` or `\r\n`).
pub(crate) fn trimmed(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// What is said of a folder in the place of a file.
pub(super) const IS_FOLDER: &str = "is a folder, expected a file";

/// Opens a file, or standard input for `-`; gzip (several members too) and zstd are undone, whatever the name, and a byte
/// order mark is taken off. What is no text, such as a PDF or an archive, is refused by what it is.
pub fn open(path: &Path) -> Result<Input<'static>, FormatError> {
    open_counted(path, None)
}

/// The same, adding to a count what is read.
pub(crate) fn open_counted(path: &Path, count: Option<&BytesRead>) -> Result<Input<'static>, FormatError> {
    let count = count.cloned();
    if path == Path::new("-") {
        return unpack(BufReader::with_capacity(1 << 16, Counted { inner: io::stdin(), count }), path);
    }
    unpack(BufReader::with_capacity(1 << 16, Counted { inner: open_file(path)?, count }), path)
}

/// The same for a file whose bytes are no text, which is for its reader to judge: only packing is undone.
pub(super) fn open_foreign(path: &Path, count: Option<&BytesRead>) -> Result<Input<'static>, FormatError> {
    let file = Counted { inner: open_file(path)?, count: count.cloned() };
    decompress(BufReader::with_capacity(1 << 16, file), path)
}

fn open_file(path: &Path) -> Result<File, FormatError> {
    if path.is_dir() {
        return Err(FormatError::File { file: name_of(path), problem: IS_FOLDER.into() });
    }
    if let Some(problem) = no_file(path) {
        return Err(FormatError::File { file: name_of(path), problem: problem.into() });
    }
    File::open(path).map_err(|source| FormatError::Open { file: name_of(path), source })
}

/// What is wrong with a path that is there and can never be opened as a file.
#[cfg(unix)]
fn no_file(path: &Path) -> Option<&'static str> {
    use std::os::unix::fs::FileTypeExt;
    let kind = std::fs::metadata(path).ok()?.file_type();
    kind.is_socket().then_some("is a socket, expected a file")
}

#[cfg(not(unix))]
fn no_file(_: &Path) -> Option<&'static str> {
    None
}

/// The same for the bytes of a file that are in memory already; `file` is its name in messages. Packed bytes may become
/// many more than they are: take from the reader only what can be kept.
pub fn open_bytes<'a>(bytes: &'a [u8], file: &str) -> Result<Input<'a>, FormatError> {
    unpack(bytes, Path::new(file))
}

fn unpack<'a>(mut reader: impl BufRead + Send + 'a, path: &Path) -> Result<Input<'a>, FormatError> {
    let failed = |source| FormatError::Open { file: name_of(path), source };
    let start = reader.fill_buf().map_err(failed)?;
    let packed = path.extension().is_some_and(|ending| ending == "gz" || ending == "zst");
    if start.is_empty() && packed {
        return Err(FormatError::Truncated { file: name_of(path), line: 0 });
    }
    let mut reader = decompress(reader, path)?;
    let start = reader.fill_buf().map_err(|source| stopped(name_of(path), 0, source))?;
    if let Some(problem) = foreign(start) {
        return Err(FormatError::File { file: name_of(path), problem: problem.into() });
    }
    without_mark(reader).map_err(|source| stopped(name_of(path), 0, source))
}

/// Takes a byte order mark off. This is the one place where it is done for all readers of files and of standard input.
fn without_mark<'a>(mut reader: Input<'a>) -> io::Result<Input<'a>> {
    let start = reader.fill_buf()?;
    if start.starts_with(MARK) {
        reader.consume(MARK.len());
        return Ok(reader);
    }
    if start.is_empty() || !MARK.starts_with(start) {
        return Ok(reader);
    }
    // A pipe gave a part of the mark; what it gives is read until it is one, or none.
    let mut start = Vec::with_capacity(MARK.len());
    reader.by_ref().take(MARK.len() as u64).read_to_end(&mut start)?;
    if start == MARK { Ok(reader) } else { Ok(Box::new(io::Cursor::new(start).chain(reader))) }
}

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Whether a file with these first bytes is one that [`decompress`] unpacks.
pub(super) fn is_packed(start: &[u8]) -> bool {
    start.starts_with(&GZIP) || start.starts_with(&ZSTD)
}

/// Undoes gzip and zstd, and lets everything else through.
pub(super) fn decompress<'a>(
    mut reader: impl BufRead + Send + 'a,
    path: &Path,
) -> Result<Input<'a>, FormatError> {
    let failed = |source| FormatError::Open { file: name_of(path), source };
    let start = reader.fill_buf().map_err(failed)?;
    if start.starts_with(&GZIP) {
        Ok(Box::new(BufReader::with_capacity(1 << 16, flate2::bufread::MultiGzDecoder::new(reader))))
    } else if start.starts_with(&ZSTD) {
        let decoder = zstd::stream::read::Decoder::with_buffer(reader).map_err(failed)?;
        Ok(Box::new(BufReader::with_capacity(1 << 16, decoder)))
    } else {
        Ok(Box::new(reader))
    }
}

/// The whole content of a file, unpacked.
pub fn read_all(path: &Path) -> Result<Vec<u8>, FormatError> {
    let mut reader = open(path)?;
    let hint = std::fs::metadata(path).map_or(0, |m| m.len() as usize);
    let mut bytes = Vec::with_capacity(hint + 1);
    match reader.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(stopped(name_of(path), memchr::memchr_iter(b'\n', &bytes).count() as u64, error)),
    }
}

/// The whole content of a file of text, unpacked.
///
/// # Errors
/// What [`read_all`] says, and the first byte that is no UTF-8.
pub fn read_text(path: &Path) -> Result<String, FormatError> {
    String::from_utf8(read_all(path)?).map_err(|error| {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        let line = memchr::memchr_iter(b'\n', before).count() as u64 + 1;
        FormatError::Utf8 { file: name_of(path), line, byte: before.len() - line_start + 1 }
    })
}

/// An error while reading: an early end of packed data is told apart.
pub(super) fn stopped(file: String, line: u64, source: io::Error) -> FormatError {
    let early = source.kind() == ErrorKind::UnexpectedEof || source.to_string().contains("incomplete frame");
    if early { FormatError::Truncated { file, line } } else { FormatError::Read { file, line, source } }
}

/// Lines of a text with their numbers. Line ends are taken off.
pub struct Lines<'a> {
    reader: Input<'a>,
    file: String,
    line: u64,
    limit: usize,
    buffer: Vec<u8>,
    broken: bool,
}

impl<'a> Lines<'a> {
    /// Lines of a file; `-` is standard input.
    pub fn open(path: &Path, limit: usize) -> Result<Lines<'static>, FormatError> {
        Ok(Lines::over(open(path)?, name_of(path), limit))
    }

    /// Lines of a reader that has no byte order mark; `file` is for messages.
    pub(crate) fn over(reader: Input<'a>, file: String, limit: usize) -> Lines<'a> {
        Lines { reader, file, line: 0, limit, buffer: Vec::new(), broken: false }
    }

    /// Lines of bytes in memory; `file` is for messages.
    pub fn of_bytes(bytes: &'a [u8], file: &str, limit: usize) -> Lines<'a> {
        Lines::over(Box::new(unmarked(bytes)), file.into(), limit)
    }

    /// The file's name for messages.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Number of the line that was read last, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The first byte that is not blank, without reading on: what tells JSON arrays, records and lines apart. Looks no
    /// further than the reader's buffer.
    pub fn peek(&mut self) -> Result<Option<u8>, FormatError> {
        match self.reader.fill_buf() {
            Ok(bytes) => Ok(bytes.iter().copied().find(|byte| !byte.is_ascii_whitespace())),
            Err(error) => Err(self.stop(error)),
        }
    }

    /// Everything that was not read yet.
    pub fn rest(&mut self) -> Result<Vec<u8>, FormatError> {
        let mut bytes = Vec::new();
        let result = self.reader.read_to_end(&mut bytes);
        self.line += memchr::memchr_iter(b'\n', &bytes).count() as u64;
        result.map_err(|error| self.stop(error))?;
        Ok(bytes)
    }

    /// The next line, or `None` at the end. A line that is too long or no text is an error in its place, and the next
    /// call goes on behind it; when the reading itself fails there are no more lines.
    #[allow(clippy::should_implement_trait)] // a lending iterator: the line lives until the next call
    pub fn next(&mut self) -> Result<Option<&str>, FormatError> {
        if self.broken {
            return Ok(None);
        }
        self.buffer.clear();
        match self.fill() {
            Ok(0) => return Ok(None),
            Ok(_) => self.line += 1,
            Err(error) => return Err(self.stop(error)),
        }
        let bytes = trimmed(&self.buffer);
        if bytes.len() > self.limit {
            let (file, line, limit) = (self.file.clone(), self.line, self.limit);
            return Err(FormatError::LineTooLong { file, line, limit });
        }
        let not_text = |error: std::str::Utf8Error| FormatError::Utf8 {
            file: self.file.clone(),
            line: self.line,
            byte: error.valid_up_to() + 1,
        };
        std::str::from_utf8(bytes).map(Some).map_err(not_text)
    }

    fn stop(&mut self, error: io::Error) -> FormatError {
        self.broken = true;
        stopped(self.file.clone(), self.line, error)
    }

    /// Reads up to and with the line feed. Of a line that is too long only the beginning is kept, so that memory stays
    /// bounded; the rest is passed over. Gives the number of bytes that were read.
    fn fill(&mut self) -> io::Result<u64> {
        // Room for the line and its end, and one more to see that it is too long.
        let most = self.limit.saturating_add(6);
        let mut length = 0;
        loop {
            let bytes = match self.reader.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let (taken, ended) = match memchr::memchr(b'\n', bytes) {
                Some(end) => (end + 1, true),
                None => (bytes.len(), bytes.is_empty()),
            };
            let room = most.saturating_sub(self.buffer.len());
            self.buffer.extend_from_slice(bytes.get(..taken.min(room)).unwrap_or(bytes));
            self.reader.consume(taken);
            length += taken as u64;
            if ended {
                return Ok(length);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::path::PathBuf;

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
            assert_eq!(read_all(&path).unwrap(), b"one\ntwo\n");
            let (bytes, mut read) = (std::fs::read(&path).unwrap(), Vec::new());
            open_bytes(&bytes, "x").unwrap().read_to_end(&mut read).unwrap();
            assert_eq!(read, b"one\ntwo\n");
        }
    }

    #[test]
    fn truncated_packed_files_name_file_and_line() {
        let text: String = (0..5000).map(|i| format!("line {i} {}\n", i * i)).collect();
        let packed =
            [("cut.gz", gzip(text.as_bytes())), ("cut.zst", zstd::encode_all(text.as_bytes(), 0).unwrap())];
        for (name, mut bytes) in packed {
            bytes.truncate(bytes.len() / 2);
            let (_folder, path) = write(name, &bytes);
            let read = || {
                let mut lines = Lines::open(&path, 1000)?;
                while lines.next()?.is_some() {}
                Ok::<(), FormatError>(())
            };
            let error = read().expect_err("the truncation went unnoticed");
            assert!(matches!(error, FormatError::Truncated { .. }), "{error:?}");
            assert!(error.to_string().contains(&format!("{name}, after line")), "{error}");
        }
    }

    #[test]
    fn foreign_files_are_refused_also_when_they_are_packed() {
        for (name, bytes) in [("f", b"%PDF-1.7".to_vec()), ("f.gz", gzip(b"%PDF-1.7"))] {
            let (_folder, path) = write(name, &bytes);
            let error = read_all(&path).unwrap_err().to_string();
            assert!(error.contains(&format!("{name}: is a PDF")), "{error}");
        }
    }

    /// Gives its bytes one at a time, as a slow pipe may.
    struct Drops(&'static [u8]);

    impl Read for Drops {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let (Some((first, rest)), Some(place)) = (self.0.split_first(), buffer.first_mut()) else {
                return Ok(0);
            };
            *place = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    #[test]
    fn a_byte_order_mark_is_taken_off_every_kind_of_input() {
        let marked = "\u{feff}text".as_bytes();
        for (name, bytes) in
            [("x", marked.to_vec()), ("x.gz", gzip(marked)), ("x.zst", zstd::encode_all(marked, 0).unwrap())]
        {
            let (_folder, path) = write(name, &bytes);
            assert_eq!(read_all(&path).unwrap(), b"text", "{name}");
        }
        for (bytes, expected) in
            [(marked, &b"text"[..]), (b"\xef\xbb", b"\xef\xbb"), (b"\xef\xbbx", b"\xef\xbbx"), (b"", b"")]
        {
            let bytes: &'static [u8] = Box::leak(bytes.to_vec().into_boxed_slice());
            let mut read = Vec::new();
            let mut input = unpack(BufReader::new(Drops(bytes)), Path::new("-")).unwrap();
            input.read_to_end(&mut read).unwrap();
            assert_eq!(read, expected);
        }
    }

    #[test]
    fn lines_lose_their_ends_and_the_byte_order_mark() {
        let mut lines = Lines::of_bytes(b"\xef\xbb\xbfa\r\nb\n\nlast", "f", 100);
        let mut seen = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            seen.push(line.to_string());
        }
        assert_eq!(seen, ["a", "b", "", "last"]);
    }

    #[test]
    fn a_text_is_refused_at_its_first_foreign_byte() {
        let (_a, path) = write("x", "\u{feff}ab\nü".as_bytes());
        assert_eq!(read_text(&path).unwrap(), "ab\nü");
        let (_b, path) = write("x", b"ab\nc\xff");
        assert!(matches!(read_text(&path), Err(FormatError::Utf8 { line: 2, byte: 2, .. })));
    }

    #[cfg(unix)]
    #[test]
    fn a_socket_and_links_in_a_circle_are_called_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let (socket, link) = (folder.path().join("s"), folder.path().join("l"));
        let _bound = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        std::os::unix::fs::symlink(&link, &link).unwrap();
        let said = |path: &Path| read_all(path).unwrap_err().to_string();
        assert!(said(&socket).ends_with("is a socket, expected a file"), "{}", said(&socket));
        assert!(said(&link).contains("links lead in a circle"), "{}", said(&link));
        assert!(!said(&link).contains("os error"), "{}", said(&link));
    }

    #[test]
    fn long_lines_and_foreign_bytes_are_refused_with_their_place() {
        let mut lines = Lines::of_bytes(b"ok\nlonger than that\n", "f", 6);
        lines.next().unwrap();
        assert!(matches!(lines.next(), Err(FormatError::LineTooLong { line: 2, limit: 6, .. })));
        assert!(matches!(lines.next(), Ok(None)), "the rest of a long line is no line");
        let mut lines = Lines::of_bytes(b"123456\r\n1234567\r\nend", "f", 6);
        assert_eq!(lines.next().unwrap(), Some("123456"));
        assert!(matches!(lines.next(), Err(FormatError::LineTooLong { line: 2, .. })));
        assert_eq!(lines.next().unwrap(), Some("end"));
        let mut lines = Lines::of_bytes(b"ok\nab\xff\n", "f", 6);
        lines.next().unwrap();
        assert!(matches!(lines.next(), Err(FormatError::Utf8 { line: 2, byte: 3, .. })));
    }
}
