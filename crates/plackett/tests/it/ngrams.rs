//! The first stage `ngrams`: a language model writes n-grams that occur in documents.

use crate::common::plackett;
use crate::generate::{BOTH, BOTH_WITH_LETTERS, DECODER};
use serde_json::json;
use std::collections::HashMap;
use std::path::Path;

/// All in signs that the tiny T5 knows.
const TEXTS: [(&str, &str); 3] = [
    ("tea", "Green tea is made of leaves that are not fermented. Hot tins hold it."),
    ("ships", "Old ships sailed far! Their masts are made of pine, 1842 to 1907."),
    ("moon", "(The full moon rises; it lights the night?) QUICK JUMPS, BIG HORNS."),
];

/// The texts, and one that repeats itself, so that what is in the others is rare.
fn texts() -> Vec<(&'static str, String)> {
    let filler = ("filler", "aaa ".repeat(3000));
    TEXTS.iter().map(|(id, text)| (*id, text.to_string())).chain([filler]).collect()
}

fn prepare(folder: &Path, flags: &[&str]) {
    let line = |(id, text): (&str, String)| json!({"_id": id, "text": text, "year": 2020}).to_string() + "\n";
    std::fs::write(folder.join("texts.jsonl"), texts().into_iter().map(line).collect::<String>()).unwrap();
    let index = [&["index", "texts.jsonl", "-o", "my.index", "--no-vectors"], flags].concat();
    plackett(folder, &index).expect(0);
}

fn found(folder: &Path, stage: &str, flags: &[&str]) -> String {
    let search = [&["search", "my.index", "-p", stage, "where does tea come from"], flags].concat();
    let done = plackett(folder, &search).expect(0);
    done.stdout + &done.stderr
}

/// Documents that were found, and the best n-gram of each: what stands in quotes behind its id.
fn best_ngrams(explained: &str) -> Vec<(String, String)> {
    let of = |line: &str| {
        let (id, reason) = line.split_once("ngrams:hit:")?.1.split_once(" = ")?;
        Some((id.to_string(), reason.split('"').nth(1)?.to_string()))
    };
    explained.lines().filter_map(of).collect()
}

#[test]
fn documents_are_found_by_ngrams_of_theirs() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path(), &[]);
    let texts: HashMap<&str, String> = texts().into_iter().collect();
    for model in [DECODER, BOTH_WITH_LETTERS.path()] {
        let stage = format!("ngrams(model={model}, beams=40, length=3):4");
        let explained = found(folder.path(), &stage, &["--explain"]);
        assert!(explained.contains("ngrams:written") && explained.contains("ngrams:index"), "{explained}");
        let found_by = best_ngrams(&explained);
        assert!(!found_by.is_empty(), "{explained}");
        for (id, ngram) in &found_by {
            let occurs = texts.get(id.as_str()).is_some_and(|text| text.contains(ngram.trim()));
            assert!(occurs, "{id}: {ngram:?}");
        }
        assert_eq!(best_ngrams(&found(folder.path(), &stage, &["--explain"])), found_by);
    }
    // A stage like others, here in a fusion.
    let fused = format!("rrf(bm25, ngrams(model={DECODER}, beams=20, length=2, prompt=ngrams-query)):2");
    assert!(found(folder.path(), &fused, &["--explain"]).contains("ngrams:written"));
}

#[test]
fn passages_are_found_where_documents_are_cut() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path(), &["--chunk", "20/0"]);
    let stage = format!("ngrams(model={DECODER}, beams=40, length=2)");
    let document = plackett(
        folder.path(),
        &["search", "my.index", "-p", &stage, "--group", "passage", "--format", "json", "tea"],
    );
    let document = document.expect(0).stdout;
    assert!(document.contains("#1\""), "ids of passages: {document}");
}

#[test]
fn models_and_settings_that_cannot_be_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path(), &[]);
    let encoder = concat!(env!("CARGO_MANIFEST_DIR"), "/../plackett-lm/tests/parity/bert");
    std::fs::write(folder.path().join("silent.toml"), "suffix = \"Write.\"\n").unwrap();
    std::fs::write(folder.path().join("cut.toml"), "suffix = \"{query}\"\nquery_words = 3\n").unwrap();
    for (stage, said) in [
        ("ngrams".to_string(), "name a decoder or an encoder–decoder"),
        ("ngrams(model=remote:http://localhost:1)".into(), "give a local model"),
        ("ngrams(model=no.model)".into(), "no.model"),
        (format!("ngrams(model={encoder})"), "an encoder, which writes nothing"),
        (format!("ngrams(model={BOTH})"), "no tokenizer.json"),
        (format!("ngrams(model={DECODER}, beams=0)"), "a whole number from 1"),
        (format!("ngrams(model={DECODER}, length=101)"), "a whole number from 1 to 100"),
        (format!("ngrams(model={DECODER}, beta=2)"), "a number from 0 to 1"),
        (format!("ngrams(model={DECODER}, prompt=silent.toml)"), "the query is not shown"),
        (format!("ngrams(model={DECODER}, prompt=cut.toml)"), "`query_words` has no effect"),
    ] {
        let error = plackett(folder.path(), &["search", "my.index", "-p", &stage, "tea"]).expect(2).stderr;
        assert!(error.contains(said), "{stage}: {error}");
    }
    let filtered = format!("ngrams(model={DECODER})");
    let search = ["search", "my.index", "-p", &filtered, "--filter", "year = 2020", "tea"];
    let error = plackett(folder.path(), &search).expect(2).stderr;
    assert!(error.contains("leave the filter out"), "{error}");
    // A query of signs is no question, and one that does not fit is an error.
    let unasked = plackett(folder.path(), &["search", "my.index", "-p", &filtered, "?!"]).expect(0);
    assert!(unasked.stderr.contains("ngrams finds nothing: the query"), "{}", unasked.stderr);
    let long = "tea ".repeat(400);
    let error = plackett(folder.path(), &["search", "my.index", "-p", &filtered, &long]).stderr;
    assert!(error.contains("the model reads 256 together"), "{error}");
}
