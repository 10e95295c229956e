//! `plackett train` of a tiny T5 as a pointwise reranker: from lists to a model that ranks, kills, and what is refused.

use crate::common::{kill_when, plackett};
use crate::train::{
    QUERIES, TEXTS, examples, prepared, refused, save_decoder, train, training, weights, write,
};
use plackett_lm::seq2seq::EncoderDecoderOptions;
use plackett_rank::MethodSpec;
use plackett_rank::engine::EncoderDecoderLanguage;
use plackett_rank::training_example::FirstTokenExampleBuilder;
use plackett_train::trainer::{EncoderDecoderModel, FirstToken};
use plackett_train::{Compute, Parameters};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plackett-lm/tests/golden/seq2seq");
const MONO: &str = "method = \"mono-t5\"\n";
const RANK: &str = "method = \"rank-t5\"\n";
const LORA: &str = "[trained]\nadapter = \"lora(rank=2)\"\n";
const SETTINGS: &str = "[settings]\nsteps = 24\nbatch = 2\nrate = 5e-3\ncheckpoint = 4\n";

/// A tokenizer of letters, and of the words that monoT5 and RankT5 read.
fn tokenizer() -> Value {
    let letters = (b'a'..=b'z').chain(b'A'..=b'Z').map(char::from).chain(['\u{2581}', ':', '.']);
    let vocabulary: Vec<Value> = ["<pad>", "</s>", "<unk>"]
        .into_iter()
        .map(|special| json!([special, 0.0]))
        .chain(letters.map(|letter| json!([letter.to_string(), -3.0])))
        .chain(["\u{2581}true", "\u{2581}false"].into_iter().map(|word| json!([word, -2.0])))
        .collect();
    let sentinel = json!({
        "id": vocabulary.len(), "content": "<extra_id_10>", "special": true, "normalized": false, "single_word": false,
        "lstrip": false, "rstrip": false,
    });
    let metaspace =
        json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [sentinel], "normalizer": null,
        "pre_tokenizer": metaspace, "decoder": metaspace,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}},
        },
        "model": {"type": "Unigram", "unk_id": 2, "vocab": vocabulary, "byte_fallback": false},
    })
}

/// A folder with a tiny encoder–decoder, lists of which the second candidate is the best of each, and a training file.
fn encoder_decoder(family: &str, rest: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base");
    std::fs::create_dir(&base).unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(Path::new(GOLDEN).join(family).join(file), base.join(file)).unwrap();
    }
    write(&base, "tokenizer.json", &tokenizer().to_string());
    write(folder.path(), "train.jsonl", &examples(|_, at| f64::from(u8::from(at == 1))));
    write(folder.path(), "t.toml", &training("./base", rest));
    folder
}

/// The scores of four candidates by their ids, as the command ranks them.
fn ranked(folder: &Path, method: &str, model: &str) -> BTreeMap<String, f64> {
    let candidates: Vec<Value> =
        (0..4).map(|at| json!({"docid": format!("d{at}"), "text": TEXTS[at]})).collect();
    let request = json!({"query": QUERIES[0], "candidates": candidates});
    write(folder, "requests.jsonl", &format!("{request}\n"));
    let arguments = ["rerank", "--method", method, "--model", model, "requests.jsonl", "--json"];
    let done = plackett(folder, &arguments).expect(0).json();
    let ranking = done["results"][0]["ranking"].as_array().unwrap();
    let id = |entry: &Value| entry["id"].as_str().unwrap().to_string();
    ranking.iter().map(|entry| (id(entry), entry["score"].as_f64().unwrap())).collect()
}

