//! The file of `--trace`: every prompt and its answer, as JSON lines.

use anyhow::{Context, bail};
use plackett::content_hash::is_stream;
use plackett_core::formats::AtomicFile;
use plackett_rank::audit::{Audit, JsonLines};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file of a command, which takes every call of its methods.
pub struct TraceFile {
    path: PathBuf,
    lines: Arc<JsonLines<Begun>>,
}

impl TraceFile {
    /// A file that begins anew, or with `go_on` behind the last whole line of what an interrupted run has left. Only the place
    /// is checked: a command that is refused before its first call leaves the old file as it was.
    pub fn new(path: &Path, go_on: bool) -> anyhow::Result<TraceFile> {
        let shown = path.display();
        if path == Path::new("-") {
            bail!("--trace -: a file is expected; standard output has the results");
        }
        match is_stream(path) {
            true if go_on => {
                bail!("--trace {shown}: what was written there cannot be gone on with; name a file")
            }
            // A pipe would be at its end for its reader after that.
            true => {}
            false => AtomicFile::create(path).map(drop).context("--trace")?,
        }
        let begun = Begun { path: path.to_path_buf(), go_on, file: None };
        Ok(TraceFile { path: path.to_path_buf(), lines: Arc::new(JsonLines::new(begun)) })
    }

    /// What methods tell their calls to.
    pub fn audit(&self) -> Arc<dyn Audit> {
        self.lines.clone()
    }

    /// What went wrong with the file. Everything that was told is on the disk then.
    pub fn check(&self) -> anyhow::Result<()> {
        self.lines.finish().with_context(|| format!("--trace: cannot write `{}`", self.path.display()))
    }
}

/// A file that is begun with the first calls.
struct Begun {
    path: PathBuf,
    go_on: bool,
    file: Option<File>,
}

impl Begun {
    fn file(&mut self) -> io::Result<&mut File> {
        match &mut self.file {
            Some(file) => Ok(file),
            none if self.go_on => Ok(none.insert(behind_the_last_line(&self.path)?)),
            none => Ok(none.insert(File::create(&self.path)?)),
        }
    }
}

impl Write for Begun {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file()?.write(bytes)
    }

    /// Begins the file where nothing was written: no calls are an account too.
    fn flush(&mut self) -> io::Result<()> {
        self.file()?.flush()
    }
}

/// Opens a file to write behind its last whole line; a kill may have cut the one after it short.
fn behind_the_last_line(path: &Path) -> io::Result<File> {
    let text = match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        read => read?,
    };
    let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at as u64 + 1);
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    file.set_len(whole)?;
    Ok(file)
}
