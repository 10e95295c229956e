//! `plackett model verify` and `show`: golden outputs of every kind of model, by transformers and by ourselves; `plackett model list`.

use crate::common;

use crate::common::{command, plackett};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn crates(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn model(path: &str) -> String {
    crates("plackett-lm/tests").join(path).display().to_string()
}

fn golden(name: &str) -> String {
    crates("plackett/tests/golden").join(name).display().to_string()
}

/// A copy of a model that a test may write into.
fn copy(from: &str, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(model(from)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        } else {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            copy(&format!("{from}/{name}"), &to.join(name));
        }
    }
}

fn measure<'a>(found: &'a Value, name: &str) -> &'a Value {
    let measures = found["golden"]["comparison"]["measures"].as_array().unwrap();
    measures.iter().find(|measure| measure["name"] == name).unwrap_or_else(|| panic!("{name}: {measures:?}"))
}

#[test]
fn the_list_says_licence_and_size_of_what_is_here_too() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["owner--mine", "SmolLM2-135M-Instruct"] {
        let pulled = folder.path().join("cache/models").join(name);
        std::fs::create_dir_all(&pulled).unwrap();
        let file = |path: &str, size: u64| json!({"path": path, "size": size, "sha256": "0".repeat(64)});
        let files = [file("model.safetensors", 2_500_000), file("config.json", 700)];
        let manifest = json!({"source": "the hub", "licence": "MIT", "files": files}).to_string();
        std::fs::write(pulled.join("plackett-model.json"), manifest).unwrap();
    }
    let of = |arguments: &[&str]| -> common::Done {
        let mut command = command(folder.path(), arguments);
        command.env("PLACKETT_CACHE", folder.path().join("cache")).output().unwrap().into()
    };
    let text = of(&["model", "list"]).expect(0).stdout;
    let row = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    for (name, parts) in [
        ("SmolLM2-135M-Instruct", ["93 MB", "Apache-2.0", "language model"]),
        ("Qwen3-Reranker-0.6B", ["~1192 MB", "Apache-2.0", "reranker"]),
        ("owner/mine", ["pulled", " 3 MB", "MIT"]),
    ] {
        assert!(parts.iter().all(|part| row(name).contains(part)), "{name}: {text}");
    }
    let document = of(&["model", "list", "--json"]).expect(0).json();
    let models = document["models"].as_array().unwrap();
    let mine = models.iter().find(|model| model["name"] == "owner/mine").unwrap();
    assert_eq!((&mine["licence"], &mine["here"]), (&json!("MIT"), &json!(true)));
}

/// Every kind of model gives what tools/golden/record.py wrote down of transformers.
#[test]
fn golden_outputs_of_transformers_hold() {
    let folder = tempfile::tempdir().unwrap();
    for (path, file, kind, name) in [
        ("golden/decoder/llama", "llama.json", "next-tokens", "largest difference of logits"),
        ("golden/decoder/gemma3", "gemma3.json", "next-tokens", "largest difference of logits"),
        ("golden/seq2seq/t5", "t5.json", "next-tokens", "largest difference of logits"),
        ("golden/seq2seq/bart", "bart.json", "next-tokens", "largest difference of logits"),
        ("golden/bert", "bert.json", "embeddings", "largest difference"),
        ("parity/bert-cross", "cross.json", "pair-scores", "largest difference"),
    ] {
        let arguments = ["model", "verify", &model(path), "--golden", &golden(file), "--json"];
        let found = plackett(folder.path(), &arguments).expect(0).json();
        let compared = &found["golden"]["comparison"];
        assert_eq!((&found["golden"]["held"], &compared["kind"]), (&json!(true), &json!(kind)), "{found}");
        assert_eq!(compared["precision"], "f32");
        let difference = measure(&found, name);
        assert!(difference["value"].as_f64().unwrap() < difference["at_most"].as_f64().unwrap(), "{found}");
        // Something was computed: no two programs agree to the last bit on every number.
        assert!(difference["value"].as_f64().unwrap() > 0.0, "{found}");
    }
}

