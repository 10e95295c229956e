//! `kill -9` in every phase of a first build and of a large append: an index is there whole or not at all, and what was
//! committed stays.
//!
//! The test starts itself as a child that says which phase begins. The moments come from a seed that is printed and can be
//! given again (PLACKETT_BUILD_SEED).
#![cfg(unix)]

use crate::kill_changes::{Hashed, Random, model, vector};
use plackett_core::Document;
use plackett_search::{Bm25, Embedder, Index, IndexSettings, IndexWriter, NewIndex, SearchError};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const DIRECTORY: &str = "PLACKETT_BUILD_DIRECTORY";
/// Whether the child writes over the index that is there.
const OVER: &str = "PLACKETT_BUILD_OVER";
const SEED: &str = "PLACKETT_BUILD_SEED";
/// Documents of the first build and of the append.
const BUILT: usize = 2_500;
const APPENDED: usize = 2_500;
/// Documents of an index that takes the place of another one.
const WRITTEN_OVER: usize = 300;
/// Phases of the child, and how long after their beginning a kill may come, in microseconds.
const PHASES: [(&str, u64); 4] = [("begin", 4_000), ("put", 300_000), ("commit", 120_000), ("finish", 6_000)];
const KILLS_PER_PHASE: usize = 7;
/// Kills while one index takes the place of another, which are a few calls of the system and the removal of the old one.
const KILLS_OF_EXCHANGE: usize = 16;

fn text(number: usize) -> String {
    format!("text{number} everything and some words that all of them have")
}

fn put(writer: &mut IndexWriter<'_>, numbers: std::ops::Range<usize>) {
    for number in numbers {
        writer.put(Document::new(format!("d{number}"), text(number))).unwrap();
    }
}

fn say(line: &str) {
    let mut out = std::io::stderr().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
}

fn settings() -> IndexSettings {
    IndexSettings { model: Some(model()), ..IndexSettings::default() }
}

/// The child that makes an index anew.
fn write_over(directory: &str) {
    let mut new = NewIndex::begin_over(directory, &settings()).unwrap();
    let mut writer = new.index_mut().writer(Some(&Hashed)).unwrap();
    put(&mut writer, 0..WRITTEN_OVER);
    writer.finish().unwrap();
    say("finish");
    assert_eq!(new.finish().unwrap().len(), WRITTEN_OVER);
}

/// The child: builds an index, appends to the one that is there or writes over it; does nothing in an ordinary test run.
#[test]
fn child_builds_until_it_is_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let embedder: Option<&dyn Embedder> = Some(&Hashed);
    say("begin");
    if std::env::var_os(OVER).is_some() {
        write_over(&directory);
    } else if Path::new(&directory).exists() {
        let mut index = Index::open(&directory).unwrap();
        let mut writer = index.writer(embedder).unwrap();
        writer.graph_from(1);
        say("put");
        put(&mut writer, BUILT..BUILT + APPENDED);
        say("commit");
        let done = writer.commit().unwrap();
        say("finish");
        assert_eq!((done.added, done.documents), (APPENDED, BUILT + APPENDED));
        writer.finish().unwrap();
    } else {
        let mut new = NewIndex::begin(&directory, &settings()).unwrap();
        if new.removed() > 0 {
            say("removed");
        }
        let mut writer = new.index_mut().writer(embedder).unwrap();
        writer.graph_from(1);
        say("put");
        put(&mut writer, 0..BUILT);
        say("commit");
        writer.finish().unwrap();
        say("finish");
        new.finish().unwrap();
    }
    say("done");
}

/// Runs the child until some time after a phase has begun, or to its end without a phase; returns what it said.
fn run(directory: &Path, kill: Option<(&str, Duration)>) -> Vec<String> {
    run_child(Command::new(std::env::current_exe().unwrap()), directory, kill)
}