/// The same scores by the training engine: the logarithm of the odds of both words, or a logit.
fn trained_scores(folder: &Path, method: &str) -> Vec<f64> {
    use plackett_core::{Document, Query, RankRequest};
    let language = EncoderDecoderLanguage::open(folder, &EncoderDecoderOptions::default()).unwrap();
    let builder =
        FirstTokenExampleBuilder::new(Arc::new(language), MethodSpec::find(method).unwrap(), &[]).unwrap();
    let documents = TEXTS.iter().enumerate().map(|(at, text)| Document::new(format!("d{at}"), *text));
    let example = builder.example(&RankRequest::new(Query::new("q", QUERIES[0]), documents)).unwrap();
    let read = match example.labels[..] {
        [token] => FirstToken::Logit(token),
        [good, bad] => FirstToken::Words { good, bad },
        _ => panic!("{:?}", example.labels),
    };
    let mut parameters = Parameters::default();
    let model = EncoderDecoderModel::open(folder, &mut parameters).unwrap();
    let prompts: Vec<&[u32]> = example.prompts.iter().map(Vec::as_slice).collect();
    let scores = model.scores(&Compute::new(1), &parameters, &prompts, read).unwrap();
    scores.into_iter().map(f64::from).collect()
}

fn assert_close(ours: f64, theirs: f64) {
    assert!((ours - theirs).abs() < 1e-4 * theirs.abs().max(1.0), "{ours} {theirs}");
}

#[test]
fn a_t5_becomes_a_reranker_that_scores_as_it_was_trained() {
    for (method, rest) in [
        ("mono-t5", ""),
        ("mono-t5", "objective = \"language + ranknet\"\n"),
        ("rank-t5", "negatives = 3\n[trained]\nadapter = \"lora(rank=2)\"\n"),
        ("rank-t5", "objective = \"listmle\"\n"),
    ] {
        let file = format!("validation = \"train.jsonl\"\nmethod = \"{method}\"\n{rest}{SETTINGS}");
        let folder = encoder_decoder("t5", &file);
        let folder = folder.path();
        let done = train(folder, "ranker").expect(0).json();
        assert_eq!((&done["queries"], &done["steps"], &done["cut"]), (&json!(4), &json!(24), &json!(0)));
        let [before, after] = [0, 1].map(|at| done["validation"][at].as_f64().unwrap());
        assert!(after < before, "{method} {rest}: {before} {after}");
        assert!((0.0..=1.0).contains(&done["ndcg"][1].as_f64().unwrap()), "{done}");
        let scores = trained_scores(&folder.join("ranker"), method);
        let ranking = ranked(folder, method, "./ranker");
        for (at, score) in scores.into_iter().enumerate() {
            // monoT5 ranks by ln p = −ln(1 + e^−s), where s are the odds.
            let expected = if method == "mono-t5" { -(-score).exp().ln_1p() } else { score };
            assert_close(ranking[&format!("d{at}")], expected);
        }
        let card = std::fs::read_to_string(folder.join("ranker/README.md")).unwrap();
        assert!(card.contains("# A pointwise reranker"), "{card}");
        assert!(card.contains(&format!("asked by the method `{method}`")), "{card}");
        let again = plackett(folder, &["train", "t.toml", "-o", "ranker"]).expect(0);
        let next = format!("rerank --method {method} --model ./ranker");
        assert!(again.stdout.contains(&next), "{}", again.stdout);
    }
}

#[test]
fn an_adapter_is_saved_beside_the_model() {
    let folder = encoder_decoder("t5-gated", &format!("{RANK}{LORA}save_adapter = true\n{SETTINGS}"));
    let folder = folder.path();
    let done = train(folder, "ranker").expect(0).json();
    assert!(done["trainable"].as_u64() < done["parameters"].as_u64(), "{done}");
    let config = std::fs::read_to_string(folder.join("ranker/adapter/adapter_config.json")).unwrap();
    assert!(config.contains("SEQ_2_SEQ_LM"), "{config}");
    let saved = trained_scores(&folder.join("ranker"), "rank-t5");
    let ranking = ranked(folder, "rank-t5", "./ranker");
    saved.into_iter().enumerate().for_each(|(at, score)| assert_close(ranking[&format!("d{at}")], score));
}

