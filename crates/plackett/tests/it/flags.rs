//! Flags of the commands that run models: what they cannot be is said by the flag and its value, what has no effect is
//! refused, and every remark is in `warnings`.

use crate::common::{Done, plackett, plackett_with_input};
use serde_json::{Value, json};
use std::path::Path;

fn tests(path: &str) -> String {
    format!("{}/../plackett-lm/tests/{path}", env!("CARGO_MANIFEST_DIR"))
}

fn decoder() -> String {
    tests("golden/decoder/llama")
}

fn run(line: &str, model: &str) -> Done {
    let mut arguments: Vec<&str> = line.split(' ').collect();
    arguments.extend(["--model", model]);
    plackett(Path::new("."), &arguments)
}

fn warnings(done: &Done) -> Vec<String> {
    let found = done.json()["warnings"].clone();
    let texts: Vec<String> =
        found.as_array().unwrap().iter().map(|w| w.as_str().unwrap().to_string()).collect();
    for text in &texts {
        assert!(done.stderr.contains(text), "{text} is not in {}", done.stderr);
    }
    texts
}

#[test]
fn temperature_0_is_the_most_probable_token_each_time() {
    let model = decoder();
    let greedy = run("generate cats --max-tokens 8", &model).expect(0).stdout;
    for flags in ["--temperature 0", "--sample --temperature 0", "--temperature 0.0 --results 1"] {
        assert_eq!(run(&format!("generate cats --max-tokens 8 {flags}"), &model).expect(0).stdout, greedy);
    }
}

/// Every message names the flag and its value, and none has words of the library.
#[test]
fn flags_of_generate_are_refused_by_name_and_value() {
    let model = decoder();
    for (flags, pieces) in [
        ("--beams 0", ["--beams 0", "from 1"]),
        ("--beams 99999", ["--beams 99999", "to 10000"]),
        ("--beams 4 --diverse 3", ["--diverse 3", "--beams 4"]),
        ("--beams 4 --diverse 0", ["--diverse 0", "from 1"]),
        ("--beams 4 --diverse 2 --diversity -1", ["--diversity -1", "from 0"]),
        ("--beams 4 --length-penalty -0.5", ["--length-penalty -0.5", "from 0"]),
        ("--beams 4 --length-penalty NaN", ["--length-penalty NaN", "from 0"]),
        ("--sample --samples 0", ["--samples 0", "from 1"]),
        ("--sample --temperature -1", ["--temperature -1", "0 for the most probable token"]),
        ("--sample --temperature inf", ["--temperature inf", "0 for the most probable token"]),
        ("--sample --top-k 0", ["--top-k 0", "from 1"]),
        ("--sample --top-p 0", ["--top-p 0", "up to 1"]),
        ("--sample --top-p 1.5", ["--top-p 1.5", "up to 1"]),
        ("--max-tokens 0", ["--max-tokens 0", "from 1"]),
        ("--results 0", ["--results 0", "from 1"]),
        ("--scores 2 --max-score 0", ["--max-score 0", "from 1"]),
        ("--scores 0", ["--scores 0", "from 1"]),
        ("--permutation 0", ["--permutation 0", "from 1"]),
        ("--stop=", ["--stop", "leave it out"]),
        ("--choose=", ["--choose", "empty"]),
    ] {
        let done = run(&format!("generate a {flags}"), &model).expect(2);
        for piece in pieces {
            assert!(done.stderr.contains(piece), "{flags}: `{piece}` is not in {}", done.stderr);
        }
        for word in ["Strategy", "top_k", "top_p", "max_tokens", "beam of width"] {
            assert!(!done.stderr.contains(word), "{flags}: {}", done.stderr);
        }
    }
}

