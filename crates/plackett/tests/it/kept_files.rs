//! What a command must not do to the files of its user, and what the environment says.

use crate::common::{Done, command, plackett, plackett_with_input};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Stdio;

const QRELS: &str = "q 0 a 1\n";
const RUN: &str = "q Q0 a 1 2.5 one\nq Q0 b 2 1.5 one\n";
const OTHER: &str = "q Q0 b 1 2.5 two\nq Q0 a 2 1.5 two\n";
const REQUESTS: &str = "{\"query\": \"cats\", \"candidates\": [\"a cat\", \"a dog\"]}\n";

fn decoder() -> String {
    format!("{}/../plackett-lm/tests/golden/decoder/llama", env!("CARGO_MANIFEST_DIR"))
}

fn encoder() -> String {
    format!("{}/../plackett-lm/tests/parity/bert", env!("CARGO_MANIFEST_DIR"))
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn with_environment(folder: &Path, arguments: &[&str], set: &[(&str, &str)]) -> Done {
    command(folder, arguments).envs(set.iter().copied()).stdin(Stdio::null()).output().unwrap().into()
}

#[test]
fn no_command_writes_over_a_file_that_it_reads() {
    let corpus = "{\"_id\": \"a\", \"text\": \"x\"}\n";
    let files = [
        ("qrels", QRELS),
        ("one.run", RUN),
        ("two.run", OTHER),
        ("r.jsonl", REQUESTS),
        ("q.tsv", "q\tcats\n"),
        ("c.jsonl", corpus),
        ("beir/corpus.jsonl", corpus),
        ("beir/queries.jsonl", "{\"_id\": \"q\", \"text\": \"cats\"}\n"),
        ("beir/qrels/test.tsv", "query-id\tcorpus-id\tscore\nq\ta\t1\n"),
        ("m/config.json", "{}\n"),
        ("p.toml", include_str!("../../../../prompts/query-likelihood.toml")),
        ("r.out.unfinished", REQUESTS),
        ("r.out.manifest.json", REQUESTS),
    ];
    let folder = folder(&files);
    for file in fs::read_dir(decoder()).unwrap().map(Result::unwrap) {
        fs::create_dir_all(folder.path().join("model")).unwrap();
        fs::copy(file.path(), folder.path().join("model").join(file.file_name())).unwrap();
    }
    let config = fs::read(folder.path().join("model/config.json")).unwrap();
    fs::hard_link(folder.path().join("one.run"), folder.path().join("link.run")).unwrap();
    let model = decoder();
    let rerank = format!("rerank --method query-likelihood --model {model}");
    for line in [
        "eval qrels one.run --report one.run".to_string(),
        "eval qrels one.run --report link.run".into(),
        "eval qrels one.run --report qrels".into(),
        "eval qrels one.run --queries q.tsv --report q.tsv".into(),
        "eval beir one.run --report beir/corpus.jsonl".into(),
        "eval beir one.run --report beir/qrels/test.tsv".into(),
        "compare qrels one.run two.run --report two.run".into(),
        "compare qrels one.run two.run --documents c.jsonl --report c.jsonl".into(),
        format!("{rerank} r.jsonl --trace r.jsonl"),
        format!("{rerank} --run one.run --queries q.tsv --documents c.jsonl --trace c.jsonl"),
        format!("{rerank} --run one.run --queries q.tsv --documents c.jsonl --trace one.run"),
        // Names that follow from that of --output.
        format!("{rerank} r.out.unfinished --output r.out"),
        format!("{rerank} r.out.manifest.json --output r.out"),
        // Models and prompts that stand in a method.
        "rerank --method query-likelihood(model=model) r.jsonl --trace model/config.json".into(),
        "rerank --method query-likelihood(model=model) r.jsonl --output model/config.json".into(),
        format!("rerank --method query-likelihood(prompt=p.toml) --model {model} r.jsonl --trace p.toml"),
    ] {
        let done = plackett(folder.path(), &line.split(' ').collect::<Vec<_>>()).expect(2);
        assert!(done.stderr.contains("overwritten"), "{line}: {}", done.stderr);
        for (name, text) in files {
            assert_eq!(fs::read_to_string(folder.path().join(name)).unwrap(), text, "{line}: {name}");
        }
        assert_eq!(fs::read(folder.path().join("model/config.json")).unwrap(), config, "{line}");
    }
    plackett(folder.path(), &["eval", "beir", "one.run", "--report", "beir/r.html"]).expect(0);
    plackett(folder.path(), &["eval", "beir", "one.run", "--report", "beir/r.html"]).expect(0);
}

#[test]
fn two_results_of_a_command_are_two_files() {
    let folder = folder(&[("r.jsonl", REQUESTS), ("sub/x", ""), ("old", "kept\n")]);
    let model = decoder();
    let rerank = format!("rerank --method query-likelihood --model {model} r.jsonl");
    for line in [
        "--output m.out --manifest m.out.unfinished",
        "--output m.out --trace m.out.unfinished",
        "--output m.out --trace m.out.manifest.json",
        "--output m.out --manifest m.out",
        "--output sub/../o.out --manifest o.out",
        "--output old --trace sub/../old",
    ] {
        let line = format!("{rerank} {line}");
        let done = plackett(folder.path(), &line.split(' ').collect::<Vec<_>>()).expect(2);
        assert!(done.stderr.contains("both are written to the same file"), "{line}: {}", done.stderr);
    }
    let mut left: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["old", "r.jsonl", "sub"]);
    assert_eq!(fs::read_to_string(folder.path().join("old")).unwrap(), "kept\n");
}

