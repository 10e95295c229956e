//! Writing a file whole or not at all.

use super::FormatError;
use super::input::name_of;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tempfile::NamedTempFile;

/// What names of temporary files begin with.
const TEMPORARY: &str = ".tmp";
/// Letters and digits that tell temporary files of one target from one another.
const RANDOM: usize = 6;
/// Bytes of a target's name that a temporary name has room for.
const LONGEST_NAME: usize = 200;
/// The temporary files that each folder had when this process first wrote there. A folder is listed once: else every one of many
/// files in it would pay for all others.
static LEFT: Mutex<BTreeMap<PathBuf, Vec<OsString>>> = Mutex::new(BTreeMap::new());

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
/// a new one. It is locked as long as it is written, so that one that a killed process has left can be told, and the next write
/// of the same file removes it.
fn beside(path: &Path, existing: Option<fs::Metadata>) -> io::Result<NamedTempFile> {
    let folder = folder_of(path);
    let own = own_prefix(path);
    if let Some(own) = &own {
        remove_left(folder, own);
    }
    let prefix = own.unwrap_or_else(|| TEMPORARY.into());
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).rand_bytes(RANDOM);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let file = locked(&builder, folder)?;
    if let Some(existing) = existing {
        // A convenience for other users only: where it is refused the file has those of a new one.
        let _ = fs::set_permissions(file.path(), existing.permissions());
    }
    Ok(file)
}

/// What the names of the temporary files of a target begin with; `None` where its name leaves no room.
fn own_prefix(path: &Path) -> Option<OsString> {
    let name = path.file_name().filter(|name| name.len() <= LONGEST_NAME)?;
    let mut prefix = OsString::from(TEMPORARY);
    for part in [OsStr::new("."), name, OsStr::new(".")] {
        prefix.push(part);
    }
    Some(prefix)
}

/// A new file with a lock, where the file system has locks.
fn locked(builder: &tempfile::Builder<'_, '_>, folder: &Path) -> io::Result<NamedTempFile> {
    loop {
        let file = builder.tempfile_in(folder)?;
        match file.as_file().try_lock() {
            // Before it was locked, another writer of the same target may have taken it for one that was left.
            Err(TryLockError::WouldBlock) => {}
            Ok(()) if !file.path().exists() => {}
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(file),
        }
    }
}

/// Removes the temporary files of a target that were there when its folder was listed and that nobody writes any more. One that
/// cannot be locked or removed stays.
fn remove_left(folder: &Path, own: &OsStr) {
    let Ok(folder) = fs::canonicalize(folder) else { return };
    let mut known = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    let left = known.entry(folder.clone()).or_insert_with(|| temporaries(&folder));
    left.retain(|name| {
        let random = name.as_encoded_bytes().strip_prefix(own.as_encoded_bytes());
        let is_own = random.is_some_and(|random| random.len() == RANDOM);
        !is_own || !removed(&folder.join(name))
    });
}

/// The names of the temporary files of all targets in a folder.
fn temporaries(folder: &Path) -> Vec<OsString> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let named = |entry: fs::DirEntry| {
        let name = entry.file_name();
        let bytes = name.as_encoded_bytes();
        let (_, random) = bytes.split_at_checked(bytes.len().checked_sub(RANDOM)?)?;
        let is_one = bytes.starts_with(TEMPORARY.as_bytes()) && random.iter().all(u8::is_ascii_alphanumeric);
        (is_one && entry.file_type().is_ok_and(|kind| kind.is_file())).then_some(name)
    };
    entries.filter_map(Result::ok).filter_map(named).collect()
}

/// Removes a temporary file, unless somebody writes it. The lock is held until the file is gone, so that nobody takes it up in between.
fn removed(path: &Path) -> bool {
    match File::open(path) {
        Ok(file) => file.try_lock().is_ok() && fs::remove_file(path).is_ok(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
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

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_a_killed_write_left_goes_with_the_next_one_of_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let others = [".tmp.a.txt.AbC", ".tmp.a.txt.Ab-dE1", ".tmp.b.txt.AbCdE1", ".tmpAbCdE1", "b.txt"];
        for name in others.iter().chain(&[".tmp.a.txt.AbCdE1", ".tmp.a.txt.xyz123"]) {
            fs::write(folder.path().join(name), "left").unwrap();
        }
        write(&folder.path().join("a.txt"), |out| out.write_all(b"x")).unwrap();
        let mut expected: Vec<&str> = others.iter().copied().chain(["a.txt"]).collect();
        expected.sort_unstable();
        assert_eq!(names(folder.path()), expected);
        // A name that is as long as names may be leaves no room for more.
        write(&folder.path().join("n".repeat(255)), |out| out.write_all(b"x")).unwrap();
    }

    #[test]
    fn a_folder_is_listed_once() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".tmp.a.txt.AbCdE1", ".tmp.b.txt.AbCdE1"] {
            fs::write(folder.path().join(name), "left").unwrap();
        }
        write(&folder.path().join("a.txt"), |out| out.write_all(b"x")).unwrap();
        // What comes after the first write is not looked for; what was there before it is known.
        fs::write(folder.path().join(".tmp.b.txt.xyz123"), "left").unwrap();
        write(&folder.path().join("b.txt"), |out| out.write_all(b"x")).unwrap();
        assert_eq!(names(folder.path()), [".tmp.b.txt.xyz123", "a.txt", "b.txt"]);
    }

    #[test]
    fn what_somebody_still_writes_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        // Another process writes the same file when this one comes to the folder.
        let other = folder.path().join(".tmp.a.txt.AbCdE1");
        let held = File::create(&other).unwrap();
        held.lock().unwrap();
        let mut slow = AtomicFile::create(&path).unwrap();
        slow.write_all(b"slow").unwrap();
        write(&path, |out| out.write_all(b"quick")).unwrap();
        assert_eq!((read_all(&path).unwrap(), names(folder.path()).len()), (b"quick".to_vec(), 3));
        slow.commit().unwrap();
        assert_eq!((read_all(&path).unwrap(), names(folder.path()).len()), (b"slow".to_vec(), 2));
        // The other one was killed: the next write of the file removes what it left.
        drop(held);
        write(&path, |out| out.write_all(b"last")).unwrap();
        assert!(!other.exists());
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
