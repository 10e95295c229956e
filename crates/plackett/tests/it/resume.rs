//! Kills, dying servers, and runs that go on.

use crate::common::{Done, command, plackett, plackett_with_input};
use crate::remote::mock::{Answer, Mock, lengths};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plackett-lm/tests/golden/decoder/llama");

/// Requests with the queries `question 0`, `question 1` …, some documents of which they share.
fn requests(count: usize) -> String {
    let one = |n: usize| {
        let document = |d: usize| json!({"docid": format!("d{d}"), "text": format!("passage {} {}", (n + d) % 7, "x".repeat(n * d % 5))});
        let candidates: Vec<_> = (0..3).map(document).collect();
        format!(
            "{}\n",
            json!({"query": {"qid": format!("q{n}"), "text": format!("question {n}")}, "candidates": candidates})
        )
    };
    (0..count).map(one).collect()
}

/// Ids of the queries that are kept in the file of an unfinished run.
fn kept(folder: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(folder.join("out.jsonl.unfinished")).unwrap_or_default();
    let whole = text.lines().skip(1).filter_map(|line| serde_json::from_str(line.split_once(' ')?.1).ok());
    let id = |line: serde_json::Value| line["answer"]["ranking"]["query_id"].as_str().unwrap().to_string();
    whole.map(id).collect()
}

fn rerank(folder: &Path, how: &[&str], output: &str, more: &[&str]) -> Done {
    plackett(folder, &[&["rerank", "requests.jsonl", "--output", output], how, more].concat())
}

/// Starts the run, kills it as soon as `now` says so, and says whether it was still alive.
fn killed(folder: &Path, how: &[&str], now: impl Fn() -> bool) -> bool {
    let arguments = [&["rerank", "requests.jsonl", "--output", "out.jsonl"], how].concat();
    let quiet = || Stdio::null();
    let mut child =
        command(folder, &arguments).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn().unwrap();
    let start = Instant::now();
    while !now() && child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_secs(120), "the moment never came");
        std::thread::sleep(Duration::from_millis(1));
    }
    let alive = child.try_wait().unwrap().is_none();
    // On Unix this is signal 9.
    child.kill().unwrap();
    child.wait().unwrap();
    alive
}

fn asked(mock: &Mock, from: usize) -> Vec<String> {
    let query =
        |seen: &crate::remote::mock::Seen| seen.body["query"].as_str().unwrap().replace("question ", "q");
    mock.seen().iter().skip(from).map(query).collect()
}

#[test]
fn a_kill_at_any_moment_loses_no_finished_query() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("requests.jsonl"), requests(20)).unwrap();
    let mock = Mock::start(|_, seen| Answer { delay: Duration::from_millis(15), ..lengths(seen) });
    let model = format!("remote:{}/rerank#in_flight=2", mock.url);
    let how = ["--method", "cross-encoder", "--model", &model];
    rerank(at, &how, "whole.jsonl", &[]).expect(0);
    let whole = std::fs::read(at.join("whole.jsonl")).unwrap();
    for moment in [1, 7, 9, 12, 18] {
        let before = mock.count();
        assert!(killed(at, &how, || mock.count() >= before + moment));
        assert!(!at.join("out.jsonl").exists());
        let finished = kept(at);
        assert!(finished.len() >= (moment - 1) / 8 * 8, "{moment}: {finished:?}");
        // What the killed process had sent may still arrive.
        let mut unasked = mock.count();
        loop {
            std::thread::sleep(Duration::from_millis(300));
            match mock.count() {
                count if count == unasked => break,
                count => unasked = count,
            }
        }
        let done = rerank(at, &how, "out.jsonl", &["--resume"]).expect(0);
        assert!(
            done.stderr.contains(&format!("{} requests were finished", finished.len())),
            "{}",
            done.stderr
        );
        let again = asked(&mock, unasked);
        assert_eq!(again.len(), 20 - finished.len(), "{moment}");
        assert!(again.iter().all(|query| !finished.contains(query)), "{moment}: {again:?}");
        assert_eq!(std::fs::read(at.join("out.jsonl")).unwrap(), whole, "{moment}");
        assert!(!at.join("out.jsonl.unfinished").exists());
        std::fs::remove_file(at.join("out.jsonl")).unwrap();
    }
}

