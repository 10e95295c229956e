//! A new index is seen by nobody before it is whole, and read by everybody who may read its files.

use plackett_core::Document;
use plackett_search::{Bm25, Index, IndexSettings, NewIndex, Put, SearchError};
use std::path::{Path, PathBuf};

fn filled(index: &mut Index, count: usize) {
    let mut writer = index.writer(None).unwrap();
    for number in 0..count {
        assert_eq!(writer.put(Document::new(format!("d{number}"), "some words")).unwrap(), Put::Added);
    }
    let done = writer.finish().unwrap();
    assert_eq!((done.documents, done.added, done.replaced), (count, count, 0));
}

fn entries(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn an_unfinished_index_is_refused_under_both_names() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("i");
    let mut new = NewIndex::begin(&place, &IndexSettings::default()).unwrap();
    filled(new.index_mut(), 20);
    for path in [&place, &new.beside().to_path_buf()] {
        let error = Index::open(path).err().unwrap();
        assert!(matches!(error, SearchError::Unfinished { running: true, .. }), "{error}");
        assert!(error.to_string().contains("unfinished"), "{error}");
    }
    assert!(!place.exists());
    let second = NewIndex::begin(&place, &IndexSettings::default()).err().unwrap();
    assert!(matches!(second, SearchError::Locked { .. }), "{second}");
    let index = new.finish().unwrap();
    assert_eq!((index.len(), index.directory()), (20, place.as_path()));
    assert_eq!(entries(folder.path()), ["i"]);
    assert_eq!(entries(&place), ["plackett-index.json", "text", "vectors"]);
    assert_eq!(Index::open(&place).unwrap().search_bm25("words", &Bm25::default(), 100).unwrap().len(), 20);
}

#[test]
fn what_is_given_up_leaves_nothing_and_what_is_not_ours_stays() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("deep/i");
    let mut new = NewIndex::begin(&place, &IndexSettings::default()).unwrap();
    filled(new.index_mut(), 3);
    drop(new);
    assert!(entries(&folder.path().join("deep")).is_empty());
    assert!(matches!(Index::open(&place).err().unwrap(), SearchError::Foreign { .. }));
    // An index that somebody called so, and other files.
    let beside = folder.path().join("deep/i.unfinished");
    filled(&mut Index::create(&beside, &IndexSettings::default()).unwrap(), 5);
    let error = NewIndex::begin(&place, &IndexSettings::default()).err().unwrap().to_string();
    assert!(error.contains("i.unfinished") && error.contains("in the way"), "{error}");
    assert_eq!(Index::open(&beside).unwrap().len(), 5);
    std::fs::write(folder.path().join("file"), "x").unwrap();
    for (taken, why) in [("file", "is a file"), ("deep", "not empty")] {
        let error = NewIndex::begin(folder.path().join(taken), &IndexSettings::default()).err().unwrap();
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn a_place_that_is_taken_meanwhile_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("i");
    let mut new = NewIndex::begin(&place, &IndexSettings::default()).unwrap();
    filled(new.index_mut(), 3);
    std::fs::create_dir(&place).unwrap();
    std::fs::write(place.join("theirs"), "x").unwrap();
    assert!(new.finish().is_err());
    assert_eq!(
        (entries(folder.path()), entries(&place)),
        (vec!["i".to_string()], vec!["theirs".to_string()])
    );
}

#[test]
fn an_index_is_written_over_when_the_new_one_is_whole_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("i");
    filled(&mut Index::create(&place, &IndexSettings::default()).unwrap(), 10);
    let length = || Index::open(&place).unwrap().len();
    let begin = || NewIndex::begin_over(&place, &IndexSettings::default()).unwrap();
    let mut new = begin();
    filled(new.index_mut(), 3);
    assert!(new.replaces());
    assert_eq!(length(), 10);
    // What is added to the old one meanwhile would be lost.
    let error = Index::open(&place).unwrap().writer(None).map(|_| ()).unwrap_err();
    assert!(matches!(error, SearchError::Locked { .. }), "{error}");
    drop(new);
    assert_eq!((length(), entries(folder.path())), (10, vec!["i".to_string()]));
    // A reader keeps what it has opened.
    let old = Index::open(&place).unwrap();
    let mut new = begin();
    filled(new.index_mut(), 4);
    assert_eq!(new.finish().unwrap().len(), 4);
    assert_eq!(old.search_bm25("words", &Bm25::default(), 100).unwrap().len(), 10);
    assert_eq!((length(), entries(folder.path())), (4, vec!["i".to_string()]));
    assert_eq!(entries(&place), ["plackett-index.json", "text", "vectors"]);
    Index::open(&place).unwrap().verify().unwrap();
    // Where there is nothing it is made as ever.
    for name in ["none", "empty"] {
        let place = folder.path().join(name);
        if name == "empty" {
            std::fs::create_dir(&place).unwrap();
        }
        let new = NewIndex::begin_over(&place, &IndexSettings::default()).unwrap();
        assert!(!new.replaces());
        assert_eq!(new.finish().unwrap().len(), 0);
    }
}

