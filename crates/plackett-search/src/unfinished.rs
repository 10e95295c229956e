//! A new index on its way: it is built beside its place, in `DIR.unfinished`, and takes its name when it is whole.
//!
//! `DIR.unfinished` holds a mark, which its builder keeps locked. Whoever finds the folder can tell a build that goes on
//! from one that was interrupted, and the next build of the same index removes what that one left. The last steps are:
//! the mark says that all is there, the folder is renamed, the mark is removed. An interruption between any two of them
//! leaves no index or the whole one; a mark that says so is passed over by readers and removed by the next writer.
//!
//! Where it takes the place of another index, the two folders change names, and the old one is removed under the name of
//! an unfinished one: an interruption leaves the old index or the new one, and what the next build removes. Where names cannot
//! be exchanged at once, the old index waits in `DIR.replaced` meanwhile, and the next build gives it its name back.

use crate::analysis::Analysis;
use crate::directory::{SharedDirectory, patiently};
use crate::index::{Index, bytes_in};
use crate::{IndexSettings, SearchError, manifest, schema};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use tantivy::directory::{Directory, DirectoryLock, INDEX_WRITER_LOCK};

/// The mark.
const MARK: &str = "plackett-unfinished";
/// What it holds when all is there.
const WHOLE: &[u8] = b"whole\n";
/// Ending of the folder beside the index's place.
const BESIDE: &str = ".unfinished";
/// Ending of an index that makes room for another one where the system cannot exchange two names at once.
const ASIDE: &str = ".replaced";
/// A mark on its way into an index that is whole.
const NEW_MARK: &str = "plackett-unfinished.new";
/// All that the folder of an index holds, the blocks of `block-rank` among it.
const OWN: [&str; 7] = [manifest::MANIFEST, MARK, NEW_MARK, "text", "vectors", "sync", "blocks"];

/// An index that nobody sees before it is finished. Dropped unfinished it leaves nothing behind.
pub struct NewIndex {
    index: Index,
    place: PathBuf,
    beside: Beside,
    /// The index whose place it takes.
    replaced: Option<Replaced>,
}

impl NewIndex {
    /// Begins an index for a new or empty directory.
    ///
    /// # Errors
    /// The directory holds something, or another process builds an index for it; the settings name an unknown analyser or
    /// no field; the disk.
    pub fn begin(directory: impl AsRef<Path>, settings: &IndexSettings) -> Result<NewIndex, SearchError> {
        let named = directory.as_ref();
        NewIndex::begin_at(named, settings, false).map_err(|error| error.for_writer(named))
    }

    /// As [`NewIndex::begin`], for a directory that may hold an index. That one stays, and nobody writes it, until the new
    /// one is whole and takes its place.
    ///
    /// # Errors
    /// As those of [`NewIndex::begin`]; the directory holds something else than an index, or files besides one; another
    /// process writes the index in it.
    pub fn begin_over(
        directory: impl AsRef<Path>,
        settings: &IndexSettings,
    ) -> Result<NewIndex, SearchError> {
        let named = directory.as_ref();
        NewIndex::begin_at(named, settings, true).map_err(|error| error.for_writer(named))
    }

    fn begin_at(place: &Path, settings: &IndexSettings, over: bool) -> Result<NewIndex, SearchError> {
        Analysis::of(settings)?;
        let (schema, _) = schema::build(settings)?;
        let place = check_place(place, over)?;
        let replaced = if over { Replaced::take(&place)? } else { None };
        let beside = Beside::take(&place)?;
        let replaced = if end_replacement(&place)? {
            check_place(&place, over)?;
            Replaced::take(&place)?
        } else {
            replaced
        };
        let text = beside.path.join("text");
        for folder in [&text, &beside.path.join("vectors")] {
            std::fs::create_dir(folder).map_err(SearchError::io(folder))?;
        }
        let folder = SharedDirectory::open(&text)
            .map_err(|e| SearchError::from_tantivy(&text)(tantivy::TantivyError::from(e)))?;
        tantivy::Index::create(folder, schema, tantivy::IndexSettings::default())
            .map_err(SearchError::from_tantivy(&text))?;
        manifest::write(&beside.path, settings)?;
        Ok(NewIndex { index: Index::open_unfinished(&beside.path)?, place, beside, replaced })
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

    /// Whether it takes the place of an index that is there until then.
    pub fn replaces(&self) -> bool {
        self.replaced.is_some()
    }

    /// Gives the index its name, and removes the one that had it.
    ///
    /// # Errors
    /// Something has been put into the directory meanwhile; the disk. Nothing is left of the index then, and one whose place
    /// it should have taken is as it was. One error comes later, that of syncing the parent folder ([`SearchError::Io`] with the
    /// path of that folder): the new index has its place then, whole, and the old one is gone; only whether the change of names
    /// outlasts a loss of power is not known.
    pub fn finish(self) -> Result<Index, SearchError> {
        let NewIndex { index, place, beside, replaced } = self;
        drop(index);
        if replaced.is_some() && !is_empty(&place) {
            check_contents(&place)?;
            beside.exchange_with(&place)?;
        } else {
            beside.rename_to(&place)?;
        }
        drop(replaced);
        Index::open(&place)
    }
}

/// The index whose place a new one takes. Nobody writes it while this is held: what is added would be lost.
struct Replaced {
    /// `None` where it has no postings that could be written, as one that is damaged.
    _writers: Option<DirectoryLock>,
}

impl Replaced {
    /// Holds off the writers of an index; `None` where there is nothing in the folder, or no folder.
    fn take(place: &Path) -> Result<Option<Replaced>, SearchError> {
        if is_empty(place) {
            return Ok(None);
        }
        let Ok(folder) = SharedDirectory::open(&place.join("text")) else {
            return Ok(Some(Replaced { _writers: None }));
        };
        let taken = |error| SearchError::from_tantivy(place)(tantivy::TantivyError::LockFailure(error, None));
        let writers = folder.acquire_lock(&INDEX_WRITER_LOCK).map_err(taken)?;
        Ok(Some(Replaced { _writers: Some(writers) }))
    }
}

/// Whether there is nothing in a folder, or no folder.
fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none())
}

