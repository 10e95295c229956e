//! `kill -9` at twenty moments of indexing: everything that was acknowledged as committed is there afterwards, texts,
//! postings and vectors, and indexing goes on.
//!
//! The test runs itself as a child process that indexes and prints a number after each commit.
#![cfg(unix)]

use plackett_core::Document;
use plackett_search::{Bm25, Embedded, Embedder, Index, IndexSettings, ModelIdentity};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const CHILD: &str = "PLACKETT_KILL_TEST_INDEX";
const PER_COMMIT: usize = 7;
const KILLS: u64 = 20;

struct Numbers;

impl Embedder for Numbers {
    fn dim(&self) -> usize {
        8
    }

    fn embed_documents(&self, texts: &[&str]) -> Result<Embedded, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Embedded { vectors: texts.iter().flat_map(|text| vector(text)).collect(), ..Embedded::default() })
    }
}

/// A vector that no other document has in its direction.
fn vector(text: &str) -> Vec<f32> {
    let seed: u32 = text.bytes().fold(17, |h, b| h.wrapping_mul(31).wrapping_add(b.into()));
    let raw: Vec<f32> = (0..8).map(|i| ((seed.rotate_left(4 * i) % 1000) as f32) / 500.0 - 1.0).collect();
    let length = raw.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-3);
    raw.into_iter().map(|x| x / length).collect()
}

fn text(number: usize) -> String {
    format!("document word{number} of many words about ranking")
}

fn settings() -> IndexSettings {
    IndexSettings {
        model: Some(ModelIdentity { name: "numbers".into(), dim: 8, fingerprint: None }),
        ..IndexSettings::default()
    }
}

/// The child: goes on behind the last committed document until it is killed.
#[test]
fn child_that_indexes_until_it_is_killed() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let mut index = Index::open(&path).unwrap();
    let mut number = index.len();
    let mut writer = index.writer(Some(&Numbers)).unwrap();
    writer.graph_from(1);
    loop {
        for _ in 0..PER_COMMIT {
            writer.put(Document::new(format!("d{number}"), text(number))).unwrap();
            number += 1;
        }
        writer.commit().unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "\ncommitted {number}").unwrap();
        out.flush().unwrap();
    }
}

/// Kills a child after `delay` and returns how many documents it had acknowledged.
fn index_and_kill(path: &Path, delay: Duration) -> Option<usize> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "kill::child_that_indexes_until_it_is_killed",
            "--nocapture",
            "--test-threads",
            "1",
        ])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let lines = BufReader::new(out).lines().map_while(Result::ok);
        lines.filter_map(|line| line.strip_prefix("committed ")?.parse().ok()).last()
    });
    std::thread::sleep(delay);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

#[test]
fn no_committed_document_is_lost_by_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    drop(Index::create(&path, &settings()).unwrap());
    let mut acknowledged = 0;
    // Moments from a fixed sequence: early, in the middle of a commit, between commits, during merges.
    let mut state = 0x2545_f491_u64;
    let mut kills_after_a_commit = 0;
    // On a busy machine many kills come before the first commit: then there are more of them.
    for kill in 0..5 * KILLS {
        if kill >= KILLS && kills_after_a_commit > KILLS / 2 {
            break;
        }
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let delay = Duration::from_micros(20_000 + (state >> 33) % 400_000);
        if let Some(last) = index_and_kill(&path, delay) {
            acknowledged = last;
            kills_after_a_commit += 1;
        }
        let index = Index::open(&path).unwrap_or_else(|e| panic!("kill {kill} after {delay:?}: {e}"));
        index.verify().unwrap();
        assert!(index.len() >= acknowledged, "kill {kill}: {} of {acknowledged} documents", index.len());
        assert_eq!(index.len() % PER_COMMIT, 0, "a commit is there whole or not at all");
        for number in (0..acknowledged).rev().take(60) {
            let id = format!("d{number}");
            assert_eq!(index.document(&id).unwrap().unwrap().text, text(number));
            let found = index.search_bm25(&format!("word{number}"), &Bm25::default(), 5).unwrap();
            assert_eq!(found.first().map(|(id, _)| id.as_str()), Some(id.as_str()));
            let best = index.search_vector(&vector(&text(number)), 1).unwrap();
            assert!((best[0].1 - 1.0).abs() < 1e-5, "the vector of {id} is gone");
        }
    }
    assert!(kills_after_a_commit > KILLS / 2, "too few kills came after a commit to mean something");
    println!("{KILLS} kills, {acknowledged} documents acknowledged, none lost");
}
