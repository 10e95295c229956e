//! Replies of remote models. One that is accepted is complete: as many answers as were asked for, every number finite, no
//! log-probability above that of a certain token.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plackett_remote::RemoteConfig;
use plackett_remote::reply::{self, Chosen, Position};

fuzz_target!(|data: &[u8]| {
    let message = reply::error_message(data);
    assert!(message.chars().count() <= 120 && !message.contains('\n'), "{message:?}");
    for logprobs in [false, true] {
        for generated in
            [reply::chat(data, logprobs), reply::completion(data, logprobs)].into_iter().flatten()
        {
            assert!(!logprobs || generated.text.is_empty() || !generated.positions.is_empty());
            generated.positions.iter().for_each(position);
        }
    }
    echo(data);
    let count = items(data);
    for asked in [count, count + 1] {
        lists(data, asked, asked == count);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = RemoteConfig::from_spec(text);
    }
});

/// Log-probabilities, and what they say about tokens that stand there and one that does not.
fn position(position: &Position) {
    let sound = |value: Option<f64>| assert!(value.is_none_or(|v| v.is_finite() && v <= 0.001));
    sound(position.logprob);
    position.top.iter().for_each(|alternative| sound(alternative.logprob));
    let tokens: Vec<&str> =
        position.top.iter().map(|a| a.token.text.as_str()).chain(["no such token"]).collect();
    for asked in [1, position.top.len().max(1)] {
        let Ok(chosen) = position.chosen(asked, &tokens) else { continue };
        assert_eq!(chosen.len(), tokens.len());
        for one in chosen {
            sound(Some(one.bound()));
            assert!(matches!(one, Chosen::AtMost(_)) || one.exact().is_some());
        }
    }
}

/// The tokens of an echo spell what was sent, whatever was sent.
fn echo(data: &[u8]) {
    let Ok(generated) = reply::completion(data, true) else { return };
    for (end, _) in generated.text.char_indices().chain([(generated.text.len(), ' ')]).take(20) {
        let sent = &generated.text[..end];
        let Ok(echo) = reply::echoed(data, sent) else { continue };
        let spelt: Vec<u8> = echo.positions.iter().flat_map(|p| p.token.spelling()).copied().collect();
        assert_eq!(spelt, sent.as_bytes());
        assert!(echo.aligned || generated.text.len() == sent.len());
    }
    assert!(reply::echoed(data, &format!("{}x", generated.text)).is_err());
}

/// How many answers there seem to be.
fn items(data: &[u8]) -> usize {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(data) else { return 1 };
    let inner = value.get("results").or_else(|| value.get("data")).unwrap_or(&value);
    inner.as_array().map_or(1, Vec::len)
}

fn lists(data: &[u8], asked: usize, fits: bool) {
    if let Ok(reranked) = reply::reranked(data, asked) {
        assert!(fits && reranked.scores.len() == asked && reranked.scores.iter().all(|s| s.is_finite()));
    }
    let openai = reply::openai_embeddings(data, asked).map(|(rows, _)| rows);
    for rows in [openai, reply::tei_embeddings(data, asked)].into_iter().flatten() {
        assert!(fits && rows.len() == asked);
        let width = rows.first().map_or(1, Vec::len);
        assert!(width > 0 && rows.iter().all(|row| row.len() == width && row.iter().all(|x| x.is_finite())));
    }
    if let Ok(rows) = reply::predictions(data, asked) {
        assert!(fits && rows.len() == asked && rows.iter().all(|row| !row.is_empty()));
        assert!(rows.iter().flatten().all(|label| label.score.is_finite()));
    }
}
