//! Answers that are kept one by one while a result is being made, so that a killed run loses none that was finished.
//!
//! The file lies beside the result as `FILE.unfinished`. Each line has the first sixteen digits of the SHA-256 of its JSON,
//! a blank, and the JSON: on the first line the settings of the run, on each other one an answer. A line that a kill cut
//! short, or that a disk damaged, does not fit its hash and is dropped; its request is asked again.

use crate::manifest::RunSettings;
use plackett_core::Ranking;
use plackett_core::formats::plain;
use plackett_lm::sha256;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Hexadecimal digits of the hash before each line.
const DIGITS: usize = 16;

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finished {
    /// Its ranking.
    Ranking(Box<Ranking>),
    /// Why it cannot be ranked, now or later.
    Failed(String),
}

/// A line as it is written.
#[derive(Serialize)]
struct Line<'a, A> {
    /// The request's number in the input, from 0.
    request: u64,
    answer: &'a A,
}

/// A line as it is read.
#[derive(Deserialize)]
struct KeptLine<A> {
    request: u64,
    answer: A,
}

/// Why answers cannot be kept or taken up again.
#[derive(Debug, thiserror::Error)]
pub enum UnfinishedError {
    /// An interrupted run has left answers.
    #[error(
        "{}: an interrupted run has left {answers} finished requests there; go on with --resume, or remove the file to begin anew",
        path.display()
    )]
    Exists {
        /// The file.
        path: PathBuf,
        /// How many.
        answers: usize,
    },
    /// What is there is of a run with other settings.
    #[error(
        "{}: an interrupted run with other settings has left {answers} finished requests there: {differences}; give the old ones to go on, or remove the \
         file to begin anew",
        path.display()
    )]
    Other {
        /// The file.
        path: PathBuf,
        /// How many.
        answers: usize,
        /// What is not as it was, in the words of the command line.
        differences: String,
    },
    /// There is nothing to take up.
    #[error("--resume: there is no {} of an interrupted run; leave the flag out", path.display())]
    Absent {
        /// The file that was looked for.
        path: PathBuf,
    },
    /// Another process is at work.
    #[error("{}: another run is writing it; wait for its end", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The first line does not say what run it is of.
    #[error("{}: its first line is damaged, so that nobody knows what its answers are of; remove the file to begin anew", path.display())]
    Head {
        /// The file.
        path: PathBuf,
    },
    /// The disk is full, gone, or not ours.
    #[error("cannot keep finished requests in {}: {}", path.display(), plain(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The file of a run that is not finished; `A` is what is kept of a request.
pub struct Unfinished<A = Finished> {
    path: PathBuf,
    file: File,
    /// The settings of the run that began it.
    pub settings: RunSettings,
    /// What was finished when the file was opened, by the number of the request from 0.
    pub finished: BTreeMap<u64, A>,
    /// Lines that were dropped because they do not fit their hash.
    pub damaged: usize,
}

impl Unfinished {
    /// Where the answers for a result are kept meanwhile.
    pub fn path_for(output: &Path) -> PathBuf {
        let mut name = output.as_os_str().to_owned();
        name.push(".unfinished");
        PathBuf::from(name)
    }
}

impl<A: Serialize + DeserializeOwned> Unfinished<A> {
    /// Goes on with what an interrupted run of the same settings has left, or begins where there is nothing of worth.
    ///
    /// # Errors
    /// [`UnfinishedError::Other`], and what [`Unfinished::open`] and [`Unfinished::create`] say.
    pub fn take_up(path: &Path, settings: &RunSettings) -> Result<Unfinished<A>, UnfinishedError> {
        let found = match Self::open(path) {
            Err(UnfinishedError::Absent { .. }) => return Self::create(path, settings),
            found => found?,
        };
        let differences = settings.differences(&found.settings);
        if differences.is_empty() {
            return Ok(found);
        }
        let answers = found.finished.len();
        if answers + found.damaged == 0 {
            found.remove()?;
            return Self::create(path, settings);
        }
        let said: Vec<String> = differences.iter().map(ToString::to_string).collect();
        Err(UnfinishedError::Other { path: path.to_path_buf(), answers, differences: said.join("; ") })
    }

    /// Begins a file; there must be none.
    ///
    /// # Errors
    /// [`UnfinishedError::Exists`], and what the disk says.
    pub fn create(path: &Path, settings: &RunSettings) -> Result<Unfinished<A>, UnfinishedError> {
        let failed = |source| UnfinishedError::Io { path: path.to_path_buf(), source };
        Self::check_absent(path)?;
        let opened = OpenOptions::new().read(true).write(true).create_new(true).open(path);
        let mut file = opened.map_err(failed)?;
        lock(&file, path)?;
        let text = line(settings, path)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        let (path, settings) = (path.to_path_buf(), settings.clone());
        Ok(Unfinished { path, file, settings, finished: BTreeMap::new(), damaged: 0 })
    }