#[test]
fn a_killed_training_of_a_t5_goes_on_to_the_same_bits() {
    let settings = format!("{}dropout = 0.1\n", SETTINGS.replace("24", "60"));
    let folder = encoder_decoder("t5", &format!("{MONO}{settings}"));
    let folder = folder.path();
    train(folder, "whole").expect(0);
    let checkpoint = folder.join("killed/training/checkpoint.safetensors");
    kill_when(folder, &["train", "t.toml", "-o", "killed"], || checkpoint.exists());
    let done = train(folder, "killed").expect(0).json();
    assert!(done["resumed"].as_u64().unwrap() >= 4, "{done}");
    assert_eq!(weights(folder, "killed"), weights(folder, "whole"));
}

#[test]
fn what_a_t5_cannot_learn_is_refused() {
    for (rest, parts) in [
        (String::new(), ["method: ./base is an encoder–decoder", "name mono-t5 or rank-t5"]),
        ("method = \"first\"\n".into(), ["method: ./base is an encoder–decoder", "`first` is neither"]),
        (format!("{MONO}window = 4\n"), ["window: is not for", "`negatives`"]),
        (format!("{MONO}orders = 2\n"), ["orders: is not for", "read alone"]),
        (format!("{MONO}tokens = 64\n"), ["tokens: is not for", "mono-t5(tokens=300)"]),
        (format!("{RANK}layers = 1\n"), ["layers: is not for", "whole"]),
        (format!("{MONO}[trained]\nadapter = \"head\"\n"), ["adapter = \"head\"", "cross-encoders"]),
        (format!("{MONO}[settings]\nhead_rate = 0.1\n"), ["head_rate = 0.1", "set rate"]),
        (format!("{MONO}objective = \"info-nce\"\n"), ["`info-nce", "scores and labels"]),
        (format!("{RANK}objective = \"language\"\n"), ["`language", "the logit of one token"]),
        (format!("{RANK}objective = \"margin-mse\"\n"), ["the query `what purrs`", "teacher"]),
        ("method = \"mono-t5(wrods=2)\"\n".into(), ["t.toml, line 3: method:", "wrods"]),
        (format!("{RANK}[settings]\nrate = 1e38\nsteps = 9\n"), ["step 2: softmax", "no checkpoint yet"]),
    ] {
        let folder = encoder_decoder("t5", &rest);
        let message = refused(folder.path(), "out");
        for part in parts {
            assert!(message.contains(part), "{rest}: {message}");
        }
        assert!(!folder.path().join("out/model.safetensors").exists());
    }
    let bart = encoder_decoder("bart", MONO);
    let message = refused(bart.path(), "out");
    assert!(message.contains("the family `bart`") && message.contains("`t5` and `mt5`"), "{message}");
    // A text without words, and labels of several tokens.
    let folder = encoder_decoder("t5", MONO);
    let blank = json!({"query": "who", "candidates": [{"text": "a", "label": 1}, {"text": " ", "label": 0}]});
    write(folder.path(), "train.jsonl", &format!("{blank}\n"));
    let message = refused(folder.path(), "out");
    assert!(message.contains("query `who`") && message.contains("1 of 2 candidates"), "{message}");
    let tokenizer = tokenizer().to_string().replace("\u{2581}true", "\u{2581}tree");
    write(folder.path(), "train.jsonl", &examples(|_, at| f64::from(u8::from(at == 1))));
    write(folder.path(), "base/tokenizer.json", &tokenizer);
    let message = refused(folder.path(), "out");
    assert!(message.contains("\"true\"") || message.contains("`true`"), "{message}");
}

#[test]
fn methods_of_a_t5_are_refused_for_other_models() {
    let bert = prepared(MONO);
    let message = refused(bert.path(), "out");
    assert!(message.contains("learned by an encoder–decoder") && message.contains("give a T5"), "{message}");
    let folder = prepared(RANK);
    save_decoder(folder.path(), 64);
    write(folder.path(), "t.toml", &training("./base", RANK));
    let message = refused(folder.path(), "out");
    assert!(message.contains("./base is none"), "{message}");
    assert!(message.contains("for a Llama a method of lists"), "{message}");
}