#[test]
fn an_index_that_was_written_over_with_other_settings_is_not_written_by_the_old_ones() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("i");
    filled(&mut Index::create(&place, &IndexSettings::default()).unwrap(), 10);
    let mut old = Index::open(&place).unwrap();
    let settings = IndexSettings { analyzer: "whitespace".into(), ..IndexSettings::default() };
    let mut new = NewIndex::begin_over(&place, &settings).unwrap();
    filled(new.index_mut(), 3);
    new.finish().unwrap();
    let error = old.writer(None).map(|_| ()).unwrap_err();
    assert!(matches!(error, SearchError::WrittenOver { .. }), "{error}");
    assert!(error.to_string().contains("written over meanwhile; run the command again"), "{error}");
    // The refused writer has let go of the new one.
    let mut index = Index::open(&place).unwrap();
    assert_eq!(index.writer(None).unwrap().documents(), 3);
}

#[test]
fn what_an_interruption_leaves_of_an_index_that_was_written_over_is_removed_by_the_next_build() {
    let folder = tempfile::tempdir().unwrap();
    let (place, beside) = (folder.path().join("i"), folder.path().join("i.unfinished"));
    filled(&mut Index::create(&place, &IndexSettings::default()).unwrap(), 10);
    filled(&mut Index::create(&beside, &IndexSettings::default()).unwrap(), 5);
    // Both have marks between the exchange of their names and the end.
    for path in [&place, &beside] {
        std::fs::write(path.join("plackett-unfinished"), "whole\n").unwrap();
    }
    assert_eq!(Index::open(&place).unwrap().len(), 10);
    let new = NewIndex::begin_over(&place, &IndexSettings::default()).unwrap();
    assert!(new.removed() > 0);
    assert_eq!(new.finish().unwrap().len(), 0);
    assert_eq!(entries(folder.path()), ["i"]);
}

#[test]
fn an_index_that_was_put_aside_gets_its_name_back_or_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (place, aside) = (folder.path().join("i"), folder.path().join("i.replaced"));
    let put_aside = |count: usize, mark: bool| {
        filled(&mut Index::create(&aside, &IndexSettings::default()).unwrap(), count);
        if mark {
            std::fs::write(aside.join("plackett-unfinished"), "whole\n").unwrap();
        }
    };
    // Interrupted before the new one had the name: whoever builds there finds the old one again.
    put_aside(10, true);
    let error = NewIndex::begin(&place, &IndexSettings::default()).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("the folder is not empty"), "{error}");
    assert_eq!((Index::open(&place).unwrap().len(), entries(folder.path())), (10, vec!["i".to_string()]));
    assert_eq!(entries(&place), ["plackett-index.json", "text", "vectors"]);
    std::fs::remove_dir_all(&place).unwrap();
    put_aside(10, true);
    let new = NewIndex::begin_over(&place, &IndexSettings::default()).unwrap();
    assert!(new.replaces());
    let writer = Index::open(&place).unwrap().writer(None).map(|_| ()).unwrap_err();
    assert!(matches!(writer, SearchError::Locked { .. }), "{writer}");
    drop(new);
    assert_eq!(Index::open(&place).unwrap().len(), 10);
    // Interrupted after that: the old one is removed.
    put_aside(5, true);
    drop(NewIndex::begin_over(&place, &IndexSettings::default()).unwrap());
    assert_eq!((Index::open(&place).unwrap().len(), entries(folder.path())), (10, vec!["i".to_string()]));
    // An index that somebody called so stays.
    put_aside(5, false);
    NewIndex::begin_over(&place, &IndexSettings::default()).unwrap().finish().unwrap();
    assert_eq!((Index::open(&aside).unwrap().len(), entries(folder.path()).len()), (5, 2));
}

#[test]
fn only_an_index_is_written_over_and_nothing_that_is_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("notes");
    std::fs::create_dir(&place).unwrap();
    std::fs::write(place.join("a.txt"), "mine").unwrap();
    let refused = |place: &Path| {
        NewIndex::begin_over(place, &IndexSettings::default()).map(|_| ()).unwrap_err().to_string()
    };
    assert!(refused(&place).contains("the folder is no index"), "{}", refused(&place));
    std::fs::write(place.join("plackett-index.json"), "{\"kind\": \"other\"}").unwrap();
    assert!(refused(&place).contains("the folder is no index"), "{}", refused(&place));
    assert_eq!(entries(&place), ["a.txt", "plackett-index.json"]);
    let index = folder.path().join("i");
    filled(&mut Index::create(&index, &IndexSettings::default()).unwrap(), 2);
    std::fs::write(index.join("notes.md"), "mine").unwrap();
    assert!(refused(&index).contains("`notes.md` is in the folder"), "{}", refused(&index));
    assert_eq!(Index::open(&index).unwrap().len(), 2);
    assert_eq!(entries(folder.path()), ["i", "notes"]);
}

