//! `plackett rerank --methods … --compare`.

use crate::common::plackett;
use crate::remote::mock::{Answer, Mock};
use serde_json::json;
use std::path::Path;

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plackett-lm/tests/golden/decoder/llama");

fn prepared(folder: &Path) {
    let one = |qid: &str, text: &str| {
        format!(
            r#"{{"query": {{"qid": "{qid}", "text": "{text}"}}, "candidates": [{{"docid": "cake", "text": "A recipe for apple cake with cinnamon."}}, {{"docid": "lava", "text": "Magma rises through the crust until a volcano erupts."}}]}}"#
        )
    };
    let all =
        [one("q1", "how do volcanoes erupt"), one("q2", "baking with apples"), one("q3", "lava and magma")];
    std::fs::write(folder.join("requests.jsonl"), all.join("\n")).unwrap();
    std::fs::write(folder.join("qrels"), "q1 0 lava 1\nq2 0 cake 1\nq3 0 lava 1\nq9 0 x 1\n").unwrap();
}

const LINE: [&str; 8] = [
    "rerank",
    "--compare",
    "--qrels",
    "qrels",
    "requests.jsonl",
    "--offline",
    "--methods",
    "input-order,bi-encoder",
];

#[test]
fn quality_stands_beside_cost_and_a_paired_test() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepared(at);
    let value = plackett(at, &[&LINE[..], &["--json"]].concat()).expect(0).json();
    let (input, dense) = (&value["methods"][0], &value["methods"][1]);
    assert_eq!((&input["method"], &dense["method"]), (&"input-order".into(), &"bi-encoder".into()));
    // The relevant document is second, first, second: (2 / log₂ 3 + 1) / 3.
    let expected = (2.0 / 3f64.log2() + 1.0) / 3.0;
    assert!((input["nDCG@10"].as_f64().unwrap() - expected).abs() < 1e-12, "{input}");
    assert_eq!((dense["nDCG@10"].as_f64(), dense["n"].as_u64()), (Some(1.0), Some(3)));
    assert_eq!((&input["cost"]["passes"], &input["failed"]), (&0.into(), &0.into()));
    // Three queries, two documents that they share.
    assert_eq!(dense["cost"]["passes"], 5);
    assert!(
        dense["cost"]["prompt_tokens"].as_u64().unwrap() > 10
            && dense["cost"]["seconds"].as_f64().unwrap() > 0.0
    );
    let compared = &value["comparison"]["compared"][0];
    assert!((compared["difference"].as_f64().unwrap() - (1.0 - expected)).abs() < 1e-9);
    assert!(compared["t"]["corrected_p"].as_f64().is_some(), "{compared}");
    assert!(value["warnings"].to_string().contains("1 of 4 judged queries"), "{}", value["warnings"]);
    let text = plackett(at, &LINE).expect(0).stdout;
    for words in
        ["input-order", "0.7540", "1.0000", "+0.2460", "paired t-test against input-order", "3 queries"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn what_a_method_cannot_rank_counts_as_nothing_found() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepared(at);
    // " Yes" is no single token of the tiny model.
    let methods = format!("query-likelihood(model={TINY}), yes-no(model={TINY}, words=8)");
    let line = [&LINE[..7], &[methods.as_str(), "--json"]].concat();
    let value = plackett(at, &line).expect(1).json();
    let failing = &value["methods"][1];
    assert_eq!((&failing["failed"], failing["nDCG@10"].as_f64()), (&3.into(), Some(0.0)));
    assert!(value["errors"].to_string().contains("yes-no") && value["errors"].to_string().contains("line 2"));
    plackett(at, &[&line[..], &["--strict"]].concat()).expect(2);
}

#[test]
fn an_answer_that_had_to_be_repaired_ends_a_strict_comparison() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepared(at);
    let server = Mock::start(|_, _| {
        let message = json!({"role": "assistant", "content": "[2] > [1] > [2]"});
        let choice = json!({"message": message, "finish_reason": "stop"});
        Answer::ok(
            json!({"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}).to_string(),
        )
    });
    let methods =
        format!("input-order, listwise(mode=free, model=\"remote:{}/v1/chat/completions#m\")", server.url);
    let line = [&LINE[..5], &["--methods", &methods]].concat();
    let value = plackett(at, &[&line[..], &["--json"]].concat()).expect(0).json();
    assert_eq!(value["methods"][1]["repaired"], 3, "{value}");
    let done = plackett(at, &[&line[..], &["--strict"]].concat()).expect(2);
    for piece in ["listwise", "line 1: query `q1`", "had to be repaired", "leave --strict out"] {
        assert!(done.stderr.contains(piece), "{piece}: {}", done.stderr);
    }
    let done = plackett(at, &["rerank", "--method", &methods[13..], "requests.jsonl", "--strict"]).expect(2);
    assert!(
        done.stderr.contains("line 1: query `q1`: an answer of the model had to be repaired"),
        "{}",
        done.stderr
    );
}

#[test]
fn comparisons_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepared(at);
    for (methods, more, words) in [
        ("bi-encoder", &[][..], "at least two"),
        ("bi-encoder,bi-encoder", &[], "stands twice"),
        ("bi-encoder,wizardry", &[], "wizardry"),
        ("bi-encoder,late-interaction", &["-k", "3"], "--top-k"),
        ("bi-encoder,late-interaction", &["--output", "x"], "--output"),
        ("bi-encoder,late-interaction", &["--budget", "1s"], "--budget"),
    ] {
        let done = plackett(at, &[&LINE[..7], &[methods], more].concat()).expect(2);
        assert!(done.stderr.contains(words), "{methods} {more:?}: {}", done.stderr);
    }
    let done = plackett(at, &["rerank", "--methods", "a,b", "requests.jsonl"]).expect(2);
    assert!(done.stderr.contains("--compare") || done.stderr.contains("--qrels"), "{}", done.stderr);
    let text = std::fs::read_to_string(at.join("requests.jsonl")).unwrap();
    std::fs::write(at.join("requests.jsonl"), format!("{text}\n{text}")).unwrap();
    let done = plackett(at, &LINE).expect(2);
    assert!(done.stderr.contains("`q1`") && done.stderr.contains("line 4"), "{}", done.stderr);
    std::fs::write(at.join("requests.jsonl"), "").unwrap();
    let done = plackett(at, &LINE).expect(2);
    assert!(done.stderr.contains("the file is empty"), "{}", done.stderr);
}
