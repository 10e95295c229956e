//! `plackett generate` on the tiny golden models, and on the real SmolLM2 where it can be had.

mod common;

use common::{Done, plackett};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

const DECODER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plackett-lm/tests/golden/decoder/llama");
const ADAPTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plackett-lm/tests/golden/adapter/llama-all");
const BOTH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plackett-lm/tests/golden/seq2seq/t5");

fn run(arguments: &[&str]) -> Done {
    plackett(Path::new("."), &[&["generate"], arguments].concat())
}

fn json(arguments: &[&str]) -> Value {
    run(&[arguments, &["--json"]].concat()).expect(0).json()
}

fn hypotheses(document: &Value, prompt: usize) -> Vec<Value> {
    document["results"][prompt]["hypotheses"].as_array().expect("hypotheses").clone()
}

fn refused(arguments: &[&str]) -> String {
    run(arguments).expect(2).stderr
}

#[test]
fn answers_are_those_of_the_list_with_their_probabilities() {
    let document = json(&["the cat", "a dog", "--model", DECODER, "--choose", "yes,no,maybe"]);
    for prompt in 0..2 {
        let found = hypotheses(&document, prompt);
        let texts: BTreeSet<&str> = found.iter().filter_map(|h| h["text"].as_str()).map(str::trim).collect();
        assert_eq!(texts, BTreeSet::from(["yes", "no", "maybe"]));
        // Over all answers there are, probabilities add up to one.
        let sum: f64 = found.iter().filter_map(|h| h["log_prob"].as_f64()).map(f64::exp).sum();
        assert!((sum - 1.0).abs() < 1e-4, "{sum}");
    }
}

#[test]
fn orderings_and_score_sheets_are_well_formed() {
    let found = hypotheses(&json(&["rank", "--model", DECODER, "--permutation", "4"]), 0);
    let text = found[0]["text"].as_str().expect("a text").trim().to_string();
    let parts: BTreeSet<&str> = text.split(" > ").collect();
    assert_eq!(parts, BTreeSet::from(["[1]", "[2]", "[3]", "[4]"]), "{text}");
    let found = hypotheses(&json(&["score", "--model", DECODER, "--scores", "3", "--max-score", "5"]), 0);
    let sheet: Value = serde_json::from_str(found[0]["text"].as_str().expect("a text")).expect("JSON");
    let scores = sheet["scores"].as_array().expect("scores");
    assert_eq!(scores.len(), 3);
    assert!(scores.iter().all(|s| s["score"].as_f64().is_some_and(|x| (0.0..=5.0).contains(&x))));
}

#[test]
fn lines_of_a_file_and_prompts_from_standard_input_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let (names, prompts) = (folder.path().join("names"), folder.path().join("prompts"));
    std::fs::write(&names, "red\ngreen apple\nblue\n").expect("written");
    std::fs::write(&prompts, "one\ntwo\n").expect("written");
    let (names, prompts) = (names.display().to_string(), prompts.display().to_string());
    let document = json(&["--file", &prompts, "--model", DECODER, "--trie", &names, "--beams", "3"]);
    for prompt in 0..2 {
        let found = hypotheses(&document, prompt);
        let texts: BTreeSet<&str> = found.iter().filter_map(|h| h["text"].as_str()).map(str::trim).collect();
        assert_eq!(texts, BTreeSet::from(["red", "green apple", "blue"]));
    }
}

#[test]
fn seeded_draws_repeat_for_any_number_of_threads() {
    let draw = |threads: &str, seed: &str| {
        let flags = ["the cat", "--model", DECODER, "--sample", "--samples", "3", "--max-tokens", "12"];
        hypotheses(&json(&[&flags[..], &["--seed", seed, "--threads", threads]].concat()), 0)
    };
    let first = draw("1", "7");
    assert_eq!(first.len(), 3);
    assert_eq!(draw("2", "7"), first);
    assert_ne!(draw("1", "8"), first);
}

#[test]
fn an_adapter_changes_what_is_written() {
    let log_probs = |more: &[&str]| {
        let flags = ["the cat", "--model", DECODER, "--choose", "yes,no"];
        let mut found = hypotheses(&json(&[&flags[..], more].concat()), 0);
        found.sort_by_key(|h| h["text"].to_string());
        found.iter().map(|h| h["log_prob"].as_f64().expect("a number")).collect::<Vec<f64>>()
    };
    assert_ne!(log_probs(&[]), log_probs(&["--adapter", ADAPTER]));
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    assert!(refused(&["x", "--model", DECODER, "--choose", "yes,yes"]).contains("twice"));
    assert!(refused(&["x", "--model", DECODER, "--choose", "yes,,no"]).contains("empty"));
    assert!(refused(&["x", "--model", DECODER, "--permutation", "0"]).contains("--permutation 0"));
    assert!(refused(&["x", "--model", DECODER, "--beams", "4", "--diverse", "3"]).contains("--diverse 3"));
    assert!(refused(&["x", "--model", DECODER, "--max-tokens", "9999"]).contains("positions"));
    assert!(refused(&["x", "--model", DECODER, "--adapter", DECODER]).contains("adapter_config.json"));
    assert!(refused(&["x", "--model", BOTH, "--chat"]).contains("--chat"));
    assert!(refused(&["x", "--model", BOTH]).contains("tokenizer.json"));
    assert!(refused(&["x", "--model", "no/such-model", "--offline"]).contains("no/such-model"));
    let server = "remote:http://127.0.0.1:9/v1/completions";
    assert!(refused(&["x", "--model", server, "--permutation", "3"]).contains("--permutation"));
}

#[test]
fn the_real_smollm2_knows_the_capital_of_france() {
    let pulled = plackett(Path::new("."), &["model", "pull", "SmolLM2-135M-Instruct"]);
    if pulled.code != 0 {
        println!("skipped: {}", pulled.stderr);
        return;
    }
    let document = json(&["The capital of France is", "--choose", "London,Paris,Rome"]);
    assert_eq!(hypotheses(&document, 0)[0]["text"].as_str().map(str::trim), Some("Paris"));
}
