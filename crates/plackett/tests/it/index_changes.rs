//! `plackett index`: what is there after a command that failed or was killed, and what is said of one that did its work.

use crate::common::{Done, command, plackett, plackett_with_input};
use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A tiny embedding model: it makes vectors of thousands of texts in a moment.
pub const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plackett-lm/tests/parity/bert");

/// So many documents that older versions committed some before they had seen all.
const MANY: usize = 50_500;

/// Lines with ids from `from` on, and a last line that breaks off.
fn broken(from: usize) -> String {
    let mut text = String::new();
    for number in from..from + MANY {
        let _ = writeln!(text, "{{\"_id\": \"d{number}\", \"text\": \"good words\"}}");
    }
    text + "{bad\n"
}

fn documents(folder: &Path, index: &str, word: &str) -> usize {
    let done = plackett(folder, &["search", index, "-p", "bm25", "-k", "100000", "--json", word]).expect(0);
    done.json()["results"][0]["ranking"].as_array().expect("a ranking").len()
}

fn warnings(done: &Done) -> Vec<String> {
    let json = done.json();
    json["warnings"].as_array().expect("warnings").iter().map(|w| w.as_str().unwrap().to_string()).collect()
}

#[test]
fn a_bad_last_line_makes_no_index_and_leaves_an_old_one_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("bad.jsonl"), broken(1)).unwrap();
    let done = plackett(path, &["index", "bad.jsonl", "-o", "new", "--no-vectors", "--json"]).expect(2);
    assert!(done.stderr.contains(&format!("line {}", MANY + 1)), "{}", done.stderr);
    assert!(warnings(&done).iter().any(|w| w.contains("no index was made")), "{}", done.stdout);
    let names: Vec<_> = std::fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["bad.jsonl"]);
    assert!(plackett(path, &["search", "new", "good"]).expect(2).stderr.contains("there is no index"));
    let good = "{\"_id\": \"d7\", \"text\": \"first words\"}\n";
    plackett_with_input(path, &["index", "-", "-o", "old", "--no-vectors"], good).expect(0);
    let done = plackett(path, &["index", "bad.jsonl", "-o", "old", "--append", "--json"]).expect(2);
    assert!(warnings(&done).iter().any(|w| w.contains("as it was before")), "{}", done.stdout);
    assert_eq!((documents(path, "old", "first"), documents(path, "old", "good")), (1, 0));
    // Without the bad line all of it is one commit.
    let all = broken(1).replace("{bad\n", "");
    std::fs::write(path.join("good.jsonl"), all).unwrap();
    let done = plackett(path, &["index", "good.jsonl", "-o", "old", "--append", "--json"]).expect(0).json();
    assert_eq!((&done["added"], &done["replaced"]), (&(MANY - 1).into(), &1.into()));
    assert_eq!((documents(path, "old", "first"), documents(path, "old", "good")), (0, MANY));
}

#[test]
fn an_index_is_made_anew_beside_the_old_one_which_stays_when_that_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let over = |more: &[&str], input: &str| {
        let index = ["index", "-", "-o", "old", "--no-vectors", "--json"];
        plackett_with_input(path, &[&index[..], more].concat(), input)
    };
    let first = "{\"_id\": \"a\", \"text\": \"first\"}\n{\"_id\": \"b\", \"text\": \"first\"}\n";
    over(&[], first).expect(0);
    let done = over(&[], first).expect(2);
    assert!(done.stderr.contains("--append") && done.stderr.contains("--overwrite"), "{}", done.stderr);
    let done = over(&["--overwrite"], "{\"_id\": \"c\", \"text\": \"second\"}\n{bad\n").expect(2);
    assert!(warnings(&done).iter().any(|w| w.contains("as it was before")), "{}", done.stdout);
    assert_eq!((documents(path, "old", "first"), documents(path, "old", "second")), (2, 0));
    // The old settings do not hold for the new one.
    let second = "{\"_id\": \"c\", \"text\": \"seconds\"}\n";
    let done = over(&["--overwrite", "--analyzer", "standard"], second).expect(0).json();
    assert_eq!((&done["documents"], &done["added"]), (&1.into(), &1.into()), "{done}");
    assert_eq!((documents(path, "old", "first"), documents(path, "old", "second")), (0, 0));
    assert_eq!(documents(path, "old", "seconds"), 1);
    let names: Vec<_> = std::fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["old"]);
    // A new one is made where there is none; a folder of other files is left alone.
    std::fs::create_dir(path.join("notes")).unwrap();
    std::fs::write(path.join("notes/mine.txt"), "mine").unwrap();
    let index = |place: &str| {
        plackett_with_input(path, &["index", "-", "-o", place, "--no-vectors", "--overwrite"], second)
    };
    index("new").expect(0);
    let done = index("notes").expect(2);
    assert!(done.stderr.contains("only an index is written over"), "{}", done.stderr);
    assert_eq!(std::fs::read_to_string(path.join("notes/mine.txt")).unwrap(), "mine");
    let refused = plackett(path, &["index", "x.jsonl", "-o", "old", "--overwrite", "--sync"]).expect(2);
    assert!(refused.stderr.contains("--overwrite"), "{}", refused.stderr);
}

