//! Replies of every interface: the good ones by hand, and every way in which they can be bad.

use super::*;
use proptest::prelude::*;

fn reason<T: std::fmt::Debug>(result: Result<T, ReplyError>) -> String {
    result.unwrap_err().to_string()
}

const CHAT: &str = r#"{"id": "x", "choices": [{"index": 0, "finish_reason": "length", "message": {"role": "assistant",
    "content": "Yes"}, "logprobs": {"content": [{"token": "Yes", "logprob": -0.25, "bytes": [89, 101, 115],
    "top_logprobs": [{"token": "No", "logprob": -2.0, "bytes": [78, 111]}, {"token": "Yes", "logprob": -0.25, "bytes": [89,
    101, 115]}, {"token": "�", "logprob": -3.5, "bytes": [206]}]}]}}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}}"#;

#[test]
fn a_chat_reply_is_read_whole() {
    let reply = chat(CHAT.as_bytes(), true).unwrap();
    assert_eq!((reply.text.as_str(), reply.finish.as_deref()), ("Yes", Some("length")));
    assert_eq!(reply.usage, Usage { prompt_tokens: Some(9), completion_tokens: Some(1) });
    let top: Vec<_> =
        reply.positions[0].top.iter().map(|a| (a.token.spelling(), a.logprob.unwrap())).collect();
    assert_eq!(top, [(&b"Yes"[..], -0.25), (b"No", -2.0), (&[206], -3.5)]);
}

#[test]
fn tokens_outside_of_the_returned_ones_are_bounded_not_invented() {
    let position = chat(CHAT.as_bytes(), true).unwrap().positions.remove(0);
    let chosen = position.chosen(3, &["No", "Yes", "yes", " Yes", "�"]).unwrap();
    let outside = Chosen::AtMost(-3.5);
    // The replacement sign's bytes are known, and they are not those of the sign.
    assert_eq!(chosen, [Chosen::Exact(-2.0), Chosen::Exact(-0.25), outside, outside, outside]);
    // With two asked for, the third is the drawn token that some servers add; the second bounds the rest.
    assert_eq!(position.chosen(2, &["x"]).unwrap(), [Chosen::AtMost(-2.0)]);
    let none = Position { top: Vec::new(), ..position };
    assert!(reason(none.chosen(3, &["No"])).contains("no alternatives"));
}

#[test]
fn placeholders_are_not_probabilities() {
    let body = CHAT.replace("-3.5", "-9999.0");
    let position = chat(body.as_bytes(), true).unwrap().positions.remove(0);
    assert_eq!(position.chosen(3, &["No", "x"]).unwrap(), [Chosen::Exact(-2.0), Chosen::AtMost(-2.0)]);
    let body = CHAT.replace("-3.5", "null");
    assert_eq!(chat(body.as_bytes(), true).unwrap().positions[0].top[2].logprob, None);
    let body = CHAT.replace("-3.5", "0.5");
    assert!(reason(chat(body.as_bytes(), true)).contains("0.5"));
}

#[test]
fn spellings_that_stand_twice_count_together() {
    let body = r#"{"choices": [{"text": "a", "logprobs": {"tokens": ["a"], "token_logprobs": [-1.0],
        "top_logprobs": [{"a": -1.0, "b": -2.0, "a": -3.0}]}}]}"#;
    let position = completion(body.as_bytes(), true).unwrap().positions.remove(0);
    let chosen = position.chosen(3, &["a", "b"]).unwrap();
    let sum = ((-1.0f64).exp() + (-3.0f64).exp()).ln();
    assert!((chosen[0].exact().unwrap() - sum).abs() < 1e-12);
    assert_eq!(chosen[1], Chosen::Exact(-2.0));
    let certain = body.replace("-3.0", "-0.1").replace("-1.0", "-0.1");
    let position = completion(certain.as_bytes(), true).unwrap().positions.remove(0);
    assert!(reason(position.chosen(3, &["a"])).contains("2 times"));
}

