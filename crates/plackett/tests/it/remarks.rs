//! What no number of a result shows is said: on standard error, and in `warnings` of `--json`.

use crate::common::{command, plackett, plackett_with_input};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Stdio;

fn decoder() -> String {
    format!("{}/../plackett-lm/tests/golden/decoder/llama", env!("CARGO_MANIFEST_DIR"))
}

fn parity(name: &str) -> String {
    format!("{}/../plackett-lm/tests/parity/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn request(query: &str, texts: &[(&str, &str)]) -> String {
    let candidates: Vec<Value> =
        texts.iter().map(|(id, text)| json!({"docid": id, "doc": {"contents": text}})).collect();
    format!("{}\n", json!({"query": {"qid": "q", "text": query}, "candidates": candidates}))
}

/// The ids of a run in its order, and what was said beside it.
fn run(method: &str, model: &str, more: &[&str], request: &str) -> (Vec<String>, String) {
    let arguments =
        [&["rerank", "--method", method, "--model", model, "--format", "trec", "-"][..], more].concat();
    let done = plackett_with_input(Path::new("."), &arguments, request).expect(0);
    let ids = done.stdout.lines().map(|line| line.split(' ').nth(2).unwrap_or_default().to_string());
    (ids.collect(), done.stderr)
}

fn warnings(document: &Value) -> String {
    let all: Vec<&str> = document["warnings"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    all.join("\n")
}

/// Whatever the method, a candidate without text comes last and is named.
#[test]
fn candidates_without_text_come_last_by_every_method() {
    let asked = request("cat", &[("none", ""), ("blank", " \t "), ("a", "a cat sat"), ("b", "dogs bark")]);
    let decoder = decoder();
    let (bert, cross) = (parity("bert"), parity("bert-cross"));
    for (method, model) in [
        ("bi-encoder", &bert),
        ("late-interaction", &bert),
        ("cross-encoder", &cross),
        ("query-likelihood", &decoder),
    ] {
        let (ids, said) = run(method, model, &[], &asked);
        assert_eq!(ids.len(), 4, "{method}");
        assert_eq!(ids[2..], ["none", "blank"], "{method}: {ids:?}");
        assert!(
            said.contains("no text to read: `none` of query `q`, `blank` of query `q`"),
            "{method}: {said}"
        );
    }
}

#[test]
fn requests_without_candidates_or_words_are_named() {
    let bert = parity("bert");
    let (ids, said) = run("bi-encoder", &bert, &[], &request("cat", &[]));
    assert!(ids.is_empty() && said.contains("no candidates: query `q`"), "{said}");
    for (method, model) in [("bi-encoder", &bert), ("query-likelihood", &decoder())] {
        let (_, said) = run(method, model, &[], &request("!!!", &[("a", "a cat"), ("b", "dogs")]));
        assert!(said.contains("no word in the query: `q` (has only punctuation)"), "{method}: {said}");
        let (_, said) = run(method, model, &[], &request("cat!", &[("a", "a cat"), ("b", "dogs")]));
        assert!(!said.contains("no word in the query"), "{method}: {said}");
    }
}

/// A policy is advised only where it would change something.
#[test]
fn the_advice_for_texts_that_were_cut_is_one_that_helps() {
    let long = "many words ".repeat(2000);
    let document = request("cat", &[("q", &long), ("b", "dogs")]);
    let query = request(&long, &[("q", "a cat"), ("b", "dogs")]);
    let bert = parity("bert");
    let (_, said) = run("bi-encoder", &bert, &[], &document);
    assert!(said.contains("only the beginning of `q` of query `q`; --long-text chunk-max"), "{said}");
    let (_, said) = run("query-likelihood", &decoder(), &[], &document);
    assert!(said.contains("the prompts hold only the beginning of `q` of query `q`"), "{said}");
    assert!(!said.contains("chunk-max"), "{said}");
    for more in [&[][..], &["--long-text", "chunk-max"]] {
        let (_, said) = run("bi-encoder", &bert, more, &query);
        assert!(said.contains("only the beginning of the query `q`; "), "{said}");
        assert!(!said.contains("chunk-max"), "{said}");
    }
}

/// Steps that separate ties are seen by readers in single precision too.
#[test]
fn ties_of_a_run_are_separated_in_any_precision() {
    let texts = ["c", "a", "b"].map(|id| (id, "the same words"));
    let arguments =
        ["rerank", "--method", "query-likelihood", "--model", &decoder(), "--format", "trec", "-"];
    let done = plackett_with_input(Path::new("."), &arguments, &request("cat", &texts)).expect(0);
    let fields: Vec<Vec<&str>> = done.stdout.lines().map(|line| line.split(' ').collect()).collect();
    let scores: Vec<f32> = fields.iter().map(|fields| fields[4].parse().unwrap()).collect();
    assert!(scores.windows(2).all(|pair| pair[0] > pair[1]), "{}", done.stdout);
    assert!(fields.iter().all(|fields| fields[4].len() < 24), "{}", done.stdout);
    assert_eq!(fields.iter().map(|fields| fields[2]).collect::<Vec<_>>(), ["c", "a", "b"]);
}

#[test]
fn documents_without_text_are_named_when_they_are_indexed() {
    let folder = tempfile::tempdir().unwrap();
    let documents = "{\"_id\": \"a\", \"text\": \"a cat\"}\n{\"_id\": \"none\", \"text\": \" \"}\n";
    fs::write(folder.path().join("d.jsonl"), documents).unwrap();
    let done = plackett(folder.path(), &["index", "d.jsonl", "-o", "i", "--no-vectors"]).expect(0);
    assert!(done.stderr.contains("no text in 1 document (`none`)"), "{}", done.stderr);
    for (query, why) in [
        ("\u{1f600}", "the query has no word, only signs"),
        ("\u{200b}", "the query has only characters without width"),
        ("!!!", "the query has only punctuation"),
        ("the", "the query has only words that the analyser `english` leaves out"),
    ] {
        let found = plackett(folder.path(), &["search", "i", query, "-p", "bm25", "--json"]).expect(0).json();
        assert!(warnings(&found).contains(why), "{query}: {}", warnings(&found));
    }
}

#[test]
fn a_report_says_how_many_texts_it_has() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("qrels", "q 0 a 1\np 0 b 1\n"),
        ("run", "q Q0 a 1 2 t\np Q0 b 1 1 t\n"),
        ("q.tsv", "x\tone\n"),
        ("half.tsv", "q\tone\n"),
        ("d.jsonl", "{\"_id\": \"z\", \"text\": \"words\"}\n"),
    ] {
        fs::write(folder.path().join(name), content).unwrap();
    }
    let said = |more: &[&str]| {
        let arguments = [&["eval", "qrels", "run", "--report", "r.html", "--json"][..], more].concat();
        warnings(&plackett(folder.path(), &arguments).expect(0).json())
    };
    let none = said(&["--queries", "q.tsv"]);
    assert!(
        none.contains("q.tsv: there is no text in it for 2 queries (`p`, `q`) of the report, which are all"),
        "{none}"
    );
    let half = said(&["--queries", "half.tsv"]);
    assert!(half.contains("half.tsv: there is no text in it for 1 query (`p`)"), "{half}");
    assert!(!said(&[]).contains("no text in it"));
}

