//! Models in roles that they were not made for, and names that lead to no model.

use crate::common::{Done, plackett, plackett_with_input};
use serde_json::Value;
use std::path::{Path, PathBuf};

const REQUEST: &str = r#"{"query": {"qid": "q", "text": "how are ties broken"}, "candidates": [{"docid": "a", "text": "a rule"}, {"docid": "b", "text": "late interaction"}]}"#;

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../plackett-lm/tests")
}

fn encoder(name: &str) -> String {
    tests().join("parity").join(name).display().to_string()
}

fn decoder(name: &str) -> String {
    tests().join("golden/decoder").join(name).display().to_string()
}

fn rerank(method: &str, model: &str) -> Done {
    let arguments = ["rerank", "--method", method, "--model", model, "--json", "-"];
    plackett_with_input(Path::new("."), &arguments, &format!("{REQUEST}\n"))
}

fn refused(done: Done, pieces: &[&str]) {
    let done = done.expect(2);
    for piece in pieces {
        assert!(done.stderr.contains(piece), "`{piece}` is not in {}", done.stderr);
    }
}

fn facts(done: &Done) -> Value {
    done.json()["results"][0]["trace"]["facts"].clone()
}

/// Each command that wants one vector per text, with models that have none.
#[test]
fn vectors_are_asked_of_embedding_models_only() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("texts.jsonl"), "{\"_id\": \"a\", \"text\": \"words\"}\n").unwrap();
    let seq2seq = tests().join("golden/seq2seq/bart").display().to_string();
    for (model, reason) in [
        (encoder("bert-cross"), "cross-encoder"),
        (encoder("bert-late"), "one vector per token"),
        (decoder("llama"), "decoder without modules.json"),
        (seq2seq, "encoder–decoder without modules.json"),
    ] {
        let embed = plackett(folder.path(), &["embed", "--model", &model, "words"]);
        refused(embed, &[&model, "one vector per text", reason]);
        let index = ["index", "texts.jsonl", "-o", "my.index", "--model", &model];
        refused(plackett(folder.path(), &index), &[reason]);
        assert!(!folder.path().join("my.index/plackett-index.json").exists(), "nothing was made");
        if reason != "encoder–decoder without modules.json" {
            refused(rerank("bi-encoder", &model), &["bi-encoder", &model]);
        }
    }
    refused(rerank("late-interaction", &encoder("bert-cross")), &["late-interaction", "is a cross-encoder"]);
    refused(rerank("cross-encoder", &encoder("bert")), &["cross-encoder", "classification head"]);
}

/// A decoder writes text; that it scores pairs must be asked for, and the trace says how it was asked.
#[test]
fn a_decoder_scores_pairs_when_it_is_told_how() {
    let reranker = decoder("reranker");
    refused(rerank("cross-encoder", &reranker), &["decoder", "cross-encoder(prompt=yes-no)"]);
    let done = rerank("cross-encoder(prompt=yes-no)", &reranker).expect(0);
    let facts = facts(&done);
    assert_eq!((&facts["prompt"], &facts["labels"]), (&"yes-no".into(), &"yes, no".into()));
    assert!(facts["instruction"].as_str().unwrap().contains("web search query"), "{facts}");
    refused(rerank("cross-encoder(prompt=yes-no)", &encoder("bert-cross")), &["scores of its own", "prompt"]);
    refused(rerank("cross-encoder(prompt=maybe)", &reranker), &["prompt", "`maybe`", "yes-no"]);
    refused(rerank("bi-encoder(prompt=yes-no)", &encoder("bert")), &["`prompt`"]);
    assert!(rerank("cross-encoder", &encoder("bert-cross")).expect(0).stderr.is_empty());
}

/// An embedding model may play ColBERT, and a model without modules.json an embedding model: both are said.
#[test]
fn what_a_model_was_not_trained_for_is_in_the_trace_and_the_warnings() {
    let told = |model: &str| facts(&rerank("late-interaction", model).expect(0))["token-vectors"].clone();
    assert!(told(&encoder("bert")).as_str().unwrap().contains("embedding model"));
    assert!(told(&encoder("bert-late")).is_null());
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        std::fs::copy(Path::new(&encoder("bert")).join(file), folder.path().join(file)).unwrap();
    }
    let plain = folder.path().display().to_string();
    let done = plackett(folder.path(), &["embed", "--model", &plain, "--json", "words"]).expect(0);
    let warnings = done.json()["warnings"].to_string();
    assert!(warnings.contains("modules.json") && warnings.contains("mean"), "{warnings}");
    assert!(done.stderr.contains("modules.json"), "{}", done.stderr);
    let facts = facts(&rerank("bi-encoder", &plain).expect(0));
    assert!(facts["pooling"].as_str().unwrap().contains("modules.json"), "{facts}");
}

#[test]
fn text_is_asked_of_models_that_write() {
    for (model, what) in [
        (encoder("bert-cross"), "`bert` is an encoder"),
        (encoder("bert"), "embedding model"),
        (decoder("embedder"), "embedding model"),
    ] {
        refused(plackett(Path::new("."), &["generate", "--model", &model, "a"]), &[&model, what, "llama"]);
    }
}

/// What a name leads to, and what was expected there.
#[test]
fn a_path_to_no_model_is_said_as_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("kb")).unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    std::fs::write(folder.path().join("kb/notes.md"), "# notes\n").unwrap();
    std::fs::write(folder.path().join("weights.safetensors"), "no weights").unwrap();
    std::fs::write(folder.path().join("requests.jsonl"), format!("{REQUEST}\n")).unwrap();
    std::fs::write(folder.path().join("texts.jsonl"), "{\"_id\": \"a\", \"text\": \"words\"}\n").unwrap();
    let expected =
        "a model is a directory with config.json, tokenizer.json and model.safetensors, or a GGUF file";
    for (name, pieces) in [
        ("./kb", ["is a folder without a model: it holds notes.md", expected]),
        ("kb/", ["is a folder without a model: it holds notes.md", expected]),
        ("empty", ["is a folder without a model: it is empty", expected]),
        ("kb/notes.md", ["is a file, and no GGUF file", expected]),
        ("weights.safetensors", ["is a file, and no GGUF file", "the directory that it lies in"]),
        ("./absent", ["is not there", expected]),
        ("no/such/model.gguf", ["is not there, nor is the folder `no/such`", expected]),
        ("all-MiniLM-L6-v2-int9", ["did you mean `all-MiniLM-L6-v2-int8`?", "on this machine"]),
        ("smolm2", ["did you mean `SmolLM2-135M-Instruct`?", "on this machine"]),
    ] {
        for line in [
            "embed words --model",
            "rerank requests.jsonl --method bi-encoder --model",
            "index texts.jsonl -o my.index --model",
            "generate words --model",
            "model show",
            "model path",
            "model verify",
            "model quantize",
        ] {
            let mut arguments: Vec<&str> = line.split(' ').collect();
            arguments.push(name);
            if line == "model quantize" {
                arguments.push("target");
            }
            let done = plackett(folder.path(), &arguments);
            assert!(!done.stderr.contains("not on this machine") || name.contains("v2") || name == "smolm2");
            refused(done, &[&[name][..], &pieces].concat());
        }
    }
}