#[test]
fn a_change_that_is_given_up_changes_nothing_and_its_leftovers_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("i");
    let mut index = Index::create(&place, &IndexSettings::default()).unwrap();
    filled(&mut index, 10);
    let mut writer = index.writer(None).unwrap();
    assert_eq!(writer.removed(), 0, "nothing is left of a writer that finished");
    for number in 5..40 {
        writer.put(Document::new(format!("d{number}"), "other words")).unwrap();
    }
    assert!(writer.delete("d1").unwrap() && !writer.delete("none").unwrap());
    drop(writer);
    assert_eq!(Index::open(&place).unwrap().search_bm25("some", &Bm25::default(), 99).unwrap().len(), 10);
    std::fs::write(place.join("vectors/00000009.vec"), [0; 1000]).unwrap();
    std::fs::write(place.join("text/.tmpAbCdEf"), [0; 100]).unwrap();
    let mut writer = index.writer(None).unwrap();
    assert!(writer.removed() >= 1100, "{}", writer.removed());
    for number in 5..40 {
        writer.put(Document::new(format!("d{number}"), "other words")).unwrap();
    }
    writer.delete("d1").unwrap();
    let done = writer.finish().unwrap();
    assert_eq!((done.documents, done.added, done.replaced, done.deleted), (39, 30, 5, 1));
}

/// Folders and files of an index.
#[cfg(unix)]
fn all(folder: &Path) -> Vec<PathBuf> {
    let inside = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let deep = inside.flat_map(|path| if path.is_dir() { all(&path) } else { vec![path] });
    std::iter::once(folder.to_path_buf()).chain(deep).collect()
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[cfg(unix)]
#[test]
fn files_have_the_rights_that_the_user_gives_to_new_files() {
    let folder = tempfile::tempdir().unwrap();
    let (file, directory) = (folder.path().join("file"), folder.path().join("folder"));
    std::fs::write(&file, "").unwrap();
    std::fs::create_dir(&directory).unwrap();
    let place = folder.path().join("i");
    let mut index = Index::create(&place, &IndexSettings::default()).unwrap();
    filled(&mut index, 10);
    for path in all(&place) {
        let usual = mode(if path.is_dir() { &directory } else { &file });
        assert_eq!(mode(&path), usual, "{}", path.display());
    }
}

/// Environment of the child: the index that it reads.
const READ: &str = "PLACKETT_READ_TEST_INDEX";

/// The child: another user, who may read and not write. Does nothing in an ordinary test run.
#[test]
fn child_that_reads_an_index_of_another_user() {
    let Ok(path) = std::env::var(READ) else { return };
    let index = Index::open(&path).unwrap();
    assert_eq!(index.search_bm25("words", &Bm25::default(), 99).unwrap().len(), 10);
    index.verify().unwrap();
    assert_eq!(index.document("d3").unwrap().unwrap().text, "some words");
    let mut index = index;
    assert!(index.writer(None).is_err(), "it can be written: the test saw nothing");
    println!("read without a right to write");
}

/// A reader who may not write: this user where the system holds it back, and another one for a user whom it does not.
#[cfg(unix)]
#[test]
fn reading_needs_no_right_to_write() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("i");
    filled(&mut Index::create(&place, &IndexSettings::default()).unwrap(), 10);
    let allow = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let set = |file: u32, directory: u32| {
        for path in all(&place) {
            allow(&path, if path.is_dir() { directory } else { file });
        }
        ["text", "vectors"].iter().for_each(|name| allow(&place.join(name), directory));
    };
    // The test's program is somewhere that only its owner may look into.
    let program = folder.path().join("program");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    allow(&program, 0o755);
    allow(folder.path(), 0o755);
    for lock_is_there in [true, false] {
        if !lock_is_there {
            std::fs::remove_file(place.join("text/.tantivy-meta.lock")).unwrap();
        }
        set(0o444, 0o555);
        let mut child = std::process::Command::new(&program);
        child
            .args(["--exact", "new_index::child_that_reads_an_index_of_another_user", "--nocapture"])
            .current_dir("/")
            .env(READ, &place);
        let probe = folder.path().join("i/probe");
        if std::fs::write(&probe, "").is_ok() {
            std::fs::remove_file(&probe).unwrap();
            child.uid(65534).gid(65534);
        }
        let done = child.output().unwrap();
        set(0o644, 0o755);
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success() && said.contains("read without"), "{said}");
    }
}
