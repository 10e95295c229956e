//! Every kind of damage to a reply ends in an error that names the request, and never in scores.

use crate::mock::{Answer, Mock, lengths};
use plackett_remote::*;
use std::time::Duration;

/// Asks for the scores of two texts.
fn ask(api: Api, config: impl FnOnce(&mut RemoteConfig), answer: Answer) -> (String, RemoteError, usize) {
    let mock = Mock::start(move |_, _| answer.clone());
    let mut wanted = RemoteConfig { backoff_seconds: 0.001, ..RemoteConfig::new(api, &mock.url) };
    config(&mut wanted);
    let model = RemoteModel::open(wanted).expect("a model");
    let error = model.rerank("q", &["a", "b"]).expect_err("a server's error");
    let error = RemoteError::try_from(error).unwrap_or_else(|other| panic!("{other}"));
    assert_eq!(model.spent().failed, 1);
    (format!("{}{}", mock.url, api.path()), error, mock.count())
}

#[test]
fn replies_that_are_none_of_the_interface() {
    for (body, part) in [
        ("", "empty"),
        ("<!doctype html><title>Login</title>", "web page"),
        (r#"[{"index": 0, "score": 1.0}, {"index": 1, "sc"#, "ends early"),
        (r#"[{"index": 0, "score": 1.0}]"#, "missing: index 1"),
        (r#"[{"index": 0, "score": 1.0}, {"index": 0, "score": 2.0}]"#, "twice"),
        (r#"[{"index": 0, "score": 1.0}, {"index": 2, "score": 2.0}]"#, "index 2"),
        (r#"[{"index": 0, "score": 1.0}, {"index": 1, "score": NaN}]"#, "NaN"),
        (r#"[{"index": 0, "score": 1.0}, {"index": 1, "score": null}]"#, "null"),
        (r#"{"error": "the model is gone", "error_type": "backend"}"#, "the model is gone"),
    ] {
        let (url, error, asked) = ask(Api::TeiRerank, |_| {}, Answer::ok(body));
        let message = error.to_string();
        assert!(matches!(error, RemoteError::Reply { status: 200, number: 1, .. }), "{message}");
        for part in [part, &url, "request 1", "status 200", "check that the address speaks tei-rerank"] {
            assert!(message.contains(part), "{body}: {message}");
        }
        assert_eq!(asked, 1, "a broken reply was paid for and is not asked for again");
    }
    let (_, error, _) =
        ask(Api::TeiRerank, |_| {}, Answer { status: 200, body: vec![0xff; 10], ..Answer::default() });
    assert!(error.to_string().contains("not JSON"), "{error}");
}

#[test]
fn connections_that_break() {
    let whole = r#"[{"index": 0, "score": 1.0}, {"index": 1, "score": 2.0}]"#;
    let (url, error, asked) = ask(Api::TeiRerank, |_| {}, Answer { cut: Some(20), ..Answer::ok(whole) });
    assert!(matches!(error, RemoteError::Cut { status: 200, bytes: 20, .. }), "{error:?}");
    assert!(error.to_string().contains(&url) && asked == 1, "{error}");
    let (url, error, asked) =
        ask(Api::TeiRerank, |c| c.attempts = 3, Answer { silent: true, ..Answer::ok(whole) });
    assert!(matches!(error, RemoteError::NoAnswer { attempts: 3, .. }), "{error:?}");
    assert!(error.to_string().contains(&url) && asked == 3, "{error}");
    let slow = Answer { delay: Duration::from_secs(3), ..Answer::ok(whole) };
    let (_, error, asked) = ask(Api::TeiRerank, |c| c.timeout_seconds = 0.2, slow);
    assert!(matches!(error, RemoteError::Timeout { .. }), "{error:?}");
    assert!(error.to_string().contains("timeout_seconds") && asked == 1, "{error}");
}

#[test]
fn replies_without_end() {
    let long = format!("[{}]", " ".repeat(5000));
    let (_, error, _) = ask(Api::TeiRerank, |c| c.max_reply_bytes = 1000, Answer::ok(long));
    assert!(matches!(error, RemoteError::TooLarge { limit: 1000, .. }), "{error:?}");
    assert!(error.to_string().contains("max_reply_bytes"), "{error}");
}

#[test]
fn errors_with_a_web_page_or_nothing() {
    for (body, part) in [("<html>Bad Gateway</html>", "web page"), ("", "no reason given")] {
        let (url, error, asked) = ask(Api::TeiRerank, |c| c.attempts = 2, Answer::status(502, body));
        assert!(matches!(error, RemoteError::Status { status: 502, attempts: 2, .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.contains(part) && message.contains(&url) && asked == 2, "{message}");
    }
}

#[test]
fn redirects_are_followed_only_on_the_same_server() {
    let mock = Mock::start(|_, seen| match seen.path.as_str() {
        "/rerank" => Answer::status(307, "").header("Location", "/new/rerank"),
        _ => Answer::ok(r#"[{"index": 0, "score": 4.0}]"#),
    });
    let model = RemoteModel::open(RemoteConfig::new(Api::TeiRerank, &mock.url)).expect("a model");
    assert_eq!(model.rerank("q", &["a"]).expect("followed").scores, [4.0]);
    assert_eq!(mock.seen()[1].body["query"], "q");
    let other = Mock::start(|_, seen| lengths(seen));
    for (status, to, part) in [
        (308, format!("{}/rerank", other.url), "another server"),
        (301, "/new/rerank".to_string(), "drops the request's body"),
        (308, "/rerank".to_string(), "too many redirects"),
    ] {
        let (_, error, _) = ask(Api::TeiRerank, |_| {}, Answer::status(status, "").header("Location", to));
        assert!(matches!(error, RemoteError::Redirect { .. }) && error.to_string().contains(part), "{error}");
    }
    assert_eq!(other.count(), 0);
}
