//! Decoders on the command line: embedders like Qwen3-Embedding, rerankers like Qwen3-Reranker.

use crate::common::{plackett, plackett_with_input};
use serde_json::Value;

/// A tiny model of the engine's own tests.
fn model(name: &str) -> String {
    format!("{}/../plackett-lm/tests/golden/decoder/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn vector(value: &Value) -> Vec<f64> {
    value["vector"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

const TEXTS: [&str; 3] = ["a ranker reads passages", "late interaction", "ties are broken by a rule"];

fn requests() -> String {
    let candidates = TEXTS.map(|text| format!(r#"{{"docid": "{text}", "text": "{text}"}}"#)).join(", ");
    format!(r#"{{"query": {{"qid": "q", "text": "how are ties broken"}}, "candidates": [{candidates}]}}"#)
}

fn ranked(found: &Value) -> Vec<(String, f64)> {
    let ranking = found["results"][0]["ranking"].as_array().unwrap().iter();
    ranking.map(|e| (e["id"].as_str().unwrap().to_string(), e["score"].as_f64().unwrap())).collect()
}

/// What `embed` gives decides the order of the bi-encoder and of an index: the query with its prompt, the texts without.
#[test]
fn an_embedder_embeds_reranks_and_indexes() {
    let (folder, embedder) = (tempfile::tempdir().unwrap(), model("embedder"));
    let embed = |more: &[&str]| {
        plackett(folder.path(), &[&["embed", "--json", "--model", &embedder], more].concat()).expect(0).json()
    };
    let query = vector(&embed(&["--prompt", "query", "how are ties broken"])["embeddings"][0]);
    let texts = embed(&TEXTS);
    let texts: Vec<Vec<f64>> = texts["embeddings"].as_array().unwrap().iter().map(vector).collect();
    assert!((product(&query, &query) - 1.0).abs() < 1e-5 && query.len() == 32);
    let mut expected: Vec<(String, f64)> =
        TEXTS.iter().zip(&texts).map(|(id, text)| (id.to_string(), product(&query, text))).collect();
    expected.sort_by(|a, b| b.1.total_cmp(&a.1));
    let check = |found: Vec<(String, f64)>| {
        for (found, expected) in found.iter().zip(&expected) {
            assert!(found.0 == expected.0 && (found.1 - expected.1).abs() < 1e-4, "{found:?} {expected:?}");
        }
        assert_eq!(found.len(), expected.len());
    };
    let rerank = ["rerank", "--method", "bi-encoder", "--model", &embedder, "--json", "-"];
    check(ranked(&plackett_with_input(folder.path(), &rerank, &requests()).expect(0).json()));
    let documents = TEXTS.map(|text| format!(r#"{{"_id": "{text}", "text": "{text}"}}"#)).join("\n");
    std::fs::write(folder.path().join("texts.jsonl"), documents).unwrap();
    plackett(folder.path(), &["index", "texts.jsonl", "-o", "my.index", "--model", &embedder]).expect(0);
    let search = ["search", "my.index", "-p", "dense", "--json", "how are ties broken"];
    check(ranked(&plackett(folder.path(), &search).expect(0).json()));
    let little = [&search[..], &["--memory-budget", "1MB", "--threads", "1"]].concat();
    check(ranked(&plackett(folder.path(), &little).expect(0).json()));
}

#[test]
fn a_yes_or_no_reranker_is_a_cross_encoder() {
    let (folder, reranker) = (tempfile::tempdir().unwrap(), model("reranker"));
    let rerank = |method: &str| {
        let arguments = ["rerank", "--method", method, "--model", &reranker, "--json", "-"];
        plackett_with_input(folder.path(), &arguments, &requests())
    };
    let done = rerank("cross-encoder(prompt=yes-no)").expect(0).json();
    let ranking = ranked(&done);
    assert!(ranking.len() == 3 && ranking.windows(2).all(|pair| pair[0].1 > pair[1].1), "{ranking:?}");
    assert!(done["results"][0]["trace"]["prompt_tokens"].as_u64().unwrap() > 300);
    assert!(rerank("bi-encoder").expect(2).stderr.contains("modules.json"));
    // Its files do not say with which prompt it was trained; its name can.
    let shown = plackett(folder.path(), &["model", "show", &reranker, "--json"]).expect(0).json();
    assert_eq!((shown["family"].as_str(), shown["cross_encoder"].as_bool()), (Some("qwen3"), Some(false)));
    assert!(rerank("cross-encoder").expect(2).stderr.contains("cross-encoder(prompt=yes-no)"));
    let named = folder.path().join("Qwen3-Reranker-tiny");
    std::fs::create_dir(&named).unwrap();
    for file in std::fs::read_dir(&reranker).unwrap() {
        let path = file.unwrap().path();
        std::fs::copy(&path, named.join(path.file_name().unwrap())).unwrap();
    }
    let known = ["rerank", "--method", "cross-encoder", "--model", "./Qwen3-Reranker-tiny", "--json", "-"];
    assert_eq!(ranked(&plackett_with_input(folder.path(), &known, &requests()).expect(0).json()), ranking);
    let shown =
        plackett(folder.path(), &["model", "show", "./Qwen3-Reranker-tiny", "--json"]).expect(0).json();
    assert_eq!(shown["cross_encoder"].as_bool(), Some(true));
    let embedder = model("embedder");
    let wrong = ["rerank", "--method", "cross-encoder", "--model", &embedder, "-"];
    assert!(plackett_with_input(folder.path(), &wrong, &requests()).expect(2).stderr.contains("bi-encoder"));
    let plain = model("llama");
    let shown = plackett(folder.path(), &["model", "show", &plain, "--json"]).expect(0).json();
    assert_eq!(shown["cross_encoder"].as_bool(), Some(false));
    let plain = ["rerank", "--method", "cross-encoder(prompt=yes-no)", "--model", &plain, "-"];
    let refused = plackett_with_input(folder.path(), &plain, &requests()).expect(2).stderr;
    assert!(refused.contains("<|im_start|>"), "{refused}");
}
