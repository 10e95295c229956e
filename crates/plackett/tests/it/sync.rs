//! `plackett index --sync`: an index that is kept in step with a folder or a file, whatever happens meanwhile.

use crate::common::{Done, command, plackett};
use crate::index_changes::MODEL;
use plackett_search::Index;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Syncs, and gives added, replaced, deleted and unchanged.
fn sync(folder: &Path, collection: &str, index: &str, flags: &[&str]) -> ([u64; 4], Done) {
    let line = [&["index", collection, "-o", index, "--sync", "--json"][..], flags].concat();
    let done = plackett(folder, &line).expect(0);
    let json = done.json();
    (["added", "replaced", "deleted", "unchanged"].map(|name| json[name].as_u64().unwrap()), done)
}

/// Texts by id, of an index that is whole.
fn texts(index: &Path) -> BTreeMap<String, String> {
    let index = Index::open(index).unwrap();
    index.verify().unwrap();
    let text = |id: &str| index.document(id).unwrap().unwrap().text;
    let texts: BTreeMap<String, String> = index.ids().map(|id| (id.to_string(), text(id))).collect();
    assert_eq!(texts.len(), index.len());
    if index.has_vectors() {
        assert_eq!(index.vectors(), index.passages(), "a document or passage has lost its vector");
    }
    let state = index.sync_state().unwrap().unwrap();
    assert_eq!(state.documents.len(), texts.len(), "the state is not that of the documents");
    assert!(texts.keys().all(|id| state.documents.contains_key(id)));
    texts
}

/// The files of a folder with what is in them.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let inside = files(&path).into_iter();
            found.extend(inside.map(|(name, bytes)| (format!("{}/{name}", path.display()), bytes)));
        } else {
            found.insert(path.display().to_string(), std::fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn a_folder_is_followed_and_an_unchanged_one_leaves_the_index_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, "notes/a.md", "# First\n\nApples and pears.\n");
    write(at, "notes/sub/b.html", "<title>Second</title><p>Plums.</p>");
    write(at, "notes/c.txt", "Cherries.");
    let model = ["--model", MODEL];
    assert_eq!(sync(at, "notes", "i", &model).0, [3, 0, 0, 0]);
    let before = files(&at.join("i"));
    let (counts, done) = sync(at, "notes", "i", &[]);
    assert_eq!((counts, done.json()["documents"].as_u64()), ([0, 0, 0, 3], Some(3)));
    assert!(done.json()["warnings"].as_array().unwrap().is_empty(), "{}", done.stdout);
    assert!(files(&at.join("i")) == before, "nothing changed, and the index did");
    // Another time of the same file, other marks around the same words, a new file, a changed and a lost one.
    write(at, "notes/a.md", "# First\n\nApples *and* pears.\n");
    write(at, "notes/c.txt", "Cherries and quinces.");
    write(at, "notes/d.md", "Figs.");
    std::fs::remove_file(at.join("notes/sub/b.html")).unwrap();
    assert_eq!(sync(at, "notes", "i", &[]).0, [1, 1, 1, 1]);
    let expected =
        [("a.md", "First\n\nApples and pears."), ("c.txt", "Cherries and quinces."), ("d.md", "Figs.")];
    assert_eq!(texts(&at.join("i")), expected.map(|(id, text)| (id.to_string(), text.to_string())).into());
    let done = plackett(at, &["index", "notes", "-o", "i", "--sync"]).expect(0);
    assert!(
        done.stdout.contains("3 documents (0 added, 0 replaced, 0 deleted, 3 unchanged)"),
        "{}",
        done.stdout
    );
    let found = plackett(at, &["search", "i", "-p", "dense", "--json", "quinces"]).expect(0).json();
    assert_eq!(found["results"][0]["ranking"].as_array().unwrap().len(), 3);
}

