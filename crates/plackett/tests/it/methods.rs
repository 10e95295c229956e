//! `plackett method`, and methods with prompts on the command line.

use crate::common::{plackett, plackett_with_input};
use serde_json::Value;

fn decoder() -> String {
    format!("{}/../plackett-lm/tests/golden/decoder/llama", env!("CARGO_MANIFEST_DIR"))
}

fn requests() -> String {
    let one = |qid: &str| {
        format!(
            r#"{{"query": {{"qid": "{qid}", "text": "how are ties broken"}}, "candidates": [{{"docid": "a", "text": "a ranker reads passages"}}, {{"docid": "b", "text": "ties are broken by a rule"}}]}}"#
        )
    };
    format!("{}\n{}\n", one("q1"), one("q2"))
}

#[test]
fn methods_are_listed_and_described() {
    let folder = tempfile::tempdir().unwrap();
    let listed = plackett(folder.path(), &["method", "list", "--json"]).expect(0).json();
    let methods = listed["methods"].as_array().unwrap();
    for method in methods {
        for field in ["name", "aliases", "paper", "options"] {
            assert!(!method[field].is_null(), "{field}");
        }
    }
    assert!(methods.iter().any(|method| method["name"] == "query-likelihood"));
    let text = plackett(folder.path(), &["method", "list"]).expect(0).stdout;
    assert!(text.contains("yes-no") && text.contains("late-interaction"), "{text}");
    let shown = plackett(folder.path(), &["method", "show", "ql"]).expect(0).stdout;
    assert!(shown.contains("query-likelihood@") && shown.contains("words"), "{shown}");
    let shown = plackett(folder.path(), &["method", "show", "yes-no", "--json"]).expect(0).json();
    assert_eq!(shown["method"]["name"], "yes-no");
    let unknown = plackett(folder.path(), &["method", "show", "yesno"]).expect(2).stderr;
    assert!(unknown.contains("did you mean `yes-no`?"), "{unknown}");
    let help = plackett(folder.path(), &["rerank", "--help"]).expect(0).stdout;
    assert!(help.contains("query-likelihood") && help.contains("--fallback"), "{help}");
}

#[test]
fn every_prompt_and_its_answer_are_written() {
    let (folder, model) = (tempfile::tempdir().unwrap(), decoder());
    let method = "query-likelihood(words=3)";
    let arguments =
        ["rerank", "--method", method, "--model", &model, "--trace", "calls.jsonl", "--json", "-"];
    let done = plackett_with_input(folder.path(), &arguments, &requests()).expect(0).json();
    for result in done["results"].as_array().unwrap() {
        let trace = &result["trace"];
        assert_eq!((trace["status"].as_str(), trace["passes"].as_u64()), (Some("ranked"), Some(2)));
        assert!(trace["facts"]["prompt"].as_str().unwrap().starts_with("query-likelihood@"));
        assert_eq!(trace["truncated"].as_array().unwrap().len(), 2, "four and six words are cut to three");
    }
    let lines = std::fs::read_to_string(folder.path().join("calls.jsonl")).unwrap();
    let calls: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let queries: Vec<&str> = calls.iter().map(|call| call["query_id"].as_str().unwrap()).collect();
    assert_eq!(queries, ["q1", "q1", "q2", "q2"]);
    assert_eq!(
        calls[0]["prompt"]["text"],
        "Passage: a ranker reads\nPlease write a question based on this passage.\nQuestion:"
    );
    assert_eq!(calls[0]["asked"]["continuation"], " how are ties broken");
    assert!(calls[0]["answer"]["log_prob"].as_f64().unwrap() < 0.0);
    assert!(calls[0]["usage"]["prompt_tokens"].as_u64().unwrap() > 10);
}

#[test]
fn another_method_stands_in_only_when_asked() {
    let (folder, model) = (tempfile::tempdir().unwrap(), decoder());
    // " Yes" is no single token of the tiny model.
    let rerank = |more: &[&str]| {
        let arguments =
            [&["rerank", "--method", "yes-no", "--model", &model, "--format", "jsonl"], more, &["-"]]
                .concat();
        plackett_with_input(folder.path(), &arguments, &requests())
    };
    let failed = rerank(&[]).expect(2);
    assert!(failed.stderr.contains("the label \" Yes\"") && failed.stdout.is_empty(), "{}", failed.stderr);
    let done = rerank(&["--fallback", "input-order"]).expect(0);
    for line in done.stdout.lines() {
        let result: Value = serde_json::from_str(line).unwrap();
        assert_eq!(result["trace"]["status"], "fallback:input-order");
        assert_eq!(result["ranking"][0]["id"], "a");
        assert!(result["trace"]["facts"]["fallback-because"].as_str().unwrap().contains("label"));
    }
    let method = format!("query-likelihood(model={model})");
    let done = rerank(&["--fallback", &method, "--fallback", "input-order"]).expect(0);
    let result: Value = serde_json::from_str(done.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(result["trace"]["status"], format!("fallback:{method}"));
}