    /// Refuses a place where an interrupted run has left answers.
    ///
    /// # Errors
    /// [`UnfinishedError::Exists`], or why what is there cannot be opened.
    pub fn check_absent(path: &Path) -> Result<(), UnfinishedError> {
        match Self::open(path) {
            Err(UnfinishedError::Absent { .. }) => Ok(()),
            Ok(found) => {
                Err(UnfinishedError::Exists { path: path.to_path_buf(), answers: found.finished.len() })
            }
            Err(error) => Err(error),
        }
    }

    /// Opens the file of an interrupted run. What does not fit its hash is taken off.
    ///
    /// # Errors
    /// [`UnfinishedError`]; [`UnfinishedError::Absent`] when there is none.
    pub fn open(path: &Path) -> Result<Unfinished<A>, UnfinishedError> {
        let failed = |source| UnfinishedError::Io { path: path.to_path_buf(), source };
        let mut file = match OpenOptions::new().read(true).write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(UnfinishedError::Absent { path: path.to_path_buf() });
            }
            opened => opened.map_err(failed)?,
        };
        lock(&file, path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        let mut lines = bytes.split_inclusive(|&byte| byte == b'\n');
        let head = lines.next().and_then(checked);
        let settings: RunSettings = head
            .and_then(|json| serde_json::from_str(json).ok())
            .ok_or_else(|| UnfinishedError::Head { path: path.to_path_buf() })?;
        let mut found =
            Unfinished { path: path.to_path_buf(), file, settings, finished: BTreeMap::new(), damaged: 0 };
        for bytes in lines {
            match checked(bytes).and_then(|json| serde_json::from_str::<KeptLine<A>>(json).ok()) {
                Some(line) => drop(found.finished.insert(line.request, line.answer)),
                None => found.damaged += 1,
            }
        }
        // What comes next must not be glued to a line that a kill cut short.
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at as u64 + 1);
        found.file.set_len(whole).and_then(|()| found.file.seek(SeekFrom::End(0))).map_err(failed)?;
        Ok(found)
    }

    /// Keeps answers; on return they are on the disk.
    ///
    /// # Errors
    /// The disk is full or gone.
    pub fn add<'a>(&mut self, answers: impl IntoIterator<Item = (u64, &'a A)>) -> Result<(), UnfinishedError>
    where
        A: 'a,
    {
        let mut text = String::new();
        for (request, answer) in answers {
            text.push_str(&line(&Line { request, answer }, &self.path)?);
        }
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|source| UnfinishedError::Io { path: self.path.clone(), source })
    }

    /// The answer to a request: the one that was finished when the file was opened, or what is made, which is then kept.
    ///
    /// # Errors
    /// What making it says, or what the disk says.
    pub fn take_or<E: From<UnfinishedError>>(
        &mut self,
        request: u64,
        make: impl FnOnce() -> Result<A, E>,
    ) -> Result<A, E> {
        if let Some(known) = self.finished.remove(&request) {
            return Ok(known);
        }
        let made = make()?;
        self.add([(request, &made)])?;
        Ok(made)
    }

    /// Removes the file: the result is there.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(self) -> Result<(), UnfinishedError> {
        let Unfinished { path, file, .. } = self;
        // Some systems do not remove a file that is open.
        drop(file);
        std::fs::remove_file(&path).map_err(|source| UnfinishedError::Io { path, source })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn lock(file: &File, path: &Path) -> Result<(), UnfinishedError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(std::fs::TryLockError::WouldBlock) => Err(UnfinishedError::Busy { path: path.to_path_buf() }),
        // A file system without locks: whoever runs the same command twice at once is not stopped there.
        Err(std::fs::TryLockError::Error(_)) => Ok(()),
    }
}

fn line(value: &impl Serialize, path: &Path) -> Result<String, UnfinishedError> {
    let json = serde_json::to_string(value)
        .map_err(|error| UnfinishedError::Io { path: path.to_path_buf(), source: error.into() })?;
    Ok(format!("{} {json}\n", &sha256::hex_digest(&json)[..DIGITS]))
}

