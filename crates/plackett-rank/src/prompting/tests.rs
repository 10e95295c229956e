//! What every method with prompts promises, checked for all of the registry, and the account that is kept.

use crate::audit::{Audit, CallRecord};
use crate::method::{METHODS, MethodSpec};
use crate::methods::tests::{ids, ranked, request};
use crate::model::{AnswerForm, CallError, Need};
use crate::testing::ScriptedModel;
use crate::{RankError, Ranker, Settings};
use plackett_core::{Document, Query, RankRequest};
use std::sync::{Arc, Mutex};

/// Answers anything somehow: labels by their place in the alphabet, orderings as given, the least scores.
fn model() -> ScriptedModel {
    ScriptedModel::new()
        .labels(|prompt, label| Ok((prompt.len() % 97) as f64 - label.len() as f64))
        .likelihoods(|prompt, _| Ok(-((prompt.len() % 89) as f64)))
        .attention(|asked| Ok(asked.word.len() as f64 / (1.0 + asked.ending.len() as f64)))
        .vectors(|prompt, _| Ok(vec![1.0, (prompt.len() % 83) as f32]))
        .views(|prompt, view| Ok(vec![(prompt.len() % 79) as f32, view as f32]))
        .anchors(|numbers| Ok(vec![1.0, numbers.len() as f32]))
        .answers(|_, form, _| {
            Ok(match form {
                AnswerForm::Text => "[2] > [1]".into(),
                AnswerForm::Permutation { labels, length, separator } => labels[..*length].join(separator),
                AnswerForm::OneOf(texts) => texts[0].clone(),
                AnswerForm::Scores { labels, min, .. } => vec![min.to_string(); labels.len()].join(","),
            })
        })
}

fn with_prompts() -> impl Iterator<Item = &'static MethodSpec> {
    METHODS.iter().copied().filter(|spec| !spec.prompts.is_empty())
}

fn ranker(spec: &'static MethodSpec, model: ScriptedModel, long_text: &str) -> Arc<dyn Ranker> {
    let settings = Settings { long_text: long_text.parse().unwrap(), ..Settings::default() };
    spec.ranker(Arc::new(model), spec.defaults(), settings).unwrap()
}

#[test]
fn lists_of_any_length_are_ranked_whole() {
    for spec in with_prompts() {
        for count in [0, 1, 2, 3, 25] {
            let texts: Vec<String> = (0..count).map(|n| "x".repeat(n + 1)).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let model = Arc::new(model());
            let ranking = ranked(spec.name, &[], &model, &request("why", &texts)).unwrap();
            let mut found: Vec<&str> = ids(&ranking);
            found.sort_unstable();
            let mut wanted: Vec<String> = (0..count).map(|n| format!("d{n}")).collect();
            wanted.sort_unstable();
            assert_eq!(found, wanted, "{} {count}", spec.name);
            if count == 0 {
                assert_eq!(model.prompts(), 0, "{}: nothing is asked without candidates", spec.name);
            } else if let Some(formula) = spec.calls.count {
                let calls = formula(count, &spec.defaults());
                assert_eq!(model.prompts() as u64, calls, "{} with {count} candidates", spec.name);
                assert_eq!(ranking.trace.passes, calls, "{}", spec.name);
            }
            let descend = ranking.entries.windows(2).all(|pair| pair[0].score >= pair[1].score);
            assert!(descend, "{}: scores descend", spec.name);
        }
    }
}

#[test]
fn candidates_without_text_are_not_read_and_come_last() {
    for spec in with_prompts() {
        let empty = Arc::new(model());
        let ranking =
            ranked(spec.name, &[], &empty, &request("why", &["", "one", " \t", "two", "!!!"])).unwrap();
        let found = ids(&ranking);
        assert_eq!(found[3..], ["d0", "d2"], "{}: {found:?}", spec.name);
        let scores: Vec<f64> = ranking.entries.iter().map(|entry| entry.score).collect();
        assert!(scores[3] == scores[4] && (scores[3] as f32) < scores[2] as f32, "{}: {scores:?}", spec.name);
        let named: Vec<&str> =
            ranking.trace.facts.iter().filter_map(|(name, _)| name.strip_prefix("empty:")).collect();
        assert_eq!(named, ["d0", "d2"], "{}", spec.name);
        // What is read is read as if the others were not there.
        let whole = Arc::new(model());
        let alone = ranked(spec.name, &[], &whole, &request("why", &["one", "two", "!!!"])).unwrap();
        let renamed = |id: &str| match id {
            "d0" => "d1",
            "d1" => "d3",
            _ => "d4",
        };
        assert_eq!(found[..3], ids(&alone).into_iter().map(renamed).collect::<Vec<_>>(), "{}", spec.name);
        assert_eq!(empty.read(), whole.read(), "{}", spec.name);
        let none = Arc::new(model());
        let ranking = ranked(spec.name, &[], &none, &request("why", &["", " "])).unwrap();
        assert_eq!((ids(&ranking), none.prompts()), (vec!["d0", "d1"], 0), "{}", spec.name);
    }
}

