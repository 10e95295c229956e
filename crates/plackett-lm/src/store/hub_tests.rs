//! The hub's protocol over a loopback server: pins, resumption, hashes, names.

use crate::store::cache;
use crate::store::error::StoreError;
use crate::store::hub::{Hub, cached_in};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const SIZE: usize = 200_000;

/// What the server does wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Closes every connection after this many bytes of the weights.
    CutAfter(usize),
    /// Sends other weights than it names.
    Damaged,
}

struct Mock {
    endpoint: String,
    asked: Arc<Mutex<Vec<String>>>,
    fault: Arc<Mutex<Fault>>,
}

fn weights() -> Vec<u8> {
    (0..SIZE).map(|i| (i * 31 % 251) as u8).collect()
}

fn sha256(bytes: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    cache::hash_file(file.path()).unwrap()
}

fn content(file: &str) -> Option<(Vec<u8>, String)> {
    match file {
        "config.json" | "tokenizer.json" => Some((b"{}".to_vec(), format!("{:040x}", file.len()))),
        "model.safetensors" => Some((weights(), sha256(&weights()))),
        _ => None,
    }
}

fn serve(names: &'static [&'static str]) -> Mock {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let fault = Arc::new(Mutex::new(Fault::None));
    let (log, mode) = (asked.clone(), fault.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let fault = *mode.lock().unwrap();
            let _ = answer(stream, names, fault, &log);
        }
    });
    Mock { endpoint, asked, fault }
}

