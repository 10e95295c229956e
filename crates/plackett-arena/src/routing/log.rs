//! A router on disk: what it was made with and everything it has seen, line by line, so that a kill loses nothing but the line
//! that was being written.

use super::router::{Router, Selection};
use super::{Configured, parse};
use crate::ArenaError;
use plackett_core::formats::{FormatError, json_problem};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const FORMAT: &str = "plackett-route/1";

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    policy: String,
    /// What contexts are made with: an encoder by name, or nothing where they are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encoder: Option<String>,
    dimension: usize,
    seed: u64,
    arms: Vec<String>,
}

/// Every other line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Event {
    Reward { arm: String, reward: f64, context: Vec<f64> },
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
    encoder: Option<String>,
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
        encoder: Option<String>,
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
        let mut log = RouteLog { router, policy, encoder, file, path: path.into(), remarks: Vec::new() };
        log.lock()?;
        log.append(&serde_json::to_string(&header).map_err(|error| log.problem(error.to_string()))?)?;
        Ok(log)
    }

    /// Opens a file and takes in all that it has seen. A last line without an end, as a kill leaves one, is cut off and said.
    ///
    /// # Errors
    /// It cannot be read, another process has it, or a line is wrong.
    pub fn open(path: &Path) -> Result<RouteLog, ArenaError> {
        let name = path.display().to_string();
        let opened = OpenOptions::new().read(true).write(true).open(path);
        let mut file = opened.map_err(|source| FormatError::Open { file: name.clone(), source })?;
        let mut text = String::new();
        let read = file.read_to_string(&mut text);
        read.map_err(|source| FormatError::Read { file: name.clone(), line: 0, source })?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut lines = text[..whole].lines();
        let wrong = |line: u64, problem: String| ArenaError::State { file: name.clone(), line, problem };
        let first = lines.next().unwrap_or_default();
        let header: Header = serde_json::from_str(first).map_err(|error| {
            wrong(
                1,
                format!(
                    "this is no route of plackett ({}); make one with `plackett route new`",
                    json_problem(first, &error)
                ),
            )
        })?;
        if header.format != FORMAT {
            let problem = format!("the form is `{}`, and `{FORMAT}` is read", header.format);
            return Err(wrong(1, problem));
        }
        let configured = parse(&header.policy)?;
        let router = Router::new(&configured, header.arms, header.dimension, header.seed)?;
        let mut log = RouteLog {
            router,
            policy: header.policy,
            encoder: header.encoder,
            file,
            path: path.into(),
            remarks: Vec::new(),
        };
        log.lock()?;
        for (at, line) in lines.enumerate() {
            let number = at as u64 + 2;
            let event: Event =
                serde_json::from_str(line).map_err(|error| wrong(number, json_problem(line, &error)))?;
            log.apply(&event).map_err(|error| wrong(number, error.to_string()))?;
        }
        if whole < text.len() {
            let failed = |source| FormatError::Write { file: name.clone(), source };
            log.file.set_len(whole as u64).map_err(failed)?;
            log.remarks.push(format!(
                "{name}: the last line was not written to its end, as after a kill; it is cut off, and its reward does not count"
            ));
        }
        log.file
            .seek(SeekFrom::End(0))
            .map_err(|source| FormatError::Write { file: name.clone(), source })?;
        Ok(log)
    }

    fn lock(&self) -> Result<(), ArenaError> {
        self.file
            .try_lock()
            .map_err(|_| self.problem("another process has it open; try again when it is done".into()))
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
    pub fn encoder(&self) -> Option<&str> {
        self.encoder.as_deref()
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
        self.record(Event::Reward { arm: arm.into(), reward, context: context.to_vec() })
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
        self.apply(&event)?;
        let line = serde_json::to_string(&event).map_err(|error| self.problem(error.to_string()))?;
        self.append(&line)
    }

    fn apply(&mut self, event: &Event) -> Result<(), ArenaError> {
        match event {
            Event::Reward { arm, reward, context } => {
                let arm = self.router.arm(arm)?;
                self.router.update(arm, context, *reward)
            }
            Event::Add(name) => self.router.add(name),
            Event::Remove(name) => self.router.remove(name),
        }
    }

    fn append(&mut self, line: &str) -> Result<(), ArenaError> {
        let written =
            self.file.write_all(format!("{line}\n").as_bytes()).and_then(|()| self.file.sync_data());
        Ok(written.map_err(|source| FormatError::Write { file: self.path.display().to_string(), source })?)
    }
}