#[test]
fn places_of_the_manifest_and_the_trace_are_checked_before_the_work() {
    let folder = folder(&[("r.jsonl", REQUESTS)]);
    let model = decoder();
    for (more, words) in [
        (&["--manifest", "no/such/m.json"][..], "--manifest: no/such/m.json: cannot write"),
        (&["--manifest", "-"], "--manifest -: a file is expected"),
        (&["--manifest", "/dev/null"], "--manifest /dev/null: a file is expected"),
        (&["--trace", "-"], "--trace -: a file is expected"),
    ] {
        let how = ["rerank", "--method", "query-likelihood", "--model", &model, "r.jsonl", "--output", "out"];
        let done = plackett(folder.path(), &[&how[..], more].concat()).expect(2);
        assert!(done.stderr.contains(words), "{more:?}: {}", done.stderr);
        let left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["r.jsonl"], "{more:?}: nothing was begun");
    }
}

#[cfg(unix)]
#[test]
fn a_result_does_not_go_to_the_file_that_is_read() {
    let folder = folder(&[("r.jsonl", REQUESTS)]);
    let (path, program, model) = (folder.path().join("r.jsonl"), env!("CARGO_BIN_EXE_plackett"), encoder());
    let status = std::process::Command::new("sh")
        .current_dir(folder.path())
        .args(["-c", &format!("'{program}' rerank --method bi-encoder --model '{model}' r.jsonl >> r.jsonl")])
        .output()
        .unwrap();
    assert_eq!(status.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&status.stderr).contains("standard output goes to the file that is read")
    );
    assert_eq!(fs::read_to_string(path).unwrap(), REQUESTS);
}

