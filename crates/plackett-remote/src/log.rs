//! The request log: one line of JSON per finished request, from which a later run takes answers.

use crate::RemoteError;
use plackett_lm::sha256::Sha256;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

const VERSION: u32 = 1;
/// How every line begins; a torn one that begins otherwise is not ours to remove.
const BEGINNING: &[u8] = b"{\"version\":";

/// A finished request as it stands in the log. The key is not part of it.
#[derive(Serialize)]
pub(crate) struct LogRecord<'a> {
    pub version: u32,
    /// See [`hash`].
    pub hash: &'a str,
    /// Whether the reply could be used; only such a one answers a later run.
    pub ok: bool,
    pub number: u64,
    pub url: &'a str,
    /// When it was finished, in UTC.
    pub at: String,
    pub seconds: f64,
    pub attempts: u32,
    pub status: Option<u16>,
    pub prompt_tokens: Option<u64>,
    pub completion_tokens: Option<u64>,
    pub cost: f64,
    pub request: &'a serde_json::Value,
    /// The reply's bytes, as they came.
    pub reply: Option<&'a str>,
    pub error: Option<String>,
}

impl LogRecord<'_> {
    pub fn version() -> u32 {
        VERSION
    }
}

/// What is read back at the start.
#[derive(Deserialize)]
struct Known {
    version: u32,
    hash: String,
    ok: bool,
}

#[derive(Deserialize)]
struct Answer {
    reply: String,
}

/// Names a request by its address, its body and which of several equal ones it is.
pub(crate) fn hash(url: &str, body: &[u8], repeat: u32) -> String {
    let mut sha = Sha256::new();
    sha.update(url.as_bytes());
    sha.update([b'\n']);
    sha.update(repeat.to_le_bytes());
    sha.update(body);
    sha.hex_digest()
}

struct State {
    file: File,
    end: u64,
    /// Where the line of an answer begins and how long it is.
    answers: HashMap<String, (u64, u64)>,
}

/// An open log. Only one process has it at a time.
pub(crate) struct Log {
    path: PathBuf,
    state: Mutex<State>,
}

