//! A new index on its way: it is built beside its place, in `DIR.unfinished`, and takes its name when it is whole.
//!
//! `DIR.unfinished` holds a mark, which its builder keeps locked. Whoever finds the folder can tell a build that goes on
//! from one that was interrupted, and the next build of the same index removes what that one left. The last steps are:
//! the mark says that all is there, the folder is renamed, the mark is removed. An interruption between any two of them
//! leaves no index or the whole one; a mark that says so is passed over by readers and removed by the next writer.

use crate::analysis::Analysis;
use crate::directory::{SharedDirectory, patiently};
use crate::index::{Index, bytes_in};
use crate::{IndexSettings, SearchError, manifest, schema};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The mark.
const MARK: &str = "plackett-unfinished";
/// What it holds when all is there.
const WHOLE: &[u8] = b"whole\n";
/// Ending of the folder beside the index's place.
const BESIDE: &str = ".unfinished";

/// An index that nobody sees before it is finished. Dropped unfinished it leaves nothing behind.
pub struct NewIndex {
    index: Index,
    place: PathBuf,
    beside: Beside,
}

impl NewIndex {
    /// Begins an index for a new or empty directory.
    ///
    /// # Errors
    /// The directory holds something, or another process builds an index for it; the settings name an unknown analyser or
    /// no field; the disk.
    pub fn begin(directory: impl AsRef<Path>, settings: &IndexSettings) -> Result<NewIndex, SearchError> {
        let named = directory.as_ref();
        NewIndex::begin_at(named, settings).map_err(|error| error.for_writer(named))
    }

    fn begin_at(place: &Path, settings: &IndexSettings) -> Result<NewIndex, SearchError> {
        Analysis::of(settings)?;
        let (schema, _) = schema::build(settings)?;
        let place = check_place(place)?;
        let beside = Beside::take(&place)?;
        let text = beside.path.join("text");
        for folder in [&text, &beside.path.join("vectors")] {
            std::fs::create_dir(folder).map_err(SearchError::io(folder))?;
        }
        let folder = SharedDirectory::open(&text)
            .map_err(|e| SearchError::from_tantivy(&text)(tantivy::TantivyError::from(e)))?;
        tantivy::Index::create(folder, schema, tantivy::IndexSettings::default())
            .map_err(SearchError::from_tantivy(&text))?;
        manifest::write(&beside.path, settings)?;
        Ok(NewIndex { index: Index::open_unfinished(&beside.path)?, place, beside })
    }

    /// The index as far as it is made; only [`NewIndex::finish`] lets others see it.
    pub fn index_mut(&mut self) -> &mut Index {
        &mut self.index
    }

    /// The folder in which it is built.
    pub fn beside(&self) -> &Path {
        &self.beside.path
    }

    /// Bytes of an interrupted build of the same index that were removed; 0 when there was none.
    pub fn removed(&self) -> u64 {
        self.beside.removed
    }

    /// Gives the index its name.
    ///
    /// # Errors
    /// Something has been put into the directory meanwhile; the disk. Nothing is left of the index then.
    pub fn finish(self) -> Result<Index, SearchError> {
        let NewIndex { index, place, beside } = self;
        drop(index);
        beside.rename_to(&place)?;
        Index::open(&place)
    }
}

/// Where the index will be, with a name; an error where there is something already.
fn check_place(place: &Path) -> Result<PathBuf, SearchError> {
    let foreign = |problem: &str| SearchError::Foreign { path: place.into(), problem: problem.into() };
    let metadata = match std::fs::metadata(place) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == ErrorKind::NotFound && place.file_name().is_some() => {
            if let Some(parent) = place.parent().filter(|p| !p.as_os_str().is_empty()) {
                std::fs::create_dir_all(parent).map_err(SearchError::io(parent))?;
            }
            return Ok(place.into());
        }
        Err(source) => return Err(SearchError::Io { path: place.into(), source }),
    };
    if !metadata.is_dir() {
        return Err(foreign("is a file; an index is a folder, choose another name"));
    }
    if std::fs::read_dir(place).map_err(SearchError::io(place))?.next().is_some() {
        return Err(foreign(
            "the folder is not empty; choose a new one, or open the index in it to add documents",
        ));
    }
    // `.` and links have names only when they are followed.
    let place = std::fs::canonicalize(place).map_err(SearchError::io(place))?;
    #[cfg(unix)]
    if let Some(parent) = place.parent() {
        use std::os::unix::fs::MetadataExt;
        let other = std::fs::metadata(parent).map_err(SearchError::io(parent))?;
        if other.dev() != metadata.dev() {
            return Err(foreign(
                "is where a disk is mounted, which cannot take the place of a folder; name a new folder in it",
            ));
        }
    }
    Ok(place)
}

/// The folder beside the place of an index.
fn beside(place: &Path) -> PathBuf {
    let mut name = place.file_name().unwrap_or_default().to_owned();
    name.push(BESIDE);
    place.with_file_name(name)
}