#[test]
fn a_server_that_dies_loses_no_finished_query() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("requests.jsonl"), requests(20)).unwrap();
    for dies_after in [0, 3, 11] {
        let (dead, answered) =
            (Arc::new(AtomicBool::new(false)), Arc::new(std::sync::Mutex::new(Vec::new())));
        let (state, log) = (dead.clone(), answered.clone());
        let mock = Mock::start(move |_, seen| {
            let mut log = log.lock().unwrap();
            if log.len() == dies_after {
                // From now on nobody answers, until it is started again.
                state.store(true, Ordering::Relaxed);
                log.push(String::new());
            }
            if state.load(Ordering::Relaxed) {
                return Answer { silent: true, ..Answer::default() };
            }
            log.push(seen.body["query"].as_str().unwrap().to_string());
            lengths(seen)
        });
        let model = format!("remote:{}/rerank#in_flight=2,attempts=1", mock.url);
        let how = ["--method", "cross-encoder", "--model", &model];
        let done = rerank(at, &how, "out.jsonl", &[]).expect(3);
        assert!(
            done.stderr.contains("--resume goes on") && !at.join("out.jsonl").exists(),
            "{}",
            done.stderr
        );
        let finished = kept(at);
        assert_eq!(finished.len(), dies_after, "{}", done.stderr);
        assert!(done.stderr.contains(&format!("{dies_after} finished requests")), "{}", done.stderr);
        // Still dead: nothing is lost by trying.
        rerank(at, &how, "out.jsonl", &["--resume"]).expect(3);
        assert_eq!(kept(at), finished);
        dead.store(false, Ordering::Relaxed);
        rerank(at, &how, "out.jsonl", &["--resume"]).expect(0);
        let mut log: Vec<String> =
            answered.lock().unwrap().iter().filter(|q| !q.is_empty()).cloned().collect();
        assert_eq!(log.len(), 20, "each query is answered once: {log:?}");
        log.sort();
        log.dedup();
        assert_eq!(log.len(), 20);
        rerank(at, &how, "whole.jsonl", &[]).expect(0);
        let read = |name: &str| std::fs::read_to_string(at.join(name)).unwrap();
        assert_eq!(read("out.jsonl"), read("whole.jsonl"), "{dies_after}");
        std::fs::remove_file(at.join("out.jsonl")).unwrap();
    }
}

#[test]
fn local_models_go_on_with_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("requests.jsonl"), requests(160)).unwrap();
    let how = ["--method", "query-likelihood", "--model", TINY];
    rerank(at, &how, "whole.jsonl", &[]).expect(0);
    let whole = std::fs::read(at.join("whole.jsonl")).unwrap();
    for least in [8, 40] {
        assert!(killed(at, &how, || kept(at).len() >= least), "it had ended before it could be killed");
        let finished = kept(at).len();
        assert!(finished >= least && finished.is_multiple_of(8), "{finished}");
        let again = rerank(at, &how, "out.jsonl", &[]).expect(2);
        assert!(
            again.stderr.contains("--resume") && again.stderr.contains(&finished.to_string()),
            "{}",
            again.stderr
        );
        rerank(at, &how, "out.jsonl", &["--resume"]).expect(0);
        assert!(std::fs::read(at.join("out.jsonl")).unwrap() == whole, "{least}");
        std::fs::remove_file(at.join("out.jsonl")).unwrap();
    }
}