#[test]
fn a_batch_gives_what_its_parts_give() {
    for spec in with_prompts() {
        let requests: Vec<RankRequest> = (0..5)
            .map(|q| {
                let documents = (0..q * 3).map(|d| Document::new(format!("d{d}"), "word ".repeat(d * q)));
                RankRequest::new(Query::new(format!("q{q}"), "why not".repeat(q + 1)), documents)
            })
            .collect();
        let together = ranker(spec, model(), "truncate").rank(&requests);
        for (request, together) in requests.iter().zip(together) {
            let alone =
                ranker(spec, model(), "truncate").rank(std::slice::from_ref(request)).remove(0).unwrap();
            let together = together.unwrap();
            assert_eq!(alone.entries, together.entries, "{}", spec.name);
            // A vector of a document serves all requests of a batch: one of them makes the pass, the others have it from there.
            let shared = (spec.needs)(&spec.defaults()).contains(&Need::PromptVectors);
            let passes = |trace: &plackett_core::Trace| match shared {
                true => trace.passes + trace.cache_hits,
                false => trace.passes,
            };
            assert_eq!(passes(&alone.trace), passes(&together.trace), "{}", spec.name);
        }
    }
}

#[test]
fn a_document_twice_is_refused_and_others_are_ranked() {
    for spec in with_prompts() {
        let twice =
            RankRequest::new(Query::new("q", "why"), [Document::new("d", "a"), Document::new("d", "b")]);
        let results = ranker(spec, model(), "truncate").rank(&[twice, request("why", &["a", "b"])]);
        let error = results[0].as_ref().unwrap_err().to_string();
        assert!(error.contains("`d` is a candidate twice"), "{}: {error}", spec.name);
        assert!(results[1].is_ok(), "{}", spec.name);
    }
}

#[test]
fn a_passage_of_a_megabyte_is_cut_and_said_or_refused() {
    let long = "long words ".repeat(100_000);
    for spec in with_prompts() {
        let requests = [request("why", &["short", &long])];
        let ranking = ranker(spec, model().max_tokens(2_000), "truncate").rank(&requests).remove(0).unwrap();
        let cut = ranking.trace.truncated.iter().find(|cut| cut.id == "d1").expect("it is said");
        assert!(cut.estimated && cut.kept < 2_000, "{}: {cut:?}", spec.name);
        assert!((199_000..201_000).contains(&cut.tokens), "{}: {cut:?}", spec.name);
        let error = ranker(spec, model().max_tokens(2_000), "refuse").rank(&requests).remove(0).unwrap_err();
        assert!(error.to_string().contains("document `d1` has about "), "{}: {error}", spec.name);
        let fine =
            ranker(spec, model().max_tokens(2_000), "refuse").rank(&[request("why", &["short"])]).remove(0);
        assert!(fine.is_ok(), "{}", spec.name);
    }
}

#[test]
fn a_text_without_blanks_is_cut_by_tokens() {
    // One word of a megabyte is one token of this model, and so is never cut; a model with a token for each sign must cut.
    let long = "x".repeat(1 << 20);
    for spec in with_prompts() {
        let done = ranker(spec, model().max_tokens(2_000), "truncate")
            .rank(&[request("why", &["short", &long])])
            .remove(0);
        assert!(done.is_ok(), "{}", spec.name);
    }
}

#[test]
fn a_query_longer_than_the_context_is_an_error_of_its_own_kind() {
    let query = "why ".repeat(3_000);
    for spec in with_prompts() {
        let error = ranker(spec, model().max_tokens(2_000), "truncate")
            .rank(&[request(&query, &["a", "b"])])
            .remove(0);
        let Err(RankError::Call { source, .. }) = error else { panic!("{}: {error:?}", spec.name) };
        // Some methods read less than the model could.
        let named =
            matches!(*source, CallError::QueryTooLong { limit, .. } if limit == 2_000 || spec.name == "mvp");
        assert!(named, "{}: {source}", spec.name);
        assert!(source.to_string().contains("shorten the query"), "{source}");
    }
}