#[test]
fn flags_without_effect_are_refused() {
    let (decoder, embedder) = (decoder(), tests("parity/bert"));
    for (line, model, pieces) in [
        ("generate a --seed 7", &decoder, ["--sample", ""]),
        ("generate a --samples 2", &decoder, ["--sample", ""]),
        ("generate a --top-k 2", &decoder, ["--sample", ""]),
        ("generate a --temperature 0.7", &decoder, ["--temperature 0.7", "--sample"]),
        ("generate a --temperature 0 --beams 2", &decoder, ["--temperature", "--beams"]),
        ("generate a --sample --temperature 0 --seed 7", &decoder, ["--seed", "--temperature 0"]),
        ("generate a --sample --temperature 0 --samples 2", &decoder, ["--samples", "--temperature 0"]),
        ("generate a --sample --temperature 0 --top-p 0.5", &decoder, ["--top-p", "--temperature 0"]),
        ("generate a --beams 2 --sample", &decoder, ["--beams", "--sample"]),
        ("generate a --length-penalty 1", &decoder, ["--beams", ""]),
        ("generate a --beams 2 --diversity 1", &decoder, ["--diverse", ""]),
        ("generate a --results 2", &decoder, ["--results 2", "--beams"]),
        ("generate a --beams 2 --results 3", &decoder, ["--results 3", "--beams"]),
        ("generate a --sample --samples 2 --results 3", &decoder, ["--results 3", "--samples"]),
        ("generate a --max-score 5", &decoder, ["--scores", ""]),
        ("generate a --choose yes,no --stop x", &decoder, ["--choose", "--stop"]),
        ("generate a --system x", &decoder, ["--chat", ""]),
        ("generate a --permutation 2 --max-score 3", &decoder, ["--max-score", "--scores"]),
        ("generate a --trie x --max-score 3", &decoder, ["--max-score", "--scores"]),
        ("generate a --control-tokens --system x", &decoder, ["--system", "--chat"]),
        ("generate a --sample --length-penalty 1", &decoder, ["--length-penalty", "--beams"]),
        ("generate a --sample --diverse 2", &decoder, ["--diverse", "--beams"]),
        ("generate a --beams 2 --samples 2", &decoder, ["--samples", "--sample"]),
        ("generate a --beams 2 --top-k 2", &decoder, ["--top-k", "--sample"]),
        ("generate a --beams 2 --seed 2", &decoder, ["--seed", "--sample"]),
        ("embed a --prompt quary", &embedder, ["--prompt quary", "--prefix"]),
        ("embed a --max-tokens 2", &embedder, ["--max-tokens 2", "special tokens"]),
        ("embed a --prompt x --prefix y", &embedder, ["--prompt", "--prefix"]),
    ] {
        let done = run(line, model).expect(2);
        for piece in pieces {
            assert!(done.stderr.contains(piece), "{line}: `{piece}` is not in {}", done.stderr);
        }
    }
    let unused =
        ["rerank", "--pipeline", &format!("bi-encoder(model=\"{embedder}\")"), "--model", &embedder, "-"];
    let done = plackett(Path::new("."), &unused).expect(2);
    assert!(done.stderr.contains("every stage names a model of its own"), "{}", done.stderr);
    let done =
        plackett(Path::new("."), &["replay", "no.manifest.json", "--max-line-bytes", "1MiB"]).expect(2);
    assert!(done.stderr.contains("--max-line-bytes: the manifest says"), "{}", done.stderr);
    let known = tests("golden/decoder/embedder");
    let done = run("embed a --prompt quary", &known).expect(2);
    assert!(done.stderr.contains("it has") && done.stderr.contains("query"), "{}", done.stderr);
}

/// An answer that --max-tokens cut under a constraint is missing: said in `warnings`, and the exit code is 1.
#[test]
fn a_missing_answer_is_exit_code_1() {
    let model = decoder();
    for constraint in ["--choose yesterday,tomorrow", "--permutation 9", "--scores 3"] {
        let done = run(&format!("generate cats dogs {constraint} --max-tokens 1 --json"), &model).expect(1);
        let told = warnings(&done);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("prompt 1: no output was complete within --max-tokens 1"), "{told:?}");
        let found = done.json();
        assert_eq!((&found["status"], &found["exit_code"]), (&json!("check failed"), &json!(1)));
        assert_eq!(found["errors"], json!(["2 of 2 prompts have no output"]));
        assert_eq!(found["results"][1]["hypotheses"], json!([]));
    }
    let done = run("generate cats --max-tokens 2 --json", &model).expect(0);
    assert!(warnings(&done)[0].contains("ended at the most tokens"));
    let best = run("generate cats --beams 3 --results 2 --max-tokens 4 --json", &model).expect(0).json();
    assert_eq!(best["results"][0]["hypotheses"].as_array().unwrap().len(), 2, "--results counts in JSON too");
}