fn run_child(mut program: Command, directory: &Path, kill: Option<(&str, Duration)>) -> Vec<String> {
    let mut child = program
        .args(["kill_build::child_builds_until_it_is_killed", "--exact", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut said = Vec::new();
    if let Some((phase, delay)) = kill {
        while said.last().is_none_or(|line| line != phase) {
            said.push(lines.next().unwrap_or_else(|| panic!("the child ended before {phase}: {said:?}")));
        }
        std::thread::sleep(delay);
        child.kill().unwrap();
    }
    said.extend(lines);
    child.wait().unwrap();
    assert!(!said.iter().any(|line| line.contains("panicked")), "{said:?}");
    said
}

/// Texts, postings and vectors of so many documents, and of nothing else.
fn check(index: &Index, count: usize) {
    index.verify().unwrap();
    assert_eq!((index.len(), index.vectors()), (count, count));
    let everything = index.search_bm25("everything", &Bm25::default(), 2 * count).unwrap();
    assert_eq!(everything.len(), count);
    for number in (0..count).step_by(211) {
        let id = format!("d{number}");
        assert_eq!(index.document(&id).unwrap().unwrap().text, text(number));
        let found = index.search_bm25(&format!("text{number}"), &Bm25::default(), 2).unwrap();
        assert_eq!(found[0].0, id);
        assert_eq!(index.search_vector(&vector(&text(number)), 1).unwrap()[0].0, id);
    }
}

/// What a killed first build left: nothing under the index's name, or all.
fn whole_or_unfinished(place: &Path) -> bool {
    match Index::open(place) {
        Ok(index) => {
            check(&index, BUILT);
            true
        }
        Err(SearchError::Unfinished { running, folder, .. }) => {
            assert!(!running && !place.exists());
            // The mark says that all is there before the name does.
            match Index::open(&folder) {
                Ok(index) => check(&index, BUILT),
                Err(error) => assert!(matches!(error, SearchError::Unfinished { .. }), "{error}"),
            }
            false
        }
        // The kill came before there was anything.
        Err(SearchError::Foreign { .. }) if !place.exists() => false,
        Err(error) => panic!("{error}"),
    }
}

fn moments() -> Random {
    let seed = std::env::var(SEED).ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        now.as_nanos() as u64
    });
    println!("moments from {SEED}={seed}");
    Random(seed)
}

#[test]
fn a_first_build_is_there_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("i");
    let mut random = moments();
    let (mut whole, mut removed) = (0, 0);
    for (phase, most) in PHASES {
        for _ in 0..KILLS_PER_PHASE {
            let said = run(&place, Some((phase, Duration::from_micros(random.below(most)))));
            removed += usize::from(said.iter().any(|line| line == "removed"));
            if whole_or_unfinished(&place) {
                whole += 1;
                std::fs::remove_dir_all(&place).unwrap();
            }
        }
    }
    println!("{whole} builds were whole, {removed} times something was left");
    assert!(
        whole < PHASES.len() * KILLS_PER_PHASE && removed > 0,
        "no kill came in time: the test saw nothing"
    );
    assert_eq!(run(&place, None).last().map(String::as_str).filter(|line| *line == "done"), Some("done"));
    check(&Index::open(&place).unwrap(), BUILT);
    let names: Vec<PathBuf> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(names, [place]);
}

#[test]
fn a_large_append_is_there_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let (first, place) = (folder.path().join("first"), folder.path().join("i"));
    run(&first, None);
    let mut random = moments();
    let (mut before, mut after) = (0, 0);
    for (phase, most) in PHASES {
        for _ in 0..KILLS_PER_PHASE {
            if !place.exists() {
                copy(&first, &place);
            }
            run(&place, Some((phase, Duration::from_micros(random.below(most)))));
            let index = Index::open(&place).unwrap();
            if index.len() == BUILT {
                check(&index, BUILT);
                before += 1;
            } else {
                check(&index, BUILT + APPENDED);
                after += 1;
                drop(index);
                std::fs::remove_dir_all(&place).unwrap();
            }
        }
    }
    println!("{before} kills came before the commit, {after} after it");
    assert!(before > 0 && after > 0, "the kills came at one side of the commit only");
}

#[test]
fn an_index_that_is_written_over_is_the_old_one_or_the_new_one_and_can_be_written_over_again() {
    let folder = tempfile::tempdir().unwrap();
    let (first, place) = (folder.path().join("first"), folder.path().join("i"));
    run(&first, None);
    let mut random = moments();
    let (mut old, mut new, mut killed) = (0, 0, 0);
    for _ in 0..KILLS_OF_EXCHANGE {
        if !place.exists() {
            copy(&first, &place);
        }
        let mut program = Command::new(std::env::current_exe().unwrap());
        program.env(OVER, "1");
        let said = run_child(program, &place, Some(("finish", Duration::from_micros(random.below(12_000)))));
        killed += usize::from(said.last().is_none_or(|line| line != "done"));
        let index = Index::open(&place).unwrap();
        let is_old = index.len() == BUILT;
        check(&index, if is_old { BUILT } else { WRITTEN_OVER });
        drop(index);
        // Whatever the kill left beside it is known and removed.
        drop(NewIndex::begin_over(&place, &settings()).unwrap());
        let mut names: Vec<PathBuf> =
            std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        assert_eq!(names, [first.clone(), place.clone()]);
        if is_old {
            old += 1;
        } else {
            new += 1;
            std::fs::remove_dir_all(&place).unwrap();
        }
    }
    println!("{killed} kills came in time; {old} times the old index was there, {new} times the new one");
    assert!(killed > 0, "no kill came in time: the test saw nothing");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