/// The locked folder of one build; removed when dropped before it was renamed.
struct Beside {
    path: PathBuf,
    mark: File,
    removed: u64,
    kept: bool,
}

impl Beside {
    fn take(place: &Path) -> Result<Beside, SearchError> {
        let path = beside(place);
        let mark = path.join(MARK);
        loop {
            match std::fs::create_dir(&path) {
                Err(e) if e.kind() != ErrorKind::AlreadyExists => {
                    return Err(SearchError::Io { path, source: e });
                }
                _ => {}
            }
            let mut entries = std::fs::read_dir(&path).map_err(SearchError::io(&path))?;
            if entries.next().is_some() && !mark.exists() {
                let problem = format!(
                    "is in the way: the index {} is first built there, and it holds something else; move it away",
                    place.display()
                );
                return Err(SearchError::Foreign { path, problem });
            }
            let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&mark);
            let file = match opened {
                Ok(file) => file,
                // Another build has finished in between, and its folder has another name now.
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                Err(source) => return Err(SearchError::Io { path: mark, source }),
            };
            match patiently(|| file.try_lock(), |e| matches!(e, TryLockError::WouldBlock)) {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(SearchError::Locked { path: place.into() }),
                Err(TryLockError::Error(source)) => return Err(SearchError::Io { path: mark, source }),
            }
            if !is_at(&file, &mark) {
                continue;
            }
            let mut taken = Beside { path, mark: file, removed: 0, kept: false };
            taken.clear()?;
            return Ok(taken);
        }
    }

    /// Removes all but the mark.
    fn clear(&mut self) -> Result<(), SearchError> {
        self.removed = bytes_in(&self.path);
        for entry in std::fs::read_dir(&self.path).map_err(SearchError::io(&self.path))? {
            let path = entry.map_err(SearchError::io(&self.path))?.path();
            if path.is_dir() {
                std::fs::remove_dir_all(&path).map_err(SearchError::io(&path))?;
            } else if !path.ends_with(MARK) {
                std::fs::remove_file(&path).map_err(SearchError::io(&path))?;
            }
        }
        self.mark.set_len(0).map_err(SearchError::io(&self.path))
    }

    fn rename_to(mut self, place: &Path) -> Result<(), SearchError> {
        let failed = move || move |error| taken(place, error);
        (&self.mark).write_all(WHOLE).and_then(|()| self.mark.sync_all()).map_err(failed())?;
        if let Ok(empty) = std::fs::metadata(place) {
            std::fs::set_permissions(&self.path, empty.permissions()).map_err(failed())?;
            // Only an empty folder can be removed this way.
            std::fs::remove_dir(place).map_err(failed())?;
        }
        std::fs::rename(&self.path, place).map_err(failed())?;
        self.kept = true;
        let parent = place.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent).and_then(|f| f.sync_all()).map_err(SearchError::io(parent))?;
        remove_mark_of_whole(place);
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed now is removed by the next build.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Why an index cannot take its place: another build of it may have been faster.
fn taken(place: &Path, error: std::io::Error) -> SearchError {
    let occupied = matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists);
    if occupied && place.join(manifest::MANIFEST).is_file() {
        return SearchError::Locked { path: place.into() };
    }
    SearchError::io(place)(error)
}

/// Whether a file still has its name: it may have been renamed with its folder while it was opened.
fn is_at(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let identity = |data: std::io::Result<std::fs::Metadata>| data.ok().map(|d| (d.dev(), d.ino()));
        identity(file.metadata()) == identity(std::fs::metadata(path)) && file.metadata().is_ok()
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        path.exists()
    }
}

/// Takes the mark off an index that is whole. One that stays is passed over.
pub(crate) fn remove_mark_of_whole(directory: &Path) {
    let mark = directory.join(MARK);
    if std::fs::read(&mark).is_ok_and(|said| said == WHOLE) {
        let _ = std::fs::remove_file(mark);
    }
}

/// Refuses a folder in which an index is being built, or was until something stopped it; and a place beside which there
/// is one, when it holds no index itself.
pub(crate) fn refuse(directory: &Path) -> Result<(), SearchError> {
    let refused = |folder: &Path| SearchError::Unfinished {
        path: directory.into(),
        folder: folder.into(),
        running: File::open(folder.join(MARK))
            .is_ok_and(|mark| matches!(mark.try_lock_shared(), Err(TryLockError::WouldBlock))),
    };
    match std::fs::read(directory.join(MARK)) {
        Ok(said) if said == WHOLE => return Ok(()),
        Ok(_) => return Err(refused(directory)),
        Err(_) => {}
    }
    let empty = std::fs::read_dir(directory).map_or(true, |mut entries| entries.next().is_none());
    let folder = beside(directory);
    if empty && folder.join(MARK).exists() { Err(refused(&folder)) } else { Ok(()) }
}
