//! What each interface sends, and what is refused before anything is sent.

use crate::mock::{Answer, Mock, Seen, lengths};
use plackett_lm::chat::Message;
use plackett_remote::*;
use serde_json::json;

fn open(api: Api, mock: &Mock) -> RemoteModel {
    let config = RemoteConfig { model: Some("m".into()), ..RemoteConfig::new(api, &mock.url) };
    RemoteModel::open(config).expect("a model")
}

#[test]
fn rerankers_split_long_calls_and_keep_the_order() {
    for (api, path, field) in [
        (Api::TeiRerank, "/rerank", "texts"),
        (Api::Rerank, "/v2/rerank", "documents"),
        (Api::RerankV1, "/v1/rerank", "documents"),
    ] {
        let mock = Mock::start(|_, seen| lengths(seen));
        let config =
            RemoteConfig { max_batch: Some(3), ..RemoteConfig::new(api, format!("{}/v1", mock.url)) };
        let model = RemoteModel::open(config).expect("a model");
        let texts: Vec<String> = (0..10).map(|i| "x".repeat(i * 7 % 10)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let scores = model.rerank("q", &texts).expect("scores").scores;
        assert_eq!(scores, texts.iter().map(|t| t.len() as f64).collect::<Vec<_>>());
        let seen = mock.seen();
        assert_eq!(seen.len(), 4);
        let sizes: usize = seen.iter().map(|s| s.body[field].as_array().expect("texts").len()).sum();
        assert_eq!(sizes, 10);
        assert!(seen.iter().all(|s| s.path == path && s.body["query"] == "q"));
        assert!(model.rerank("q", &[]).expect("nothing").scores.is_empty());
        assert_eq!(mock.count(), 4, "an empty call is not sent");
    }
    let mock = Mock::start(|_, seen| lengths(seen));
    let sent = |api| {
        open(api, &mock).rerank("q", &["a"]).expect("scores");
        mock.seen().pop().expect("a request").body
    };
    assert_eq!(
        sent(Api::TeiRerank),
        json!({"model": "m", "query": "q", "texts": ["a"], "truncate": false, "raw_scores": true})
    );
    assert_eq!(sent(Api::Rerank), json!({"model": "m", "query": "q", "documents": ["a"], "top_n": 1}));
    assert_eq!(
        sent(Api::RerankV1),
        json!({"model": "m", "query": "q", "documents": ["a"], "top_n": 1, "return_documents": false})
    );
}

#[test]
fn embedders_and_classifiers() {
    fn embed(_: usize, seen: &Seen) -> Answer {
        let texts = seen.body["input"].as_array().or(seen.body["inputs"].as_array()).expect("inputs");
        match seen.path.as_str() {
            "/embed" => {
                let rows: Vec<_> =
                    texts.iter().map(|t| json!([t.as_str().expect("text").len(), 1])).collect();
                Answer::ok(json!(rows).to_string())
            }
            "/predict" => {
                let rows: Vec<_> = texts.iter().map(|t| json!([{"label": t[0], "score": 0.5}])).collect();
                Answer::ok(json!(rows).to_string())
            }
            _ => {
                let row = |(i, t): (usize, &serde_json::Value)| json!({"index": i, "embedding": [t.as_str().expect("text").len(), 1]});
                let data: Vec<_> = texts.iter().enumerate().map(row).rev().collect();
                Answer::ok(json!({"data": data, "usage": {"prompt_tokens": 3}}).to_string())
            }
        }
    }
    let mock = Mock::start(embed);
    for api in [Api::Embeddings, Api::TeiEmbed] {
        let config = RemoteConfig { max_batch: Some(2), ..RemoteConfig::new(api, &mock.url) };
        let model = RemoteModel::open(config).expect("a model");
        let rows = model.embed(&["a", "bbb", "cc"]).expect("vectors");
        assert_eq!(rows, [[1.0, 1.0], [3.0, 1.0], [2.0, 1.0]]);
    }
    let pairs = open(Api::TeiPredict, &mock).predict(&[("a", "b"), ("c", "d")]).expect("labels");
    assert_eq!((pairs[0][0].label.as_str(), pairs[1][0].label.as_str()), ("a", "c"));
    assert_eq!(mock.seen().last().expect("one").body["inputs"], json!([["a", "b"], ["c", "d"]]));
}

#[test]
fn conversations_and_completions() {
    fn generate(_: usize, seen: &Seen) -> Answer {
        let alternatives =
            json!([{"token": "Yes", "logprob": -0.5, "bytes": null}, {"token": " no", "logprob": -1.5}]);
        let content = json!([{"token": "Yes", "logprob": -0.5, "top_logprobs": alternatives}]);
        let usage = json!({"prompt_tokens": 7, "completion_tokens": 1});
        let choice = match seen.path.as_str() {
            "/v1/chat/completions" => {
                json!({"message": {"content": "Yes"}, "finish_reason": "length", "logprobs": {"content": content}})
            }
            _ if seen.body["echo"] == true => {
                json!({"text": format!("{}!", seen.body["prompt"].as_str().expect("prompt")),
                "logprobs": {"tokens": ["a", " b", " c", "!"], "token_logprobs": [null, -1.0, -2.5, -9.0]}})
            }
            _ => json!({"text": "Yes", "logprobs": {"tokens": ["Yes"], "token_logprobs": [-0.5],
                "top_logprobs": [{"Yes": -0.5, " no": -1.5}]}}),
        };
        Answer::ok(json!({"choices": [choice], "usage": usage}).to_string())
    }
    let mock = Mock::start(generate);
    let chat = open(Api::Chat, &mock);
    let generation = Generation {
        max_tokens: 5,
        seed: Some(3),
        stop: vec!["\n".into()],
        top_logprobs: 2,
        ..Generation::default()
    };
    let request = ChatRequest { messages: vec![Message::new("user", "ok?")], generation: generation.clone() };
    let reply = chat.chat(&[request]).expect("sent").remove(0).expect("a reply");
    assert_eq!((reply.text.as_str(), reply.usage.prompt_tokens), ("Yes", Some(7)));
    assert_eq!(
        mock.seen()[0].body,
        json!({"model": "m", "messages": [{"role": "user", "content": "ok?"}], "max_tokens": 5, "temperature": 0.0,
            "seed": 3, "stop": ["\n"], "logprobs": true, "top_logprobs": 2})
    );
    let completions = open(Api::Completions, &mock);
    let request = CompletionRequest { prompt: "ok? ".into(), generation };
    let reply = completions.complete(&[request]).expect("sent").remove(0).expect("a reply");
    assert_eq!(reply.positions.len(), 1);
    assert_eq!(mock.seen()[1].body["logprobs"], 2);
    for model in [&chat, &completions] {
        let chosen = model.chosen_logprobs(&["p", "q"], &["Yes", " no", "no"], 2).expect("sent");
        for one in chosen {
            let wanted = [Chosen::Exact(-0.5), Chosen::Exact(-1.5), Chosen::AtMost(-1.5)];
            assert_eq!(one.expect("numbers"), wanted);
        }
    }
    let echoed = completions.echo_logprobs(&["a b c"]).expect("sent").remove(0).expect("numbers");
    assert_eq!(echoed.iter().map(|p| p.logprob).collect::<Vec<_>>(), [None, Some(-1.0), Some(-2.5)]);
    let sums = completions.continuation_logprobs("a", &[" b c"]).expect("sent").remove(0);
    assert_eq!(sums.expect("a sum"), -3.5);
    let spans = completions.continuation_logprobs("a ", &["b c"]).expect("sent").remove(0);
    assert!(spans.expect_err("spans").to_string().contains("spans the end of the prompt"));
}

#[test]
fn an_echo_that_may_be_shifted_is_tried_out_once() {
    // Texts that end with a full stop end the generation, so that nothing tells where their numbers belong.
    fn echo(shifted: bool, seen: &crate::mock::Seen) -> Answer {
        let text = seen.body["prompt"].as_str().expect("prompt");
        let generated = if text.ends_with('.') { "" } else { "!" };
        let mut tokens: Vec<&str> = text.split_inclusive(' ').collect();
        tokens.extend((!shifted && !generated.is_empty()).then_some("!"));
        let numbers: Vec<f64> = tokens.iter().map(|_| -1.0).collect();
        let logprobs = json!({"tokens": tokens, "token_logprobs": numbers});
        Answer::ok(
            json!({"choices": [{"text": format!("{text}{generated}"), "logprobs": logprobs}]}).to_string(),
        )
    }
    let sound = Mock::start(|_, seen| echo(false, seen));
    let model = open(Api::Completions, &sound);
    assert!(model.echo_logprobs(&["a b", "a."]).expect("sent").iter().all(Result::is_ok));
    assert_eq!(sound.count(), 2, "one of the replies tells");
    let model = open(Api::Completions, &sound);
    for _ in 0..2 {
        assert!(model.echo_logprobs(&["b.", "a."]).expect("sent").iter().all(Result::is_ok));
    }
    assert_eq!(sound.count(), 2 + 2 + 1 + 2, "tried out once");
    let shifted = Mock::start(|_, seen| echo(true, seen));
    let model = open(Api::Completions, &shifted);
    let message = model.echo_logprobs(&["a b"]).expect("sent").remove(0).expect_err("shifted").to_string();
    assert!(message.contains("the position after it"), "{message}");
    let message = model.echo_logprobs(&["a."]).expect_err("shifted").to_string();
    assert!(message.contains("the position after it"), "{message}");
}

#[test]
fn what_a_server_cannot_give_is_refused_by_name_and_not_sent() {
    let mock = Mock::start(|_, seen| lengths(seen));
    let never = [
        Capability::HiddenStates,
        Capability::AttentionMass,
        Capability::ChosenLogits,
        Capability::BlockAttention,
        Capability::TokenEmbeddings,
        Capability::Cache,
        Capability::ConstrainedDecoding,
        Capability::EarlyExit,
        Capability::Tokenizer,
    ];
    for &api in Api::ALL {
        let model = open(api, &mock);
        for wanted in never {
            let message = model.require(wanted).expect_err("no server gives it").to_string();
            assert!(message.contains(api.name()) && message.contains(&wanted.to_string()), "{message}");
            assert!(message.contains(&mock.url), "{message}");
        }
        let given = |capability| api.can(capability).is_ok();
        assert_eq!(model.rerank("q", &["a"]).is_ok(), given(Capability::Scores), "{api}");
        let before = mock.count();
        let refusals = [
            (given(Capability::Embeddings), model.embed(&["a"]).err().map(|e| e.to_string())),
            (given(Capability::Labels), model.predict(&[("a", "b")]).err().map(|e| e.to_string())),
            (given(Capability::EchoLogprobs), model.echo_logprobs(&["a"]).err().map(|e| e.to_string())),
            (api == Api::Chat, model.chat(&[ChatRequest::default()]).err().map(|e| e.to_string())),
            (
                api == Api::Completions,
                model.complete(&[CompletionRequest::default()]).err().map(|e| e.to_string()),
            ),
            (
                given(Capability::Generation),
                model.chosen_logprobs(&["p"], &["a"], 1).err().map(|e| e.to_string()),
            ),
        ];
        let sent = mock.count() - before;
        let possible = refusals.iter().filter(|(given, _)| *given).count();
        assert_eq!(sent, possible, "{api}");
        for (_, message) in refusals.iter().filter(|(given, _)| !given) {
            assert!(message.as_ref().is_some_and(|m| m.contains("cannot give")), "{api}: {message:?}");
        }
    }
    let before = mock.count();
    let message =
        open(Api::Chat, &mock).chosen_logprobs(&["p"], &["a"], 21).expect_err("at most 20").to_string();
    assert!(message.contains("the 21 most probable tokens"), "{message}");
    let more = RemoteConfig { max_top_logprobs: Some(21), ..RemoteConfig::new(Api::Chat, &mock.url) };
    assert!(RemoteModel::open(more).expect("a model").require(Capability::TopLogprobs(21)).is_ok());
    assert_eq!(mock.count(), before);
}