/// What is recorded holds afterwards, and no longer when a weight or the record has changed.
#[test]
fn a_recorded_model_is_known_again_and_a_changed_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    copy("golden/decoder/qwen2", &path);
    std::fs::write(folder.path().join("texts.txt"), "a ranker reads passages\n[1] > [2]\n").unwrap();
    let record = ["model", "verify", "model", "--record", "--texts", "texts.txt", "--json"];
    let recorded = plackett(folder.path(), &record).expect(0).json();
    assert_eq!((&recorded["kind"], &recorded["cases"]), (&json!("next-tokens"), &json!(2)));
    assert!(path.join("golden.json").is_file());
    let again = plackett(folder.path(), &["model", "verify", "model", "--record"]).expect(2);
    assert!(again.stderr.contains("golden.json` exists; remove it"), "{}", again.stderr);
    let verify = ["model", "verify", "model", "--json"];
    let found = plackett(folder.path(), &verify).expect(0).json();
    assert_eq!(measure(&found, "largest difference of logits")["value"], 0.0);
    assert_eq!(measure(&found, "texts with equal tokens")["value"], 1.0);

    let weights = path.join("model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let at = bytes.len() - 2;
    bytes[at] ^= 0x40;
    std::fs::write(&weights, bytes).unwrap();
    let done = plackett(folder.path(), &verify).expect(1);
    assert_eq!(done.json()["golden"]["held"], false);
    assert!(done.stderr.contains("model differs from its golden outputs: "), "{}", done.stderr);
    let shown = plackett(folder.path(), &["model", "verify", "model"]).expect(1).stdout;
    assert!(shown.contains("NOT held"), "{shown}");
}

/// One pair has no correlation, and what is no number is no record.
#[test]
fn what_would_say_nothing_is_not_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let quantize = ["model", "quantize", &model("parity/bert-cross"), "cross"];
    plackett(folder.path(), &quantize).expect(0);
    std::fs::write(path("one.txt"), "a text\n").unwrap();
    let record = ["model", "verify", "cross", "--record", "--texts", "one.txt"];
    let stderr = plackett(folder.path(), &record).expect(2).stderr;
    assert!(stderr.contains("three or more pairs with different scores"), "{stderr}");
    std::fs::write(path("three.txt"), "a text\nanother one\nwords and words\n").unwrap();
    let record = ["model", "verify", "cross", "--record", "--texts", "three.txt"];
    plackett(folder.path(), &record).expect(0);
    let found = plackett(folder.path(), &["model", "verify", "cross", "--json"]).expect(0).json();
    assert!(measure(&found, "correlation")["value"].as_f64().unwrap() > 0.9999, "{found}");

    copy("golden/decoder/qwen2", &path("broken"));
    let weights = path("broken").join("model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let end = bytes.len() - 4096;
    bytes[end..].fill(0xff);
    std::fs::write(&weights, bytes).unwrap();
    let stderr = plackett(folder.path(), &["model", "verify", "broken", "--record"]).expect(2).stderr;
    assert!(stderr.contains("output 1") && stderr.contains("is no number"), "{stderr}");
    assert!(!path("broken").join("golden.json").exists());
}