#[test]
fn a_refused_command_leaves_the_old_trace() {
    let folder = folder(&[("r.jsonl", REQUESTS), ("bad.jsonl", "{\"query\": 1}\n"), ("old.trace", "kept\n")]);
    let trace = folder.path().join("old.trace");
    let run = |arguments: &[&str]| {
        let all = [&["rerank", "--method", "query-likelihood", "--trace", "old.trace"], arguments].concat();
        plackett(folder.path(), &all)
    };
    let model = decoder();
    for arguments in [
        &["--model", &model, "none.jsonl"][..],
        &["--model", "none.model", "r.jsonl"],
        &["--model", &model, "--tag", "x", "r.jsonl"],
        &["--model", &model, "--strict", "bad.jsonl"],
    ] {
        run(arguments).expect(2);
        assert_eq!(fs::read_to_string(&trace).unwrap(), "kept\n", "{arguments:?}");
    }
    run(&["--model", &model, "r.jsonl"]).expect(0);
    let text = fs::read_to_string(&trace).unwrap();
    assert!(text.lines().count() == 2 && text.contains("\"prompt\""), "{text}");
    let nowhere =
        ["rerank", "--method", "query-likelihood", "--trace", "no/trace", "--model", &model, "r.jsonl"];
    let done = plackett(folder.path(), &nowhere).expect(2);
    assert!(done.stderr.contains("--trace: no/trace: cannot write"), "{}", done.stderr);
}

#[test]
fn ids_are_deleted_as_they_stand() {
    let lines: String =
        ["a", " a ", "b"].map(|id| format!("{{\"_id\": \"{id}\", \"text\": \"words\"}}\n")).concat();
    let folder = folder(&[("c.jsonl", &lines), ("ids", " a \r\n\n")]);
    let run = |line: &[&str]| plackett(folder.path(), line);
    run(&["index", "c.jsonl", "-o", "i", "--no-vectors"]).expect(0);
    let ids = || {
        let found = run(&["search", "i", "words", "--json"]).expect(0).json();
        let all = found["results"][0]["ranking"].as_array().unwrap().clone();
        let mut ids: Vec<String> = all.iter().map(|hit| hit["id"].as_str().unwrap().to_string()).collect();
        ids.sort();
        ids
    };
    run(&["index", "-o", "i", "--delete", "@ids"]).expect(0);
    assert_eq!(ids(), ["a", "b"]);
    let done = run(&["index", "-o", "i", "--delete", " b "]).expect(0);
    assert!(done.stderr.contains("not in the index: 1 id (` b `)"), "{}", done.stderr);
    run(&["index", "-o", "i", "--delete", "b"]).expect(0);
    assert_eq!(ids(), ["a"]);
}

#[test]
fn switches_of_the_environment_are_read_as_people_write_them() {
    let folder =
        folder(&[("qrels", QRELS), ("run", RUN), ("c.jsonl", "{\"_id\": \"a\", \"text\": \"x\"}\n")]);
    let eval = ["eval", "qrels", "run"];
    for value in ["1", "0", "true", "false", "yes", "no", "on", "off", ""] {
        with_environment(folder.path(), &eval, &[("PLACKETT_OFFLINE", value)]).expect(0);
    }
    let pull = ["model", "pull", "all-MiniLM-L6-v2"];
    let cache = folder.path().join("cache");
    let cache = cache.to_str().unwrap();
    let set = [("PLACKETT_OFFLINE", "1"), ("PLACKETT_CACHE", cache), ("HF_HUB_CACHE", cache)];
    assert!(with_environment(folder.path(), &pull, &set).expect(2).stderr.contains("--offline"));
    for (variable, value, pieces) in [
        ("PLACKETT_OFFLINE", "maybe", ["PLACKETT_OFFLINE", "1, true, yes or on"]),
        ("PLACKETT_THREADS", "abc", ["PLACKETT_THREADS", "a whole number"]),
        ("PLACKETT_MEMORY_BUDGET", "lots", ["PLACKETT_MEMORY_BUDGET", "2GB"]),
    ] {
        let done = with_environment(folder.path(), &eval, &[(variable, value)]).expect(2);
        assert!(pieces.iter().all(|piece| done.stderr.contains(piece)), "{}", done.stderr);
        let json = with_environment(folder.path(), &["--json", "eval", "qrels", "run"], &[(variable, value)]);
        let errors = json.expect(2).json()["errors"].to_string();
        assert!(errors.contains(variable), "{errors}");
    }
    let index = ["index", "c.jsonl", "-o", "i", "--no-vectors"];
    with_environment(folder.path(), &index, &[("PLACKETT_MODEL", "x")]).expect(0);
    let done =
        plackett(folder.path(), &["index", "c.jsonl", "-o", "j", "--no-vectors", "--model", "x"]).expect(2);
    assert!(done.stderr.contains("--model x: --no-vectors"), "{}", done.stderr);
}

