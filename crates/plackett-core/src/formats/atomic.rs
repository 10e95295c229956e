//! Writing a file whole or not at all.

use super::FormatError;
use super::input::name_of;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A file that takes its name only when [`AtomicFile::commit`] succeeds; dropped without that it leaves nothing. Names
/// that end in `.gz` and `.zst` are packed; `-` is standard output; devices and pipes are written directly.
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
    /// Begins a file. Its folder must exist.
    pub fn create(path: &Path) -> Result<AtomicFile, FormatError> {
        let name = name_of(path);
        let failed = |source| FormatError::Write { file: name.clone(), source };
        // A link keeps pointing where it points: the file behind it is replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let target = match fs::metadata(&path) {
            _ if name == "standard input or output" => Target::Stdout(io::stdout()),
            Ok(data) if data.is_dir() => {
                return Err(FormatError::File {
                    file: name,
                    problem: "is a folder; give the name of a file".into(),
                });
            }
            Ok(data) if !data.is_file() => {
                Target::Direct(OpenOptions::new().write(true).open(&path).map_err(failed)?)
            }
            existing => Target::Beside(beside(&path, existing.ok()).map_err(failed)?),
        };
        let sink = BufWriter::with_capacity(1 << 18, target);
        let sink = match path.extension().and_then(|e| e.to_str()) {
            Some("gz") => Packed::Gzip(flate2::write::GzEncoder::new(sink, flate2::Compression::default())),
            Some("zst") => Packed::Zstd(zstd::stream::write::Encoder::new(sink, 0).map_err(failed)?),
            _ => Packed::Plain(sink),
        };
        Ok(AtomicFile { name, path, sink })
    }

    /// Ends the packing, waits for the disk, and gives the file its name.
    pub fn commit(self) -> Result<(), FormatError> {
        let AtomicFile { name, path, sink } = self;
        finish(sink, &path).map_err(|source| FormatError::Write { file: name, source })
    }
}

fn finish(sink: Packed, path: &Path) -> io::Result<()> {
    let sink = match sink {
        Packed::Plain(sink) => sink,
        Packed::Gzip(encoder) => encoder.finish()?,
        Packed::Zstd(encoder) => encoder.finish()?,
    };
    match sink.into_inner().map_err(|e| e.into_error())? {
        Target::Stdout(mut out) => out.flush(),
        Target::Direct(mut file) => file.flush(),
        Target::Beside(file) => {
            file.as_file().sync_all()?;
            file.persist(path).map_err(|e| e.error)?;
            File::open(folder_of(path))?.sync_all()
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A temporary file in the same folder, with the rights of the file it will replace, or those that the user's mask leaves
/// a new one.
fn beside(path: &Path, existing: Option<fs::Metadata>) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let file = builder.tempfile_in(folder_of(path))?;
    if let Some(existing) = existing {
        // A convenience for other users only: where it is refused the file has those of a new one.
        let _ = fs::set_permissions(file.path(), existing.permissions());
    }
    Ok(file)
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

/// Writes a file in one go with [`AtomicFile`].
pub fn write(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), FormatError> {
    let mut file = AtomicFile::create(path)?;
    if let Err(source) = content(&mut file) {
        return Err(FormatError::Write { file: file.name.clone(), source });
    }
    file.commit()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::read_all;

    #[test]
    fn an_unfinished_file_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.txt", "a.txt.gz", "a.txt.zst"] {
            let path = folder.path().join(name);
            write(&path, |out| out.write_all(b"first")).unwrap();
            let mut file = AtomicFile::create(&path).unwrap();
            file.write_all(b"second, never finished").unwrap();
            drop(file);
            let failed = write(&path, |_| Err(io::Error::other("no")));
            assert!(failed.unwrap_err().to_string().contains("nothing was changed"));
            assert_eq!(read_all(&path).unwrap(), b"first");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_missing_folder_or_a_folder_as_name_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(write(folder.path(), |_| Ok(())).unwrap_err().to_string().contains("is a folder"));
        let deep = folder.path().join("no/such/folder/file");
        assert!(matches!(write(&deep, |_| Ok(())), Err(FormatError::Write { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn a_replaced_file_keeps_its_rights_and_a_new_one_has_those_of_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let rights = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let (usual, new, old) =
            (folder.path().join("usual"), folder.path().join("new"), folder.path().join("old"));
        File::create(&usual).unwrap();
        File::create(&old).unwrap();
        fs::set_permissions(&old, fs::Permissions::from_mode(0o640)).unwrap();
        for path in [&new, &old] {
            write(path, |out| out.write_all(b"x")).unwrap();
        }
        assert_eq!((rights(&new), rights(&old)), (rights(&usual), 0o640));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error() {
        let full = write(Path::new("/dev/full"), |out| out.write_all(&[0; 1 << 20]));
        assert!(matches!(full, Err(FormatError::Write { .. })));
    }
}
