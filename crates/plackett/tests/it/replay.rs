//! Manifests, and results made again from them.

use crate::common::plackett;
use serde_json::Value;
use std::path::Path;

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plackett-lm/tests/golden/decoder/llama");
const PROMPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../prompts/query-likelihood.toml");

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn manifest(folder: &Path, name: &str) -> Value {
    serde_json::from_str(&read(folder, name)).unwrap()
}

fn requests() -> String {
    let one = |qid: &str, text: &str| {
        format!(
            r#"{{"query": {{"qid": "{qid}", "text": "{text}"}}, "candidates": [{{"docid": "a", "text": "a ranker reads passages"}}, {{"docid": "b", "text": "ties are broken by a rule"}}]}}"#
        )
    };
    format!("{}\n{}\n", one("q1", "how are ties broken"), one("q2", "what does a ranker read"))
}

#[test]
fn a_run_leaves_a_manifest_and_replay_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, "requests.jsonl", &requests());
    for (n, more) in
        [&[][..], &["--format", "jsonl", "-k", "1"], &["--format", "trec", "--tag", "x"]].iter().enumerate()
    {
        let out = format!("out{n}");
        let arguments =
            [&["rerank", "--method", "bi-encoder", "requests.jsonl", "--output", &out], *more].concat();
        let done = plackett(at, &arguments).expect(0);
        assert!(done.stdout.is_empty() && done.stderr.contains("2 of 2 requests"), "{}", done.stderr);
        let text = read(at, &out);
        assert!(!text.contains("seconds") && text.contains("q2"), "{text}");
        assert!(!at.join(format!("{out}.unfinished")).exists());
        let path = format!("{out}.manifest.json");
        let found = manifest(at, &path);
        assert_eq!(
            (&found["requests"], &found["ranked"], &found["failed"]),
            (&2.into(), &2.into(), &0.into())
        );
        assert_eq!(found["stages"][0]["method"], "bi-encoder");
        assert_eq!(found["models"][0]["sha256"].as_str().unwrap().len(), 64);
        assert_eq!(found["inputs"][0]["flag"], "FILE");
        assert_eq!(found["output"]["bytes"], text.len());
        assert!(
            found["cost"]["passes"].as_u64().unwrap() > 0 && found["cost"]["seconds"].as_f64().unwrap() > 0.0
        );
        let elsewhere = tempfile::tempdir().unwrap();
        let path = at.join(path);
        let replay = ["replay", path.to_str().unwrap()];
        let done = plackett(elsewhere.path(), &replay).expect(0);
        assert!(done.stdout.contains("the same"), "{}", done.stdout);
        plackett(elsewhere.path(), &[&replay[..], &["--output", "again"]].concat()).expect(0);
        assert_eq!(read(elsewhere.path(), "again"), text);
    }
}

#[test]
fn the_flag_says_where_the_manifest_lies_and_json_says_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, "requests.jsonl", &format!("{}{{\"query\": 3}}\n", requests()));
    let arguments = [
        "rerank",
        "--method",
        "bi-encoder",
        "requests.jsonl",
        "--output",
        "o.gz",
        "--manifest",
        "m.json",
        "--json",
    ];
    let value = plackett(at, &arguments).expect(1).json();
    assert_eq!((&value["output"], &value["manifest"]), (&"o.gz".into(), &"m.json".into()));
    assert_eq!((&value["requests"], &value["failed"], &value["resumed"]), (&3.into(), &1.into(), &0.into()));
    let value = plackett(at, &["replay", "m.json", "--json"]).expect(0).json();
    assert_eq!(value["same"], true);
    assert_eq!(value["sha256"], manifest(at, "m.json")["output"]["sha256"]);
    // Bytes that another version gave, say.
    write(at, "m.json", &read(at, "m.json").replace(value["sha256"].as_str().unwrap(), &"0".repeat(64)));
    let done = plackett(at, &["replay", "m.json"]).expect(1);
    assert!(done.stderr.contains("other bytes"), "{}", done.stderr);
}

#[test]
fn what_has_changed_is_named_and_nothing_is_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, "requests.jsonl", &requests());
    write(at, "prompt.toml", &std::fs::read_to_string(PROMPT).unwrap());
    std::fs::create_dir(at.join("model")).unwrap();
    for file in std::fs::read_dir(TINY).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), at.join("model").join(file.file_name())).unwrap();
    }
    let method = "query-likelihood(prompt=prompt.toml)";
    let arguments =
        ["rerank", "--method", method, "--model", "./model", "requests.jsonl", "--output", "out.jsonl"];
    plackett(at, &arguments).expect(0);
    let found = manifest(at, "out.jsonl.manifest.json");
    assert_eq!(found["stages"][0]["options"]["prompt"], "prompt.toml");
    assert!(found["prompts"][0].as_str().unwrap().starts_with("prompt@"));
    let replay = ["replay", "out.jsonl.manifest.json", "--output", "again.jsonl"];
    plackett(at, &replay).expect(0);
    assert_eq!(read(at, "again.jsonl"), read(at, "out.jsonl"));
    for (file, words) in [
        ("requests.jsonl", "FILE `requests.jsonl` has changed"),
        ("prompt.toml", "the prompt prompt of"),
        ("model/config.json", "the model ./model has other weights"),
    ] {
        let before = read(at, file);
        write(at, file, &format!("{before}\n"));
        std::fs::remove_file(at.join("again.jsonl")).unwrap();
        let done = plackett(at, &replay).expect(2);
        assert!(done.stderr.contains(words) && done.stderr.contains("manifest.json"), "{}", done.stderr);
        assert!(!at.join("again.jsonl").exists());
        write(at, file, &before);
        plackett(at, &replay).expect(0);
    }
    std::fs::remove_file(at.join("requests.jsonl")).unwrap();
    let done = plackett(at, &replay).expect(2);
    assert!(done.stderr.contains("requests.jsonl"), "{}", done.stderr);
    write(at, "m.json", "{}");
    let done = plackett(at, &["replay", "m.json"]).expect(2);
    assert!(done.stderr.contains("manifest_version"), "{}", done.stderr);
}

