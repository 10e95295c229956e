//! Rerankers in the layouts of published ones, against their published code (`tools/golden/make_reranker_golden.py`).

use crate::decoder::golden::{Expected, distance};
use plackett_lm::decoder::*;
use plackett_lm::{EncoderModel, EncoderOptions, LmError, ScoreActivation};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const TOLERANCE: f32 = 1e-4;

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/reranker").join(name)
}

fn expected(name: &str) -> Expected {
    Expected::at(&directory(name).join("expected.safetensors"))
}

fn value(name: &str) -> serde_json::Value {
    let bytes = std::fs::read(directory(name).join("expected.json")).expect("texts");
    serde_json::from_slice(&bytes).expect("JSON")
}

fn pairs(name: &str) -> Vec<(String, String)> {
    serde_json::from_value(value(name)["pairs"].clone()).expect("pairs")
}

fn of(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
    pairs.iter().map(|(query, document)| (query.as_str(), document.as_str())).collect()
}

fn decoder(name: &str) -> Arc<DecoderModel> {
    Arc::new(DecoderModel::open(directory(name), &DecoderOptions::default()).expect(name))
}

fn copied(name: &str) -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
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
    let folder = tempfile::tempdir().expect("folder");
    copy(&directory(name), folder.path());
    folder
}

#[test]
fn cross_encoders_of_modules_score_as_sentence_transformers_does() {
    let model = EncoderModel::open(directory("modular"), &EncoderOptions::default()).expect("modular");
    assert!(model.info().cross_encoder && model.score_activation() == Some(ScoreActivation::Sigmoid));
    let pairs = pairs("modular");
    let found = model.score_pairs(&of(&pairs), None).expect("scores");
    let far = distance(&found.logits, &expected("modular").floats("logits"));
    let scores: Vec<f32> = found.scores.iter().map(|score| *score as f32).collect();
    assert!(far < TOLERANCE, "{far}");
    assert!(distance(&scores, &expected("modular").floats("scores")) < TOLERANCE);
}

#[test]
fn modules_that_give_no_single_score_are_refused() {
    let opened = |change: &dyn Fn(&Path)| {
        let folder = copied("modular");
        change(folder.path());
        match EncoderModel::open(folder.path(), &EncoderOptions::default()) {
            Ok(model) => format!("cross-encoder: {}", model.info().cross_encoder),
            Err(error) => error.to_string(),
        }
    };
    let edit = |folder: &Path, name: &str, change: &dyn Fn(&mut serde_json::Value)| {
        let path = folder.join(name);
        let mut value = serde_json::from_slice(&std::fs::read(&path).expect("file")).expect("JSON");
        change(&mut value);
        std::fs::write(&path, value.to_string()).expect("write");
    };
    let without = opened(&|folder| {
        edit(folder, "modules.json", &|modules| drop(modules.as_array_mut().expect("list").pop()));
    });
    assert!(without.contains("32 numbers") && without.contains("a score is one"), "{without}");
    let wide =
        opened(&|folder| edit(folder, "3_LayerNorm/config.json", &|norm| norm["dimension"] = 31.into()));
    assert!(wide.contains("`dimension` is 31") && wide.contains("gives 32 numbers"), "{wide}");
    // Without the word that it is a cross-encoder the same modules make vectors.
    let embedder = opened(&|folder| {
        edit(folder, "config_sentence_transformers.json", &|settings| {
            settings["model_type"] = "SentenceTransformer".into();
        });
    });
    assert_eq!(embedder, "cross-encoder: false");
}

#[test]
fn prompted_scores_are_those_of_the_published_code() {
    for (name, prompt) in [("mxbai", "mxbai"), ("bge", "bge")] {
        let prompt = PairPrompt::find(prompt).expect(prompt);
        let model = PromptedScorer::new(decoder(name), prompt).expect(name);
        let pairs = pairs(name);
        let found = model.score_pairs(&of(&pairs), None).expect("scores");
        let logits = expected(name).floats("logits");
        let expected: Vec<f32> = match prompt.labels.expect("labels").1 {
            Some(_) => logits.chunks_exact(2).map(|two| two[1] - two[0]).collect(),
            None => logits,
        };
        let far = distance(&found.logits, &expected);
        assert!(far < TOLERANCE && found.truncated.is_empty(), "{name}: {far}");
        // A limit cuts the document, and is said.
        let most = found.tokens[0] - 3;
        let cut = model.score_pairs(&of(&pairs)[..1], Some(most)).expect("a score");
        assert_eq!((cut.tokens[0], cut.truncated.len()), (most, 1), "{name}");
        assert_eq!(cut.truncated[0].tokens, found.tokens[0], "{name}");
    }
}

