//! `plackett calibrate` and `rerank --calibration`.

use crate::common::plackett;
use serde_json::Value;
use std::fmt::Write;
use std::path::Path;

/// Ten queries: relevant documents have the higher scores, but for one in each.
fn prepared(folder: &Path) {
    let (mut qrels, mut run) = (String::new(), String::new());
    for query in 0..10 {
        for (rank, (relevant, score)) in [(1, 0.9), (0, 0.7), (1, 0.5), (0, 0.3), (0, 0.1)].iter().enumerate()
        {
            let _ = writeln!(run, "q{query} Q0 d{rank} {} {score} t", rank + 1);
            let _ = writeln!(qrels, "q{query} 0 d{rank} {relevant}");
        }
        let _ = writeln!(run, "q{query} Q0 unjudged 6 0.05 t");
    }
    std::fs::write(folder.join("qrels"), qrels).unwrap();
    std::fs::write(folder.join("run"), run).unwrap();
    let request = r#"{"query": {"qid": "q1", "text": "how do volcanoes erupt"}, "candidates": [{"docid": "cake", "text": "A recipe for apple cake."}, {"docid": "lava", "text": "A volcano erupts when magma rises."}]}"#;
    std::fs::write(folder.join("requests.jsonl"), request).unwrap();
}

#[test]
fn a_calibration_is_stored_beside_the_model_and_found_for_the_same_scores_alone() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepared(at);
    let run = |arguments: &[&str]| -> crate::common::Done {
        // A cache of its own, into which the bundled model is unpacked.
        crate::common::command(at, arguments).env("PLACKETT_CACHE", at.join("cache")).output().unwrap().into()
    };
    let rerank =
        ["rerank", "--method", "bi-encoder", "--calibration", "stored", "--offline", "requests.jsonl"];
    let refused = run(&rerank).expect(2);
    assert!(refused.stderr.contains("calibrate QRELS RUN --for 'bi-encoder'"), "{}", refused.stderr);
    let stored =
        run(&["calibrate", "qrels", "run", "--for", "bi-encoder", "--offline", "--json"]).expect(0).json();
    assert!(Path::new(stored["stored"].as_str().unwrap()).is_file() && stored["output"].is_null());
    let done = run(&rerank).expect(0).json();
    assert_eq!(done["trace"]["facts"]["calibration"], "isotonic from 50 judged documents of 10 queries");
    // Other options, another method, another way to read long texts: other scores.
    for other in [
        ["rerank", "--method", "late-interaction", "--calibration", "stored", "--offline", "requests.jsonl"]
            .as_slice(),
        &[
            "rerank",
            "--method",
            "bi-encoder",
            "--long-text",
            "chunk-max",
            "--calibration",
            "stored",
            "--offline",
            "requests.jsonl",
        ],
    ] {
        assert!(run(other).expect(2).stderr.contains("nothing is stored"));
    }
    // A result in a file names what was stored, and is made again.
    let file = [&rerank[..], &["--output", "out.jsonl"]].concat();
    run(&file).expect(0);
    assert!(std::fs::read_to_string(at.join("out.jsonl.manifest.json")).unwrap().contains("calibrations/"));
    run(&["replay", "out.jsonl.manifest.json", "--offline"]).expect(0);
    assert!(run(&["calibrate", "qrels", "run"]).expect(2).stderr.contains("--output"));
    let idle = run(&["calibrate", "qrels", "run", "-o", "c.json", "--long-text", "refuse"]).expect(2);
    assert!(idle.stderr.contains("--long-text"), "{}", idle.stderr);
}

