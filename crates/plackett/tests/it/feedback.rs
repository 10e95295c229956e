//! `feedback`: what a reranker says moves the query's vector, and the index is searched again.

use crate::common::plackett;
use plackett_core::formats::NpyWriter;
use plackett_search::Index;
use serde_json::Value;
use std::path::Path;

const TEXTS: [&str; 3] = ["apples and pears", "old ships with masts", "the moon at night"];

/// An index in which the first two documents have each other's vectors, so that `dense` mistakes one for the other, and a
/// reranker that reads the texts does not. Returns the dimension.
fn swapped(at: &Path) -> usize {
    let lines =
        TEXTS.iter().enumerate().map(|(nth, text)| format!("{{\"_id\": \"{nth}\", \"text\": \"{text}\"}}\n"));
    std::fs::write(at.join("c.jsonl"), lines.collect::<String>()).unwrap();
    plackett(at, &["index", "c.jsonl", "-o", "made"]).expect(0);
    let made = Index::open(at.join("made")).unwrap();
    let vectors: Vec<Vec<f32>> = ["1", "0", "2"].map(|id| made.vector(id).unwrap().unwrap()).into();
    let mut rows = NpyWriter::create(&at.join("v.npy"), 3, vectors[0].len()).unwrap();
    vectors.iter().for_each(|vector| rows.push(vector).unwrap());
    rows.commit().unwrap();
    plackett(at, &["index", "c.jsonl", "-o", "swapped", "--vectors-from", "v.npy"]).expect(0);
    vectors[0].len()
}

fn search(at: &Path, pipeline: &str) -> Value {
    plackett(at, &["search", "swapped", "-p", pipeline, "--json", TEXTS[0]]).expect(0).json()["results"][0]
        .take()
}

fn scores(found: &Value) -> Vec<(&str, f64)> {
    let entries = found["ranking"].as_array().unwrap().iter();
    entries.map(|entry| (entry["id"].as_str().unwrap(), entry["score"].as_f64().unwrap())).collect()
}

fn fact<'a>(found: &'a Value, name: &str) -> &'a str {
    found["trace"]["facts"][name].as_str().unwrap_or_else(|| panic!("{name}: {found}"))
}

fn range(found: &Value) -> f64 {
    let scores = scores(found);
    let all = || scores.iter().map(|(_, score)| *score);
    all().fold(f64::MIN, f64::max) - all().fold(f64::MAX, f64::min)
}

#[test]
fn a_second_search_finds_what_the_reranker_preferred() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let dimension = swapped(at);
    let (dense, reranked) = (search(at, "dense"), search(at, "dense >> late-interaction"));
    assert_eq!((scores(&dense)[0].0, scores(&reranked)[0].0), ("1", "0"));
    let fed = search(at, "dense >> late-interaction >> feedback");
    assert_eq!((scores(&fed)[0].0, fact(&fed, "feedback:passages")), ("0", "3"));
    assert_eq!((fact(&fed, "depth:feedback"), fact(&fed, "feedback:new")), ("1000", "0"));
    assert!(fact(&fed, "feedback:search").starts_with("exact"), "{fed}");
    // The scaler by hand: the range of the reranker's scores over that of the products of the first search.
    let scaler: f64 = fact(&fed, "feedback:scaler").parse().unwrap();
    let expected = range(&reranked) / range(&dense);
    assert!((scaler / expected - 1.0).abs() < 1e-3, "{scaler} {expected}");
    // One step of Adam moves each number by its rate: .001 · √dimension in all.
    let one = "dense >> late-interaction >> feedback(target=order, order-steps=1, order-rate=0.001)";
    let moved: f64 = fact(&search(at, one), "feedback:moved").parse().unwrap();
    let expected = 0.001 * (dimension as f64).sqrt();
    assert!((moved / expected - 1.0).abs() < 0.02, "{moved} {expected}");
    // What stands behind it gets what it found, also what the first search was too shallow for.
    let deeper = search(at, "dense:2 >> late-interaction >> feedback:3 >> late-interaction");
    assert_eq!((scores(&deeper).len(), scores(&deeper)[0].0), (3, "0"));
    assert_eq!((fact(&deeper, "feedback:new"), fact(&deeper, "feedback:passages")), ("1", "2"));
}

#[test]
fn feedback_without_anything_to_learn_from_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    swapped(at);
    let many = format!("dense{}", " >> late-interaction >> feedback".repeat(33));
    for (pipeline, part) in [
        (many.as_str(), "at most 32 stages `feedback`"),
        ("feedback", "write one right before it"),
        ("dense >> feedback", "write one right before it"),
        ("dense >> late-interaction >> feedback >> feedback", "write one right before it"),
        ("dense >> late-interaction >> feedback(target=all)", "feedback expects one of scores, order, both"),
        ("dense >> late-interaction >> feedback(target=order, score-steps=3)", "`score-steps` has no effect"),
        ("dense >> late-interaction >> feedback(order-steps=0)", "a whole number from 1 to 100000"),
        (
            "dense >> late-interaction >> feedback(steps=3)",
            "`steps` is not one of the options of feedback (target, ",
        ),
        ("dense >> late-interaction >> feedback(dense)", "not inputs"),
        ("dense(filter=\"year = 1\") >> late-interaction >> feedback", "write the filter here too"),
        ("dense >> late-interactoin >> feedback", "did you mean `late-interaction`?"),
        ("dense >> late-interactoin >> feedback(target=both)", "did you mean `late-interaction`?"),
        // The model that is opened without another cannot be asked with prompts: what is said comes before it is.
        ("dense >> first >> feedback(target=both)", "`first` before it gives an order without scores"),
        ("dense >> prp-allpair(k=2) >> feedback(target=scores)", "write target=order"),
        ("dense >> first >> feedback(score-rate=0.01)", "leave `score-rate` out, which has no effect"),
        ("dense >> late-interaction >> feedback(score-steps=1000000000)", "a whole number from 1 to 100000"),
    ] {
        let said = plackett(at, &["search", "swapped", "-p", pipeline, "x"]).expect(2).stderr;
        assert!(said.contains(part), "{pipeline}: {said}");
    }
}
