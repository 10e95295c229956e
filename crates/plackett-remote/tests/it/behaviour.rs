//! Attempts, waiting, concurrency, money, the log, off-line use.

use crate::mock::{Answer, Mock, lengths};
use plackett_lm::LmError;
use plackett_remote::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn config(mock: &Mock) -> RemoteConfig {
    RemoteConfig { backoff_seconds: 0.01, max_batch: Some(1), ..RemoteConfig::new(Api::RerankV1, &mock.url) }
}

fn open(config: RemoteConfig) -> RemoteModel {
    RemoteModel::open(config).expect("a model")
}

fn remote(error: LmError) -> RemoteError {
    RemoteError::try_from(error).unwrap_or_else(|other| panic!("{other}"))
}

#[test]
fn overloaded_servers_are_asked_again_and_others_are_not() {
    for (status, again) in
        [(429, true), (503, true), (500, true), (400, false), (401, false), (404, false), (501, false)]
    {
        let mock = Mock::start(move |n, seen| match n {
            0 | 1 => Answer::status(status, r#"{"error": {"message": "not now"}}"#),
            _ => lengths(seen),
        });
        let model = open(config(&mock));
        let result = model.rerank("q", &["a"]);
        assert_eq!(result.is_ok(), again, "{status}");
        assert_eq!(mock.count(), if again { 3 } else { 1 }, "{status}");
        match result {
            Ok(_) => assert_eq!((model.spent().retries, model.spent().answered), (2, 1)),
            Err(error) => {
                let message = error.to_string();
                for part in [
                    format!("status {status}"),
                    "not now".into(),
                    "request 1".into(),
                    format!("{}/v1/rerank", mock.url),
                ] {
                    assert!(message.contains(&part), "{message}");
                }
            }
        }
    }
}

#[test]
fn retry_after_is_honoured() {
    let mock = Mock::start(|n, seen| match n {
        0 => Answer::status(429, "").header("Retry-After", "0.3"),
        _ => lengths(seen),
    });
    let start = Instant::now();
    open(config(&mock)).rerank("q", &["a"]).expect("the second time");
    assert!(start.elapsed() >= Duration::from_millis(300));
    let mock = Mock::start(|_, _| Answer::status(429, "").header("Retry-After", "3600"));
    let message = open(config(&mock)).rerank("q", &["a"]).expect_err("too long").to_string();
    assert!(message.contains("longest_wait_seconds") && mock.count() == 1, "{message}");
}

#[test]
fn at_most_so_many_are_under_way_and_results_keep_their_order() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (inside, peak) = (now.clone(), most.clone());
    let mock = Mock::start(move |_, seen| {
        peak.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let size = seen.body["documents"][0].as_str().map_or(0, str::len);
        // Later ones are faster.
        std::thread::sleep(Duration::from_millis(40 - 2 * size as u64));
        inside.fetch_sub(1, Ordering::SeqCst);
        lengths(seen)
    });
    let model = open(RemoteConfig { in_flight: 3, ..config(&mock) });
    let texts: Vec<String> = (0..15).map(|i| "x".repeat(i)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let scores = model.rerank("q", &texts).expect("scores").scores;
    assert_eq!(scores, (0..15).map(f64::from).collect::<Vec<_>>());
    assert_eq!((most.load(Ordering::SeqCst), mock.count()), (3, 15));
}

#[test]
fn a_dead_server_ends_the_call_soon() {
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("address")
    };
    let url = format!("http://{address}");
    let patient =
        RemoteConfig { attempts: 3, backoff_seconds: 0.05, ..RemoteConfig::new(Api::RerankV1, url) };
    let model = open(RemoteConfig { max_batch: Some(1), ..patient });
    let texts = vec!["a"; 500];
    let start = Instant::now();
    let message = model.rerank("q", &texts).expect_err("nobody there").to_string();
    assert!(message.contains("no answer after 3 attempts") && message.contains("server runs"), "{message}");
    // The next call knows, and tries once.
    let message = model.rerank("q", &["a"]).expect_err("nobody there").to_string();
    assert!(message.contains("no answer after 1 attempts"), "{message}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn one_bad_request_does_not_take_the_others_with_it() {
    let mock = Mock::start(|_, seen| match seen.body["prompt"].as_str() {
        Some("bad") => Answer::status(422, r#"{"error": "too long", "error_type": "validation"}"#),
        _ => Answer::ok(r#"{"choices": [{"text": "ok"}]}"#),
    });
    let model = open(RemoteConfig::new(Api::Completions, &mock.url));
    let prompts = ["a", "bad", "b"];
    let requests = prompts.map(|p| CompletionRequest { prompt: p.into(), ..CompletionRequest::default() });
    let results = model.complete(&requests).expect("sent");
    assert!(results[0].is_ok() && results[2].is_ok());
    let message = results[1].as_ref().expect_err("too long").to_string();
    assert!(
        message.contains("request 2") && message.contains("too long") && message.contains("shorten"),
        "{message}"
    );
    // What concerns all ends the call: no key is right for the third when it is wrong for the second.
    let mock = Mock::start(|n, _| match n {
        0 => Answer::ok(r#"{"choices": [{"text": "ok"}]}"#),
        _ => Answer::status(401, r#"{"error": {"message": "no"}}"#),
    });
    let model = open(RemoteConfig { in_flight: 1, ..RemoteConfig::new(Api::Completions, &mock.url) });
    let results = model.complete(&requests).expect("sent");
    assert!(results[0].is_ok() && matches!(results[1], Err(RemoteError::Status { status: 401, .. })));
    let skipped = results[2].as_ref().expect_err("not sent");
    assert!(skipped.is_consequence() && skipped.to_string().contains("status 401"), "{skipped}");
    assert_eq!(mock.count(), 2);
}

#[test]
fn money_is_counted_and_the_limit_kept_before_sending() {
    let mock = Mock::start(|_, seen| lengths(seen));
    let price = Price { prompt_per_million: 1000.0, ..Price::default() };
    let model = open(RemoteConfig { price, ..config(&mock) });
    model.rerank("q", &["a", "b"]).expect("scores");
    let spent = model.spent();
    assert_eq!((spent.answered, spent.prompt_tokens), (2, 20));
    assert!((spent.cost - 0.02).abs() < 1e-12, "{spent:?}");
    // A request may cost up to about 0.1: with 0.15 the first is sent, and those after it only while there is room.
    let limited = open(RemoteConfig { price, spending_limit: Some(0.15), in_flight: 2, ..config(&mock) });
    let before = mock.count();
    let error = remote(limited.rerank("q", &["a"; 30]).expect_err("too dear"));
    assert!(matches!(error, RemoteError::SpendingLimit { .. }), "{error}");
    let spent = limited.spent();
    assert!(spent.cost + spent.uncertain <= 0.15 && spent.answered >= 1, "{spent:?}");
    assert_eq!((mock.count() - before) as u64, spent.answered);
    let none = RemoteConfig { spending_limit: Some(1.0), ..config(&mock) };
    assert!(RemoteModel::open(none).is_err(), "a limit needs prices");
}

#[test]
fn a_run_goes_on_where_its_log_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("requests.jsonl");
    let mock = Mock::start(|n, seen| match n {
        0..5 => lengths(seen),
        _ => Answer::status(401, "{}"),
    });
    let texts: Vec<String> = (0..8).map(|i| format!("text {i}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let logged = RemoteConfig { log: Some(log.clone()), in_flight: 1, ..config(&mock) };
    {
        let model = open(logged.clone());
        assert!(model.rerank("q", &texts).is_err());
        // They were on the disk before the call failed.
        let lines = std::fs::read_to_string(&log).expect("log");
        assert_eq!(lines.lines().filter(|l| l.contains("\"ok\":true")).count(), 5);
        assert_eq!(lines.lines().filter(|l| l.contains("\"status\":401")).count(), 1);
        assert_eq!(lines.lines().count(), 6);
    }
    // The process was killed inside a line.
    let mut torn = std::fs::read(&log).expect("log");
    torn.extend_from_slice(b"{\"version\":1,\"hash\":\"12");
    std::fs::write(&log, torn).expect("written");
    let other = Mock::start(|_, seen| lengths(seen));
    let model = open(RemoteConfig { log: Some(log.clone()), ..config(&other) });
    model.rerank("q", &texts).expect("another server has answers of its own");
    assert_eq!((other.count(), model.spent().reused), (8, 0));
    drop(model);
    let model = open(RemoteConfig { offline: true, ..logged.clone() });
    assert_eq!(model.rerank("q", &texts[..5]).expect("from the log").scores, [6.0; 5]);
    assert_eq!((model.spent().reused, model.spent().answered, mock.count()), (5, 0, 6));
    let error = remote(model.rerank("q", &texts).expect_err("the rest is not there"));
    assert!(matches!(error, RemoteError::Offline { .. }), "{error}");
    assert_eq!(mock.count(), 6, "off-line use sends nothing");
}

#[test]
fn without_a_log_finished_answers_outlive_a_failed_call() {
    let mock = Mock::start(|n, seen| match n {
        3 => Answer::status(404, "{}"),
        _ => lengths(seen),
    });
    let model = open(RemoteConfig { in_flight: 1, ..config(&mock) });
    assert!(model.rerank("q", &["a", "bb", "ccc", "dddd", "eeeee"]).is_err());
    assert_eq!(mock.count(), 4);
    assert_eq!(
        model.rerank("q", &["a", "bb", "ccc", "dddd", "eeeee"]).expect("scores").scores,
        [1.0, 2.0, 3.0, 4.0, 5.0]
    );
    assert_eq!((mock.count(), model.spent().reused), (6, 3));
    model.rerank("q", &["a"]).expect("asked again: an answer is delivered once");
    assert_eq!(mock.count(), 7);
}

#[test]
fn the_key_goes_to_the_server_and_nowhere_else() {
    const SECRET: &str = "sk-very-secret-7";
    // Its own process would be needed to set a variable; every system has this one.
    let variable = "PATH";
    let value = std::env::var(variable).expect("PATH");
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("requests.jsonl");
    let echo = value.clone();
    let mock = Mock::start(move |n, seen| match n {
        0 => Answer::status(
            401,
            &serde_json::json!({"error": {"message": format!("bad key {echo} {SECRET}")}}).to_string(),
        ),
        _ => lengths(seen),
    });
    let model =
        open(RemoteConfig { key_variable: Some(variable.into()), log: Some(log.clone()), ..config(&mock) });
    let message = model.rerank("q", &["a"]).expect_err("refused").to_string();
    assert!(!message.contains(&value) && message.contains("bad key (key)"), "{message}");
    model.rerank("q", &["a"]).expect("scores");
    let header = format!("Authorization: Bearer {value}");
    assert!(mock.seen().iter().all(|s| s.head.contains(&header)));
    let written = std::fs::read_to_string(&log).expect("log");
    assert!(!written.contains(&value) && written.lines().count() == 2);
    let missing = RemoteConfig { key_variable: Some("PLACKETT_NO_SUCH_KEY".into()), ..config(&mock) };
    let message = RemoteModel::open(missing).err().expect("no key").to_string();
    assert!(message.contains("PLACKETT_NO_SUCH_KEY") && message.contains("not set"), "{message}");
    let open_road = RemoteConfig {
        key_variable: Some(variable.into()),
        ..RemoteConfig::new(Api::Chat, "http://192.0.2.1")
    };
    let message = RemoteModel::open(open_road).err().expect("unencrypted").to_string();
    assert!(message.contains("unencrypted") && !message.contains(&value), "{message}");
}

#[test]
fn settings_that_cannot_be_meant_are_refused() {
    let good = RemoteConfig::new(Api::Chat, "http://127.0.0.1:1");
    let bad: [fn(&mut RemoteConfig); 9] = [
        |c| c.base_url = "nowhere".into(),
        |c| c.timeout_seconds = f64::NAN,
        |c| c.attempts = 0,
        |c| c.in_flight = 0,
        |c| c.in_flight = 1_000_000,
        |c| c.max_batch = Some(0),
        |c| c.price.per_request = -1.0,
        |c| c.backoff_seconds = 0.0,
        |c| c.log = Some("/no/such/folder/log".into()),
    ];
    for change in bad {
        let mut config = good.clone();
        change(&mut config);
        assert!(RemoteModel::open(config.clone()).is_err(), "{config:?}");
    }
    let text = serde_json::to_string(&good).expect("JSON");
    assert_eq!(serde_json::from_str::<RemoteConfig>(&text).expect("read back"), good);
    assert!(serde_json::from_str::<RemoteConfig>(r#"{"base_ulr": "x"}"#).is_err());
}