fn answer(
    mut stream: TcpStream,
    names: &[&str],
    fault: Fault,
    log: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_string();
    let range =
        head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("range: bytes=").map(str::to_string));
    log.lock().unwrap().push(format!("{path} {}", range.as_deref().unwrap_or("whole")));
    if path.starts_with("/api/") {
        let files: Vec<_> = names.iter().map(|n| serde_json::json!({"rfilename": n})).collect();
        let body = serde_json::json!({"sha": COMMIT, "siblings": files}).to_string();
        return write!(
            stream,
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
    }
    let file = path.rsplit('/').next().unwrap_or_default();
    let Some((mut bytes, etag)) = content(file) else {
        return write!(stream, "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    };
    let (from, to) = range.as_deref().and_then(|r| r.split_once('-')).unwrap_or(("0", ""));
    let from: usize = from.parse().unwrap();
    let to = to.parse().unwrap_or(bytes.len() - 1);
    if from >= bytes.len() {
        return write!(
            stream,
            "HTTP/1.1 416 Range Not Satisfiable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
    }
    if fault == Fault::Damaged && bytes.len() == SIZE {
        bytes[SIZE / 2] ^= 1;
    }
    let part = &bytes[from..=to];
    write!(
        stream,
        "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nETag: \"{etag}\"\r\nx-repo-commit: {COMMIT}\r\n\
         Content-Range: bytes {from}-{to}/{}\r\nContent-Length: {}\r\n\r\n",
        bytes.len(),
        part.len()
    )?;
    match fault {
        Fault::CutAfter(count) if part.len() > count => stream.write_all(&part[..count]),
        _ => stream.write_all(part),
    }
}

fn fetch(mock: &Mock, cache: &Path) -> Result<String, StoreError> {
    let target = cache.join("target");
    std::fs::create_dir_all(&target).unwrap();
    let hub = Hub { endpoint: Some(mock.endpoint.clone()), token: None };
    hub.fetch("org/tiny", cache, &target, &|_, _, _| {})
}

const NAMES: &[&str] = &["config.json", "tokenizer.json", "model.safetensors", "pytorch_model.bin"];

#[test]
fn all_files_are_of_the_commit_that_is_recorded_and_pickles_are_not_asked_for() {
    let (mock, folder) = (serve(NAMES), tempfile::tempdir().unwrap());
    assert_eq!(fetch(&mock, folder.path()).unwrap(), COMMIT);
    assert_eq!(std::fs::read(folder.path().join("target/model.safetensors")).unwrap(), weights());
    assert!(!folder.path().join("downloads/org--tiny").exists());
    let asked = mock.asked.lock().unwrap();
    assert!(asked[0].starts_with("/api/models/org/tiny/revision/main"));
    assert!(asked[1..].iter().all(|line| line.contains(COMMIT) && !line.contains(".bin")), "{asked:?}");
}

#[test]
fn a_cut_download_goes_on_where_it_stopped() {
    let (mock, folder) = (serve(NAMES), tempfile::tempdir().unwrap());
    *mock.fault.lock().unwrap() = Fault::CutAfter(20_000);
    assert!(matches!(fetch(&mock, folder.path()), Err(StoreError::Service { .. })));
    *mock.fault.lock().unwrap() = Fault::None;
    mock.asked.lock().unwrap().clear();
    fetch(&mock, folder.path()).unwrap();
    assert_eq!(std::fs::read(folder.path().join("target/model.safetensors")).unwrap(), weights());
    let asked = mock.asked.lock().unwrap();
    let starts: Vec<usize> = asked
        .iter()
        .filter(|line| line.contains("model.safetensors") && line.ends_with('-'))
        .map(|line| line.rsplit(' ').next().unwrap().trim_end_matches('-').parse().unwrap())
        .collect();
    assert!(starts.len() == 1 && starts[0] > 0, "{starts:?}");
    assert!(!asked.iter().any(|line| line.contains("config.json")), "what was whole is not fetched again");
}

#[test]
fn a_part_that_was_already_whole_does_not_block_the_next_pull() {
    let (mock, folder) = (serve(NAMES), tempfile::tempdir().unwrap());
    let blobs = folder.path().join("downloads/org--tiny/models--org--tiny/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(blobs.join(format!("{}.part", sha256(&weights()))), weights()).unwrap();
    fetch(&mock, folder.path()).unwrap();
    assert_eq!(std::fs::read(folder.path().join("target/model.safetensors")).unwrap(), weights());
}

#[test]
fn damaged_weights_are_refused_with_both_hashes_and_fetched_anew() {
    let (mock, folder) = (serve(NAMES), tempfile::tempdir().unwrap());
    *mock.fault.lock().unwrap() = Fault::Damaged;
    let message = fetch(&mock, folder.path()).unwrap_err().to_string();
    assert!(message.contains(&format!("expected {}", sha256(&weights()))), "{message}");
    *mock.fault.lock().unwrap() = Fault::None;
    fetch(&mock, folder.path()).unwrap();
}

#[test]
fn names_that_lead_out_of_the_folder_are_never_asked_for() {
    let names: &[&str] = &["config.json", "model/../../../x.safetensors", "model-/../../x.safetensors"];
    let (mock, folder) = (serve(names), tempfile::tempdir().unwrap());
    let message = fetch(&mock, folder.path()).unwrap_err().to_string();
    assert!(message.contains("no model.safetensors"), "{message}");
    assert_eq!(mock.asked.lock().unwrap().len(), 1);
}

#[test]
fn a_snapshot_without_all_its_weights_is_not_taken_for_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = folder.path().join("models--org--tiny/snapshots/c");
    std::fs::create_dir_all(&snapshot).unwrap();
    let write = |file: &str, text: &str| std::fs::write(snapshot.join(file), text).unwrap();
    write("config.json", "{}");
    write("tokenizer.json", "{}");
    assert_eq!(cached_in(folder.path(), "org/tiny@c"), None);
    write(
        "model.safetensors.index.json",
        r#"{"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}}"#,
    );
    write("model-1-of-2.safetensors", "");
    assert_eq!(cached_in(folder.path(), "org/tiny@c"), None);
    write("model-2-of-2.safetensors", "");
    assert_eq!(cached_in(folder.path(), "org/tiny@c"), Some(snapshot));
}