#[test]
fn only_the_same_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("requests.jsonl"), requests(3)).unwrap();
    // Nobody listens there.
    let model = "remote:http://127.0.0.1:9/rerank#attempts=1";
    let how = ["--method", "cross-encoder", "--model", model];
    let none = rerank(at, &how, "out.jsonl", &["--resume"]).expect(2);
    assert!(none.stderr.contains("there is no out.jsonl.unfinished"), "{}", none.stderr);
    rerank(at, &how, "out.jsonl", &[]).expect(3);
    let refused = |how: &[&str], more: &[&str], words: &str| {
        let done = rerank(at, how, "out.jsonl", &[&["--resume"], more].concat()).expect(2);
        assert!(
            done.stderr.contains(words) && done.stderr.contains("other settings"),
            "{words}: {}",
            done.stderr
        );
    };
    refused(&how, &["-k", "1"], "--top-k was not given, and is `1`");
    refused(&how, &["--format", "trec"], "--format was not given, and is `trec`");
    refused(&["--method", "bi-encoder"], &[], "--method was `cross-encoder`, and is `bi-encoder`");
    std::fs::write(at.join("requests.jsonl"), requests(4)).unwrap();
    refused(&how, &[], "FILE `requests.jsonl` has changed");
    std::fs::write(at.join("requests.jsonl"), requests(3)).unwrap();
    rerank(at, &how, "out.jsonl", &["--resume"]).expect(3);
    let text = std::fs::read_to_string(at.join("out.jsonl.unfinished")).unwrap();
    std::fs::write(at.join("out.jsonl.unfinished"), text.replace("cross-encoder", "bi-encoder")).unwrap();
    let done = rerank(at, &how, "out.jsonl", &["--resume"]).expect(2);
    assert!(done.stderr.contains("first line is damaged"), "{}", done.stderr);
}

/// Three files of a run, of which any may come from a stream.
fn prepare_run(at: &Path) {
    std::fs::write(at.join("run"), "q Q0 a 1 2.0 x\nq Q0 b 2 1.0 x\n").unwrap();
    std::fs::write(at.join("q.tsv"), "q\tcats\n").unwrap();
    let documents = [json!({"_id": "a", "text": "a dog"}), json!({"_id": "b", "text": "two cats"})];
    std::fs::write(at.join("c.jsonl"), documents.map(|document| format!("{document}\n")).concat()).unwrap();
}

#[test]
fn no_run_goes_on_with_an_input_that_is_a_stream() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepare_run(at);
    let files = ["--run", "run", "--queries", "q.tsv", "--documents", "c.jsonl"];
    for place in [1, 3, 5] {
        let mut arguments = vec!["rerank", "--method", "bi-encoder", "--output", "out"];
        let mut given = files;
        given[place] = "-";
        arguments.extend(given);
        let input = std::fs::read_to_string(at.join(files[place])).unwrap();
        let done = plackett_with_input(at, &arguments, &input).expect(0);
        let stream = format!("{} - is standard input or a pipe", files[place - 1]);
        assert!(done.stderr.contains(&stream), "{}", done.stderr);
        let manifest = std::fs::read_to_string(at.join("out.manifest.json")).unwrap();
        let found: serde_json::Value = serde_json::from_str(&manifest).unwrap();
        let inputs = found["inputs"].as_array().unwrap();
        let unknown: Vec<&str> = inputs
            .iter()
            .filter(|input| input["sha256"].is_null())
            .map(|input| input["flag"].as_str().unwrap())
            .collect();
        assert_eq!(unknown, [files[place - 1]]);
        // Another input would have been taken for the one of the run that was begun.
        arguments.push("--resume");
        let done = plackett_with_input(at, &arguments, &input).expect(2);
        assert!(done.stderr.contains(&format!("--resume: {stream}")), "{}", done.stderr);
        let done = plackett(at, &["replay", "out.manifest.json"]).expect(2);
        assert!(done.stderr.contains("standard input or a pipe"), "{}", done.stderr);
    }
}

#[cfg(unix)]
#[test]
fn what_comes_through_a_pipe_is_ranked_and_not_only_hashed() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepare_run(at);
    let arguments = ["rerank", "--method", "bi-encoder", "/dev/stdin", "--output", "out.jsonl"];
    let done = plackett_with_input(at, &arguments, &requests(3)).expect(0);
    assert!(done.stderr.contains("FILE /dev/stdin is standard input or a pipe"), "{}", done.stderr);
    assert_eq!(std::fs::read_to_string(at.join("out.jsonl")).unwrap().lines().count(), 3);
    assert!(!at.join("out.jsonl.unfinished").exists());
    let run = ["rerank", "--method", "bi-encoder", "--queries", "q.tsv", "--documents", "c.jsonl"];
    let piped = [&run[..], &["--run", "/dev/stdin", "--output", "out.trec"]].concat();
    plackett_with_input(at, &piped, "q Q0 a 1 2.0 x\nq Q0 b 2 1.0 x\n").expect(0);
    assert_eq!(std::fs::read_to_string(at.join("out.trec")).unwrap().lines().count(), 2);
    let twice = ["rerank", "--method", "bi-encoder", "--queries", "-", "--documents", "c.jsonl"];
    let twice = [&twice[..], &["--run", "/dev/stdin"]].concat();
    let done = plackett_with_input(at, &twice, "q\tcats\n").expect(2);
    assert!(done.stderr.contains("given for --run and for --queries"), "{}", done.stderr);
}

