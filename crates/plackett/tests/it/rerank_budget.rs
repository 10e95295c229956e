//! `--budget` and `--budget-tokens`.

use crate::common::{plackett, plackett_with_input};
use serde_json::{Value, json};
use std::path::Path;

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plackett-lm/tests/golden/decoder/llama");

fn requests() -> String {
    let one = |n: usize| {
        let candidates: Vec<Value> = (0..12)
            .map(|d| json!({"docid": format!("d{d}"), "text": format!("a passage of number {} and some more words", (n + 5 * d) % 9)}))
            .collect();
        format!(
            "{}\n",
            json!({"query": {"qid": format!("q{n}"), "text": "how are ties broken"}, "candidates": candidates})
        )
    };
    (0..3).map(one).collect()
}

fn rerank<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["rerank", "--method", "query-likelihood", "--model", TINY, "requests.jsonl"][..], more].concat()
}

fn prepared(folder: &Path) {
    std::fs::write(folder.join("requests.jsonl"), requests()).unwrap();
}

#[test]
fn as_many_candidates_as_the_tokens_allow_are_reranked_and_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepared(at);
    let whole = plackett(at, &rerank(&["--json"])).expect(0).json();
    let all = whole["results"][0]["trace"]["prompt_tokens"].as_u64().unwrap();
    let half = (all / 2).to_string();
    let value = plackett(at, &rerank(&["--json", "--budget-tokens", &half])).expect(0).json();
    let mut depths = Vec::new();
    for result in value["results"].as_array().unwrap() {
        let (trace, ranking) = (&result["trace"], result["ranking"].as_array().unwrap());
        assert!(trace["prompt_tokens"].as_u64().unwrap() <= all / 2);
        assert_eq!(ranking.len(), 12, "the others follow");
        let depth = usize::try_from(trace["passes"].as_u64().unwrap()).unwrap();
        let behind: Vec<&str> = ranking[depth..].iter().map(|entry| entry["id"].as_str().unwrap()).collect();
        let given: Vec<String> = (depth..12).map(|d| format!("d{d}")).collect();
        assert_eq!(behind, given);
        let scores: Vec<f64> = ranking.iter().map(|entry| entry["score"].as_f64().unwrap()).collect();
        assert!(scores.windows(2).all(|pair| pair[0] >= pair[1]));
        depths.push(depth);
    }
    assert!(depths[0] > 3 && depths[0] < 12 && depths.iter().all(|depth| *depth == depths[0]), "{depths:?}");
    let said = format!(
        "--budget-tokens {half}: `query-likelihood` gets the first {} of up to 12 candidates",
        depths[0]
    );
    assert!(value["warnings"].to_string().contains(&said), "{}", value["warnings"]);
    // More than enough changes nothing.
    let value = plackett(at, &rerank(&["--json", "--budget-tokens", "1000000", "--budget", "10min"]))
        .expect(0)
        .json();
    assert!(value["warnings"].to_string().contains("gets all of up to 12"), "{}", value["warnings"]);
    for (with, without) in
        value["results"].as_array().unwrap().iter().zip(whole["results"].as_array().unwrap())
    {
        assert_eq!(with["ranking"], without["ranking"]);
    }
    let input = plackett_with_input(
        at,
        &[
            "rerank",
            "--method",
            "query-likelihood",
            "--model",
            TINY,
            "--budget-tokens",
            &half,
            "--format",
            "trec",
            "-",
        ],
        &requests(),
    )
    .expect(0);
    assert_eq!(input.stdout.lines().count(), 36, "what was looked at is ranked too");
}

#[test]
fn what_cannot_fit_or_be_foreseen_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepared(at);
    for (more, words) in [
        (&["--budget-tokens", "3"][..], "reranking 2 candidates takes about"),
        (&["--budget", "1"], "a time is expected"),
        (&["--budget", "0s"], "a time is expected"),
    ] {
        let done = plackett(at, &rerank(more)).expect(2);
        assert!(done.stderr.contains(words) && done.stdout.is_empty(), "{more:?}: {}", done.stderr);
    }
    for (method, words) in [
        ("prp-heapsort", "depends on what the model answers"),
        ("query-likelihood:5", "a depth is written behind it"),
        ("query-likelihood >> query-likelihood", "one method"),
    ] {
        let line =
            ["rerank", "--method", method, "--model", TINY, "--budget-tokens", "500", "requests.jsonl"];
        let done = plackett(at, &line).expect(2);
        assert!(done.stderr.contains(words), "{method}: {}", done.stderr);
    }
    let line = ["rerank", "-p", "bi-encoder", "--budget", "1s", "requests.jsonl"];
    assert!(plackett(at, &line).expect(2).stderr.contains("--method"));
}

#[test]
fn what_a_budget_allowed_is_in_the_manifest_and_not_measured_again() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepared(at);
    let line = rerank(&["--budget", "1min", "--budget-tokens", "300", "--output", "out.jsonl"]);
    plackett(at, &line).expect(0);
    let manifest = std::fs::read_to_string(at.join("out.jsonl.manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let chosen = &manifest["arguments"]["chosen"];
    assert!(chosen["depth"].as_u64().unwrap() >= 2 && chosen["method"] == "query-likelihood", "{chosen}");
    let done = plackett(at, &["replay", "out.jsonl.manifest.json", "--output", "again.jsonl"]).expect(0);
    assert!(done.stderr.contains("as before"), "{}", done.stderr);
    let read = |name: &str| std::fs::read_to_string(at.join(name)).unwrap();
    assert_eq!(read("again.jsonl"), read("out.jsonl"));
}