#[test]
fn a_comparison_on_fewer_queries_says_on_how_many() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("qrels", "q 0 a 1\np 0 b 1\nr 0 c 1\n"),
        ("one", "q Q0 a 1 2 one\np Q0 b 1 1 one\n"),
        ("two", "p Q0 b 1 1 two\nr Q0 c 1 1 two\n"),
    ] {
        fs::write(folder.path().join(name), content).unwrap();
    }
    let arguments = ["compare", "qrels", "one", "two", "-m", "AP", "--missing", "skip"];
    let done = plackett(folder.path(), &arguments).expect(0);
    let said = "`two` is compared with `one` on 1 query, which both answer";
    assert!(done.stderr.contains(said), "{}", done.stderr);
    let found = plackett(folder.path(), &[&arguments[..], &["--json"]].concat()).expect(0).json();
    assert!(warnings(&found).contains(said), "{found}");
    let whole = plackett(folder.path(), &arguments[..6]).expect(0);
    assert!(!whole.stderr.contains("is compared with"), "{}", whole.stderr);
}

/// Ids of 7 MB made a message of 14 MB.
#[test]
fn a_message_does_not_repeat_an_id_of_megabytes() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = ("a".repeat(7 << 20), "b".repeat(7 << 20));
    fs::write(folder.path().join("qrels"), format!("{a} 0 d 1\n")).unwrap();
    fs::write(folder.path().join("run"), format!("{b} Q0 d 1 2 t\n")).unwrap();
    let done = plackett(folder.path(), &["eval", "qrels", "run", "--json"]).expect(2);
    assert!(done.stderr.contains("no query in common") && done.stderr.len() < 2000, "{}", done.stderr.len());
    assert!(done.stdout.len() < 3000, "{}", done.stdout.len());
}

/// Prompts are filled with as much of a text as fits, and no more of it is tokenised than that.
#[test]
fn the_memory_budget_holds_for_prompts_with_long_texts() {
    let folder = tempfile::tempdir().unwrap();
    let text = "a ranker reads passages, and ties (often) are broken by a rule: 2024 qwxzzk ".repeat(80_000);
    let texts = ["a", "b", "c"].map(|id| (id, text.as_str()));
    fs::write(folder.path().join("long.jsonl"), request("how are ties broken", &texts)).unwrap();
    let arguments = [
        "rerank",
        "--max-line-bytes",
        "64MiB",
        "--method",
        "query-likelihood",
        "long.jsonl",
        "--model",
        &decoder(),
        "--memory-budget",
        "400MB",
        "--threads",
        "2",
    ];
    let Some(most) = super::long_texts::most_memory(folder.path(), &arguments) else {
        println!("skipped: this system does not tell how much memory a process has");
        return;
    };
    assert!(most < 400_000_000, "{most} bytes");
}

#[test]
fn a_command_whose_remarks_nobody_reads_ends_as_any_other() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("events"), "u,a\nu,b\nv,b\nv,a\n").unwrap();
    let eval = ["recommend", "eval", "events", "-r", "popularity"];
    assert!(plackett(folder.path(), &eval).expect(0).stderr.contains("the first line is an event"));
    for (line, code) in [(&eval[..], 0), (&["recommend", "eval", "none"], 2)] {
        let mut command = command(folder.path(), line);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stderr.take());
        assert_eq!(child.wait().unwrap().code(), Some(code), "{line:?}");
    }
}
