//! `plackett synth lists`: what it writes, and flags without effect.

use crate::common::{plackett, plackett_with_input};
use serde_json::Value;
use std::path::Path;

/// Four films, and a talk about space whose teacher knows one of them.
fn prepare(folder: &Path) {
    let film = |item: usize, title: &str, year: u16, genre: &str| {
        format!(
            "{{\"item\": \"{item}\", \"title\": \"{title}\", \"year\": {year}, \"genres\": [\"{genre}\"]}}\n"
        )
    };
    let films = [
        film(1, "Alien", 1979, "Horror"),
        film(2, "Heat", 1995, "Crime"),
        film(3, "Solaris", 1972, "Science fiction"),
        film(4, "Up", 2009, "Animation"),
    ];
    std::fs::write(folder.join("films.jsonl"), films.concat()).unwrap();
    let talk = "{\"conversation\": \"I like films about space.\", \"teacher\": \"Two films:\\n1. Solaris (1972)\\n2. Moon (2009)\", \
                \"mentioned\": [\"up (2009)\"], \"wanted\": [\"Alien (1979)\", \"Dune (2021)\"]}\n";
    std::fs::write(folder.join("talks.jsonl"), talk).unwrap();
}

fn lists(folder: &Path, flags: &str, code: i32) -> crate::common::Done {
    let line = format!("synth lists talks.jsonl --items films.jsonl -o lists.jsonl {flags}");
    plackett(folder, &line.split_whitespace().collect::<Vec<_>>()).expect(code)
}

#[test]
fn lists_are_of_the_catalogue_and_examples_for_a_decoder() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let told = lists(folder.path(), "--count 3 --steps 0 --json", 0).json();
    let counts = [("lists", 1), ("items", 4), ("titles", 2), ("exact", 1), ("listed", 3), ("kept", 1)];
    for (name, count) in counts.into_iter().chain([("graded", 0), ("fitted", 0)]) {
        assert_eq!(told[name], count, "{name}: {told}");
    }
    assert!(told["warnings"].to_string().contains("1 wanted titles"), "{told}");
    let text = std::fs::read_to_string(folder.path().join("lists.jsonl")).unwrap();
    let example: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(example["prompt"], "I like films about space.\n");
    let titles: Vec<&str> = example["target"].as_str().unwrap().lines().collect();
    // The teacher's film counts twice as a title of the catalogue, and what was mentioned is not recommended.
    assert_eq!((titles[0], titles.len()), ("Solaris (1972)", 3));
    assert!(!titles.contains(&"Up (2009)"), "{titles:?}");
    // Wanted films come first once the scores are adjusted to them.
    let adjusted = lists(folder.path(), "--count 1 --steps 200 --json", 0).json();
    assert_eq!(adjusted["fitted"], 1);
    let text = std::fs::read_to_string(folder.path().join("lists.jsonl")).unwrap();
    assert!(text.contains("Alien (1979)"), "{text}");
}

#[test]
fn titles_that_are_not_found_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let talk = "{\"conversation\": \"Space.\", \"teacher\": [], \"mentioned\": [\"Up\", \"Heat (1995)\"]}\n";
    std::fs::write(folder.path().join("talks.jsonl"), talk).unwrap();
    let warnings = lists(folder.path(), "--count 3 --steps 0 --json", 0).json()["warnings"].to_string();
    for piece in
        ["1 mentioned titles are not in the catalogue", "1 conversations have no title of the teacher"]
    {
        assert!(warnings.contains(piece), "{piece}: {warnings}");
    }
}

#[test]
fn a_catalogue_that_is_piped_keeps_its_texts() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    lists(folder.path(), "--count 4 --steps 0", 0);
    let whole = std::fs::read(folder.path().join("lists.jsonl")).unwrap();
    let films = std::fs::read_to_string(folder.path().join("films.jsonl")).unwrap();
    let line = "synth lists talks.jsonl --items - -o piped.jsonl --count 4 --steps 0";
    let words: Vec<&str> = line.split(' ').collect();
    plackett_with_input(folder.path(), &words, &films).expect(0);
    assert!(std::fs::read(folder.path().join("piped.jsonl")).unwrap() == whole);
}

#[test]
fn flags_without_effect_and_files_without_titles_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    for (flags, piece) in [
        ("--judged 3", "--judge"),
        ("--gamma 1", "--judge"),
        ("--steps 0 --seed 2", "--seed is for the adjustment"),
        ("--steps 0 --fitted 2", "--fitted is for the adjustment"),
        ("--count 9", "--count 9"),
        ("--count 0", "--count 0"),
        ("--lambda -1", "--lambda -1"),
        ("--lambda 1e300", "from 0 to 1000000"),
        ("--judge none --gamma 1e300", "up to 1000000"),
    ] {
        let done = lists(folder.path(), flags, 2);
        assert!(done.stderr.contains(piece), "{flags}: {}", done.stderr);
    }
    assert!(!folder.path().join("lists.jsonl").exists());
    let line = "synth lists talks.jsonl --items films.jsonl --count 2 --embedder none -o";
    for (place, piece) in [("no/such.jsonl", "no/such.jsonl: cannot write"), ("-", "name a file")] {
        let words: Vec<&str> = line.split(' ').chain([place]).collect();
        // Before the model is looked for.
        let done = plackett(folder.path(), &words).expect(2);
        assert!(done.stderr.contains(piece), "{place}: {}", done.stderr);
    }
    let blank = "{\"conversation\": \" \", \"teacher\": []}\n";
    std::fs::write(folder.path().join("talks.jsonl"), blank).unwrap();
    let done = lists(folder.path(), "", 2);
    assert!(done.stderr.contains("talks.jsonl, line 1: `conversation` is empty"), "{}", done.stderr);
}
