//! The engine's models as models that read prompts: tiny random ones, whose answers mean nothing but must agree with each
//! other.

use plackett_lm::decoder::DecoderOptions;
use plackett_lm::seq2seq::EncoderDecoderOptions;
use plackett_rank::Abilities;
use plackett_rank::engine::{Decoder, EncoderDecoderLanguage};
use plackett_rank::model::{
    AnswerForm, CallError, ContinuationRequest, Finish, GenerationOptions, GenerationRequest, LabelRequest,
    LanguageModel, Prompt, Sampling, Value,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../plackett-lm/tests/golden").join(name)
}

fn decoder() -> Arc<dyn LanguageModel> {
    let model = Decoder::open(&golden("decoder/llama"), &DecoderOptions::default()).unwrap();
    Arc::new(model).language_model().unwrap()
}

/// A tiny T5 with a tokenizer of letters, whose files are put together in a folder.
fn encoder_decoder(folder: &Path) -> Arc<dyn LanguageModel> {
    Arc::new(encoder_decoder_model(folder))
}

/// The same as it is.
pub(crate) fn encoder_decoder_model(folder: &Path) -> EncoderDecoderLanguage {
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(golden("seq2seq/t5").join(file), folder.join(file)).unwrap();
    }
    let letters = (b'a'..=b'z').chain(b'A'..=b'Z').map(char::from).chain(['\u{2581}', ':', '.']);
    let vocabulary: Vec<serde_json::Value> = ["<pad>", "</s>", "<unk>"]
        .into_iter()
        .map(|special| serde_json::json!([special, 0.0]))
        .chain(letters.map(|letter| serde_json::json!([letter.to_string(), -3.0])))
        .collect();
    let sentinels: Vec<serde_json::Value> = (0..6)
        .map(|n| {
            serde_json::json!({
                "id": vocabulary.len() + n, "content": format!("<extra_id_{n}>"), "special": true, "normalized": false,
                "single_word": false, "lstrip": false, "rstrip": false,
            })
        })
        .collect();
    let metaspace = serde_json::json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true});
    let tokenizer = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": sentinels, "normalizer": null,
        "pre_tokenizer": metaspace, "decoder": metaspace,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}},
        },
        "model": {"type": "Unigram", "unk_id": 2, "vocab": vocabulary, "byte_fallback": false},
    });
    std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    EncoderDecoderLanguage::open(folder, &EncoderDecoderOptions::default()).unwrap()
}

fn labels(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_string()).collect()
}

/// Logits of labels after a prompt, as log-probabilities among all tokens.
fn log_probs(model: &dyn LanguageModel, prompt: &Prompt, texts: &[&str]) -> Vec<f64> {
    let labels = labels(texts);
    let reply =
        model.label_logits(&[LabelRequest { prompt, labels: &labels, normalizer: true }]).remove(0).unwrap();
    let all = reply.log_normalizer.unwrap();
    reply.logits.into_iter().map(|logit| logit.unwrap() - all).collect()
}

/// The probability of a text is that of its first token times that of the rest after it.
fn chain_rule(model: &dyn LanguageModel, prompt: &Prompt) {
    let request = ContinuationRequest { prompt, continuation: "AB" };
    let whole = model.log_likelihoods(&[request]).remove(0).unwrap();
    assert_eq!(whole.tokens, 2);
    let first = log_probs(model, prompt, &["A"])[0];
    let second = log_probs(model, &prompt.clone().with_answer("A"), &["B"])[0];
    assert!((whole.log_prob - first - second).abs() < 1e-3, "{} {first} {second}", whole.log_prob);
    assert!((whole.mean() * 2.0 - whole.log_prob).abs() < 1e-12);
}

#[test]
fn likelihoods_follow_the_chain_rule() {
    chain_rule(decoder().as_ref(), &Prompt::text("the quick brown fox:"));
    let folder = tempfile::tempdir().unwrap();
    let model = encoder_decoder(folder.path());
    chain_rule(model.as_ref(), &Prompt::text("the quick brown fox").with_answer("x"));
}

#[test]
fn common_beginnings_are_computed_once_and_change_nothing() {
    let model = decoder();
    let beginning = "the quick brown fox ranks over lazy dogs again ".repeat(3);
    let prompts: Vec<Prompt> = (0..6)
        .map(|n| {
            Prompt::text(format!(
                "{beginning}{} and so on {}:",
                if n < 3 { "first of all" } else { "after that" },
                n
            ))
        })
        .chain([Prompt::text("something else:")])
        .collect();
    let names = labels(&["A", "B", "C"]);
    let requests: Vec<LabelRequest<'_>> =
        prompts.iter().map(|prompt| LabelRequest { prompt, labels: &names, normalizer: true }).collect();
    let together = model.label_logits(&requests);
    let cached: Vec<usize> =
        together.iter().map(|reply| reply.as_ref().unwrap().usage.cached_tokens).collect();
    assert_eq!((cached[6], cached.iter().filter(|cached| **cached > 0).count()), (0, 5), "{cached:?}");
    for (request, together) in requests.iter().zip(together) {
        let (alone, together) = (model.label_logits(&[*request]).remove(0).unwrap(), together.unwrap());
        assert_eq!(alone.usage.prompt_tokens, together.usage.prompt_tokens);
        for (a, b) in alone.logits.iter().zip(&together.logits) {
            assert!((a.unwrap() - b.unwrap()).abs() < 1e-4, "{a:?} {b:?}");
        }
    }
}

