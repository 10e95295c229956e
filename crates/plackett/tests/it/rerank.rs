//! `plackett rerank` from the outside.

use crate::common::{command, plackett, plackett_with_input};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

const REQUEST: &str = r#"{"query": {"qid": "q1", "text": "how do volcanoes erupt"}, "mine": 7, "candidates": [
 {"docid": "cake", "score": 9.0, "doc": {"contents": "A recipe for apple cake with cinnamon."}},
 {"docid": "lava", "score": 1.0, "doc": {"contents": "Magma rises through the crust until a volcano erupts."}}]}"#;

fn request() -> String {
    format!("{}\n", REQUEST.replace('\n', ""))
}

#[test]
fn requests_come_back_reordered_and_otherwise_whole() {
    let folder = tempfile::tempdir().unwrap();
    for method in ["bi-encoder", "late-interaction"] {
        let done =
            plackett_with_input(folder.path(), &["rerank", "--method", method, "-"], &request()).expect(0);
        let value = done.json();
        assert_eq!(value["mine"], 7);
        assert_eq!(value["candidates"][0]["docid"], "lava", "{method}");
        assert_eq!(value["candidates"][1]["first_stage_score"], 9.0);
        assert_eq!(value["candidates"][0]["rank"], 1);
        assert!(value["trace"]["prompt_tokens"].as_u64().unwrap() > 10);
        assert_eq!(value["trace"]["status"], "ranked");
    }
}

#[test]
fn json_is_one_document_with_the_promised_fields() {
    let folder = tempfile::tempdir().unwrap();
    let input = request().repeat(3);
    let done =
        plackett_with_input(folder.path(), &["rerank", "--method", "bi-encoder", "--json", "-"], &input)
            .expect(0);
    let value = done.json();
    assert_eq!(value["results"].as_array().unwrap().len(), 3);
    for object in value["results"].as_array().unwrap() {
        assert_eq!(object["query_id"], "q1");
        assert_eq!(object["ranking"][0]["id"], "lava");
        for field in ["passes", "prompt_tokens", "generated_tokens", "seconds", "truncated", "ties"] {
            assert!(!object["trace"][field].is_null(), "{field}");
        }
    }
    let none = plackett_with_input(folder.path(), &["rerank", "--method", "bi-encoder", "--json", "-"], "")
        .expect(2);
    assert!(none.json()["errors"].to_string().contains("found none"), "{}", none.stdout);
}

#[test]
fn a_bad_request_is_reported_with_its_line_and_the_others_are_ranked() {
    let folder = tempfile::tempdir().unwrap();
    let twice = r#"{"query": "x", "candidates": [{"docid": "d", "text": "a"}, {"docid": "d", "text": "b"}]}"#;
    let other = request().replace("q1", "q2");
    let input = format!("{}{{\"query\": 3}}\n{other}{twice}\n", request());
    let arguments = ["rerank", "--method", "bi-encoder", "--format", "trec", "-"];
    let done = plackett_with_input(folder.path(), &arguments, &input).expect(1);
    assert_eq!(done.stdout.lines().count(), 4, "{}", done.stdout);
    assert!(done.stderr.contains("line 2"), "{}", done.stderr);
    assert!(done.stderr.contains("line 4") && done.stderr.contains("`d`"), "{}", done.stderr);
    assert!(done.stderr.contains("2 of 4 requests"), "{}", done.stderr);
    let strict = [&arguments[..], &["--strict"]].concat();
    let done = plackett_with_input(folder.path(), &strict, &input).expect(2);
    assert!(done.stderr.contains("line 2"), "{}", done.stderr);
    plackett_with_input(folder.path(), &arguments, "nonsense\n").expect(2);
}

#[test]
fn wrong_usage_is_said_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, wanted) in [
        (&["rerank", "--method", "wizardry", "-"][..], "plackett method list"),
        (&["rerank", "--method", "cross-encoder", "-"], "--model"),
        (&["rerank", "--pipeline", "bm25:10 >> bi-encoder", "-"], "bm25"),
        (&["rerank", "-"], "--method"),
        (&["rerank", "--method", "bi-encoder"], "FILE"),
        (&["rerank", "--method", "bi-encoder", "absent.jsonl"], "absent.jsonl"),
        (&["rerank", "--method", "bi-encoder", "--long-text", "fold", "-"], "truncate"),
        (
            &["rerank", "--method", "bi-encoder", "--long-text", "refuse", "--chunk-size", "9", "-"],
            "chunk-max",
        ),
        (&["rerank", "--method", "bi-encoder", "-k", "0", "-"], "--top-k 0: a whole number from 1"),
    ] {
        let done = plackett(folder.path(), arguments).expect(2);
        assert!(done.stderr.contains(wanted), "{arguments:?}: {}", done.stderr);
        assert!(done.stdout.is_empty());
    }
}

#[test]
fn queries_documents_and_run_make_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("queries.tsv", "q1\thow do volcanoes erupt\nq2\tbaking\n");
    write(
        "corpus.jsonl",
        "{\"_id\": \"cake\", \"text\": \"A recipe for apple cake.\"}\n{\"_id\": \"lava\", \"text\": \"A volcano erupts when magma rises.\"}\n",
    );
    write("run.trec", "q1 Q0 cake 1 2.0 x\nq1 Q0 lava 2 1.0 x\nq2 Q0 lava 1 2.0 x\nq2 Q0 cake 2 1.0 x\n");
    let arguments = [
        "rerank",
        "--method",
        "late-interaction",
        "--queries",
        "queries.tsv",
        "--documents",
        "corpus.jsonl",
        "--run",
        "run.trec",
        "--tag",
        "mine",
    ];
    let done = plackett(folder.path(), &arguments).expect(0);
    let lines: Vec<Vec<&str>> = done.stdout.lines().map(|l| l.split(' ').collect()).collect();
    assert_eq!(
        lines.iter().map(|l| (l[0], l[2], l[3], l[5])).collect::<Vec<_>>(),
        [
            ("q1", "lava", "1", "mine"),
            ("q1", "cake", "2", "mine"),
            ("q2", "cake", "1", "mine"),
            ("q2", "lava", "2", "mine"),
        ]
    );
    write("run.trec", "q1 Q0 absent 1 2.0 x\nq2 Q0 cake 1 2.0 x\n");
    let done = plackett(folder.path(), &arguments).expect(1);
    assert!(done.stderr.contains("`absent`"), "{}", done.stderr);
    assert_eq!(done.stdout.lines().count(), 1);
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = command(folder.path(), &["rerank", "--method", "bi-encoder", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || {
        for _ in 0..400 {
            if stdin.write_all(request().as_bytes()).is_err() {
                break;
            }
        }
    });
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(serde_json::from_str::<Value>(&first).is_ok());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    feeder.join().unwrap();
}