#[test]
fn both_forms_of_completions_are_read() {
    let new = r#"{"choices": [{"text": " a", "logprobs": {"content": [{"token": " a", "logprob": -1.5,
        "bytes": [32, 97], "top_logprobs": [{"id": 5, "token": " a", "logprob": -1.5, "bytes": [32, 97]}]}]}}]}"#;
    let old = r#"{"choices": [{"text": " a", "logprobs": {"text_offset": [3], "tokens": [" a"], "token_logprobs": [-1.5],
        "top_logprobs": [{" a": -1.5}]}}], "usage": {"total_tokens": 4, "prompt_tokens": 3}}"#;
    for body in [new, old] {
        let reply = completion(body.as_bytes(), true).unwrap();
        assert_eq!(reply.positions[0].chosen(1, &[" a"]).unwrap(), [Chosen::Exact(-1.5)]);
    }
    let odd = old.replace("[-1.5]", "[-1.5, -2.0]");
    assert!(reason(completion(odd.as_bytes(), true)).contains("1 tokens have 2 log-probabilities"));
}

#[test]
fn echoed_tokens_are_told_from_what_stands_around_them() {
    let body = r#"{"choices": [{"text": "ab cd", "logprobs": {"tokens": ["<s>", "ab", " c", "d"],
        "token_logprobs": [null, -1.0, -2.0, -3.0], "top_logprobs": [null, {}, {}, {}]}}]}"#;
    let echo = echoed(body.as_bytes(), "ab c").unwrap();
    assert_eq!(echo.positions.iter().map(|p| p.logprob).collect::<Vec<_>>(), [Some(-1.0), Some(-2.0)]);
    assert!(echo.aligned);
    assert!(reason(echoed(body.as_bytes(), "x")).contains("echo"));
    assert_eq!(echoed(body.as_bytes(), "ab").unwrap().positions.len(), 1);
    assert!(reason(echoed(body.as_bytes(), "ab cd and more")).contains("echo"));
    let split = body.replace("\" c\"", "\" �\"");
    assert!(reason(echoed(split.as_bytes(), "ab c")).contains("do not spell"));
}

#[test]
fn echoes_with_the_numbers_of_the_next_position_are_refused() {
    // The reply of llama-cpp-python 0.3.36: "." was generated, and no number is left for it.
    let body = r#"{"choices": [{"text": "France is Paris.", "logprobs": {"tokens": ["France", " is", " Paris"],
        "token_logprobs": [null, -11.79, -8.69], "top_logprobs": [null, {" Paris": -0.26, " is": -11.79},
        {".": -0.39, " Paris": -8.69}]}}]}"#;
    assert!(reason(echoed(body.as_bytes(), "France is Paris")).contains("the position after it"));
    // Nothing was generated: the same numbers might be right.
    let ended = body.replace("Paris.\"", "Paris\"");
    let echo = echoed(ended.as_bytes(), "France is Paris").unwrap();
    assert!(!echo.aligned && echo.positions.len() == 3);
}

