//! `plackett train` of a scorer of successions over the vectors of a tiny BERT, and what `tsprank` makes of it.

use crate::common::{kill_when, plackett};
use crate::train::{QUERIES, TEXTS, assert_documented, examples, refused, train, training, weights, write};
use serde_json::{Value, json};
use std::path::Path;

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plackett-lm/tests/parity/bert");
const METHOD: &str = "method = \"tsprank\"\n";
const SHAPE: &str = "[scorer]\nwidth = 8\nlayers = 1\nheads = 2\ninner = 8\n";
const SETTINGS: &str = "[settings]\nsteps = 40\nbatch = 4\nrate = 3e-3\ncheckpoint = 4\n";

/// A folder with four lists of four candidates, whose order follows from the query, and a training file.
fn prepared(rest: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "train.jsonl", &examples(|query, at| ((query + at) % 4) as f64));
    write(folder.path(), "t.toml", &training(TINY, rest));
    folder
}

/// The ids of four candidates as the scorer of a folder orders them, and the facts of the trace.
fn ranked(folder: &Path, texts: [usize; 4]) -> (Vec<String>, String) {
    let candidates: Vec<Value> =
        texts.iter().map(|at| json!({"docid": format!("d{at}"), "text": TEXTS[*at]})).collect();
    write(folder, "requests.jsonl", &json!({"query": QUERIES[0], "candidates": candidates}).to_string());
    let arguments = ["rerank", "--method", "tsprank", "--model", "./ranker", "requests.jsonl", "--json"];
    let done = plackett(folder, &arguments).expect(0).json();
    let result = &done["results"][0];
    let ranking = result["ranking"].as_array().unwrap();
    let ids = ranking.iter().map(|entry| entry["id"].as_str().unwrap().to_string()).collect();
    (ids, result["trace"].to_string())
}

#[test]
fn a_scorer_learns_successions_and_ranks_by_the_best_path() {
    let folder = prepared(&format!("validation = \"train.jsonl\"\norders = 2\n{METHOD}{SHAPE}{SETTINGS}"));
    let folder = folder.path();
    let done = train(folder, "ranker").expect(0).json();
    assert_eq!((&done["queries"], &done["steps"], &done["resumed"]), (&json!(4), &json!(40), &json!(0)));
    assert_documented(&done);
    let [before, after] = [0, 1].map(|at| done["validation"][at].as_f64().unwrap());
    assert!(after < before, "{before} {after}");
    assert!((0..2).all(|at| (0.0..=1.0 + 1e-9).contains(&done["ndcg"][at].as_f64().unwrap())), "{done}");
    let card = std::fs::read_to_string(folder.join("ranker/README.md")).unwrap();
    for part in ["# A scorer of successions", "tsprank-local | tsprank-max-margin", "layers = 1"] {
        assert!(card.contains(part), "{part}\n{card}");
    }
    let shown = plackett(folder, &["model", "show", "./ranker", "--json"]).expect(0).json();
    let config = std::fs::read_to_string(folder.join("ranker/config.json")).unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    let (kind, shape) = (&shown["kind"], [&shown["width"], &shown["layers"], &shown["heads"]]);
    assert_eq!((kind, shape), (&json!("group-scorer"), [&json!(8), &json!(1), &json!(2)]));
    assert_eq!(
        (&shown["inputs"], &shown["vectors"]),
        (&config["shape"]["inputs"], &config["vectors"]["name"])
    );
    assert!(shown["inputs"].is_u64() && shown["bytes"].as_u64() > Some(0), "{shown}");
    let shown = plackett(folder, &["model", "show", "./ranker"]).expect(0).stdout;
    assert!(shown.contains("for `tsprank`") && shown.contains("vectors of"), "{shown}");
    // The order in which candidates come does not matter.
    let (ids, trace) = ranked(folder, [0, 1, 2, 3]);
    let (mut sorted, (moved, _)) = (ids.clone(), ranked(folder, [2, 0, 3, 1]));
    sorted.sort();
    assert_eq!((sorted, moved), (["d0", "d1", "d2", "d3"].map(str::to_string).to_vec(), ids));
    assert!(trace.contains("path-value"), "{trace}");
    // Options of prompts have no effect on it, and other methods cannot use it.
    for (method, said) in [("tsprank(words=3)", "words is for models"), ("bi-encoder", "no vectors of texts")]
    {
        let arguments = ["rerank", "--method", method, "--model", "./ranker", "requests.jsonl"];
        let refused = plackett(folder, &arguments).expect(2);
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
}

#[test]
fn a_killed_training_of_groups_goes_on_to_the_same_bits() {
    let folder = prepared(&format!("{METHOD}{SHAPE}{}", SETTINGS.replace("40", "400")));
    let folder = folder.path();
    train(folder, "whole").expect(0);
    let checkpoint = folder.join("killed/training/checkpoint.safetensors");
    kill_when(folder, &["train", "t.toml", "-o", "killed"], || checkpoint.exists());
    let done = train(folder, "killed").expect(0).json();
    assert!(done["resumed"].as_u64().unwrap() >= 4, "{done}");
    assert_eq!(weights(folder, "killed"), weights(folder, "whole"));
}

#[test]
fn keys_that_do_not_go_together_are_refused() {
    for (rest, said) in [
        ("method = \"tsprank(words=3)\"\n", "options are for models that are asked with prompts"),
        ("method = \"tsprank\"\nobjective = \"ranknet\"\n", "not of scores of ordered pairs"),
        ("method = \"tsprank\"\ntokens = 64\n", "tokens: is not for"),
        ("method = \"tsprank\"\nwindow = 1\n", "window:"),
        ("method = \"tsprank\"\norders = 1000000000000\n", "orders: a whole number from 1 to 1000"),
        ("method = \"tsprank\"\n[settings]\nrecompute = true\n", "recompute: this scorer has no layers"),
        ("method = \"tsprank\"\n[trained]\nadapter = \"lora(rank=2)\"\n", "[trained]: is not for"),
        ("method = \"tsprank\"\n[scorer]\nlayers = 0\nheads = 2\n", "heads: there is no encoder"),
        ("method = \"tsprank\"\n[scorer]\nheads = 3\n", "heads divide the width"),
        ("[scorer]\nwidth = 8\n", "[scorer]: is the shape"),
    ] {
        let folder = prepared(rest);
        let message = refused(folder.path(), "out");
        assert!(message.contains(said), "{rest}: {message}");
        assert!(!folder.path().join("out").exists());
    }
}
