//! A writer that adds, replaces and deletes is killed at twenty random moments: the index then holds exactly what a whole
//! number of commits leaves, at least the acknowledged ones, in texts, postings, vectors and the state of a sync.
//!
//! The test starts itself as a child that carries out a fixed sequence of operations and says when a commit begins and
//! when it is done. The moments come from a seed that is printed and can be given again (PLACKETT_CHANGES_SEED).
#![cfg(unix)]

use plackett_core::Document;
use plackett_search::{
    Bm25, DenseMethod, DenseSearch, Embedded, Embedder, HAS_HNSW, Index, IndexSettings, ModelIdentity,
    SyncState,
};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const KILLS: usize = 20;
const DIM: usize = 16;
/// Environment of the child: the index, the first operation, the seed of its batch sizes.
const DIRECTORY: &str = "PLACKETT_CHANGES_DIRECTORY";
const FROM: &str = "PLACKETT_CHANGES_FROM";
const SEED: &str = "PLACKETT_CHANGES_SEED";

/// SplitMix64: a printed seed gives the same sequence everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}

enum Operation {
    Put(u64),
    Delete(u64),
}

/// What operation `number` does: every third replaces an older document, every eleventh deletes one, so that dead vectors
/// pile up and are compacted again and again.
fn operation(number: u64) -> Operation {
    match number {
        n if n % 11 == 5 => Operation::Delete(n / 3),
        n if n % 3 == 1 => Operation::Put(n / 2),
        n => Operation::Put(n),
    }
}

/// One word of this version only and one that all documents share.
fn text_of(version: u64) -> String {
    format!("version{version} everything")
}

/// Documents after the first `count` operations: id and the operation that wrote it last.
fn expected(count: u64) -> BTreeMap<String, u64> {
    let mut state = BTreeMap::new();
    for number in 0..count {
        match operation(number) {
            Operation::Put(id) => drop(state.insert(format!("d{id}"), number)),
            Operation::Delete(id) => drop(state.remove(&format!("d{id}"))),
        }
    }
    state
}

/// What a sync would say of the collection after the first `count` operations.
fn sync_state(count: u64) -> SyncState {
    let mut state = SyncState::new("operations");
    for (id, version) in expected(count) {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&version.to_le_bytes());
        state.documents.insert(id, hash);
    }
    state
}

/// Unit vectors that depend on the text alone.
pub struct Hashed;

pub fn vector(text: &str) -> Vec<f32> {
    let mut random =
        Random(text.bytes().fold(0u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3)));
    let raw: Vec<f32> = (0..DIM).map(|_| random.below(2001) as f32 / 1000.0 - 1.0).collect();
    let norm = raw.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-6);
    raw.into_iter().map(|x| x / norm).collect()
}

pub fn model() -> ModelIdentity {
    ModelIdentity { name: "hashed".into(), dim: DIM, fingerprint: None }
}

impl Embedder for Hashed {
    fn dim(&self) -> usize {
        DIM
    }

    fn embed_documents(&self, texts: &[&str]) -> Result<Embedded, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Embedded { vectors: texts.iter().flat_map(|t| vector(t)).collect(), ..Embedded::default() })
    }
}

/// The child: does nothing in an ordinary test run.
#[test]
fn child_changes_until_it_is_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let number = |name: &str| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let (mut next, mut random) = (number(FROM), Random(number(SEED)));
    let mut index = Index::open(directory).unwrap();
    let mut writer = index.writer(Some(&Hashed)).unwrap();
    // Graphs are made and extended at every commit (in a program that can), so that kills come in the middle of them.
    writer.graph_from(1);
    let say = |line: String| {
        let mut out = std::io::stderr().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
    };
    say("ready".into());
    loop {
        for _ in 0..1 + random.below(30) {
            match operation(next) {
                Operation::Put(id) => {
                    writer.put(Document::new(format!("d{id}"), text_of(next))).unwrap();
                }
                Operation::Delete(id) => drop(writer.delete(&format!("d{id}")).unwrap()),
            }
            next += 1;
        }
        writer.set_sync_state(sync_state(next));
        say(format!("begin {next}"));
        writer.commit().unwrap();
        say(format!("done {next}"));
    }
}

/// Operations of the last commit that was acknowledged, and of one that was under way at the kill.
struct Said {
    done: u64,
    begun: Option<u64>,
}

fn run_and_kill(directory: &Path, from: u64, random: &mut Random) -> Said {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "kill_changes::child_changes_until_it_is_killed",
            "--exact",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(DIRECTORY, directory)
        .env(FROM, from.to_string())
        .env(SEED, random.below(u64::MAX).to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut heard = Vec::new();
    while heard.last().is_none_or(|line| line != "ready") {
        heard.push(lines.next().unwrap_or_else(|| panic!("the child ended early: {heard:?}")).unwrap());
    }
    // Lines are taken off the pipe while the child runs: a full pipe would stop it.
    let reader = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<String>>());
    std::thread::sleep(Duration::from_micros(random.below(250_000)));
    assert!(child.try_wait().unwrap().is_none(), "the child ended by itself: {:?}", reader.join());
    child.kill().unwrap();
    child.wait().unwrap();
    let mut said = Said { done: from, begun: None };
    for line in reader.join().unwrap() {
        match line.split_once(' ').map(|(word, n)| (word, n.parse::<u64>())) {
            Some(("begin", Ok(n))) => said.begun = Some(n),
            Some(("done", Ok(n))) => said = Said { done: n, begun: None },
            _ => panic!("the child said {line:?}"),
        }
    }
    said
}