impl Log {
    /// Opens or makes the file. A last line without its end (the process was killed while it wrote) is removed.
    pub fn open(path: &Path) -> Result<Log, RemoteError> {
        let failed = |problem: String| RemoteError::Log { path: path.into(), line: None, problem };
        let file = File::options().read(true).append(true).create(true).open(path);
        let file =
            file.map_err(|e| failed(format!("the request log cannot be opened ({e}); check its folder")))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(failed(
                    "another process writes this request log; give each run one of its own".into(),
                ));
            }
            Err(std::fs::TryLockError::Error(error)) => {
                return Err(failed(format!("the request log cannot be locked ({error})")));
            }
        }
        let mut answers = HashMap::new();
        let mut reader = BufReader::new(&file);
        let (mut end, mut number, mut line) = (0u64, 0u64, Vec::new());
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).map_err(|e| failed(e.to_string()))? as u64;
            if read == 0 {
                break;
            }
            number += 1;
            if line.last() != Some(&b'\n') {
                let shared = line.len().min(BEGINNING.len());
                if line[..shared] != BEGINNING[..shared] {
                    return Err(failed("this is not a request log; name another file".into()));
                }
                file.set_len(end)
                    .map_err(|e| failed(format!("its unfinished last line cannot be removed ({e})")))?;
                break;
            }
            let known: Known = serde_json::from_slice(&line).map_err(|e| RemoteError::Log {
                path: path.into(),
                line: Some(number),
                problem: format!("not a line of a request log ({e}); remove the line, or name another file"),
            })?;
            if known.version != VERSION {
                let problem = format!("written by another version ({}); name another file", known.version);
                return Err(RemoteError::Log { path: path.into(), line: Some(number), problem });
            }
            if known.ok {
                answers.insert(known.hash, (end, read));
            }
            end += read;
        }
        Ok(Log { path: path.into(), state: Mutex::new(State { file, end, answers }) })
    }

    fn failed(&self, problem: String) -> RemoteError {
        RemoteError::Log { path: self.path.clone(), line: None, problem }
    }

    /// The reply to a request that was answered before.
    pub fn answer(&self, hash: &str) -> Result<Option<Vec<u8>>, RemoteError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((offset, length)) = state.answers.get(hash).copied() else { return Ok(None) };
        let mut line = Vec::new();
        let read = state
            .file
            .seek(SeekFrom::Start(offset))
            .and_then(|_| (&state.file).take(length).read_to_end(&mut line));
        read.map_err(|e| self.failed(format!("the log cannot be read at byte {offset} ({e})")))?;
        let answer: Answer = serde_json::from_slice(&line).map_err(|e| {
            self.failed(format!(
                "the line at byte {offset} holds no reply ({e}); remove it, or name another file"
            ))
        })?;
        Ok(Some(answer.reply.into_bytes()))
    }

    /// Appends a finished request; it is on the disk when this returns.
    pub fn append(&self, entry: &LogRecord<'_>) -> Result<(), RemoteError> {
        let mut line = serde_json::to_vec(entry).map_err(|e| self.failed(e.to_string()))?;
        line.push(b'\n');
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let written = state.file.write_all(&line).and_then(|()| state.file.sync_data());
        if let Err(error) = written {
            // Half a line must not stand before whole ones.
            let end = state.end;
            let _ = state.file.set_len(end);
            return Err(self.failed(format!(
                "a finished request cannot be written ({error}); make room, then run again"
            )));
        }
        let place = (state.end, line.len() as u64);
        state.end += line.len() as u64;
        if entry.ok {
            state.answers.insert(entry.hash.to_string(), place);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry<'a>(hash: &'a str, ok: bool, reply: &'a str, request: &'a serde_json::Value) -> LogRecord<'a> {
        LogRecord {
            version: VERSION,
            hash,
            ok,
            number: 1,
            url: "http://host/embed",
            at: String::new(),
            seconds: 0.0,
            attempts: 1,
            status: Some(200),
            prompt_tokens: None,
            completion_tokens: None,
            cost: 0.0,
            request,
            reply: Some(reply),
            error: None,
        }
    }

    #[test]
    fn answers_come_back_byte_for_byte_and_torn_lines_do_not_spoil_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("requests.jsonl");
        let body = serde_json::json!({"inputs": ["ä"]});
        let reply = "{ \"a\" :\t[1.50, \"\\u00e4ä\\n\"] }";
        let log = Log::open(&path).unwrap();
        log.append(&entry("one", true, reply, &body)).unwrap();
        log.append(&entry("two", false, "bad", &body)).unwrap();
        let busy = Log::open(&path).err().unwrap().to_string();
        assert!(busy.contains("another process"), "{busy}");
        drop(log);
        let whole = std::fs::read(&path).unwrap();
        for cut in [0, 1, 20] {
            let torn = &whole[..whole.len() - cut];
            std::fs::write(&path, [torn, &whole[..17]].concat()).unwrap();
            let wanted_lines = if cut == 0 { 2 } else { 1 };
            let opened = Log::open(&path);
            if cut > 0 {
                // A broken line in the middle cannot come from a kill; it is named.
                std::fs::write(&path, torn).unwrap();
                drop(opened);
            } else {
                drop(opened.unwrap());
            }
            let log = Log::open(&path).unwrap();
            assert_eq!(log.answer("one").unwrap().unwrap(), reply.as_bytes());
            assert_eq!((log.answer("two").unwrap(), log.answer("three").unwrap()), (None, None));
            assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), wanted_lines);
            log.append(&entry("three", true, "{}", &body)).unwrap();
            assert_eq!(log.answer("three").unwrap().unwrap(), b"{}");
        }
    }

    #[test]
    fn other_files_are_refused_with_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        for (text, part) in [
            ("hello\n", "line 1"),
            ("hello", "not a request log"),
            ("{\"version\":1,\"hash\":\"a\",\"ok\":true}\n{}\n", "line 2"),
            ("{\"version\":9,\"hash\":\"a\",\"ok\":true}\n", "another version"),
        ] {
            std::fs::write(&path, text).unwrap();
            let message = Log::open(&path).err().unwrap().to_string();
            assert!(message.contains(part), "{message}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "what is not ours is left as it is");
        }
    }

    #[test]
    fn requests_differ_by_address_body_and_repetition() {
        let names = [hash("a", b"b", 0), hash("a", b"b", 1), hash("a", b"c", 0), hash("c", b"b", 0)];
        let distinct: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!((distinct.len(), names[0].len()), (4, 64));
    }
}