#[test]
fn ten_thousand_candidates_are_ranked_or_refused() {
    for spec in with_prompts() {
        let documents = (0..10_000).map(|d| Document::new(format!("d{d}"), "a"));
        let many = RankRequest::new(Query::new("q", "why"), documents);
        match ranker(spec, model(), "truncate").rank(&[many]).remove(0) {
            Ok(ranking) => assert_eq!(ranking.entries.len(), 10_000, "{}", spec.name),
            Err(error) => assert!(error.to_string().contains("10000"), "{}: {error}", spec.name),
        }
    }
}

#[test]
fn a_model_without_an_ability_is_refused_before_any_text_is_read() {
    for spec in with_prompts() {
        for need in (spec.needs)(&spec.defaults()).into_iter().filter(|need| *need != Need::Tokenizer) {
            let model = Arc::new(model().without(need, "it is a toy"));
            let refused =
                spec.ranker(model.clone(), spec.defaults(), Settings::default()).err().unwrap().to_string();
            assert!(refused.contains(spec.name) && refused.contains("it is a toy"), "{refused}");
            assert_eq!(model.prompts(), 0);
        }
        let chunks = Settings { long_text: "chunk-max".parse().unwrap(), ..Settings::default() };
        let refused = spec.ranker(Arc::new(model()), spec.defaults(), chunks).err().unwrap().to_string();
        assert!(refused.contains("truncate or refuse"), "{refused}");
    }
}

#[test]
fn a_prompt_of_one_s_own_is_used_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    std::fs::write(&path, "body = \"{doc} | \"\nsuffix = \"{query}?\"\nlabels = [\"Y\", \"N\"]\nwords = 2\n")
        .unwrap();
    let model = Arc::new(model());
    let written = path.display().to_string();
    let ranking =
        ranked("yes-no", &[("prompt", &written)], &model, &request("why", &["one two three"])).unwrap();
    assert_eq!(model.read(), ["one two | why?"]);
    let id = ranking.trace.facts.iter().find(|(name, _)| name == "prompt").unwrap();
    assert!(id.1.starts_with("mine@") && id.1.len() == "mine@".len() + 12, "{id:?}");
    std::fs::write(&path, "body = \"{doc}\"\nsuffix = \"{quary}\"\n").unwrap();
    let spec = MethodSpec::find("yes-no").unwrap();
    let values = spec.values([("prompt", written.as_str())]).unwrap();
    let error = spec.ranker(model, values, Settings::default()).err().unwrap().to_string();
    assert!(error.contains("mine.toml, line 2") && error.contains("{query}"), "{error}");
}

#[derive(Default)]
struct RecordingAudit(Mutex<Vec<CallRecord>>);

impl Audit for RecordingAudit {
    fn record(&self, calls: &[CallRecord]) {
        self.0.lock().unwrap().extend_from_slice(calls);
    }
}

#[test]
fn every_call_is_recorded_with_prompt_answer_and_cost() {
    let kept = Arc::new(RecordingAudit::default());
    let spec = MethodSpec::find("yes-no").unwrap();
    let settings = Settings { audit: Some(kept.clone()), ..Settings::default() };
    let ranker = spec.ranker(Arc::new(model()), spec.defaults(), settings).unwrap();
    let mut second = request("how", &["c"]);
    second.query.id = "q2".into();
    ranker.rank(&[request("why", &["a", "b"]), second]);
    let calls = kept.0.lock().unwrap();
    let queries: Vec<&str> = calls.iter().map(|call| call.query_id.as_str()).collect();
    assert_eq!(queries, ["q", "q", "q2"], "in the order of requests");
    let first = &calls[0];
    assert_eq!((first.method.as_str(), first.call, first.kind), ("yes-no", 1, "label-logits"));
    assert!(first.prompt.words().starts_with("Passage: a\n"));
    assert_eq!(first.asked["labels"][0], " Yes");
    assert!(first.answer.as_ref().unwrap()["logits"][0].is_number() && first.usage.prompt_tokens > 10);
}

#[test]
fn an_error_of_one_request_leaves_the_others() {
    let model = ScriptedModel::new().labels(|prompt, _| match prompt.contains("poison") {
        true => Err(CallError::Argument("the toy refuses".into())),
        false => Ok(1.0),
    });
    let spec = MethodSpec::find("yes-no").unwrap();
    let ranker = spec.ranker(Arc::new(model), spec.defaults(), Settings::default()).unwrap();
    let results = ranker.rank(&[request("why", &["a", "poison"]), request("why", &["a", "b"])]);
    assert!(results[0].as_ref().unwrap_err().to_string().contains("the toy refuses"));
    assert_eq!(ids(results[1].as_ref().unwrap()), ["d0", "d1"], "ties keep the given order");
}