#[test]
fn bad_generations_are_refused() {
    for (from, to, part) in [
        (r#""content": "Yes""#, r#""content": null"#, "no text (finish_reason length)"),
        (r#""content": "Yes""#, r#""content": null, "refusal": "I cannot""#, "I cannot"),
        (r#""choices": ["#, r#""choices": [], "other": ["#, "0 choices"),
        (r#""logprobs": {"content""#, r#""other": {"content""#, "not there"),
        (r#""logprob": -2.0"#, r#""logprob": NaN"#, "NaN"),
        (r#""logprob": -2.0"#, r#""logprob": 1e999"#, "not JSON"),
        (r#""logprob": -2.0"#, r#""logprob": "-2""#, "another form"),
        (r#"[89, 101, 115]"#, "[89, 101, 300]", "another form"),
        (r#""completion_tokens": 1"#, r#""completion_tokens": -1"#, "another form"),
    ] {
        let message = reason(chat(CHAT.replacen(from, to, 1).as_bytes(), true));
        assert!(message.contains(part), "{to}: {message}");
    }
    let choice = &CHAT[CHAT.find("{\"index\"").unwrap()..CHAT.find("],\n    \"usage\"").unwrap()];
    let twice = CHAT.replace(choice, &format!("{choice}, {choice}"));
    assert!(reason(chat(twice.as_bytes(), true)).contains("2 choices"));
}

#[test]
fn bodies_that_are_not_replies_are_told_apart() {
    for (body, part) in [
        ("", "empty"),
        (" \n", "empty"),
        ("<!DOCTYPE html><html><body>502 Bad Gateway", "web page"),
        ("<html>", "web page"),
        ("upstream error", "not JSON"),
        ("{\"choices\": [", "ends early"),
        ("{\"error\": {\"message\": \"the model is loading\"}}", "the model is loading"),
        ("[]", "another form"),
        ("null", "another form"),
        ("{\"choices\": [NaN]}", "NaN"),
    ] {
        let message = reason(chat(body.as_bytes(), false));
        assert!(message.contains(part), "{body}: {message}");
    }
    assert!(reason(chat(&[0xff, 0xfe, 0], false)).contains("not JSON"));
    // Also where nobody reads it: the log could not hold such a reply.
    let skipped = b"[{\"index\": 0, \"score\": 1, \"text\": \"\xff\"}]";
    assert!(reason(reranked(skipped, 1)).contains("byte 35 is no UTF-8"));
    let deep = "[".repeat(100_000);
    assert!(reranked(deep.as_bytes(), 1).is_err() && predictions(deep.as_bytes(), 1).is_err());
}

#[test]
fn scores_come_back_in_the_order_of_the_texts() {
    let tei = r#"[{"index": 1, "score": 2.5}, {"index": 0, "score": -7.125, "text": "x"}]"#;
    assert_eq!(reranked(tei.as_bytes(), 2).unwrap().scores, [-7.125, 2.5]);
    let cohere = r#"{"id": "i", "results": [{"index": 1, "relevance_score": 0.75}, {"index": 0, "relevance_score": 0.5}],
        "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}, "warnings": ["old"],
        "tokens": {"input_tokens": 12.0}}}"#;
    let reply = reranked(cohere.as_bytes(), 2).unwrap();
    assert_eq!((reply.scores, reply.warnings), (vec![0.5, 0.75], vec!["old".to_string()]));
    assert_eq!(reply.usage.prompt_tokens, Some(12));
    let jina = r#"{"model": "m", "results": [{"index": 0, "relevance_score": 0.5, "document": {"text": "a"}}],
        "usage": {"total_tokens": 8}}"#;
    let reply = reranked(jina.as_bytes(), 1).unwrap();
    assert_eq!((reply.scores, reply.usage.prompt_tokens), (vec![0.5], Some(8)));
}

#[test]
fn incomplete_scores_are_refused() {
    for (body, part) in [
        (r#"[{"index": 0, "score": 1}, {"index": 2, "score": 1}]"#, "missing: index 1"),
        (r#"[{"index": 0, "score": 1}, {"index": 1, "score": 1}, {"index": 1, "score": 2}]"#, "twice"),
        (r#"[{"index": 3, "score": 1}]"#, "index 3, but 3"),
        (r#"[{"index": -1, "score": 1}]"#, "another form"),
        (r#"[{"score": 1}]"#, "index"),
        (r#"[{"index": 0}]"#, "null"),
        (r#"[{"index": 0, "score": null}]"#, "null"),
        (r#"[{"index": 0, "score": NaN}]"#, "NaN"),
        (r#"[{"index": 0, "score": "1"}]"#, "another form"),
        (r#"{"results": []}"#, "missing: index 0, 1, 2"),
        (r#"{"scores": [1, 2, 3]}"#, "results"),
        (r#"{"message": "invalid api token"}"#, "invalid api token"),
        (r#"{"detail": "busy"}"#, "busy"),
    ] {
        let message = reason(reranked(body.as_bytes(), 3));
        assert!(message.contains(part), "{body}: {message}");
    }
}

#[test]
fn vectors_are_complete_and_finite() {
    let openai = r#"{"object": "list", "data": [{"index": 1, "embedding": [3, 4.5]}, {"index": 0, "embedding": [1, 2]}],
        "usage": {"prompt_tokens": 5, "total_tokens": 5}}"#;
    let (rows, usage) = openai_embeddings(openai.as_bytes(), 2).unwrap();
    assert_eq!((rows, usage.prompt_tokens), (vec![vec![1.0, 2.0], vec![3.0, 4.5]], Some(5)));
    assert_eq!(tei_embeddings(b"[[1, 2], [3, 4]]", 2).unwrap(), [[1.0, 2.0], [3.0, 4.0]]);
    for (body, part) in [
        ("[[1, 2]]", "1 vectors for 2"),
        ("[[1, 2], [3]]", "vector 1 has 1 numbers"),
        ("[[], []]", "vector 0 has 0"),
        ("[[1, 2], [3, null]]", "number 1 of vector 1"),
        ("[[1, 2], [3, 1e39]]", "number 1 of vector 1"),
        (r#"{"error": "too long", "error_type": "validation"}"#, "too long"),
    ] {
        let message = reason(tei_embeddings(body.as_bytes(), 2));
        assert!(message.contains(part), "{body}: {message}");
    }
    let text = openai.replace("[3, 4.5]", "\"AACAPw==\"");
    assert!(reason(openai_embeddings(text.as_bytes(), 2)).contains("base64"));
    let twice = openai.replace("\"index\": 1", "\"index\": 0");
    assert!(reason(openai_embeddings(twice.as_bytes(), 2)).contains("twice"));
}

#[test]
fn predictions_are_one_list_per_input() {
    let body =
        r#"[[{"score": 0.9, "label": "yes"}, {"score": 0.1, "label": "no"}], [{"score": 2, "label": "no"}]]"#;
    let rows = predictions(body.as_bytes(), 2).unwrap();
    assert_eq!((rows[0].len(), rows[1][0].label.as_str(), rows[1][0].score), (2, "no", 2.0));
    assert!(reason(predictions(body.as_bytes(), 3)).contains("2 predictions for 3"));
    assert!(reason(predictions(b"[[], [{\"score\": 1, \"label\": \"a\"}]]", 2)).contains("no label"));
}

#[test]
fn reasons_are_found_in_every_form_of_error() {
    for (body, message) in [
        (r#"{"error": {"message": "bad key", "type": "auth"}}"#, "bad key"),
        (r#"{"error": "Input validation", "error_type": "validation"}"#, "Input validation"),
        (r#"{"message": "invalid request", "code": 400}"#, "invalid request"),
        (r#"{"detail": [{"msg": "field required"}]}"#, r#"[{"msg":"field required"}]"#),
        ("<html><h1>502</h1>", "the reply is a web page"),
        ("", "no reason given"),
        ("plain words", "plain words"),
    ] {
        assert_eq!(error_message(body.as_bytes()), message);
    }
}

proptest! {
    #[test]
    fn scores_are_a_permutation_back_to_the_texts(
        scores in proptest::collection::vec(-1e30f64..1e30, 1..40), seed in any::<u64>()
    ) {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by_key(|i| (*i as u64).wrapping_mul(seed | 1));
        let items: Vec<_> = order.iter().map(|i| serde_json::json!({"index": i, "score": scores[*i]})).collect();
        let body = serde_json::to_vec(&items).unwrap();
        let read = reranked(&body, scores.len()).unwrap().scores;
        // Decimals are read to the last place but one.
        let close = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-15 * b.abs();
        prop_assert!(read.iter().zip(&scores).all(close), "{:?} {:?}", read, scores);
        prop_assert!(reranked(&body, scores.len() + 1).is_err());
        prop_assert!(reranked(&body, scores.len() - 1).is_err());
    }

    #[test]
    fn no_cut_of_a_reply_is_a_reply(cut in 0..CHAT.len()) {
        let body = &CHAT.as_bytes()[..cut];
        prop_assert!(chat(body, true).is_err());
    }

    #[test]
    fn no_bytes_end_the_program(body in proptest::collection::vec(any::<u8>(), 0..200), count in 0usize..4) {
        let _ = (chat(&body, true), completion(&body, true), echoed(&body, "a"), reranked(&body, count));
        let _ = (openai_embeddings(&body, count), tei_embeddings(&body, count), predictions(&body, count));
        let _ = error_message(&body);
    }
}