/// Refuses a folder with anything in it that is no part of an index: it would be removed with it.
fn check_contents(place: &Path) -> Result<(), SearchError> {
    let foreign = |problem: String| Err(SearchError::Foreign { path: place.into(), problem });
    match manifest::read(place) {
        Err(SearchError::Foreign { .. }) => {
            return foreign(format!(
                "the folder is no index (it has no {} of one), and only an index is written over; name a new folder",
                manifest::MANIFEST
            ));
        }
        Err(error @ SearchError::Unfinished { .. }) => return Err(error),
        // A damaged one, or one of a newer program, is an index all the same.
        _ => {}
    }
    for entry in std::fs::read_dir(place).map_err(SearchError::io(place))? {
        let name = entry.map_err(SearchError::io(place))?.file_name();
        if !OWN.iter().any(|own| name == *own) {
            let name = name.to_string_lossy();
            return foreign(format!(
                "`{name}` is in the folder of the index and no part of it, and would be removed with it; move it away"
            ));
        }
    }
    Ok(())
}

/// Where the index will be, with a name; an error where there is something already, other than an index that is to be
/// written `over`.
fn check_place(place: &Path, over: bool) -> Result<PathBuf, SearchError> {
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
        if !over {
            return Err(foreign(
                "the folder is not empty; choose a new one, or open the index in it to add documents",
            ));
        }
        check_contents(place)?;
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
    with_ending(place, BESIDE)
}