#[test]
fn records_of_a_collection_are_told_by_what_they_hold() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let words = ["--no-vectors"];
    write(
        at,
        "c.jsonl",
        "{\"_id\": \"a\", \"text\": \"one\", \"n\": 0.1}\n{\"_id\": \"b\", \"text\": \"two\"}\n{\"_id\": \"c\", \"text\": \"x\"}\n",
    );
    assert_eq!(sync(at, "c.jsonl", "i", &words).0, [3, 0, 0, 0]);
    // Another order and other blanks are no change, another value of a field is one.
    write(
        at,
        "c.jsonl",
        "{\"_id\": \"b\",  \"text\": \"two\"}\n{\"_id\": \"a\", \"text\": \"one\", \"n\": 0.2}\n",
    );
    assert_eq!(sync(at, "c.jsonl", "i", &[]).0, [0, 1, 1, 1]);
    let twice = "{\"_id\": \"b\", \"text\": \"two\"}\n{\"_id\": \"b\", \"text\": \"two\"}\n";
    write(at, "c.jsonl", twice);
    let done = plackett(at, &["index", "c.jsonl", "-o", "i", "--sync"]).expect(2);
    assert!(
        done.stderr.contains("`b` comes a second time") && done.stderr.contains("as it was before"),
        "{}",
        done.stderr
    );
    assert_eq!(texts(&at.join("i")).len(), 2);
    // Numbers of lines are the collection's own.
    write(at, "lines", "one\ntwo\n");
    let lines = ["--no-vectors", "--input-format", "text"];
    assert_eq!(sync(at, "lines", "n", &lines).0, [2, 0, 0, 0]);
    write(at, "lines", "one\nzwei\ndrei\n");
    assert_eq!(sync(at, "lines", "n", &lines[1..]).0, [1, 1, 0, 1]);
}

#[test]
fn other_changes_of_the_index_are_mended_and_documents_of_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, "c.csv", "id,text\na,one\nb,two\nc,three\n");
    write(at, "more.csv", "id,text\na,other\nz,more\n");
    plackett(at, &["index", "c.csv", "-o", "i", "--no-vectors"]).expect(0);
    // An index that no sync made holds the documents already.
    assert_eq!(sync(at, "c.csv", "i", &[]).0, [0, 0, 0, 3]);
    plackett(at, &["index", "more.csv", "-o", "i", "--append"]).expect(0);
    plackett(at, &["index", "-o", "i", "--delete", "b"]).expect(0);
    let (counts, done) = sync(at, "c.csv", "i", &[]);
    assert_eq!(counts, [1, 1, 0, 1], "a is mended, b is there again, c was never away");
    assert!(done.stderr.contains("1 document that no sync has put there stays"), "{}", done.stderr);
    write(at, "c.csv", "id,text\nb,two\n");
    assert_eq!(sync(at, "c.csv", "i", &[]).0, [0, 0, 2, 1]);
    let index = Index::open(at.join("i")).unwrap();
    let mut ids: Vec<&str> = index.ids().collect();
    ids.sort();
    assert_eq!(ids, ["b", "z"]);
}

#[test]
fn an_index_follows_one_collection_which_may_move() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, "one/a.md", "Words.");
    write(at, "two/b.md", "Others.");
    assert_eq!(sync(at, "one", "i", &["--no-vectors"]).0, [1, 0, 0, 0]);
    let done = plackett(at, &["index", "two", "-o", "i", "--sync"]).expect(2);
    assert!(done.stderr.contains("kept in step with") && done.stderr.contains("/one"), "{}", done.stderr);
    std::fs::rename(at.join("one"), at.join("moved")).unwrap();
    let (counts, done) = sync(at, "moved", "i", &[]);
    assert_eq!(counts, [0, 0, 0, 1]);
    assert!(done.stderr.contains("takes its place"), "{}", done.stderr);
    assert!(!sync(at, "moved", "i", &[]).1.stderr.contains("takes its place"));
    // An empty folder, as of a disk that is not mounted, removes nothing.
    std::fs::remove_file(at.join("moved/a.md")).unwrap();
    plackett(at, &["index", "moved", "-o", "i", "--sync"]).expect(2);
    assert_eq!(texts(&at.join("i")).len(), 1);
    let json: Value = plackett(at, &["index", "two", "-o", "j", "--no-vectors", "--json"]).expect(0).json();
    assert!(json["unchanged"].is_null(), "{json}");
}

