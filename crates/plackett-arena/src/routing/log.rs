//! A router on disk: what it was made with and everything it has seen, line by line, so that a kill loses nothing but the line
//! that was being written.

use super::router::{Router, Selection};
use super::{Configured, parse};
use crate::ArenaError;
use plackett_core::formats::{FormatError, json_problem};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const FORMAT: &str = "plackett-route/1";

/// The encoder that contexts of a route are made with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteEncoder {
    /// Its name, or the whole path of its folder.
    pub name: String,
    /// What tells its weights from others of its name.
    pub fingerprint: Option<String>,
}

/// Who opens a route: one that changes it has it alone, those that only look at it have it together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteAccess {
    /// To choose, or to look at it.
    Read,
    /// To take in rewards and arms.
    Write,
}

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    policy: String,
    /// What contexts are made with: an encoder by name, or nothing where they are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encoder: Option<RouteEncoder>,
    dimension: usize,
    seed: u64,
    arms: Vec<String>,
}

/// Every other line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Event {
    Reward { arm: String, reward: f64, context: Vec<f32> },
    Add(String),
    Remove(String),
}

/// A router and the file that keeps it. One process has it at a time.
#[derive(Debug)]
pub struct RouteLog {
    /// The router.
    router: Router,
    /// The policy, as it was written.
    policy: String,
    encoder: Option<RouteEncoder>,
    access: RouteAccess,
    /// Bytes of whole lines.
    length: u64,
    /// Whether a write has failed, so that the router knows more than the file.
    failed: bool,
    file: File,
    path: PathBuf,
    /// What was found and mended, in sentences.
    remarks: Vec<String>,
}

impl RouteLog {
    /// A new file.
    ///
    /// # Errors
    /// There is one already, it cannot be written, or the arms or options cannot be.
    pub fn create(
        path: &Path,
        configured: &Configured,
        arms: Vec<String>,
        (dimension, seed): (usize, u64),
        encoder: Option<RouteEncoder>,
    ) -> Result<RouteLog, ArenaError> {
        let router = Router::new(configured, arms.clone(), dimension, seed)?;
        let policy = configured.to_string();
        let header = Header {
            format: FORMAT.into(),
            policy: policy.clone(),
            encoder: encoder.clone(),
            dimension,
            seed,
            arms,
        };
        let opened = OpenOptions::new().read(true).write(true).create_new(true).open(path);
        let file = opened.map_err(|source| match source.kind() {
            std::io::ErrorKind::AlreadyExists => FormatError::File {
                file: path.display().to_string(),
                problem: "is there already; go on with it, or give another name".into(),
            },
            _ => FormatError::Write { file: path.display().to_string(), source },
        })?;
        let mut log = RouteLog {
            router,
            policy,
            encoder,
            access: RouteAccess::Write,
            length: 0,
            failed: false,
            file,
            path: path.into(),
            remarks: Vec::new(),
        };
        lock(&log.file, RouteAccess::Write, path)?;
        log.append(&serde_json::to_string(&header).map_err(|error| log.problem(error.to_string()))?)?;
        Ok(log)
    }

    /// Opens a file and takes in all that it has seen. A last line without an end, as a kill leaves one, does not count and is said; who
    /// opens it to write cuts it off.
    ///
    /// # Errors
    /// It cannot be read, another process writes to it, or a line is wrong.
    pub fn open(path: &Path, access: RouteAccess) -> Result<RouteLog, ArenaError> {
        let name = path.display().to_string();
        let opened = OpenOptions::new().read(true).write(access == RouteAccess::Write).open(path);
        let mut file = opened.map_err(|source| FormatError::Open { file: name.clone(), source })?;
        // Before anything is read: what another one is writing is not half seen.
        lock(&file, access, path)?;
        let mut text = String::new();
        let read = file.read_to_string(&mut text);
        read.map_err(|source| FormatError::Read { file: name.clone(), line: 0, source })?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut lines = text[..whole].lines();
        let header = Header::parse(lines.next().unwrap_or_default(), &name)?;
        let configured = parse(&header.policy)?;
        let router = Router::new(&configured, header.arms, header.dimension, header.seed)?;
        let mut log = RouteLog {
            router,
            policy: header.policy,
            encoder: header.encoder,
            access,
            length: whole as u64,
            failed: false,
            file,
            path: path.into(),
            remarks: Vec::new(),
        };
        for (at, line) in lines.enumerate() {
            let wrong =
                |problem: String| ArenaError::State { file: name.clone(), line: at as u64 + 2, problem };
            let event: Event =
                serde_json::from_str(line).map_err(|error| wrong(json_problem(line, &error)))?;
            log.apply(&event).map_err(|error| wrong(error.to_string()))?;
        }
        if whole < text.len() {
            log.remarks.push(format!(
                "{name}: the last line was not written to its end, as after a kill; its reward does not count"
            ));
        }
        if access == RouteAccess::Write {
            log.rewind().map_err(|source| FormatError::Write { file: name, source })?;
        }
        Ok(log)
    }