#[test]
fn a_killed_build_is_unfinished_until_it_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut child = command(path, &["index", "-", "-o", "my.index", "--no-vectors"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(broken(1).replace("{bad\n", "").as_bytes()).unwrap();
    let begun = Instant::now();
    while !path.join("my.index.unfinished/plackett-index.json").exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the build does not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
    let search = |name: &str| plackett(path, &["search", name, "good"]).expect(2).stderr;
    for name in ["my.index", "my.index.unfinished"] {
        let said = search(name);
        assert!(said.contains("unfinished") && said.contains("another process is building it"), "{said}");
    }
    let again = ["index", "-", "-o", "my.index", "--no-vectors", "--json"];
    let text = "{\"_id\": \"a\", \"text\": \"good\"}\n";
    assert!(plackett_with_input(path, &again, text).expect(2).stderr.contains("another process is writing"));
    child.kill().unwrap();
    child.wait().unwrap();
    for name in ["my.index", "my.index.unfinished"] {
        let said = search(name);
        assert!(said.contains("interrupted") && said.contains("plackett index"), "{said}");
    }
    let append = ["index", "-", "-o", "my.index", "--append"];
    assert!(plackett_with_input(path, &append, text).expect(2).stderr.contains("unfinished"));
    let done = plackett_with_input(path, &again, text).expect(0);
    assert!(warnings(&done).iter().any(|w| w.contains("an interrupted command had left")), "{}", done.stdout);
    assert_eq!((done.json()["documents"].as_u64(), documents(path, "my.index", "good")), (Some(1), 1));
    assert!(!path.join("my.index.unfinished").exists());
}

#[test]
fn the_account_says_what_was_added_replaced_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let lines = |ids: &str| -> String {
        ids.chars().map(|id| format!("{{\"_id\": \"{id}\", \"text\": \"words\"}}\n")).collect()
    };
    plackett_with_input(path, &["index", "-", "-o", "i", "--no-vectors"], &lines("abc")).expect(0);
    let append = ["index", "-", "-o", "i", "--append", "--delete", "a,b,nobody"];
    let done = plackett_with_input(path, &[&append[..], &["--json"]].concat(), &lines("bcd")).expect(0);
    let json = done.json();
    let counts = ["documents", "added", "replaced", "deleted", "written"].map(|name| json[name].as_u64());
    assert_eq!(counts, [Some(3), Some(1), Some(2), Some(1), Some(3)], "{json}");
    assert!(warnings(&done).iter().any(|w| w.contains("1 id (`nobody`)")), "{json}");
    let done = plackett_with_input(path, &["index", "-", "-o", "i", "--append"], &lines("d")).expect(0);
    assert!(done.stdout.contains("3 documents (0 added, 1 replaced, 0 deleted)"), "{}", done.stdout);
    let done = plackett(path, &["index", "-o", "i", "--delete", "nobody,noone", "--json"]).expect(0);
    assert!(
        done.stderr.contains("2 ids (`nobody`, `noone`)") && done.json()["deleted"] == 0,
        "{}",
        done.stderr
    );
}