#[test]
fn a_replay_writes_over_nothing_of_its_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, "requests.jsonl", &requests());
    std::fs::create_dir(at.join("model")).unwrap();
    for file in std::fs::read_dir(TINY).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), at.join("model").join(file.file_name())).unwrap();
    }
    let run = ["rerank", "--method", "query-likelihood", "--model", "./model", "requests.jsonl"];
    plackett(at, &[&run[..], &["--output", "out.jsonl"]].concat()).expect(0);
    let (result, config) = (read(at, "out.jsonl"), read(at, "model/config.json"));
    for (output, words) in [
        ("model/config.json", "a model of the run ./model"),
        ("requests.jsonl", "an input of the run requests.jsonl"),
        ("out.jsonl", "the result of the run and --output"),
        ("out.jsonl.manifest.json", "MANIFEST out.jsonl.manifest.json"),
    ] {
        let done = plackett(at, &["replay", "out.jsonl.manifest.json", "--output", output]).expect(2);
        assert!(done.stderr.contains(words), "{output}: {}", done.stderr);
    }
    assert_eq!((read(at, "out.jsonl"), read(at, "model/config.json")), (result.clone(), config));
    std::fs::remove_file(at.join("out.jsonl")).unwrap();
    plackett(at, &["replay", "out.jsonl.manifest.json", "--output", "out.jsonl"]).expect(0);
    assert_eq!(read(at, "out.jsonl"), result);
}

#[test]
fn values_of_a_manifest_are_checked_as_those_of_flags_are() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, "requests.jsonl", &requests());
    plackett(at, &["rerank", "--method", "bi-encoder", "requests.jsonl", "--output", "out.jsonl"]).expect(0);
    let text = read(at, "out.jsonl.manifest.json");
    let chosen = |method: &str, depth: u32| serde_json::json!({"method": method, "depth": depth});
    for (field, value, words) in [
        ("chunk_size", 0.into(), "--chunk-size 0: a whole number from 1 is expected"),
        ("chunk_stride", 0.into(), "--chunk-stride 0: a whole number from 1 is expected"),
        ("top_k", 0.into(), "--top-k 0: a whole number from 1 is expected"),
        ("max_line_bytes", 0.into(), "--max-line-bytes 0: the length of a line is expected"),
        ("budget", (-1.0).into(), "--budget -1s: a time is expected"),
        ("budget_tokens", 0.into(), "--budget-tokens 0: a whole number from 1 is expected"),
        ("tag", "a b".into(), "--tag a b: a name without blanks is expected"),
        ("chosen", chosen("bi-encoder", 0), "depth 0: a whole number from 1 is expected"),
        ("chosen", chosen("bi-encoder >> bi-encoder", 1), "one method with its options is expected"),
        ("chosen", chosen("bi-encoder:3", 1), "one method with its options is expected"),
    ] {
        let mut changed: Value = serde_json::from_str(&text).unwrap();
        changed["arguments"][field] = value;
        write(at, "changed.json", &changed.to_string());
        let done = plackett(at, &["replay", "changed.json"]).expect(2);
        assert!(
            done.stderr.contains(words) && done.stderr.contains("changed.json"),
            "{field}: {}",
            done.stderr
        );
    }
    let mut changed: Value = serde_json::from_str(&text).unwrap();
    changed["stages"] = serde_json::json!([]);
    write(at, "changed.json", &changed.to_string());
    let done = plackett(at, &["replay", "changed.json"]).expect(2);
    assert!(done.stderr.contains("`bi-encoder` means something else"), "{}", done.stderr);
}

#[test]
fn places_that_cannot_be_files_and_flags_without_effect_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, "requests.jsonl", &requests());
    for (more, words) in [
        (&["--output", "-"][..], "a file is expected"),
        (&["--output", "/dev/null"], "a file is expected"),
        (&["--output", "."], "is a folder"),
        (&["--output", "no/such/folder/x"], "no such file"),
        (&["--resume"], "--output"),
        (&["--manifest", "m.json"], "--output"),
    ] {
        let arguments = [&["rerank", "--method", "bi-encoder", "requests.jsonl"], more].concat();
        let done = plackett(at, &arguments).expect(2);
        assert!(done.stderr.contains(words), "{more:?}: {}", done.stderr);
    }
    let left: Vec<_> = std::fs::read_dir(at).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["requests.jsonl"]);
}