#[test]
fn a_trace_is_gone_on_with_only_when_the_run_is() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("requests.jsonl"), requests(2)).unwrap();
    std::fs::write(at.join("notes.txt"), "kept\nhalf").unwrap();
    let model = "remote:http://127.0.0.1:9/v1/completions#m,attempts=1";
    let how = ["--pipeline", "prp-allpair(mode=generation)", "--model", model];
    rerank(at, &how, "out.jsonl", &[]).expect(3);
    let trace = ["--resume", "--trace", "notes.txt"];
    let notes = || std::fs::read_to_string(at.join("notes.txt")).unwrap();
    let done = rerank(at, &how, "out.jsonl", &[&trace[..], &["-k", "1"]].concat()).expect(2);
    assert!(done.stderr.contains("other settings"), "{}", done.stderr);
    assert_eq!(notes(), "kept\nhalf", "a refused command leaves the file alone");
    rerank(at, &how, "out.jsonl", &trace).expect(3);
    assert!(notes().starts_with("kept\n") && !notes().contains("half"), "{}", notes());
}

#[test]
fn damage_in_what_a_budget_allowed_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("requests.jsonl"), requests(2)).unwrap();
    let how = ["--method", "cross-encoder", "--model", "remote:http://127.0.0.1:9/rerank#attempts=1"];
    rerank(at, &how, "out.jsonl", &[]).expect(3);
    let kept = at.join("out.jsonl.unfinished");
    let (_, head) = std::fs::read_to_string(&kept).unwrap().trim().split_once(' ').map(own).unwrap();
    for (chosen, words) in [
        (json!({"method": "cross-encoder"}), "missing field `depth`"),
        (json!({"method": "cross-encoder", "depth": 0}), "depth 0: a whole number from 1"),
        (json!({"method": "bi-encoder >> cross-encoder", "depth": 2}), "one method with its options"),
    ] {
        let mut settings: serde_json::Value = serde_json::from_str(&head).unwrap();
        settings["arguments"]["chosen"] = chosen;
        let text = settings.to_string();
        let hash = plackett_lm::sha256::hex_digest(&text);
        std::fs::write(&kept, format!("{} {text}\n", &hash[..16])).unwrap();
        let done = rerank(at, &how, "out.jsonl", &["--resume"]).expect(2);
        let said = [words, "out.jsonl.unfinished", "what the budget allowed"];
        assert!(said.iter().all(|piece| done.stderr.contains(piece)), "{words}: {}", done.stderr);
    }
}

fn own((hash, text): (&str, &str)) -> (String, String) {
    (hash.to_string(), text.to_string())
}

#[test]
fn standard_input_can_be_ranked_into_a_file_but_not_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let arguments = ["rerank", "--method", "bi-encoder", "-", "--output", "out.jsonl"];
    let done = plackett_with_input(at, &arguments, &requests(2)).expect(0);
    assert!(done.stderr.contains("cannot be read again"), "{}", done.stderr);
    assert_eq!(std::fs::read_to_string(at.join("out.jsonl")).unwrap().lines().count(), 2);
    let done = plackett_with_input(at, &[&arguments[..], &["--resume"]].concat(), "").expect(2);
    assert!(done.stderr.contains("standard input"), "{}", done.stderr);
    let done = plackett(at, &["replay", "out.jsonl.manifest.json"]).expect(2);
    assert!(done.stderr.contains("standard input"), "{}", done.stderr);
}