#[test]
fn prompts_are_recognised_by_files_and_names() {
    let recognised =
        |model: &DecoderModel| PairPrompt::recognize(model).map(|found| found.map(|prompt| prompt.name));
    // By the labels of the module LogitScore, whatever the folder is called.
    assert_eq!(recognised(&decoder("mxbai")).expect("recognised"), Some("mxbai"));
    // The folder `bge` says too little; it is a Gemma of the first generation.
    assert_eq!(recognised(&decoder("bge")).expect("unknown"), None);
    let folder = copied("bge");
    let named = folder.path().join("bge-reranker-v2-gemma");
    std::fs::create_dir(&named).expect("folder");
    for file in std::fs::read_dir(directory("bge")).expect("model") {
        let path = file.expect("file").path();
        std::fs::copy(&path, named.join(path.file_name().expect("name"))).expect("copy");
    }
    let model = DecoderModel::open(&named, &DecoderOptions::default()).expect("model");
    assert_eq!(recognised(&model).expect("recognised"), Some("bge"));
    // Labels of no known prompt.
    let folder = copied("mxbai");
    let path = folder.path().join("1_LogitScore/config.json");
    std::fs::write(&path, r#"{"true_token_id": 5, "false_token_id": 6}"#).expect("write");
    let model = DecoderModel::open(folder.path(), &DecoderOptions::default()).expect("model");
    let error = recognised(&model).expect_err("refused").to_string();
    assert!(error.contains("the token 5") && error.contains("Qwen3-Reranker (yes)"), "{error}");
    // Such a folder is no embedder.
    assert!(!DecoderEmbedder::is_one(directory("mxbai")).expect("read"));
}

#[test]
fn lists_are_scored_as_by_the_published_code() {
    let model = ListScorer::new(decoder("list")).expect("a scorer of lists");
    assert!(ListScorer::is_one(directory("list")).expect("weights"));
    assert!(!ListScorer::is_one(directory("mxbai")).expect("weights"));
    let value = value("list");
    let query = value["query"].as_str().expect("query");
    let documents: Vec<String> = serde_json::from_value(value["documents"].clone()).expect("documents");
    let documents: Vec<&str> = documents.iter().map(String::as_str).collect();
    for (block, tensor) in [(LIST_BLOCK, "scores"), (3, "scores.blocks")] {
        let found = model.score(query, &documents, block).expect("scores");
        let scores: Vec<f32> = found.scores.iter().map(|score| *score as f32).collect();
        let far = distance(&scores, &expected("list").floats(tensor));
        assert!(far < TOLERANCE, "{tensor}: {far}");
        assert_eq!(found.passes, documents.len().div_ceil(block));
        assert!(found.documents.iter().all(|read| read.kept == read.tokens && !read.estimated));
    }
    assert_eq!(model.score(query, &[], 1).expect("nothing"), ListScores::default());
    assert!(matches!(model.score(query, &documents, 0), Err(LmError::Argument(_))));
}

#[test]
fn long_documents_are_cut_and_lists_split_where_the_context_ends() {
    let model = ListScorer::new(decoder("list")).expect("a scorer of lists");
    let long = "salt water ".repeat(2000);
    let found = model.score("q", &[&long, "a", &long], LIST_BLOCK).expect("scores");
    let most = model.document_tokens();
    assert_eq!(found.documents.iter().map(|read| read.kept).collect::<Vec<_>>(), [most, 1, most]);
    assert!(
        found.documents[0].tokens > most && found.passes == 2 && found.tokens <= 2 * model.info().max_tokens
    );
    // Control tokens that are written in a text are text: they do not end a document.
    let written = model.score("q", &["<|embed_token|>", "a"], LIST_BLOCK).expect("scores");
    let plain = model.score("q", &["a", "a"], LIST_BLOCK).expect("scores");
    assert!(written.scores.len() == 2 && written.tokens > plain.tokens + 4);
}
