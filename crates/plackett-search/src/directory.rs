//! The folder of the inverted index: read by whoever may read its files, written by one.
//!
//! The library that keeps the inverted index makes its two small files readable to their owner only, and opens a lock file
//! for writing before it reads. Here files have the rights that the user's umask gives them, and a reader locks with the
//! rights that it has.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tantivy::directory::error::{DeleteError, LockError, OpenDirectoryError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    Directory, DirectoryLock, FileHandle, Lock, MmapDirectory, WatchCallback, WatchHandle, WritePtr,
};

/// Ending of a file that is written before it takes the place of another one.
const TEMPORARY: &str = ".new";

/// The folder, memory-mapped.
#[derive(Clone, Debug)]
pub(crate) struct SharedDirectory {
    inner: MmapDirectory,
    root: PathBuf,
}

impl SharedDirectory {
    pub(crate) fn open(root: &Path) -> Result<SharedDirectory, OpenDirectoryError> {
        Ok(SharedDirectory { inner: MmapDirectory::open(root)?, root: root.into() })
    }

    /// The lock under which files are opened, so that a writer does not remove them meanwhile: alone where the lock's file
    /// can be written, else shared with other readers. Where there is no such file and none can be made, no writer can
    /// remove anything either.
    fn lock_files(&self, path: &Path) -> io::Result<Box<Option<File>>> {
        match OpenOptions::new().write(true).create(true).truncate(false).open(path) {
            Ok(file) => {
                file.lock()?;
                return Ok(Box::new(Some(file)));
            }
            Err(e) if matches!(e.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {}
            Err(e) => return Err(e),
        }
        match File::open(path) {
            Ok(file) => {
                // Some file systems know no locks of files that are open for reading; whoever opens a removed file then
                // reads the list of files again.
                let locked = file.lock_shared();
                Ok(Box::new(locked.is_ok().then_some(file)))
            }
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
                Ok(Box::new(None))
            }
            Err(e) => Err(e),
        }
    }
}

/// How often, and after how long, a lock that is taken is tried again.
const TRIES: usize = 15;
const PAUSE: Duration = Duration::from_millis(20);

/// Takes a lock for which nobody waits. One that was let go can be held a moment longer by a process that is being started
/// and has not closed its parent's files yet.
pub(crate) fn patiently<T, E>(
    mut take: impl FnMut() -> Result<T, E>,
    is_taken: impl Fn(&E) -> bool,
) -> Result<T, E> {
    for _ in 0..TRIES {
        match take() {
            Err(error) if is_taken(&error) => std::thread::sleep(PAUSE),
            done => return done,
        }
    }
    take()
}

/// Whether a file in the folder was on its way when its writer was interrupted; older programs began such names with `.tmp`.
pub(crate) fn is_leftover(name: &str) -> bool {
    name.ends_with(TEMPORARY) || name.starts_with(".tmp")
}

impl Directory for SharedDirectory {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        self.inner.get_file_handle(path)
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        self.inner.delete(path)
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        self.inner.exists(path)
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        self.inner.open_write(path)
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        self.inner.atomic_read(path)
    }

    /// There is one writer, and it writes these files one after another: the name of the new file needs no chance in it.
    fn atomic_write(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        let target = self.root.join(path);
        let mut temporary = target.clone().into_os_string();
        temporary.push(TEMPORARY);
        let temporary = PathBuf::from(temporary);
        let mut file = File::create(&temporary)?;
        file.write_all(data)?;
        file.sync_data()?;
        std::fs::rename(&temporary, &target)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.inner.sync_directory()
    }

    fn acquire_lock(&self, lock: &Lock) -> Result<DirectoryLock, LockError> {
        // The lock of writers is the one for which nobody waits.
        if !lock.is_blocking {
            return patiently(|| self.inner.acquire_lock(lock), |e| matches!(e, LockError::LockBusy));
        }
        let held = self.lock_files(&self.root.join(&lock.filepath)).map_err(LockError::wrap_io_error)?;
        Ok(DirectoryLock::from(held))
    }

    fn watch(&self, callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        self.inner.watch(callback)
    }
}