/// A golden file that says nothing about the model is refused, and so is a check of nothing.
#[test]
fn what_cannot_be_compared_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let head = r#""plackett_golden":1,"made_by":"a test""#;
    write("version.json", r#"{"plackett_golden":2,"made_by":"","kind":"embeddings","cases":[]}"#);
    write("empty.json", &format!(r#"{{{head},"kind":"embeddings","cases":[]}}"#));
    write(
        "half.json",
        &format!(r#"{{{head},"kind":"next-tokens","cases":[{{"text":"a","next":[1],"logits":[]}}]}}"#),
    );
    write(
        "none.json",
        &format!("{{{head},\"kind\":\"next-tokens\",\n\"cases\":[{{\"text\":\"a\",\"nxt\":[1]}}]}}"),
    );
    write("far.json", &format!(r#"{{{head},"kind":"next-tokens","cases":[{{"text":"a","next":[99999]}}]}}"#));
    write(
        "short.json",
        &format!(r#"{{{head},"kind":"embeddings","cases":[{{"text":"a","vector":[1.0]}}]}}"#),
    );
    let (llama, bert, late) =
        (model("golden/decoder/llama"), model("golden/bert"), model("parity/bert-late"));
    for (model, more, expected) in [
        (&llama, &["--golden", "version.json"][..], &["version.json", "of version 2", "record it again"][..]),
        (&llama, &["--golden", "empty.json"], &["empty.json: has no outputs", "--record"]),
        (&llama, &["--golden", "half.json"], &["half.json: output 1", "1 ids in `next` and 0 numbers"]),
        (&llama, &["--golden", "none.json"], &["none.json", "`nxt`", "line 2", "docs/golden.md"]),
        (&llama, &["--golden", "far.json"], &["golden output 1", "token 99999 is not below"]),
        (&bert, &["--golden", "short.json"], &["golden output 1", "1 numbers, the model's 32"]),
        (&bert, &["--golden", "far.json"], &["are next tokens", "gives embeddings"]),
        (&llama, &["--golden", "missing.json"], &["cannot read `missing.json`"]),
        (&llama, &[], &["nothing to compare with", "golden.json", "--record"]),
        (
            &late,
            &["--record", "--golden", "late.json"],
            &["one vector per token", "nothing of it is compared"],
        ),
    ] {
        let stderr =
            plackett(folder.path(), &[&["model", "verify", model][..], more].concat()).expect(2).stderr;
        for part in expected {
            assert!(stderr.contains(part), "{part}: {stderr}");
        }
    }
    assert!(!folder.path().join("late.json").exists());
}

/// The bundled model against sentence-transformers, and one of its files changed.
#[test]
fn files_and_outputs_of_the_bundled_model_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let run = |more: &[&str]| {
        let mut command = command(folder.path(), &[&["model", "verify", "minilm"][..], more].concat());
        common::Done::from(command.env("PLACKETT_CACHE", folder.path()).output().unwrap())
    };
    let found = run(&["--json", "--offline"]).expect(0).json();
    assert_eq!(found["files"]["hashes"], "equal");
    // Rounded weights are held to what rounding allows.
    assert_eq!(found["golden"]["comparison"]["precision"], "int8");
    assert!(measure(&found, "smallest cosine")["value"].as_f64().unwrap() > 0.995);
    assert_eq!(measure(&found, "smallest cosine")["at_least"], 0.995);
    let difference = measure(&found, "largest difference");
    assert!(difference["value"].as_f64().unwrap() > 1e-4 && difference.get("at_most").is_none(), "{found}");
    let text = run(&["--offline"]).expect(0).stdout;
    assert!(text.contains("texts, by sentence-transformers, f32, against int8 weights here"), "{text}");
}

/// The real SmolLM2 gives what llama.cpp gives. Pulled once; without it this says that it was skipped.
#[test]
fn smollm2_is_compared_with_llama_cpp() {
    let folder = tempfile::tempdir().unwrap();
    let pulled = plackett(folder.path(), &["model", "pull", "SmolLM2-135M-Instruct"]);
    if pulled.code == 3 {
        println!("skipped: {}", pulled.stderr);
        return;
    }
    let verify = ["model", "verify", "SmolLM2-135M-Instruct", "--json"];
    let found = plackett(folder.path(), &verify).expect(0).json();
    let compared = &found["golden"]["comparison"];
    assert_eq!((&compared["cases"], &compared["precision"]), (&json!(51), &json!("packed")));
    assert_eq!(measure(&found, "texts with equal tokens")["value"], 1.0);
    assert!(measure(&found, "most probable in common, mean")["value"].as_f64().unwrap() >= 0.95);
    let shown = plackett(folder.path(), &["model", "show", "SmolLM2-135M-Instruct"]).expect(0).stdout;
    assert!(shown.contains("llama, 30 layers of 576, 9 heads") && shown.contains("packed, "), "{shown}");
}

/// Families and limits of every kind.
#[test]
fn every_kind_of_model_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let show =
        |path: &str| plackett(folder.path(), &["model", "show", &model(path), "--json"]).expect(0).json();
    for (path, kind, family) in [
        ("golden/decoder/mistral", "decoder", "mistral"),
        ("golden/decoder/embedder", "decoder", "qwen3"),
        ("golden/seq2seq/bart", "encoder-decoder", "bart"),
        ("parity/modernbert", "encoder", "modernbert"),
        ("parity/t5", "encoder", "t5"),
    ] {
        let shown = show(path);
        assert_eq!((&shown["kind"], &shown["family"]), (&json!(kind), &json!(family)), "{shown}");
        assert_eq!(shown["precision"], "f32");
        assert!(shown["bytes"].as_u64().unwrap() > 1000, "{shown}");
    }
    let unknown = plackett(folder.path(), &["model", "show", "nothing.gguf"]).expect(2).stderr;
    assert!(unknown.contains("a GGUF file"), "{unknown}");
}