/// No vector without a token, and a remark instead.
#[test]
fn empty_texts_have_no_vector() {
    for model in [tests("parity/bert"), tests("parity/roberta"), tests("golden/decoder/embedder")] {
        let input = "a rule\n\n \t\u{3000}\nties\n";
        let arguments = ["embed", "--input", "-", "--model", &model];
        let done = plackett_with_input(Path::new("."), &arguments, input).expect(0);
        let lines: Vec<&str> = done.stdout.split('\n').collect();
        assert!(lines.len() == 5 && lines[1].is_empty() && lines[2].is_empty() && !lines[3].is_empty());
        assert!(done.stderr.contains("text 2: it has no token"), "{}", done.stderr);
        let done =
            plackett_with_input(Path::new("."), &[&arguments[..], &["--json"]].concat(), input).expect(0);
        let found = done.json();
        let vectors: Vec<bool> =
            found["embeddings"].as_array().unwrap().iter().map(|e| e["vector"].is_null()).collect();
        assert_eq!(vectors, [false, true, true, false]);
        assert_eq!(found["embeddings"][1]["tokens"], 0);
        assert_eq!(warnings(&done).iter().filter(|w| w.contains("no token")).count(), 2);
    }
}

#[test]
fn empty_documents_come_last_and_empty_queries_are_refused() {
    let request = |query: &str| {
        let candidates = json!([{"docid": "nothing", "text": " "}, {"docid": "ties", "text": "ties"}, {"docid": "rule", "text": "a rule"}]);
        json!({"query": {"qid": "q", "text": query}, "candidates": candidates}).to_string()
    };
    for (method, model) in [
        ("bi-encoder", tests("parity/bert")),
        ("late-interaction", tests("parity/bert-late")),
        ("cross-encoder", tests("parity/bert-cross")),
        ("cross-encoder(prompt=yes-no)", tests("golden/decoder/reranker")),
        ("bi-encoder", tests("golden/decoder/embedder")),
    ] {
        let arguments = ["rerank", "--method", method, "--model", &model, "--json", "-"];
        let done = plackett_with_input(Path::new("."), &arguments, &request("help")).expect(0);
        let ranking = done.json()["results"][0]["ranking"].clone();
        assert_eq!(ranking[2]["id"], "nothing", "{method}: {ranking}");
        let told = warnings(&done);
        assert!(told.iter().any(|w| w.contains("`nothing` of query `q`")), "{told:?}");
        let done = plackett_with_input(Path::new("."), &arguments, &request("  ")).expect(2);
        let errors: Value = done.json()["errors"].clone();
        assert!(errors[0].as_str().unwrap().contains("query `q`: the query is empty"), "{errors}");
    }
}

/// A run has no traces, so what was cut is said beside it.
#[test]
fn cut_documents_are_in_the_warnings_of_rerank() {
    let long = "a rule ".repeat(2000);
    let request =
        json!({"query": {"qid": "q", "text": "ties"}, "candidates": [{"docid": "long", "text": long}]});
    let model = tests("parity/bert");
    let arguments = ["rerank", "--method", "bi-encoder", "--model", &model, "--format", "trec", "-"];
    let done = plackett_with_input(Path::new("."), &arguments, &request.to_string()).expect(0);
    assert!(done.stderr.contains("only the beginning of `long` of query `q`"), "{}", done.stderr);
    assert_eq!(done.stdout.lines().count(), 1);
}
