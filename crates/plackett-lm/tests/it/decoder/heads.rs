//! Decoders as embedder and as reranker, against sentence-transformers and the code of Qwen3-Reranker
//! (`tools/golden/make_decoder_heads_golden.py`).

use crate::decoder::golden::*;
use plackett_lm::decoder::*;
use plackett_lm::{EmbedOptions, LmError, Pooling};
use std::sync::Arc;

const TOLERANCE: f32 = 1e-4;

fn texts(name: &str, field: &str) -> Vec<serde_json::Value> {
    let bytes = std::fs::read(directory(name).join("expected.json")).expect("texts");
    let file: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
    file[field].as_array().expect(field).clone()
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().expect("a text")
}

#[test]
fn vectors_are_those_of_sentence_transformers() {
    for (name, pooling, dim) in [("embedder", Pooling::LastToken, 32), ("embedder-mean", Pooling::Mean, 20)] {
        let model = DecoderEmbedder::open(directory(name), &DecoderOptions::default()).expect(name);
        assert_eq!((model.info().pooling, model.info().dim), (Some(pooling), dim));
        let (expected, texts) = (Expected::read(name), texts(name, "texts"));
        let texts: Vec<&str> = texts.iter().map(text).collect();
        for (prompt, tensor) in [("document", "embeddings"), ("query", "embeddings.query")] {
            let prompt = model.prompt(prompt).to_string();
            let options = EmbedOptions { prompt, max_tokens: None };
            let found = model.embed(&texts, &options).expect(name);
            let far = distance(&found.data, &expected.floats(tensor));
            println!("{name} {tensor}: {far:.1e}");
            assert!(far < TOLERANCE && found.truncated.is_empty(), "{name} {tensor}: {far}");
            // One by one, and with little memory.
            let alone: Vec<f32> =
                texts.iter().flat_map(|t| model.embed(&[t], &options).expect(name).data).collect();
            assert_eq!(alone, found.data, "{name} {tensor}");
        }
        let options = EmbedOptions { max_tokens: Some(5), ..EmbedOptions::default() };
        let cut = model.embed(&texts, &options).expect("cut");
        assert!(cut.truncated.iter().all(|t| t.kept == 5 && t.tokens > 5) && cut.tokens[0] <= 5);
        assert_eq!(cut.truncated.len(), cut.tokens.iter().filter(|tokens| **tokens == 5).count());
    }
}

#[test]
fn what_cannot_embed_is_refused() {
    let refused = |change: &dyn Fn(&std::path::Path)| {
        let folder = tempfile::tempdir().expect("folder");
        copy(&directory("embedder"), folder.path());
        change(folder.path());
        match DecoderEmbedder::open(folder.path(), &DecoderOptions::default()) {
            Ok(_) => "opened".to_string(),
            Err(error) => error.to_string(),
        }
    };
    assert_eq!(refused(&|_| ()), "opened");
    let without = refused(&|folder| std::fs::remove_file(folder.join("modules.json")).expect("remove"));
    assert!(without.contains("modules.json"), "{without}");
    let both = refused(&|folder| {
        let path = folder.join("config.json");
        let mut config: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).expect("config")).expect("JSON");
        config["use_bidirectional_attention"] = true.into();
        std::fs::write(&path, config.to_string()).expect("write");
    });
    assert!(both.contains("both ways"), "{both}");
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).expect("model") {
        let path = entry.expect("entry").path();
        let target = to.join(path.file_name().expect("name"));
        if path.is_dir() {
            std::fs::create_dir(&target).expect("folder");
            copy(&path, &target);
        } else {
            std::fs::copy(&path, target).expect("copy");
        }
    }
}

fn prompt() -> &'static PairPrompt {
    PairPrompt::find("yes-no").expect("a prompt")
}

fn reranker() -> PromptedScorer {
    PromptedScorer::new(Arc::new(open("reranker")), prompt()).expect("a reranker")
}

#[test]
fn yes_or_no_scores_are_those_of_the_published_code() {
    let model = reranker();
    let (expected, pairs) = (Expected::read("reranker"), texts("reranker", "pairs"));
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect();
    let found = model.score_pairs(&pairs, None).expect("scores");
    let logits = expected.floats("logits");
    let logits: Vec<f32> = logits.chunks_exact(2).map(|pair| pair[1] - pair[0]).collect();
    let scores: Vec<f32> = found.scores.iter().map(|score| *score as f32).collect();
    let far = distance(&found.logits, &logits);
    println!("logits {far:.1e}, cut {:?}", found.truncated);
    assert!(far < TOLERANCE && distance(&scores, &expected.floats("scores")) < TOLERANCE, "{far}");
    // The golden code cuts what is longer than the model's 512 tokens, and so it is here.
    assert!(found.tokens.iter().all(|tokens| *tokens <= 512));
    for cut in &found.truncated {
        assert!(cut.kept == 512 && cut.tokens > 512, "{cut:?}");
    }
    for (index, pair) in pairs.iter().enumerate() {
        let alone = model.score_pairs(&[*pair], None).expect("a score");
        assert_eq!((alone.logits[0], alone.scores[0]), (found.logits[index], found.scores[index]));
    }
}

#[test]
fn texts_cannot_leave_the_prompt_and_instructions_count() {
    let model = reranker();
    let score = |model: &PromptedScorer, document: &str| {
        model.score_pairs(&[("q", document)], None).expect("a score")
    };
    let written = score(&model, "<|im_end|>");
    // As text it is several tokens; as a control token it would be one.
    assert!(written.tokens[0] > score(&model, "").tokens[0] + 4);
    let other = score(&reranker().with_instruction("Find the opposite").expect("a reranker"), "a");
    assert!(other.logits[0] != score(&model, "a").logits[0]);
    let overhead = model.pair_overhead();
    assert!(overhead >= score(&model, "").tokens[0] && score(&model, "a b c").tokens[0] <= overhead + 8);
    assert!(matches!(model.score_pairs(&[("q", "d")], Some(20)), Err(LmError::Argument(_))));
    let error = PromptedScorer::new(Arc::new(open("llama")), prompt()).err().expect("refused");
    assert!(error.to_string().contains("<|im_start|>"), "{error}");
}
