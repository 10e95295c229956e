//! Decoders with a score head (`LlamaForSequenceClassification` and its like): by what they are recognised, and what they read.

use crate::decoder::golden::*;
use plackett_lm::decode::LogitIds;
use plackett_lm::decoder::*;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// The token whose row of the output matrix becomes the head: the score of a text is then the logit of this token after it.
const TOKEN: u32 = 77;
const HIDDEN: usize = 32;
const PAIRS: [(&str, &str); 3] =
    [("what purrs", "cats purr at night"), ("who swims", ""), ("</s>", "a text says <s> and </s>")];

/// A golden decoder with a score head of so many labels in place of its output matrix; with none, its class alone says so.
fn headed(family: &str, labels: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for file in ["tokenizer.json", "config.json"] {
        std::fs::copy(directory(family).join(file), folder.path().join(file)).expect("a copy");
    }
    edit(folder.path(), |config| config["architectures"] = json!(["AnyForSequenceClassification"]));
    let bytes = std::fs::read(directory(family).join("model.safetensors")).expect("weights");
    let file = SafeTensors::deserialize(&bytes).expect("weights");
    let matrix = file.tensor("lm_head.weight").or_else(|_| file.tensor("model.embed_tokens.weight"));
    let matrix = matrix.expect("a matrix");
    // Two bytes a number.
    let rows = &matrix.data()[2 * HIDDEN * TOKEN as usize..][..2 * HIDDEN * labels];
    let mut views = file.tensors();
    views.retain(|(name, _)| name != "lm_head.weight");
    if labels > 0 {
        let head = TensorView::new(matrix.dtype(), vec![labels, HIDDEN], rows).expect("a head");
        views.push(("score.weight".to_string(), head));
    }
    safetensors::serialize_to_file(views, None, &folder.path().join("model.safetensors")).expect("weights");
    folder
}

fn edit(folder: &Path, change: impl Fn(&mut Value)) {
    let path = folder.join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).expect("file")).expect("JSON");
    change(&mut config);
    std::fs::write(path, config.to_string()).expect("written");
}

fn open_headed(folder: &Path) -> Arc<DecoderModel> {
    Arc::new(DecoderModel::open(folder, &DecoderOptions::default()).expect("a decoder"))
}

/// The message with which a model is refused.
fn refused(folder: &Path) -> String {
    DecoderModel::open(folder, &DecoderOptions::default()).err().expect("refused").to_string()
}

#[test]
fn a_score_is_the_head_over_the_state_of_the_last_token() {
    // The first has an output matrix of its own, which is gone; the embeddings of the others were theirs.
    for family in ["llama", "qwen2", "qwen3"] {
        let folder = headed(family, 1);
        assert!(ScoreHead::is_one(folder.path()).expect("read"), "{family}");
        assert!(!ScoreHead::is_one(directory(family)).expect("read"), "{family}");
        let model = open_headed(folder.path());
        let prompt = PairPrompt::recognize(&model).expect("read").expect("a prompt");
        assert_eq!(prompt.name, "query-document");
        let scorer = PromptedScorer::new(model, prompt).expect(family);
        assert!(scorer.info().cross_encoder && scorer.labels().is_none());
        let found = scorer.score_pairs(&PAIRS, None).expect("scores");
        assert!(found.truncated.is_empty());
        let whole = open(family);
        for (at, (query, document)) in PAIRS.into_iter().enumerate() {
            let text = format!("query: {query} document: {document}");
            // This tokenizer puts the beginning and the end around a text by itself, and what is written in one is text.
            let ids = whole.tokenizer().encode(&text, true, false).expect("tokens");
            assert_eq!((ids.first(), ids.last()), (Some(&0), Some(&2)), "{family}");
            assert_eq!(found.tokens[at], ids.len(), "{family}");
            let logit_ids = LogitIds::Only(&[TOKEN]);
            let outputs = OutputRequest { logits_at: Positions::Last, logit_ids, ..OutputRequest::default() };
            let expected = whole.forward(&[request(&ids, None, outputs)]).expect("logits")[0].logits[0][0];
            let logit = found.logits[at];
            assert!((logit - expected).abs() < 1e-4, "{family}: {logit} {expected}");
            assert!((found.scores[at] - 1.0 / (1.0 + f64::from(-logit).exp())).abs() < 1e-12);
        }
        // One by one, and cut: the end stays where it is.
        let alone = scorer.score_pairs(&PAIRS[..1], None).expect("a score");
        assert_eq!(alone.logits[0], found.logits[0], "{family}");
        let cut = scorer.score_pairs(&PAIRS[..1], Some(found.tokens[0] - 3)).expect("a score");
        assert_eq!((cut.tokens[0], cut.truncated[0].tokens), (found.tokens[0] - 3, found.tokens[0]));
    }
}