#[test]
fn a_label_of_several_tokens_is_refused_by_name_and_others_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    for model in [decoder(), encoder_decoder(folder.path())] {
        let prompt = Prompt::text("the quick brown fox:").with_answer("x");
        let (wrong, right) = (labels(&["A", "Zx Qv"]), labels(&["A"]));
        let replies = model.label_logits(&[
            LabelRequest { prompt: &prompt, labels: &wrong, normalizer: false },
            LabelRequest { prompt: &prompt, labels: &right, normalizer: false },
        ]);
        assert!(
            matches!(&replies[0], Err(CallError::Label { label, .. }) if label == "Zx Qv"),
            "{:?}",
            replies[0]
        );
        assert!(replies[1].is_ok(), "{:?}", replies[1]);
    }
}

#[test]
fn a_prompt_beyond_the_model_is_an_error_of_its_own() {
    let model = decoder();
    let long = Prompt::text("word ".repeat(model.max_tokens().unwrap()));
    let short = Prompt::text("word:");
    let names = labels(&["A"]);
    let request = |prompt| LabelRequest { prompt, labels: &names, normalizer: false };
    let replies = model.label_logits(&[request(&long), request(&short)]);
    assert!(matches!(replies[0], Err(CallError::TooLong { .. })), "{:?}", replies[0]);
    assert!(replies[1].is_ok());
}

fn generate(
    model: &dyn LanguageModel,
    prompt: &Prompt,
    form: &AnswerForm,
    sampling: Option<Sampling>,
) -> (String, Option<Value>) {
    let options = GenerationOptions { max_tokens: 5, sampling, ..GenerationOptions::default() };
    let request = GenerationRequest { prompt, form, sample: 0 };
    let answer = model.generate(&[request], &options).remove(0).unwrap();
    assert!(answer.usage.generated_tokens > 0);
    if *form == AnswerForm::Text {
        assert!(
            answer.usage.generated_tokens <= 5 && answer.finish == Finish::Length
                || answer.finish == Finish::End
        );
    }
    (answer.text, answer.value)
}

#[test]
fn answers_have_the_form_that_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let letters = labels(&["A", "B", "C"]);
    for model in [decoder(), encoder_decoder(folder.path())] {
        let prompt = Prompt::text("rank these:").with_answer("x");
        let form = AnswerForm::Permutation { labels: letters.clone(), length: 2, separator: ".".into() };
        let (text, value) = generate(model.as_ref(), &prompt, &form, None);
        let Some(Value::Permutation(order)) = value else { panic!("{text}") };
        assert_eq!(text, format!("{}.{}", letters[order[0]], letters[order[1]]));
        assert_ne!(order[0], order[1]);
        let form = AnswerForm::OneOf(labels(&["AB", "CD"]));
        let (text, value) = generate(model.as_ref(), &prompt, &form, None);
        assert_eq!(value, Some(Value::Choice(if text == "AB" { 0 } else { 1 })));
        generate(model.as_ref(), &prompt, &AnswerForm::Text, None);
    }
    let form = AnswerForm::Scores { labels: labels(&["1", "2"]), min: 0, max: 10 };
    let (text, value) = generate(decoder().as_ref(), &Prompt::text("score these:"), &form, None);
    let Some(Value::Scores(scores)) = value else { panic!("{text}") };
    assert!(scores.len() == 2 && scores.iter().all(|score| (0..=10).contains(score)));
    assert!(text.starts_with("{\"scores\": [{\"id\": \"1\", \"score\": "), "{text}");
}

#[test]
fn a_forced_length_is_the_length_of_every_text() {
    let folder = tempfile::tempdir().unwrap();
    for model in [decoder(), encoder_decoder(folder.path())] {
        let prompts: Vec<Prompt> = (0..4).map(|n| Prompt::text(format!("prompt {n}:"))).collect();
        let request = |prompt| GenerationRequest { prompt, form: &AnswerForm::Text, sample: 0 };
        let requests: Vec<GenerationRequest<'_>> = prompts.iter().map(request).collect();
        let sampling = Some(Sampling { seed: 7, temperature: 5.0, top_p: None });
        let options = GenerationOptions { max_tokens: 9, min_tokens: 9, sampling, ..Default::default() };
        for answer in model.generate(&requests, &options) {
            let answer = answer.unwrap();
            assert_eq!((answer.usage.generated_tokens, answer.finish), (9, Finish::Length));
        }
        let beyond = GenerationOptions { max_tokens: 9, min_tokens: 10, ..Default::default() };
        let refused = model.generate(&requests[..1], &beyond).remove(0).unwrap_err().to_string();
        assert!(refused.contains("at least 10 tokens, where there is room for 9"), "{refused}");
    }
}

#[test]
fn draws_are_the_same_alone_and_among_others() {
    let model = decoder();
    let sampling = Some(Sampling { seed: 7, temperature: 2.0, top_p: None });
    let prompts: Vec<Prompt> = (0..4).map(|n| Prompt::text(format!("prompt {n}:"))).collect();
    let options = GenerationOptions { max_tokens: 8, sampling, ..GenerationOptions::default() };
    let request = |prompt, sample| GenerationRequest { prompt, form: &AnswerForm::Text, sample };
    let all: Vec<GenerationRequest<'_>> =
        prompts.iter().flat_map(|prompt| [request(prompt, 0), request(prompt, 1)]).collect();
    let together = model.generate(&all, &options);
    for (one, together) in all.iter().zip(&together) {
        let alone = model.generate(&[*one], &options).remove(0).unwrap();
        assert_eq!(alone.text, together.as_ref().unwrap().text);
    }
    let texts: Vec<&String> = together.iter().map(|answer| &answer.as_ref().unwrap().text).collect();
    assert!(texts.chunks(2).any(|pair| pair[0] != pair[1]), "samples differ: {texts:?}");
}