#[test]
fn probabilities_stand_beside_scores_and_the_answer_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepared(at);
    let value = plackett(at, &["calibrate", "qrels", "run", "-o", "c.json", "--json"]).expect(0).json();
    assert_eq!(
        (&value["documents"], &value["relevant"], &value["queries"]),
        (&50.into(), &20.into(), &10.into())
    );
    assert_eq!(value["unjudged"], 10);
    assert!(value["warnings"].to_string().contains("10 documents of the run have no judgment"));
    // Each fold teaches the same: 0.1 and 0.3 never, 0.5 and 0.7 half the time, 0.9 always.
    let brier = value["reliability"]["brier"].as_f64().unwrap();
    assert!((brier - 2.0 * 0.25 / 5.0).abs() < 1e-12, "{brier}");
    assert!(value["reliability"]["calibration_error"].as_f64().unwrap() < 1e-12);
    let file: Value = serde_json::from_str(&std::fs::read_to_string(at.join("c.json")).unwrap()).unwrap();
    let points = serde_json::json!([[0.1, 0.0], [0.3, 0.0], [0.5, 0.5], [0.7, 0.5], [0.9, 1.0]]);
    assert_eq!(file["curve"]["points"].as_array().unwrap().last(), points.as_array().unwrap().last());
    let line = ["rerank", "--method", "bi-encoder", "--calibration", "c.json", "requests.jsonl"];
    let done = plackett(at, &line).expect(0).json();
    for candidate in done["candidates"].as_array().unwrap() {
        let (score, probability) =
            (candidate["score"].as_f64().unwrap(), candidate["activated"].as_f64().unwrap());
        let expected = match score {
            ..=0.3 => 0.0,
            ..=0.5 => (score - 0.3) / 0.2 * 0.5,
            ..=0.7 => 0.5,
            ..=0.9 => 0.5 + (score - 0.7) / 0.2 * 0.5,
            _ => 1.0,
        };
        assert!((probability - expected).abs() < 1e-9, "{candidate}");
    }
    assert_eq!(done["trace"]["facts"]["calibration"], "isotonic from 50 judged documents of 10 queries");
    let text =
        plackett(at, &["calibrate", "qrels", "run", "-o", "p.json", "--kind", "platt"]).expect(0).stdout;
    assert!(text.contains("Brier score") && text.contains("platt from 50"), "{text}");
    // The file is an input like others.
    plackett(at, &[&line[..], &["--output", "out.jsonl"]].concat()).expect(0);
    plackett(at, &["replay", "out.jsonl.manifest.json"]).expect(0);
    std::fs::copy(at.join("p.json"), at.join("c.json")).unwrap();
    let done = plackett(at, &["replay", "out.jsonl.manifest.json"]).expect(2);
    assert!(done.stderr.contains("--calibration `c.json` has changed"), "{}", done.stderr);
}

#[test]
fn what_teaches_nothing_or_is_no_calibration_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepared(at);
    let done = plackett(at, &["calibrate", "qrels", "run", "-o", "c.json", "--level", "5"]).expect(2);
    assert!(done.stderr.contains("0 are relevant") || done.stderr.contains("are needed"), "{}", done.stderr);
    assert!(!at.join("c.json").exists());
    let falling: String = std::fs::read_to_string(at.join("run")).unwrap().replace("0.9 t", "-9 t");
    std::fs::write(at.join("falling"), falling).unwrap();
    let done = plackett(at, &["calibrate", "qrels", "falling", "-o", "c.json", "--kind", "platt"]).expect(2);
    assert!(done.stderr.contains("less often"), "{}", done.stderr);
    for (more, words) in [
        (&["--calibration", "qrels"][..], "plackett calibrate"),
        (&["--calibration", "absent"], "no such file"),
        (&["--calibration", "c.json", "--budget", "1s"], "--budget"),
    ] {
        let done =
            plackett(at, &[&["rerank", "--method", "bi-encoder", "requests.jsonl"], more].concat()).expect(2);
        assert!(done.stderr.contains(words), "{more:?}: {}", done.stderr);
    }
    plackett(at, &["calibrate", "qrels", "run", "-o", "c.json"]).expect(0);
    let line =
        ["rerank", "--method", "bi-encoder", "requests.jsonl", "--calibration", "c.json", "--format", "trec"];
    let done = plackett(at, &line).expect(2);
    assert!(done.stderr.contains("no place for probabilities"), "{}", done.stderr);
}
