//! Texts that are much longer than a model reads: as much of them is tokenised as is read, in bounded memory.

use crate::common::{command, plackett, plackett_with_input};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

fn tiny(name: &str) -> String {
    format!("{}/../plackett-lm/tests/parity/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Words of several lengths, some of them unknown to any vocabulary.
fn words(bytes: usize) -> String {
    let one = "a ranker reads passages, and ties (often) are broken by a rule: \u{e9}t\u{e9} 2024 qwxzzk\n";
    one.replace('\n', " ").repeat(bytes / one.len() + 1)
}

/// Runs to the end and says how many bytes of memory it had at most; `None` where the system does not tell.
pub(crate) fn most_memory(folder: &Path, arguments: &[&str]) -> Option<u64> {
    let mut child =
        command(folder, arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
    let mut most = None;
    let status = loop {
        let told = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = told.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        most = kilobytes.map(|kilobytes| kilobytes << 10).or(most);
        if let Some(status) = child.try_wait().expect("a status") {
            break status;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(status.success(), "{arguments:?}: {status}");
    most
}

/// The beginning of a text decides its vector, however long the text is.
#[test]
fn a_long_text_has_the_vector_of_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let text = words(3 << 20);
    std::fs::write(folder.path().join("long.txt"), format!("{text}\n{}\n", &text[..40_000])).unwrap();
    for model in ["bert", "roberta", "modernbert", "xlm-roberta", "t5"] {
        let model = tiny(model);
        let arguments = ["embed", "--input", "long.txt", "--json", "--model", &model];
        let done = plackett(folder.path(), &arguments).expect(0);
        let found = done.json();
        assert_eq!(found["embeddings"][0]["vector"], found["embeddings"][1]["vector"], "{model}");
        let (long, short) = (&found["truncated"][0], &found["truncated"][1]);
        assert_eq!((&long["estimated"], &short["estimated"]), (&json!(true), &json!(false)), "{model}");
        assert_eq!(long["kept"], short["kept"]);
        // As many tokens a byte as in the part that was counted.
        let [long, short] = [long, short].map(|cut| cut["tokens"].as_f64().unwrap());
        let expected = short * text.len() as f64 / 40_000.0;
        assert!((long / expected - 1.0).abs() < 0.05, "{model}: {long} {expected}");
        assert!(done.stderr.contains("text 1: cut from about"), "{}", done.stderr);
        assert!(done.stderr.contains(&format!("text 2: cut from {short} to")), "{}", done.stderr);
        let warnings = found["warnings"].as_array().unwrap();
        assert!(warnings.iter().any(|w| w.as_str().unwrap().contains("text 1: cut from about")));
    }
}

/// 20 MB in one line took 1.9 GB.
#[test]
fn the_memory_budget_holds_for_a_line_of_20_mb() {
    let folder = tempfile::tempdir().unwrap();
    let text = words(20 << 20);
    std::fs::write(folder.path().join("long.txt"), format!("{text}\n")).unwrap();
    let candidates =
        json!([{"docid": "long", "doc": {"contents": text}}, {"docid": "b", "doc": {"contents": "a rule"}}]);
    let request = json!({"query": {"qid": "q", "text": "how are ties broken"}, "candidates": candidates});
    std::fs::write(folder.path().join("long.jsonl"), format!("{request}\n")).unwrap();
    let mut commands = vec![vec!["embed", "--input", "long.txt"]];
    for method in ["bi-encoder", "late-interaction", "cross-encoder"] {
        commands.push(vec!["rerank", "--max-line-bytes", "64MiB", "--method", method, "long.jsonl"]);
    }
    let (embedder, cross) = (tiny("bert"), tiny("bert-cross"));
    for mut arguments in commands {
        let model = if arguments.contains(&"cross-encoder") { &cross } else { &embedder };
        arguments.extend(["--model", model, "--memory-budget", "500MB", "--threads", "2"]);
        let Some(most) = most_memory(folder.path(), &arguments) else {
            println!("skipped: this system does not tell how much memory a process has");
            return;
        };
        assert!(most < 500_000_000, "{arguments:?}: {most} bytes");
    }
}

/// All of a long text is read in pieces, and the best of them speaks for it.
#[test]
fn pieces_of_a_long_text_are_all_read() {
    let folder = tempfile::tempdir().unwrap();
    let filler = words(150 << 10);
    let needle = "quick brown foxes jump over lazy dogs";
    let text = format!("{filler}{needle} {filler}");
    let candidates = json!([{"docid": "long", "doc": {"contents": text}}, {"docid": "short", "doc": {"contents": needle}}]);
    let request = json!({"query": {"qid": "q", "text": needle}, "candidates": candidates});
    let (embedder, cross) = (tiny("bert"), tiny("bert-cross"));
    for (method, model) in
        [("bi-encoder", &embedder), ("late-interaction", &embedder), ("cross-encoder", &cross)]
    {
        let flags = ["--long-text", "chunk-max", "--chunk-size", "60", "--json", "-"];
        let arguments = [&["rerank", "--method", method, "--model", model][..], &flags].concat();
        let found = plackett_with_input(folder.path(), &arguments, &format!("{request}\n")).expect(0).json();
        let trace = &found["results"][0]["trace"];
        let chunks: usize = trace["facts"]["chunks:long"].as_str().unwrap().parse().unwrap();
        // Every token is read, most of them once.
        assert!(trace["prompt_tokens"].as_u64().unwrap() as usize > chunks * 30 && chunks > 1000, "{method}");
        assert_eq!(trace["truncated"], json!([]), "{method}");
        assert_eq!(
            trace["passes"].as_u64().unwrap() as usize,
            chunks + 1 + usize::from(method != "cross-encoder")
        );
    }
    let refuse = ["rerank", "--method", "bi-encoder", "--long-text", "refuse", "--model", &embedder, "-"];
    let done = plackett_with_input(folder.path(), &refuse, &format!("{request}\n")).expect(2);
    assert!(done.stderr.contains("document `long` has about "), "{}", done.stderr);
}

/// A prompt that does not fit is refused without being tokenised whole; what the policy of chunks cannot follow is refused
/// by its flag.
#[test]
fn prompts_and_chunks_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("prompt.txt"), words(1 << 20)).unwrap();
    let decoder = format!("{}/../plackett-lm/tests/golden/decoder/llama", env!("CARGO_MANIFEST_DIR"));
    let done = plackett(folder.path(), &["generate", "--model", &decoder, "--file", "prompt.txt"]).expect(2);
    assert!(
        done.stderr.contains("prompt.txt, line 1: about ") && done.stderr.contains("positions"),
        "{}",
        done.stderr
    );
    for (flags, said) in [
        (["--chunk-size", "0", "--chunk-stride", "1"], "--chunk-size 0"),
        (["--chunk-size", "9", "--chunk-stride", "10"], "--chunk-stride 10"),
    ] {
        let arguments = [&["rerank", "--method", "bi-encoder", "--long-text", "chunk-max", "-"][..], &flags];
        let done = plackett(folder.path(), &arguments.concat()).expect(2);
        assert!(done.stderr.contains(said), "{}", done.stderr);
    }
    let gaps = "bi-encoder(long=\"chunk-max(size=10,stride=50)\")";
    let said = plackett(folder.path(), &["rerank", "--method", gaps, "-"]).expect(2).stderr;
    assert!(said.contains("give a stride of 10 or less"), "{said}");
    let flags =
        ["rerank", "--method", "bi-encoder", "--long-text", "chunk-max(stride=50)", "--chunk-size", "10"];
    let said = plackett(folder.path(), &[&flags[..], &["-"]].concat()).expect(2).stderr;
    assert!(said.contains("--long-text: stride 50"), "{said}");
}

/// Pieces that are longer than the model reads are as long as it reads, and the trace says so.
#[test]
fn the_size_of_pieces_that_a_model_has_no_room_for_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let candidates = json!([{"docid": "d", "doc": {"contents": "broken by a rule"}}]);
    let request = json!({"query": {"qid": "q", "text": "ties"}, "candidates": candidates});
    let facts = |method: &str, model: &str, size: &str| {
        let flags = ["rerank", "--method", method, "--model", model, "--long-text", "chunk-max"];
        let arguments = [&flags[..], &["--chunk-size", size, "--json", "-"]].concat();
        let done = plackett_with_input(folder.path(), &arguments, &format!("{request}\n")).expect(0).json();
        done["results"][0]["trace"]["facts"]["long-text:effective"].clone()
    };
    for (method, model) in [("bi-encoder", tiny("bert")), ("cross-encoder", tiny("bert-cross"))] {
        let said = facts(method, &model, "100000");
        assert!(said.as_str().unwrap().contains("the model has no room for more"), "{said}");
        assert_eq!(facts(method, &model, "8"), Value::Null);
    }
}

/// Blanks that no model reads do not keep what comes after them from being read, up to a megabyte of them.
#[test]
fn blanks_before_a_text_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let model = tiny("bert");
    let embed = |text: &str| {
        let arguments = ["embed", "--input", "-", "--json", "--model", &model];
        plackett_with_input(folder.path(), &arguments, &format!("{text}\n")).expect(0).json()
    };
    let vector = |found: &Value| found["embeddings"][0]["vector"].clone();
    let plain = embed("a rule");
    assert_eq!(vector(&embed(&format!("{}a rule", " ".repeat(300 << 10)))), vector(&plain));
    let beyond = embed(&format!("{}a rule", " ".repeat(3 << 20)));
    assert_eq!(beyond["truncated"][0]["estimated"], true, "what was not read is said");
    let word = embed(&"x".repeat(3 << 20));
    let said = word["warnings"][0].as_str().unwrap();
    assert!(said.contains("no more than its beginning was read") && !said.contains("cut from"), "{said}");
    assert_eq!(vector(&beyond), Value::Null);
}