/// The files of a state of the folder, most of which change from one state to the next; some come, some go.
fn state(number: usize) -> BTreeMap<String, String> {
    let there = |file: &usize| !(file + number).is_multiple_of(7);
    let version = |file: usize| if file.is_multiple_of(4) { 0 } else { number };
    let text = |file: usize| format!("everything of file {file}, version {}", version(file));
    (0..80).filter(there).map(|file| (format!("d{}/{file}.txt", file % 3), text(file))).collect()
}

fn lay_out(folder: &Path, state: &BTreeMap<String, String>) {
    let _ = std::fs::remove_dir_all(folder);
    state.iter().for_each(|(name, text)| write(folder, name, text));
}

/// What names the segments of the last commit.
fn committed(folder: &Path) -> Option<Vec<u8>> {
    std::fs::read(folder.join("i/text/meta.json")).ok()
}

/// Waits until a command has committed, or has ended.
fn await_commit(child: &mut Child, folder: &Path, before: Option<&Vec<u8>>) {
    while child.try_wait().unwrap().is_none() && committed(folder).as_ref() == before {
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// Kills syncs from one state to the next, two of three after a part of their time and each third as soon as it has
/// committed. The index is that of one of the two states, and the next sync goes on.
fn kill_syncs(flags: &[&str]) {
    const KILLS: u32 = 12;
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let line = [&["index", "notes", "-o", "i", "--sync", "--json", "--model", MODEL][..], flags].concat();
    // How long a sync takes here from beginning to end.
    lay_out(&at.join("notes"), &state(0));
    let begun = Instant::now();
    let first = [&["index", "notes", "-o", "other", "--sync", "--model", MODEL][..], flags].concat();
    plackett(at, &first).expect(0);
    let whole = begun.elapsed();
    let (mut before, mut after, mut at_commit) = (0, 0, 0);
    for kill in 0..KILLS {
        let (old, new) = (state(kill as usize), state(kill as usize + 1));
        lay_out(&at.join("notes"), &new);
        let known = committed(at);
        let mut child = command(at, &line)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let at_once = kill % 3 == 2;
        match at_once {
            true => await_commit(&mut child, at, known.as_ref()),
            false => std::thread::sleep(whole * (kill + 1) / KILLS + Duration::from_millis(3)),
        }
        let is_running = child.try_wait().unwrap().is_none();
        child.kill().unwrap();
        child.wait().unwrap();
        if at.join("i").exists() {
            let found = texts(&at.join("i"));
            assert!(found == old || found == new, "kill {kill}: neither the state before nor the one after");
            before += usize::from(found == old);
            after += usize::from(found == new);
            at_commit += usize::from(found == new && is_running);
        } else {
            assert_eq!(kill, 0, "the index is gone");
        }
        let done = plackett(at, &line).expect(0).json();
        assert_eq!(texts(&at.join("i")), new, "kill {kill}");
        let counts = ["added", "replaced", "unchanged"].map(|name| done[name].as_u64().unwrap());
        assert_eq!(counts.iter().sum::<u64>(), new.len() as u64, "{done}");
    }
    println!(
        "of {KILLS} kills {before} came before the commit and {after} after it, {at_commit} of them before the end"
    );
    assert!(before > 0, "no kill came before a commit: the test saw nothing");
    assert!(after > 0, "no kill came after a commit: the test saw nothing");
    assert_eq!(sync(at, "notes", "i", flags).0[3], state(KILLS as usize).len() as u64);
}

#[test]
fn a_sync_that_is_killed_leaves_the_state_before_or_after_and_the_next_goes_on() {
    kill_syncs(&[]);
}

#[test]
fn a_sync_of_passages_that_is_killed_leaves_the_state_before_or_after_too() {
    kill_syncs(&["--chunk", "4/1"]);
}