/// Whether ids and texts are those after `count` operations.
fn holds(index: &Index, count: u64) -> bool {
    let state = expected(count);
    let text = |id: &str| index.document(id).unwrap().map(|document| document.text);
    index.len() == state.len() && state.iter().all(|(id, version)| text(id) == Some(text_of(*version)))
}

/// Postings and vectors of every document, and of nothing else.
fn check(index: &Index, count: u64) {
    index.verify().unwrap();
    assert_eq!(index.sync_state().unwrap(), (count > 0).then(|| sync_state(count)));
    let state = expected(count);
    let hnsw = DenseSearch { method: DenseMethod::Hnsw, ..DenseSearch::default() };
    let through_graph = index.stats().graph_vectors > 0;
    for (id, version) in &state {
        let found = index.search_bm25(&format!("version{version}"), &Bm25::default(), 2).unwrap();
        assert_eq!(found.iter().map(|f| &f.0).collect::<Vec<_>>(), [id], "postings of {id}");
        let nearest = index.search_vector(&vector(&text_of(*version)), 1).unwrap();
        assert_eq!(nearest[0].0, *id, "vector of {id}");
        if through_graph {
            let found = index.search_dense(&vector(&text_of(*version)), 5, &hnsw).unwrap().documents;
            assert_eq!(found[0], nearest[0], "vector of {id} through the graph");
        }
        assert!((nearest[0].1 - 1.0).abs() < 1e-5, "vector of {id}: {}", nearest[0].1);
    }
    let depth = state.len() + 10;
    let everything = index.search_bm25("everything", &Bm25::default(), depth).unwrap();
    assert_eq!(everything.len(), state.len(), "replaced and deleted documents are still found");
}

/// How many of the first operations write a vector.
fn puts(count: u64) -> usize {
    (0..count).filter(|n| matches!(operation(*n), Operation::Put(_))).count()
}

#[test]
fn changes_are_committed_whole_or_not_at_all() {
    let seed = std::env::var(SEED).ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        now.as_nanos() as u64
    });
    println!("moments from {SEED}={seed}");
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("index");
    Index::create(&directory, &IndexSettings { model: Some(model()), ..IndexSettings::default() }).unwrap();
    let mut random = Random(seed);
    let (mut count, mut during_commit, mut with_graph) = (0, 0, 0);
    // On a busy machine a child commits little before its end: then there are more of them.
    let mut kills = 0;
    for kill in 1..=10 * KILLS {
        kills = kill;
        let said = run_and_kill(&directory, count, &mut random);
        let index = Index::open(&directory).unwrap();
        // A commit that was under way may be there, whole; an acknowledged one must be.
        let there = [said.begun, Some(said.done)].into_iter().flatten().find(|n| holds(&index, *n));
        println!(
            "kill {kill}: done {}, begun {:?}, found {there:?}, {} documents",
            said.done,
            said.begun,
            index.len()
        );
        count = there
            .unwrap_or_else(|| panic!("kill {kill}: neither the last commit nor the one under way is there"));
        check(&index, count);
        with_graph += usize::from(index.stats().graph_vectors > 0);
        during_commit += usize::from(said.begun.is_some());
        if kill >= KILLS && index.stats().stored_vectors < puts(count) {
            break;
        }
    }
    assert_eq!(with_graph > 0, HAS_HNSW, "{with_graph} kills left a graph");
    println!("{during_commit} of {kills} kills came during a commit");
    assert!(count > 0, "no child came as far as a commit: the test saw nothing");
    let mut index = Index::open(&directory).unwrap();
    let puts = puts(count);
    let stored = index.stats().stored_vectors;
    println!("{stored} vectors are stored of {puts} written, {} documents", index.len());
    assert!(stored < puts, "nothing was compacted: the test did not see that");
    let mut writer = index.writer(Some(&Hashed)).unwrap();
    writer.put(Document::new("last", "lastword")).unwrap();
    writer.finish().unwrap();
    assert_eq!(index.search_bm25("lastword", &Bm25::default(), 5).unwrap().len(), 1);
    // A document that changes without a word of what it is made of is none that a sync knows.
    let (known, gone) = (sync_state(count), sync_state(count).documents.into_keys().min().unwrap());
    let mut writer = index.writer(Some(&Hashed)).unwrap();
    assert_eq!(writer.sync_state().unwrap().as_ref(), Some(&known), "`last` was not known before");
    assert!(writer.delete(&gone).unwrap());
    writer.finish().unwrap();
    let left = index.sync_state().unwrap().unwrap();
    assert_eq!(left.documents.len() + 1, known.documents.len());
    assert!(!left.documents.contains_key(&gone));
}