/// The JSON of a whole line that fits its hash.
fn checked(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes.strip_suffix(b"\n")?).ok()?;
    let (hash, json) = text.split_once(' ')?;
    (sha256::hex_digest(json).get(..DIGITS) == Some(hash)).then_some(json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_core::Trace;
    use serde_json::{Map, json};

    type Rankings = Unfinished<Finished>;

    fn settings() -> RunSettings {
        RunSettings {
            plackett: "0.1.0".into(),
            command: "rerank".into(),
            folder: "/x".into(),
            arguments: Map::new(),
            stages: Vec::new(),
            models: Vec::new(),
            inputs: Vec::new(),
        }
    }

    fn answer(query: &str, scores: &[f64]) -> Finished {
        let scored = scores.iter().enumerate().map(|(i, &score)| (format!("d{i}"), score));
        let trace = Trace { seconds: 0.1 + 0.2, activated: scores.to_vec(), ..Trace::default() };
        Finished::Ranking(Box::new(Ranking::from_scores(query, scored, trace)))
    }

    #[test]
    fn answers_come_back_to_the_last_bit_whatever_a_kill_cuts_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = Unfinished::path_for(&folder.path().join("out.jsonl"));
        assert!(path.ends_with("out.jsonl.unfinished"));
        let answers = [
            (0, answer("ü", &[0.1 + 0.2, 1e-300, -7.123456789012345])),
            (1, Finished::Failed("line 2: no".into())),
            (7, answer("b", &[])),
        ];
        let mut file = Rankings::create(&path, &settings()).unwrap();
        let head = std::fs::read(&path).unwrap().len();
        file.add(answers.iter().map(|(n, answer)| (*n, answer))).unwrap();
        drop(file);
        let whole = std::fs::read(&path).unwrap();
        let ends: Vec<usize> = (0..whole.len()).filter(|&at| whole[at] == b'\n').map(|at| at + 1).collect();
        for cut in head..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let kept = ends.iter().filter(|&&end| end <= cut).count() - 1;
            let mut file = Rankings::open(&path).unwrap();
            let expected: BTreeMap<u64, Finished> = answers[..kept].iter().cloned().collect();
            assert_eq!(file.finished, expected, "{cut}");
            assert_eq!(file.settings, settings());
            file.add(answers[kept..].iter().map(|(n, answer)| (*n, answer))).unwrap();
            drop(file);
            assert_eq!(std::fs::read(&path).unwrap(), whole, "{cut}");
        }
        std::fs::write(&path, &whole[..head - 1]).unwrap();
        assert!(matches!(Rankings::open(&path), Err(UnfinishedError::Head { .. })));
    }

    #[test]
    fn a_damaged_line_is_dropped_and_counted_and_the_others_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let mut file = Rankings::create(&path, &settings()).unwrap();
        file.add([(0, &answer("a", &[1.0])), (1, &answer("b", &[2.0]))]).unwrap();
        assert!(matches!(Rankings::open(&path), Err(UnfinishedError::Busy { .. })));
        drop(file);
        let text = std::fs::read_to_string(&path).unwrap().replacen("\"score\":1.0", "\"score\":3.0", 1);
        std::fs::write(&path, text).unwrap();
        let file = Rankings::open(&path).unwrap();
        assert_eq!((file.damaged, file.finished.keys().copied().collect::<Vec<_>>()), (1, vec![1]));
        drop(file);
        let again = Rankings::create(&path, &settings()).err().unwrap();
        assert!(matches!(again, UnfinishedError::Exists { answers: 1, .. }), "{again}");
        Rankings::open(&path).unwrap().remove().unwrap();
        assert!(matches!(Rankings::open(&path), Err(UnfinishedError::Absent { .. })));
    }

    #[test]
    fn what_is_kept_is_taken_up_once_and_by_the_same_settings_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let of = |count: u64| {
            let arguments = Map::from_iter([("count".to_string(), json!(count))]);
            RunSettings { arguments, ..settings() }
        };
        let take = |file: &mut Unfinished<String>, made: &str| -> Result<String, UnfinishedError> {
            file.take_or(3, || Ok(made.to_string()))
        };
        // Where nothing was finished there is nothing that other settings could go wrong with.
        drop(Unfinished::<String>::take_up(&path, &of(1)).unwrap());
        let mut file = Unfinished::<String>::take_up(&path, &of(2)).unwrap();
        assert_eq!(take(&mut file, "a").unwrap(), "a");
        drop(file);
        let mut file = Unfinished::<String>::take_up(&path, &of(2)).unwrap();
        assert_eq!(take(&mut file, "b").unwrap(), "a");
        drop(file);
        let refused = Unfinished::<String>::take_up(&path, &of(5)).err().unwrap().to_string();
        assert!(refused.contains("1 finished requests there: --count was `2`, and is `5`"), "{refused}");
    }
}