fn with_ending(place: &Path, ending: &str) -> PathBuf {
    let mut name = place.file_name().unwrap_or_default().to_owned();
    name.push(ending);
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

    /// Removes all but the mark, which says nothing then.
    fn clear(&mut self) -> Result<(), SearchError> {
        self.removed = bytes_in(&self.path);
        remove_all_but_mark(&self.path)?;
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

    /// Takes the place of an index, which is removed.
    fn exchange_with(mut self, place: &Path) -> Result<(), SearchError> {
        let failed = || SearchError::io(place);
        let permissions = std::fs::metadata(place).map_err(failed())?.permissions();
        std::fs::set_permissions(&self.path, permissions).map_err(failed())?;
        (&self.mark).write_all(WHOLE).and_then(|()| self.mark.sync_all()).map_err(failed())?;
        // With a mark the old one is, under its new name, what the next build removes; readers pass over one that says `whole`.
        let old = mark_whole(place).map_err(failed())?;
        match exchange(&self.path, place) {
            // What may have the name of the unfinished index by now is another build.
            Ok(old_is_beside) => self.kept = !old_is_beside,
            Err(error) => {
                remove_mark_of_whole(place);
                return Err(SearchError::io(place)(error));
            }
        }
        let parent = place.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let synced = File::open(parent).and_then(|f| f.sync_all()).map_err(SearchError::io(parent));
        // What has the name of the unfinished index now is the old one, and is removed while it is locked.
        drop(self);
        drop(old);
        remove_mark_of_whole(place);
        synced
    }
}

/// Puts the mark of a whole index into one that is about to go, and locks it. The mark is whole when it has its name: half a
/// one would make an index unfinished that is not.
fn mark_whole(place: &Path) -> std::io::Result<File> {
    let new = place.join(NEW_MARK);
    let mut file = File::create(&new)?;
    let written = file.write_all(WHOLE).and_then(|()| file.sync_all());
    let locked = written.and_then(|()| file.try_lock().map_err(std::io::Error::from));
    if let Err(error) = locked.and_then(|()| std::fs::rename(&new, place.join(MARK))) {
        // The error is told; what stays of the mark means nothing.
        let _ = std::fs::remove_file(&new);
        return Err(error);
    }
    Ok(file)
}

/// Lets two folders change names: at once where the system and the disk can, and otherwise one after another, so that for a
/// moment nothing has the name of the old one. Returns whether the old one has the name of the new one.
fn exchange(new: &Path, old: &Path) -> std::io::Result<bool> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, new, CWD, old, RenameFlags::EXCHANGE) {
            Ok(()) => return Ok(true),
            Err(error) if [Errno::INVAL, Errno::NOSYS, Errno::XDEV].contains(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    exchange_in_turn(new, old)
}

/// The same, one name after another. What an interruption leaves is put right by [`end_replacement`].
fn exchange_in_turn(new: &Path, old: &Path) -> std::io::Result<bool> {
    let aside = aside(old);
    std::fs::rename(old, &aside)?;
    if let Err(error) = std::fs::rename(new, old) {
        std::fs::rename(&aside, old)?;
        return Err(error);
    }
    // The new one has its place from here on. Another build may have begun where it was built.
    let old_is_beside = std::fs::rename(&aside, new).is_ok();
    if !old_is_beside {
        // What cannot be removed now is removed by the next build.
        let _ = remove_mark_last(&aside);
    }
    Ok(old_is_beside)
}

/// Where an index waits for another one to take its name, when the two names cannot be exchanged at once.
fn aside(place: &Path) -> PathBuf {
    with_ending(place, ASIDE)
}

/// Ends what an interruption left of [`exchange_in_turn`]: an old index whose place is empty gets its name back, and one whose
/// place is taken is removed. Only a folder that says it is on its way is touched. Returns whether an index has its name back.
fn end_replacement(place: &Path) -> Result<bool, SearchError> {
    let aside = aside(place);
    let mark = aside.join(MARK);
    if !std::fs::read(&mark).is_ok_and(|said| said == WHOLE) {
        return Ok(false);
    }
    if !place.exists() {
        if !aside.join(manifest::MANIFEST).is_file() {
            return Ok(false);
        }
        std::fs::rename(&aside, place).map_err(SearchError::io(place))?;
        remove_mark_of_whole(place);
        return Ok(true);
    }
    // Whoever has just put another index there holds the mark, and removes the old one.
    if let Ok(held) = File::open(&mark)
        && !is_empty(place)
        && held.try_lock().is_ok()
    {
        remove_mark_last(&aside)?;
    }
    Ok(false)
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed now is removed by the next build.
            let _ = remove_mark_last(&self.path);
        }
    }
}

/// Removes what is in a folder besides the mark.
fn remove_all_but_mark(folder: &Path) -> Result<(), SearchError> {
    for entry in std::fs::read_dir(folder).map_err(SearchError::io(folder))? {
        let path = entry.map_err(SearchError::io(folder))?.path();
        if path.is_dir() {
            std::fs::remove_dir_all(&path).map_err(SearchError::io(&path))?;
        } else if !path.ends_with(MARK) {
            std::fs::remove_file(&path).map_err(SearchError::io(&path))?;
        }
    }
    Ok(())
}

/// Removes a folder with a mark. The mark goes last: a folder that an interruption leaves without one would be taken for
/// somebody else's, and be in the way for ever.
fn remove_mark_last(folder: &Path) -> Result<(), SearchError> {
    remove_all_but_mark(folder)?;
    std::fs::remove_dir_all(folder).map_err(SearchError::io(folder))
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
    let folder = beside(directory);
    if is_empty(directory) && folder.join(MARK).exists() { Err(refused(&folder)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_stays_until_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("i.unfinished");
        std::fs::create_dir_all(path.join("text/deep")).unwrap();
        for name in [MARK, NEW_MARK, manifest::MANIFEST, "text/postings"] {
            std::fs::write(path.join(name), WHOLE).unwrap();
        }
        remove_all_but_mark(&path).unwrap();
        let names = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.collect::<Vec<_>>(), [MARK]);
        assert_eq!(std::fs::read(path.join(MARK)).unwrap(), WHOLE);
        remove_mark_last(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn names_that_cannot_be_exchanged_at_once_are_exchanged_in_turn() {
        let folder = tempfile::tempdir().unwrap();
        let (new, old) = (folder.path().join("i.unfinished"), folder.path().join("i"));
        for path in [&new, &old] {
            std::fs::create_dir(path).unwrap();
        }
        std::fs::write(old.join("old"), "").unwrap();
        assert!(exchange_in_turn(&new, &old).unwrap());
        assert!(new.join("old").exists() && !old.join("old").exists() && !aside(&old).exists());
        // Without a new one the old one keeps its name.
        std::fs::remove_dir_all(&new).unwrap();
        std::fs::write(old.join("kept"), "").unwrap();
        assert!(exchange_in_turn(&new, &old).is_err());
        assert!(old.join("kept").exists() && !aside(&old).exists());
    }
}
