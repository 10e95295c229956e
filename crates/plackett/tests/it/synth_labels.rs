//! `plackett synth labels`: scores of a teacher, answers to several orders, runs that go on, and flags without effect.

use crate::common::{Done, plackett};
use crate::remote::mock::{Answer, Mock, lengths};
use crate::train::{examples, one_best, training, write};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plackett-lm/tests/parity/bert");

fn label(folder: &Path, how: &[&str], more: &[&str]) -> Done {
    plackett(folder, &[&["synth", "labels", "lists.jsonl", "-o", "train.jsonl"], how, more].concat())
}

fn lines(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("train.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A list of texts without labels, as a request.
fn request(texts: &[&str]) -> String {
    format!("{}\n", json!({"query": "which one?", "candidates": texts}))
}

#[test]
fn scores_of_a_server_are_learned_by_a_student() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "lists.jsonl", &examples(one_best));
    let mock = Mock::start(|_, seen| lengths(seen));
    let model = format!("remote:{}/rerank", mock.url);
    let told = label(folder, &["--method", "cross-encoder", "--model", &model], &["--json"]).expect(0).json();
    let counts = [("lists", 4), ("written", 4), ("failed", 0), ("unlabelled", 0), ("resumed", 0)];
    for (name, count) in counts {
        assert_eq!(told[name], count, "{name}: {told}");
    }
    assert_eq!(told["agreement"], Value::Null);
    let lists = lines(folder);
    for candidate in lists[2]["candidates"].as_array().unwrap() {
        let length = candidate["text"].as_str().unwrap().len() as f64;
        assert_eq!(candidate["teacher"], length, "{candidate}");
    }
    let candidates = lists[2]["candidates"].as_array().unwrap();
    let labels: Vec<f64> = candidates.iter().map(|own| own["label"].as_f64().unwrap()).collect();
    assert_eq!(labels, [0.0, 0.0, 1.0, 0.0]);
    assert!(!folder.join("train.jsonl.unfinished").exists());
    let rest = "objective = \"kl-distillation\"\ntokens = 16\n[settings]\nsteps = 2\nbatch = 2\n";
    write(folder, "t.toml", &training(TINY, rest));
    plackett(folder, &["train", "t.toml", "-o", "student"]).expect(0);
}

/// Says that the albatross is better than the badger wherever it stands, and of other lists that the first one is best.
fn biased() -> Mock {
    Mock::start(|_, seen| {
        let body = seen.body.to_string();
        let both = body.find("albatross").zip(body.find("badger"));
        let is_second = both.is_some_and(|(albatross, badger)| badger < albatross);
        let order = if is_second { "[2] > [1]" } else { "[1] > [2]" };
        let message = json!({"role": "assistant", "content": order});
        let choice = json!({"message": message, "finish_reason": "stop", "index": 0});
        let usage = json!({"prompt_tokens": 9, "completion_tokens": 5});
        Answer::ok(json!({"choices": [choice], "usage": usage}).to_string())
    })
}

#[test]
fn lists_are_asked_about_in_several_orders_and_left_out_where_answers_disagree() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "lists.jsonl", &(request(&["badger", "albatross"]) + &request(&["cat", "dog"])));
    let mock = biased();
    let model = format!("remote:{}/v1/chat/completions#m", mock.url);
    let how = ["--method", "listwise(mode=free, max-tokens=9)", "--model", &model, "--repeats", "16"];
    let told = label(folder, &how, &["--json"]).expect(0).json();
    assert_eq!((&told["written"], &told["unlabelled"]), (&json!(2), &json!(4)), "{told}");
    let agreement = told["agreement"].as_f64().unwrap();
    assert!((-0.2..1.0).contains(&agreement), "{agreement}");
    assert!(told["warnings"].to_string().contains("4 candidates have no `label` and get 0"), "{told}");
    let first = |lists: &[Value]| lists[0]["candidates"].clone();
    let expected = json!([
        {"docid": "1", "text": "badger", "label": 0.0, "teacher": 1.0},
        {"docid": "2", "text": "albatross", "label": 0.0, "teacher": 2.0},
    ]);
    assert_eq!(first(&lines(folder)), expected);
    let told = label(folder, &how, &["--agreement", "0.99", "--json"]).expect(0).json();
    assert_eq!((&told["written"], &told["disagreed"]), (&json!(1), &json!(1)), "{told}");
    assert_eq!((lines(folder).len(), first(&lines(folder))), (1, expected));
}

