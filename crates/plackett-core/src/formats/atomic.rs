//! Writing a file whole or not at all.

use super::error::FormatError;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A file that appears under its name only when it is complete: it is written beside its place, synced, and renamed by
/// [`AtomicFile::commit`]. Dropped without that, it leaves no trace. Names that end in `.gz` and `.zst` are packed; `-` is
/// standard output, and devices and pipes are written directly, where nothing can be renamed.
pub struct AtomicFile {
    name: String,
    path: PathBuf,
    sink: Packed,
}

type Sink = BufWriter<Target>;

enum Target {
    Stdout(io::Stdout),
    Direct(File),
    Beside(NamedTempFile),
}

enum Packed {
    Plain(Sink),
    Gzip(flate2::write::GzEncoder<Sink>),
    Zstd(zstd::stream::write::Encoder<'static, Sink>),
}

impl AtomicFile {
    /// Begins a file at `path`.
    pub fn create(path: &Path) -> Result<AtomicFile, FormatError> {
        let standard = path == Path::new("-");
        let name = if standard { "standard output".into() } else { path.display().to_string() };
        let failed = |source| FormatError::io(&name, "create", source);
        // A link keeps pointing where it points: the file behind it is replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let existing = if standard { None } else { fs::metadata(&path).ok() };
        let target = match existing {
            _ if standard => Target::Stdout(io::stdout()),
            Some(data) if data.is_dir() => {
                return Err(FormatError::unsupported(
                    &name,
                    "expected a file name, found a folder",
                    "add a file name",
                ));
            }
            Some(data) if !data.is_file() => {
                Target::Direct(OpenOptions::new().write(true).open(&path).map_err(failed)?)
            }
            existing => Target::Beside(beside(&path, existing).map_err(failed)?),
        };
        let sink = BufWriter::with_capacity(256 << 10, target);
        let sink = match path.extension().and_then(|e| e.to_str()) {
            Some("gz") => Packed::Gzip(flate2::write::GzEncoder::new(sink, flate2::Compression::default())),
            Some("zst") => Packed::Zstd(zstd::stream::write::Encoder::new(sink, 0).map_err(failed)?),
            _ => Packed::Plain(sink),
        };
        Ok(AtomicFile { name, path, sink })
    }

    /// Ends the packing, puts everything on the disk, and gives the file its name.
    pub fn commit(self) -> Result<(), FormatError> {
        let AtomicFile { name, path, sink } = self;
        let failed = |source| FormatError::io(&name, "write", source);
        let sink = match sink {
            Packed::Plain(sink) => sink,
            Packed::Gzip(encoder) => encoder.finish().map_err(failed)?,
            Packed::Zstd(encoder) => encoder.finish().map_err(failed)?,
        };
        match sink.into_inner().map_err(|error| failed(error.into_error()))? {
            Target::Stdout(mut out) => out.flush().map_err(failed),
            Target::Direct(mut file) => file.flush().map_err(failed),
            Target::Beside(file) => {
                file.as_file().sync_all().map_err(failed)?;
                file.persist(&path).map_err(|error| FormatError::io(&name, "rename to", error.error))?;
                sync_folder(&path).map_err(failed)
            }
        }
    }

    /// The name for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes bytes with an error that names the file.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), FormatError> {
        self.write_all(bytes).map_err(|source| FormatError::io(&self.name, "write", source))
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file in the same folder, with the permissions that a newly created or the replaced file has.
fn beside(path: &Path, existing: Option<fs::Metadata>) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".plackett-").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let file = builder.tempfile_in(folder(path))?;
    if let Some(data) = existing {
        file.as_file().set_permissions(data.permissions())?;
    }
    Ok(file)
}

/// A rename is only sure to survive a crash when the folder is synced. Where folders cannot be opened it is done anyway.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder(path))?.sync_all() } else { Ok(()) }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Target::Stdout(out) => out.write(bytes),
            Target::Direct(file) => file.write(bytes),
            Target::Beside(file) => file.write(bytes),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Target::Stdout(out) => out.flush(),
            Target::Direct(file) => file.flush(),
            Target::Beside(file) => file.flush(),
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.sink {
            Packed::Plain(sink) => sink.write(bytes),
            Packed::Gzip(sink) => sink.write(bytes),
            Packed::Zstd(sink) => sink.write(bytes),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Packed::Plain(sink) => sink.flush(),
            Packed::Gzip(sink) => sink.flush(),
            Packed::Zstd(sink) => sink.flush(),
        }
    }
}
