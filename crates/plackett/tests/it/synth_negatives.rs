//! `plackett synth negatives`: lists out of an index and judgments, and what is left out of them.

use crate::common::{Done, plackett};
use crate::remote::mock::{Answer, Mock, lengths};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Four documents about apples and two others; `z` is judged and not there, `q4` is judged and not asked.
fn prepare(folder: &Path) {
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    let documents = [
        ("a", "apple cake with apple"),
        ("b", "apple pie"),
        ("c", "apple tart"),
        ("d", "volcano ash"),
        ("e", "apple"),
        ("f", "lava"),
    ];
    let line = |(id, text): (&str, &str)| format!("{}\n", json!({"_id": id, "text": text}));
    write("corpus.jsonl", &documents.map(line).concat());
    let queries = [("q1", "apple"), ("q2", "volcano"), ("q3", "apple pie")];
    write("q.jsonl", &queries.map(line).concat());
    write("train.qrels", "q1 0 z 1\nq1 0 a 2\nq2 0 d 1\nq4 0 a 1\n");
    plackett(folder, &["index", "corpus.jsonl", "-o", "my.index", "--no-vectors"]).expect(0);
}

fn mine(folder: &Path, flags: &str, code: i32) -> Done {
    let files = "my.index --queries q.jsonl --qrels train.qrels -o train.jsonl";
    let line = format!("synth negatives {files} {flags}");
    plackett(folder, &line.split_whitespace().collect::<Vec<_>>()).expect(code)
}

fn lists(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("train.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn lists_have_what_is_relevant_and_wrong_documents_of_the_ranks() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder);
    let told = mine(folder, "--ranks 1-10 --count 2 --json", 0).json();
    let counts = [("queries", 3), ("written", 1), ("positives", 1), ("negatives", 2), ("absent", 1)];
    for (name, count) in counts.into_iter().chain([("suspected", 0), ("short", 0)]) {
        assert_eq!(told[name], count, "{name}: {told}");
    }
    assert_eq!(told["left_out"].as_object().unwrap().len(), 2, "{told}");
    let warnings = told["warnings"].to_string();
    for said in [
        "1 query without a relevant document in the judgments",
        "1 query without a negative on the ranks",
        "1 relevant document that the index does not have",
        "1 query (`q4`) that the queries do not have",
    ] {
        assert!(warnings.contains(said), "{said}: {warnings}");
    }
    let made = lists(folder);
    assert_eq!(made.len(), 1, "{made:?}");
    let list = &made[0];
    assert_eq!((&list["qid"], &list["query"]), (&json!("q1"), &json!("apple")));
    let candidates = list["candidates"].as_array().unwrap();
    let right = json!({"docid": "a", "text": "apple cake with apple", "label": 2.0});
    assert_eq!((candidates.len(), &candidates[0]), (3, &right));
    for wrong in &candidates[1..] {
        let id = wrong["docid"].as_str().unwrap();
        assert!(["b", "c", "e"].contains(&id) && wrong["label"] == 0.0, "{wrong}");
        assert!(wrong["text"].as_str().unwrap().starts_with("apple"), "{wrong}");
    }
    // More than there are.
    let told = mine(folder, "--ranks 1-10 --count 9 --seed 3 --json", 0).json();
    assert_eq!((&told["negatives"], &told["short"]), (&json!(3), &json!(1)));
    let drawn = lists(folder);
    mine(folder, "--ranks 1-10 --count 9 --seed 3", 0);
    assert_eq!(lists(folder), drawn);
}

#[test]
fn a_margin_depths_and_flags_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder);
    // Nothing scores so much less than what is relevant.
    let done = mine(folder, "--ranks 1-10 --margin 1000", 2);
    assert!(done.stderr.contains("2 queries without a negative on the ranks"), "{}", done.stderr);
    assert!(done.stderr.contains("nothing was written"), "{}", done.stderr);
    assert!(!folder.join("train.jsonl").exists());
    let done = mine(folder, "--ranks 1-10 --pipeline bm25:2", 0);
    assert!(done.stderr.contains("passes on at most 2 documents"), "{}", done.stderr);
    for (flags, piece) in [
        ("--ranks 5", "--ranks 5: two ranks from 1"),
        ("--ranks 9-3", "--ranks 9-3: two ranks from 1"),
        ("--count 0", "--count 0"),
        ("--margin -1", "--margin -1"),
        ("--pipeline bm52", "bm52"),
    ] {
        let done = mine(folder, flags, 2);
        assert!(done.stderr.contains(piece), "{flags}: {}", done.stderr);
    }
}

#[test]
fn what_was_found_before_a_server_failed_is_not_searched_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder);
    let broken = Arc::new(AtomicBool::new(true));
    let state = broken.clone();
    let mock =
        Mock::start(move |_, seen| match seen.body["query"] == "apple pie" && state.load(Ordering::SeqCst) {
            true => Answer { silent: true, ..Answer::default() },
            false => lengths(seen),
        });
    let server = format!("remote:{}/rerank#attempts=1,in_flight=1", mock.url);
    let how = format!("--pipeline bm25>>cross-encoder(model=\"{server}\") --ranks 1-10");
    let stopped = mine(folder, &how, 1).stderr;
    assert!(stopped.contains("the same command goes on"), "{stopped}");
    let begun = lists(folder);
    let refused = mine(folder, &format!("{how} --count 2"), 2);
    assert!(refused.stderr.contains("--count was `4`, and is `2`"), "{}", refused.stderr);
    broken.store(false, Ordering::SeqCst);
    let before = mock.count();
    mine(folder, &how, 0);
    assert_eq!((mock.count() - before, lists(folder)), (1, begun));
    assert!(!folder.join("train.jsonl.unfinished").exists());
}