#[test]
fn settings_that_an_index_does_not_have_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let text = "{\"_id\": \"a\", \"text\": \"words\"}\n";
    plackett_with_input(path, &["index", "-", "-o", "words", "--no-vectors"], text).expect(0);
    plackett_with_input(path, &["index", "-", "-o", "vectors", "--model", MODEL], text).expect(0);
    for (index, flags, named) in [
        ("words", &["--analyzer", "german"][..], &["german", "english"][..]),
        ("words", &["--fields", "text"], &["--fields text", "title,text"]),
        ("words", &["--model", MODEL], &["--model", "no vectors"]),
        ("words", &["--vectors", "int8"], &["--vectors int8", "no vectors"]),
        ("words", &["--graph", "never"], &["--graph", "no vectors"]),
        ("vectors", &["--vectors", "int8"], &["int8", "f32"]),
        ("vectors", &["--no-vectors"], &["--no-vectors", "parity/bert"]),
        ("vectors", &["--analyzer", "standard"], &["standard", "english"]),
    ] {
        for change in [&["-", "--append"][..], &["--delete", "a"]] {
            let line = [&["index", "-o", index], change, flags].concat();
            let done = plackett_with_input(path, &line, text).expect(2);
            let missing: Vec<_> = named.iter().filter(|name| !done.stderr.contains(**name)).collect();
            assert!(missing.is_empty(), "{line:?} lacks {missing:?}: {}", done.stderr);
        }
    }
    // Those that it has may be named.
    let same = ["index", "-", "-o", "vectors", "--append", "--analyzer", "english", "--fields", "title,text"];
    plackett_with_input(path, &[&same[..], &["--vectors", "f32", "--model", MODEL]].concat(), text).expect(0);
    for line in [
        &["index", "-o", "words", "--append"][..],
        &["index", "-", "-o", "new", "--delete", "a"],
        &["index", "-o", "words", "--delete", "a", "--id-field", "key"],
        &["index", "-", "-o", "new", "--no-vectors", "--vectors", "f32"],
    ] {
        plackett_with_input(path, line, text).expect(2);
        assert!(!path.join("new").exists());
    }
}

#[test]
fn a_text_without_a_token_has_no_vector_and_a_long_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let long = "many words ".repeat(400);
    let text = format!(
        "{{\"_id\": \"empty\", \"text\": \"\"}}\n{{\"_id\": \"blank\", \"text\": \" \\t\\n\"}}\n{{\"_id\": \"help\", \
         \"text\": \"how to get help\"}}\n{{\"_id\": \"long\", \"text\": \"{long}\"}}\n"
    );
    for (model, flags) in [("bundled", &[][..]), ("tiny", &["--model", MODEL])] {
        let line = [&["index", "-", "-o", model, "--json"], flags].concat();
        let done = plackett_with_input(path, &line, &text).expect(0);
        let said = warnings(&done);
        assert!(said.iter().any(|w| w.contains("no vector for 2 documents (`empty`, `blank`)")), "{said:?}");
        assert!(said.iter().any(|w| w.contains("only the beginning of 1 text (`long`)")), "{said:?}");
        assert_eq!(done.json()["without_vector"], serde_json::json!(["empty", "blank"]));
        let search = ["search", model, "-p", "dense", "--json", "help"];
        let found = plackett(path, &search).expect(0).json();
        let ranking = found["results"][0]["ranking"].as_array().unwrap();
        let ids: Vec<&str> = ranking.iter().map(|entry| entry["id"].as_str().unwrap()).collect();
        assert_eq!((ids.len(), ids.contains(&"help")), (2, true), "{ids:?}");
    }
    // The vectors of replaced documents are given back although some documents have none.
    for _ in 0..4 {
        plackett_with_input(path, &["index", "-", "-o", "tiny", "--append"], &text).expect(0);
    }
    let found = plackett(path, &["search", "tiny", "-p", "dense", "--json", "help"]).expect(0).json();
    assert_eq!(found["results"][0]["ranking"].as_array().unwrap().len(), 2);
}
