//! `plackett embed` from the outside.

use crate::common::{plackett, plackett_with_input};
use serde_json::Value;

fn vector(value: &Value) -> Vec<f64> {
    value["vector"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn texts_become_vectors_of_length_one_that_know_what_is_alike() {
    let folder = tempfile::tempdir().unwrap();
    let texts = ["embed", "--json", "a recipe for apple cake", "baking a dessert", "volcanoes erupt"];
    let done = plackett(folder.path(), &texts).expect(0).json();
    let all: Vec<Vec<f64>> = done["embeddings"].as_array().unwrap().iter().map(vector).collect();
    assert_eq!((all.len(), all[0].len() as u64), (3, done["dim"].as_u64().unwrap()));
    assert!(all.iter().all(|v| (product(v, v) - 1.0).abs() < 1e-4));
    assert!(product(&all[0], &all[1]) > product(&all[0], &all[2]));
    assert_eq!((&done["embeddings"][2]["index"], &done["truncated"]), (&2.into(), &Value::Array(vec![])));
}

#[test]
fn lines_of_a_file_and_of_standard_input_are_the_same_texts() {
    let folder = tempfile::tempdir().unwrap();
    // More than go through the model at once.
    let lines: Vec<String> = (0..520).map(|i| format!("text number {i}")).collect();
    std::fs::write(folder.path().join("texts.txt"), lines.join("\n")).unwrap();
    let file = plackett(folder.path(), &["embed", "--input", "texts.txt", "--json"]).expect(0).json();
    let all = file["embeddings"].as_array().unwrap();
    assert_eq!((all.len(), all[519]["index"].as_u64()), (520, Some(519)));
    let input = &lines[517..].join("\n");
    let done = plackett_with_input(folder.path(), &["embed", "-i", "-", "--json"], input).expect(0).json();
    assert_eq!(vector(&done["embeddings"][2]), vector(&all[519]));
}

#[test]
fn cut_texts_are_named_and_prefixes_count() {
    let folder = tempfile::tempdir().unwrap();
    let cut = ["embed", "--json", "--max-tokens", "4", "one", "one two three four five six"];
    let done = plackett(folder.path(), &cut).expect(0).json();
    assert_eq!((&done["truncated"][0]["index"], &done["truncated"][0]["kept"]), (&1.into(), &4.into()));
    let [with, whole] = [["--prefix", "one ", "two"].as_slice(), &["one two"]]
        .map(|own| plackett(folder.path(), &[&["embed", "--json"], own].concat()).expect(0).json());
    assert_eq!(with["embeddings"][0], whole["embeddings"][0]);
}

#[test]
fn wrong_input_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    plackett(folder.path(), &["embed"]).expect(2);
    plackett(folder.path(), &["embed", "--input", "absent.txt"]).expect(2);
    plackett(folder.path(), &["embed", "--model", "./absent", "text"]).expect(2);
    std::fs::write(folder.path().join("bytes.txt"), [b'a', b'\n', 0xff, 0xfe]).unwrap();
    plackett(folder.path(), &["embed", "--input", "bytes.txt"]).expect(2);
}

/// A tiny model of the engine's own tests.
fn tiny() -> String {
    format!("{}/../plackett-lm/tests/parity/bert", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn threads_and_memory_budget_reach_the_engine() {
    let (folder, model) = (tempfile::tempdir().unwrap(), tiny());
    for threads in ["1", "3"] {
        let shown = ["model", "show", &model, "--threads", threads, "--json"];
        let shown = plackett(folder.path(), &shown).expect(0).json();
        assert_eq!(shown["threads"].to_string(), threads);
    }
    let text = "words ".repeat(60);
    let embed = |more: &[&str]| {
        plackett(folder.path(), &[&["embed", "--json", "--model", &model, &text, "short"], more].concat())
    };
    let free = embed(&[]).expect(0).json();
    assert_eq!(embed(&["--memory-budget", "10 MB", "--threads", "1"]).expect(0).json(), free);
    assert!(embed(&["--memory-budget", "50kB"]).expect(2).stderr.contains("budget is 50000"));
    assert!(embed(&["--memory-budget", "much"]).expect(2).stderr.contains("2GB"));
}
