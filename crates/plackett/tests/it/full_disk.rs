//! No room for an index: the command says so, and the index stays at its last commit.

#![cfg(unix)]

use crate::common::{Done, plackett};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// Texts whose words do not repeat, so that packing does not make room.
fn documents(count: u64) -> String {
    let mut text = String::new();
    let mut state = 1u64;
    for document in 0..count {
        let _ = write!(text, "{{\"_id\": \"n{document}\", \"text\": \"new");
        for _ in 0..60 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let _ = write!(text, " w{:x}", state >> 24);
        }
        text.push_str("\"}\n");
    }
    text
}

/// Runs where no file may grow beyond so many blocks of 512 or 1024 bytes, which is what a full disk looks like from inside:
/// writes fail. The signal that would end the process instead is ignored.
fn without_room(folder: &Path, blocks: u32, line: &str) -> Done {
    let program = env!("CARGO_BIN_EXE_plackett");
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec '{program}' {line}");
    Command::new("sh").current_dir(folder).args(["-c", &script]).output().expect("a shell").into()
}

fn hits(folder: &Path, word: &str) -> usize {
    let done = plackett(folder, &["search", "my.index", "-p", "bm25", "-k", "9", "--json", word]).expect(0);
    done.json()["results"][0]["ranking"].as_array().expect("a ranking").len()
}

fn check(done: &Done, what: &str) {
    assert_eq!(done.code, 2, "{what}: {}{}", done.stdout, done.stderr);
    assert!(!done.stderr.contains("panicked"), "{what}: {}", done.stderr);
    let last = done.stderr.trim().lines().last().unwrap_or_default();
    // The thread that met the limit says so, unless another one first finds that it is gone.
    let reason = ["File too large", "make room on the disk"];
    assert!(last.contains("my.index") && reason.iter().any(|r| last.contains(r)), "{what}: {}", done.stderr);
}

#[test]
fn an_index_without_room_stays_at_its_last_commit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("old.jsonl"), "{\"_id\": \"o\", \"text\": \"old\"}\n").unwrap();
    std::fs::write(path.join("new.jsonl"), documents(4000)).unwrap();
    // A new index leaves nothing behind.
    check(&without_room(path, 60, "index new.jsonl -o my.index --no-vectors"), "a new index");
    assert!(!path.join("my.index").exists());
    plackett(path, &["index", "old.jsonl", "-o", "my.index", "--no-vectors"]).expect(0);
    for blocks in [2, 60, 200] {
        check(&without_room(path, blocks, "index new.jsonl -o my.index --append"), "more documents");
        assert_eq!((hits(path, "old"), hits(path, "new")), (1, 0), "{blocks} blocks");
    }
    // With room again it goes on.
    let done = plackett(path, &["index", "new.jsonl", "-o", "my.index", "--append", "--json"]).expect(0);
    assert_eq!(done.json()["documents"], 4001);
    assert_eq!((hits(path, "old"), hits(path, "new")), (1, 9));
}

#[test]
fn vectors_without_room_are_not_half_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("old.jsonl"), "{\"_id\": \"o\", \"text\": \"old\"}\n").unwrap();
    let many: String = (0..300).map(|n| format!("{{\"_id\": \"v{n}\", \"text\": \"new {n}\"}}\n")).collect();
    std::fs::write(path.join("new.jsonl"), many).unwrap();
    plackett(path, &["index", "old.jsonl", "-o", "my.index"]).expect(0);
    // 300 vectors of 384 numbers take 460,800 bytes; the words take a few thousand.
    check(&without_room(path, 300, "index new.jsonl -o my.index --append"), "vectors");
    let done = plackett(path, &["search", "my.index", "-p", "dense", "-k", "9", "--json", "old"]).expect(0);
    assert_eq!(done.json()["results"][0]["ranking"].as_array().expect("a ranking").len(), 1);
    plackett(path, &["index", "new.jsonl", "-o", "my.index", "--append"]).expect(0);
    let done = plackett(path, &["search", "my.index", "-p", "dense", "-k", "999", "--json", "old"]).expect(0);
    assert_eq!(done.json()["results"][0]["ranking"].as_array().expect("a ranking").len(), 301);
}