#[test]
fn the_bundled_model_needs_no_cache_that_can_be_written() {
    let folder = folder(&[("c.jsonl", "{\"_id\": \"a\", \"text\": \"a cat\"}\n"), ("file", "")]);
    let temporary = folder.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let cache = folder.path().join("file/cache");
    let set = [("PLACKETT_CACHE", cache.to_str().unwrap()), ("TMPDIR", temporary.to_str().unwrap())];
    let done = with_environment(folder.path(), &["--json", "index", "c.jsonl", "-o", "i"], &set).expect(0);
    let warnings = done.json()["warnings"].to_string();
    assert!(warnings.contains("PLACKETT_CACHE") && warnings.contains("file/cache"), "{warnings}");
    let done = with_environment(folder.path(), &["search", "i", "cats"], &set).expect(0);
    assert!(done.stderr.contains("PLACKETT_CACHE"), "{}", done.stderr);
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "nothing is left behind");
    let done = with_environment(folder.path(), &["model", "path", "minilm"], &set).expect(2);
    assert!(done.stderr.contains("PLACKETT_CACHE"), "{}", done.stderr);
}

#[test]
fn lists_of_several_queries_have_headings_for_people() {
    let folder = folder(&[
        ("c.jsonl", "{\"_id\": \"a\", \"text\": \"cats\"}\n"),
        ("q.tsv", "q1\tcats here\nq2\tdogs there\n"),
    ]);
    plackett(folder.path(), &["index", "c.jsonl", "-o", "i", "--no-vectors"]).expect(0);
    let done =
        plackett(folder.path(), &["search", "i", "--queries", "q.tsv", "--format", "text", "--explain"])
            .expect(0);
    let headings: Vec<&str> = done.stdout.lines().filter(|line| line.starts_with('q')).collect();
    assert_eq!(headings, ["q1  cats here", "q2  dogs there"], "{}", done.stdout);
    assert_eq!(done.stdout.matches("passes").count(), 2, "{}", done.stdout);
    let done =
        plackett_with_input(folder.path(), &["search", "i", "-", "--format", "text"], "cats\n\ndogs\n");
    assert!(done.expect(0).stdout.starts_with("1  cats\n"));
}

#[test]
fn texts_of_a_report_that_fit_nothing_are_told_of() {
    let folder = folder(&[
        ("qrels", QRELS),
        ("one.run", RUN),
        ("two.run", OTHER),
        ("q.tsv", "nummer\tinhalt\nx1\tcats\n"),
        ("c.jsonl", "{\"_id\": \"x\", \"text\": \"x\"}\n"),
    ]);
    let line = [
        "compare",
        "qrels",
        "one.run",
        "two.run",
        "--report",
        "r.html",
        "--queries",
        "q.tsv",
        "--documents",
        "c.jsonl",
        "--json",
    ];
    let warnings: Value = plackett(folder.path(), &line).expect(0).json()["warnings"].clone();
    let texts = warnings.to_string();
    for piece in [
        "q.tsv: there is no text in it for 1 query (`q`) of the report, which are all",
        "c.jsonl: there is no text in it for 2 documents (`a`, `b`)",
        "q.tsv: line 1 (`nummer`, `inhalt`) is read as a query",
    ] {
        assert!(texts.contains(piece), "{piece}: {texts}");
    }
    let same = ["compare", "qrels", "one.run", "one.run", "--report", "s.html", "--documents", "c.jsonl"];
    let done = plackett(folder.path(), &same).expect(0);
    assert!(done.stderr.contains("--documents: the runs do not differ"), "{}", done.stderr);
}
