//! `plackett synth clicks`: grades out of a log, its rules, and lines that are no impressions.

use crate::common::{Done, plackett, plackett_with_input};
use serde_json::{Value, json};
use std::path::Path;

/// Ten queries in ten sessions each: `bait` and `good` are clicked in eight of them, and only `good` is read.
fn log() -> String {
    let mut text = String::from("session\tquery\turl\trank\tclicked\tdwell\n");
    for query in 0..10 {
        for session in 0..10 {
            let clicked = u8::from(session < 8);
            let shown = [("bait", 1, clicked, 3), ("good", 2, clicked, 60), ("bad", 3, 0, 0)];
            for (document, rank, clicked, dwell) in shown {
                text += &format!("{session}\tq{query}\t{document}\t{rank}\t{clicked}\t{dwell}\n");
            }
        }
    }
    text
}

/// The log, and grades of all queries but the last.
fn prepare(folder: &Path) {
    std::fs::write(folder.join("log.tsv"), log()).unwrap();
    let grades = |query: usize| format!("q{query} 0 bait 0\nq{query} 0 good 2\nq{query} 0 bad 0\n");
    std::fs::write(folder.join("graded"), (0..9).map(grades).collect::<String>()).unwrap();
}

fn label(folder: &Path, flags: &str, code: i32) -> Done {
    let line = format!("synth clicks log.tsv --qrels graded -o labels.jsonl {flags}");
    plackett(folder, &line.split_whitespace().collect::<Vec<_>>()).expect(code)
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn documents_of_a_log_get_grades_and_rules_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder);
    let told = label(folder, "--grades clicked.qrels --rules rules.txt --json", 0).json();
    let counts = [("impressions", 300), ("sessions", 100), ("clicks", 160), ("timed", 160), ("parted", 0)];
    for (name, count) in counts.into_iter().chain([("queries", 10), ("documents", 30)]) {
        assert_eq!(told[name], count, "{name}: {told}");
    }
    assert_eq!(told["graded"], json!({"queries": 9, "documents": 27, "highest": 2}));
    assert_eq!((&told["held_out"]["queries"], &told["held_out"]["documents"]), (&json!(1), &json!(3)));
    let [expected, rate] = ["expected", "rate"].map(|name| told["held_out"][name].as_f64().unwrap());
    assert!((expected - 1.0).abs() < 1e-12 && rate < 0.6, "{told}");
    let lines = read(folder, "labels.jsonl");
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 30);
    // Nobody graded the last query.
    let [bait, good, bad] = &lines[27..] else { panic!("{lines:?}") };
    let made = |line: &Value| (line["docid"].clone(), line["label"].clone(), line["grade"].clone());
    assert_eq!(made(bait), (json!("bait"), json!(0.0), json!(0)));
    assert_eq!(made(good), (json!("good"), json!(2.0), json!(2)));
    assert_eq!(made(bad), (json!("bad"), json!(0.0), json!(0)));
    assert_eq!((&good["qid"], &good["impressions"], &good["clicks"]), (&json!("q9"), &json!(10), &json!(8)));
    let qrels = read(folder, "clicked.qrels");
    assert!(qrels.ends_with("q9 0 bait 0\nq9 0 good 2\nq9 0 bad 0\n"), "{qrels}");
    let rules = "long clicks ≤ 4.0000:\n  grades 1.00 0.00 0.00\nelse:\n  grades 0.00 0.00 1.00\n";
    assert_eq!(read(folder, "rules.txt"), rules);
    let done = label(folder, "--rules rules.json --grades clicked.qrels", 0);
    for said in ["learned from 27 documents of 9 queries with grades up to 2", "--qrels clicked.qrels"] {
        assert!(done.stdout.contains(said), "{said}: {}", done.stdout);
    }
    let rules: Value = serde_json::from_str(&read(folder, "rules.json")).unwrap();
    assert_eq!(rules["then"], json!({"grades": [1.0, 0.0, 0.0]}));
}

#[test]
fn bad_lines_are_named_and_other_files_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder);
    std::fs::write(folder.join("log.tsv"), format!("{}1\tq1\tgood\n1\tq1\tgood\t1\tmaybe\t\n", log()))
        .unwrap();
    let done = label(folder, "", 1);
    for said in ["not as many columns as in the header", "the first is line 302", "the first is line 303"] {
        assert!(done.stderr.contains(said), "{said}: {}", done.stderr);
    }
    assert!(done.stderr.contains("left out of the log: 2 lines"), "{}", done.stderr);
    assert_eq!(read(folder, "labels.jsonl").lines().count(), 30);
    std::fs::remove_file(folder.join("labels.jsonl")).unwrap();
    let refused = |input: &str, piece: &str| {
        let line = ["synth", "clicks", "-", "--qrels", "graded", "-o", "labels.jsonl"];
        let done = plackett_with_input(folder, &line, input).expect(2);
        assert!(done.stderr.contains(piece), "{piece}: {}", done.stderr);
        assert!(!folder.join("labels.jsonl").exists());
    };
    refused("1\tgood\t1\t1\n", "no column `query` or `qid`");
    refused("", "the file is empty");
    refused("query\tdocid\trank\tclicked\nq1\tgood\t0\t1\n", "no line is an impression");
    refused("query\tdocid\trank\tclicked\nz\tgood\t1\t1\n", "--qrels: no document with a grade from 0");
    refused("query\tdocid\trank\tclicked\nq1\tgood\t1\t1\n", "have one grade");
    let done = label(folder, "--depth 0", 2);
    assert!(done.stderr.contains("--depth 0: a whole number from 1 to 64"), "{}", done.stderr);
}