#[test]
fn a_server_that_dies_loses_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let list = |n: usize| {
        let query = format!("question {n}");
        let candidates = ["x".repeat(n + 1), "y".to_string()];
        format!("{}\n", json!({"query": query, "candidates": candidates}))
    };
    write(folder, "lists.jsonl", &(0..10).map(list).collect::<String>());
    let (dead, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (state, count) = (dead.clone(), answered.clone());
    let mock = Mock::start(move |_, seen| {
        if count.load(Ordering::SeqCst) == 3 {
            state.store(true, Ordering::SeqCst);
        }
        if state.load(Ordering::SeqCst) {
            return Answer { silent: true, ..Answer::default() };
        }
        count.fetch_add(1, Ordering::SeqCst);
        lengths(seen)
    });
    let model = format!("remote:{}/rerank#in_flight=1,attempts=1", mock.url);
    let how = ["--method", "cross-encoder", "--model", &model];
    let done = label(folder, &how, &[]).expect(3);
    assert!(done.stderr.contains("3 answers kept in train.jsonl.unfinished"), "{}", done.stderr);
    assert!(done.stderr.contains("the same command goes on") && !folder.join("train.jsonl").exists());
    let other = label(folder, &["--method", "bi-encoder", "--offline"], &[]).expect(2);
    for piece in ["other settings has left 3 finished requests", "--method was `cross-encoder`"] {
        assert!(other.stderr.contains(piece), "{piece}: {}", other.stderr);
    }
    // Past the number at which it dies.
    answered.store(4, Ordering::SeqCst);
    dead.store(false, Ordering::SeqCst);
    let told = label(folder, &how, &["--json"]).expect(0).json();
    assert_eq!((&told["resumed"], &told["written"]), (&json!(3), &json!(10)), "{told}");
    assert_eq!(answered.load(Ordering::SeqCst), 4 + 7, "each list is answered once");
    let scores: Vec<f64> =
        lines(folder).iter().map(|list| list["candidates"][0]["teacher"].as_f64().unwrap()).collect();
    assert_eq!(scores, (1..=10).map(f64::from).collect::<Vec<_>>());
}

#[test]
fn lists_that_cannot_be_labelled_are_counted_and_flags_without_effect_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let bad = "{\"query\": \"q\", \"candidates\": []}\n{\"query\": \"q\"}\n\
               {\"query\": \"q\", \"candidates\": [{\"text\": \"a\", \"label\": \"2\"}]}\n";
    write(folder, "lists.jsonl", &(request(&["a cat", "a dog"]) + bad));
    let done = label(folder, &["--method", "bi-encoder", "--offline"], &["--json"]).expect(1);
    let told = done.json();
    let counts = ["lists", "written", "failed"].map(|name| told[name].as_u64());
    assert_eq!(counts, [Some(4), Some(1), Some(3)], "{told}");
    let errors = told["errors"].to_string();
    for said in ["line 2: there are no candidates", "line 3", "line 4: `label` of candidate 1 is no number"] {
        assert!(errors.contains(said), "{said}: {errors}");
    }
    for (how, piece) in [
        (&["--method", "bi-encoder", "--seed", "2"][..], "--seed: each list is asked about once"),
        (&["--method", "bi-encoder", "--agreement", "0.5"], "--agreement: each list is asked about once"),
        (&["--method", "bi-encoder", "--repeats", "3"], "bi-encoder looks at each candidate by itself"),
        (&["--method", "bi-encoder:3"], "which scores all candidates"),
        (&["--method", "bi-encoder >> late-interaction"], "one method is expected"),
        (&["--method", "bm25"], "is not a reranking method"),
    ] {
        let done = label(folder, how, &["--offline"]).expect(2);
        assert!(done.stderr.contains(piece), "{how:?}: {}", done.stderr);
    }
}