    /// Cuts off what is behind the last whole line.
    fn rewind(&mut self) -> std::io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::End(0)).map(drop)
    }

    fn problem(&self, problem: String) -> ArenaError {
        FormatError::File { file: self.path.display().to_string(), problem }.into()
    }

    /// The router.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// The policy, as it was written.
    pub fn policy(&self) -> &str {
        &self.policy
    }

    /// The encoder that contexts are made with; `None` where they are given as numbers.
    pub fn encoder(&self) -> Option<&RouteEncoder> {
        self.encoder.as_ref()
    }

    /// What was found and mended while it was opened.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// Chooses an arm.
    ///
    /// # Errors
    /// As [`Router::select`].
    pub fn select(&self, context: &[f64]) -> Result<Selection, ArenaError> {
        self.router.select(context)
    }

    /// Takes in a reward and keeps it; when this comes back it is on the disk.
    ///
    /// # Errors
    /// There is no such arm, the context or reward cannot be, or the file cannot be written.
    pub fn reward(&mut self, arm: &str, context: &[f64], reward: f64) -> Result<(), ArenaError> {
        // As the file has them, so that what is opened again is the same.
        let context = context.iter().map(|x| *x as f32).collect();
        self.record(Event::Reward { arm: arm.into(), reward, context })
    }

    /// Adds an arm and keeps that.
    ///
    /// # Errors
    /// It is there already, or the file cannot be written.
    pub fn add(&mut self, name: &str) -> Result<(), ArenaError> {
        self.record(Event::Add(name.into()))
    }

    /// Takes an arm out and keeps that.
    ///
    /// # Errors
    /// It is not there or the only one, or the file cannot be written.
    pub fn remove(&mut self, name: &str) -> Result<(), ArenaError> {
        self.record(Event::Remove(name.into()))
    }

    fn record(&mut self, event: Event) -> Result<(), ArenaError> {
        if self.access == RouteAccess::Read || self.failed {
            return Err(self.problem("cannot be written to as it was opened; open it again to write".into()));
        }
        self.apply(&event)?;
        let line = serde_json::to_string(&event).map_err(|error| self.problem(error.to_string()))?;
        let written = self.append(&line);
        self.failed = written.is_err();
        written
    }

    fn apply(&mut self, event: &Event) -> Result<(), ArenaError> {
        match event {
            Event::Reward { arm, reward, context } => {
                let arm = self.router.arm(arm)?;
                let context: Vec<f64> = context.iter().map(|x| f64::from(*x)).collect();
                self.router.update(arm, &context, *reward)
            }
            Event::Add(name) => self.router.add(name),
            Event::Remove(name) => self.router.remove(name),
        }
    }

    /// Writes a line; what was written of one that fails is taken back.
    fn append(&mut self, line: &str) -> Result<(), ArenaError> {
        let line = format!("{line}\n");
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => {
                self.length += line.len() as u64;
                Ok(())
            }
            Err(source) => {
                // A disk that cannot be written to may not be cut either; the next one who opens the file cuts it.
                let _ = self.rewind();
                Err(FormatError::Write { file: self.path.display().to_string(), source }.into())
            }
        }
    }
}

impl Header {
    fn parse(line: &str, file: &str) -> Result<Header, ArenaError> {
        let wrong = |problem: String| ArenaError::State { file: file.into(), line: 1, problem };
        let header: Header = serde_json::from_str(line).map_err(|error| {
            let problem = json_problem(line, &error);
            wrong(format!("this is no route of plackett ({problem}); make one with `plackett route new`"))
        })?;
        match header.format == FORMAT {
            true => Ok(header),
            false => Err(wrong(format!("the form is `{}`, and `{FORMAT}` is read", header.format))),
        }
    }
}

/// How often a lock that another one holds is tried, and how long is waited between.
const TRIES: u32 = 150;
const WAIT: std::time::Duration = std::time::Duration::from_millis(20);

/// Locks a file; of one that another process has, waits a moment until it is done.
fn lock(file: &File, access: RouteAccess, path: &Path) -> Result<(), ArenaError> {
    for _ in 0..TRIES {
        let locked = match access {
            RouteAccess::Read => file.try_lock_shared(),
            RouteAccess::Write => file.try_lock(),
        };
        match locked {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(WAIT),
            Err(TryLockError::Error(source)) => {
                return Err(FormatError::Open { file: path.display().to_string(), source }.into());
            }
        }
    }
    let problem = "another process has been writing to it for seconds; try again when it is done".to_string();
    Err(FormatError::File { file: path.display().to_string(), problem }.into())
}
