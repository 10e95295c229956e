//! What cannot be run or opened is refused by name, before anything is computed.

use crate::decoder::golden::*;
use plackett_lm::decode::LogitIds;
use plackett_lm::decoder::*;
use std::path::Path;

fn refused(request: Request) -> String {
    let fine = tokens(4, 1);
    let fine = Request {
        tokens: &fine,
        cache: None,
        pattern: AttentionPattern::Causal,
        adapter: None,
        outputs: OutputRequest::default(),
    };
    open("llama").forward(&[fine, request]).expect_err("refused").to_string()
}

#[test]
fn requests_that_do_not_fit() {
    let ids = tokens(10, 1);
    let plain = |outputs| request(&ids, None, outputs);
    let contains = |message: String, part: &str| {
        assert!(message.contains(part) && message.contains("request 1"), "{message}")
    };
    contains(refused(request(&[], None, OutputRequest::default())), "no tokens");
    contains(
        refused(request(&[275], None, OutputRequest::default())),
        "token 275 is beyond the vocabulary of 275",
    );
    let outputs = OutputRequest {
        logits_at: Positions::Last,
        logit_ids: LogitIds::Only(&[3, 400]),
        ..OutputRequest::default()
    };
    contains(refused(plain(outputs)), "token 400");
    contains(
        refused(plain(OutputRequest {
            logits_at: Positions::At(&[10]),
            logit_ids: LogitIds::All,
            ..OutputRequest::default()
        })),
        "token 10",
    );
    contains(
        refused(plain(OutputRequest {
            hidden: Positions::Last,
            hidden_after: &[4],
            ..OutputRequest::default()
        })),
        "layer 4",
    );
    let attention = AttentionRequest { layers: &[0], queries: &[9], keys: &[0..1, 4..11], summed: true };
    contains(
        refused(plain(OutputRequest { attention: Some(attention), ..OutputRequest::default() })),
        "4..11",
    );
    let long = tokens(257, 1);
    contains(refused(request(&long, None, OutputRequest::default())), "position 257");
    let other = open("mistral").prefill(&ids, None).expect("a cache");
    contains(refused(request(&ids, Some(&other), OutputRequest::default())), "another model");
    let model = open("llama");
    let outputs = OutputRequest { cache: true, ..OutputRequest::default() };
    let short = model.forward_until(&[plain(outputs)], 2).expect("two layers").remove(0).cache;
    contains(refused(request(&ids, short.as_ref(), OutputRequest::default())), "2 layers");
    assert_eq!(short.expect("a cache").layers(), Some(2));
}

/// A copy of a model with its configuration changed.
fn changed(change: impl Fn(&mut serde_json::Value)) -> String {
    let folder = tempfile::tempdir().expect("folder");
    for entry in std::fs::read_dir(directory("llama")).expect("model") {
        let path = entry.expect("entry").path();
        std::fs::copy(&path, folder.path().join(path.file_name().expect("name"))).expect("copy");
    }
    let path = folder.path().join("config.json");
    let mut config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).expect("config")).expect("JSON");
    change(&mut config);
    std::fs::write(&path, config.to_string()).expect("write");
    match DecoderModel::open(folder.path(), &DecoderOptions::default()) {
        Ok(_) => "opened".into(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn models_that_do_not_fit() {
    let contains = |message: String, parts: &[&str]| {
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    };
    contains(changed(|_| ()), &["opened"]);
    contains(changed(|c| c["model_type"] = "gpt2".into()), &["gpt2", "qwen3"]);
    contains(changed(|c| c["rope_parameters"]["rope_type"] = "longrope".into()), &["longrope", "llama3"]);
    contains(changed(|c| c["num_key_value_heads"] = 3.into()), &["num_key_value_heads"]);
    contains(changed(|c| c["intermediate_size"] = 49.into()), &["mlp.gate_proj", "byte"]);
    contains(changed(|c| c["num_hidden_layers"] = 4.into()), &["model.layers.3", "missing"]);
    contains(changed(|c| c["vocab_size"] = 276.into()), &["embed_tokens"]);
    contains(changed(|c| c["hidden_act"] = "quick".into()), &["hidden_act", "quick"]);
    let error = DecoderModel::open(Path::new("no/such/model"), &DecoderOptions::default()).err();
    assert!(error.is_some_and(|error| error.to_string().contains("no/such/model")));
}