#[test]
fn prompts_are_those_that_files_and_names_say() {
    let folder = headed("llama", 1);
    edit(folder.path(), |config| config[PAIR_PROMPT_KEY] = json!("rankllama"));
    let model = open_headed(folder.path());
    let prompt = PairPrompt::recognize(&model).expect("read").expect("a prompt");
    assert_eq!(prompt.name, "rankllama");
    let tokens = |text: &str| model.tokenizer().encode(text, false, false).expect("tokens").len();
    let expected = 2 + tokens("query: what purrs") + tokens("document: cats purr at night");
    let scorer = PromptedScorer::new(model.clone(), prompt).expect("a scorer");
    assert_eq!(scorer.score_pairs(&PAIRS[..1], None).expect("a score").tokens, [expected]);
    assert!(prompt.fits(&model) && !PairPrompt::find("yes-no").expect("a prompt").fits(&model));
    edit(folder.path(), |config| config[PAIR_PROMPT_KEY] = json!("rankllma"));
    let error = PairPrompt::recognize(&open_headed(folder.path())).expect_err("refused").to_string();
    assert!(error.contains("`rankllma`") && error.contains("query-document, rankllama"), "{error}");
    // A published model by its name.
    edit(folder.path(), |config| {
        config.as_object_mut().expect("an object").remove(PAIR_PROMPT_KEY);
        config["_name_or_path"] = json!("castorini/RankLLaMA-v1-7b-lora-passage");
    });
    let named = PairPrompt::recognize(&open_headed(folder.path())).expect("read").expect("a prompt");
    assert_eq!(named.name, "rankllama");
    // A decoder that writes is not one of them.
    let whole = Arc::new(open("llama"));
    let error = PromptedScorer::new(whole, PairPrompt::of_score_heads()).err().expect("refused").to_string();
    assert!(error.contains("`query-document` is for decoders with a score head"), "{error}");
}

#[test]
fn what_gives_no_single_score_or_text_is_refused() {
    let classes = refused(headed("llama", 3).path());
    assert!(classes.contains("3 rows") && classes.contains("num_labels=1"), "{classes}");
    assert!(refused(headed("llama", 0).path()).contains("score.weight"));
    for family in ["llama", "qwen3"] {
        let folder = headed(family, 1);
        let model = open_headed(folder.path());
        let outputs = OutputRequest {
            logits_at: Positions::Last,
            logit_ids: LogitIds::All,
            ..OutputRequest::default()
        };
        let error = model.forward(&[request(&tokens(5, 1), None, outputs)]).expect_err("refused").to_string();
        assert!(error.contains("cannot write text") && error.contains("score head"), "{error}");
    }
    let folder = headed("llama", 1);
    edit(folder.path(), |config| drop(config.as_object_mut().expect("an object").remove("eos_token_id")));
    let error = PromptedScorer::new(open_headed(folder.path()), PairPrompt::of_score_heads());
    let error = error.err().expect("refused").to_string();
    assert!(error.contains("eos_token_id"), "{error}");
}
