//! Servers as rerankers, from the outside: what they get, the order they give, and what is refused before they are asked.

#[path = "../../../plackett-remote/tests/it/mock.rs"]
#[allow(dead_code)]
pub mod mock;

use crate::common::{plackett, plackett_with_input};
use mock::{Answer, Mock, lengths};
use serde_json::{Value, json};

fn request(id: &str, texts: &[&str]) -> String {
    let candidates: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(i, text)| json!({"docid": format!("d{i}"), "score": 1.0 / (i + 1) as f64, "doc": {"contents": text}}))
        .collect();
    format!("{}\n", json!({"query": {"qid": id, "text": format!("question {id}")}, "candidates": candidates}))
}

fn order(value: &Value) -> Vec<&str> {
    let candidates = value["candidates"].as_array().unwrap();
    candidates.iter().map(|c| c["docid"].as_str().unwrap()).collect()
}

fn facts(value: &Value) -> String {
    value["trace"]["facts"].to_string()
}

#[test]
fn a_server_reranks_in_every_interface() {
    let folder = tempfile::tempdir().unwrap();
    let input = request("q1", &["ab", "abcdef", "a"]) + &request("q2", &["abc", "abcd"]);
    for (path, model, member) in
        [("/rerank", "", "texts"), ("/v1/rerank", "#m", "documents"), ("/v2/rerank", "#m", "documents")]
    {
        let mock = Mock::start(|_, seen| lengths(seen));
        let name = format!("remote:{}{path}{model}", mock.url);
        let arguments = ["rerank", "--method", "cross-encoder", "--model", &name, "-"];
        let done = plackett_with_input(folder.path(), &arguments, &input).expect(0);
        let values: Vec<Value> =
            done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            (order(&values[0]), order(&values[1])),
            (vec!["d1", "d0", "d2"], vec!["d1", "d0"]),
            "{path}"
        );
        assert_eq!(values[0]["candidates"][0]["score"], 6.0);
        assert_eq!(values[0]["candidates"][0]["first_stage_score"], 0.5);
        assert!(facts(&values[0]).contains(&mock.url), "{}", values[0]);
        let counted = path != "/rerank";
        assert_eq!(values[0]["trace"]["prompt_tokens"], if counted { 30 } else { 0 });
        assert!(facts(&values[0]).contains("not told by the server"));
        assert_eq!(values[0]["trace"]["passes"], 3);
        let seen = mock.seen();
        assert_eq!(seen.len(), 2, "one request for each query");
        let first = seen.iter().find(|s| s.body["query"] == "question q1").unwrap();
        assert_eq!((first.path.as_str(), &first.body[member]), (path, &json!(["ab", "abcdef", "a"])));
        assert_eq!(first.body["model"], if counted { json!("m") } else { Value::Null });
    }
}

#[test]
fn vectors_of_a_server_are_compared_by_their_angle() {
    let folder = tempfile::tempdir().unwrap();
    // A text's vector is its length in letters a and b; "aab" is nearest in angle to "aaaabb".
    let embed = |seen: &mock::Seen| {
        let texts = seen.body["inputs"].as_array().or(seen.body["input"].as_array()).unwrap();
        let count = |text: &Value, letter: char| text.as_str().unwrap().matches(letter).count();
        let rows: Vec<Value> = texts.iter().map(|t| json!([count(t, 'a'), count(t, 'b')])).collect();
        if seen.path == "/embed" {
            return Answer::ok(json!(rows).to_string());
        }
        let data: Vec<Value> =
            rows.iter().enumerate().map(|(i, row)| json!({"index": i, "embedding": row})).collect();
        Answer::ok(json!({"data": data, "usage": {"prompt_tokens": 5}}).to_string())
    };
    for path in ["/embed", "/v1/embeddings"] {
        let mock = Mock::start(move |_, seen| embed(seen));
        let name = format!("remote:{}{path}#m,query_prompt=Q: ,document_prompt=D: ", mock.url);
        let arguments = ["rerank", "--method", "bi-encoder", "--model", &name, "-"];
        let input = request("aab", &["b", "bbbbbbbbba", "aaaabb"]).replace("question ", "");
        let done = plackett_with_input(folder.path(), &arguments, &input).expect(0);
        let value = done.json();
        assert_eq!(order(&value), ["d2", "d1", "d0"]);
        assert!((value["candidates"][0]["score"].as_f64().unwrap() - 1.0).abs() < 1e-6);
        assert!(facts(&value).contains(&mock.url) && facts(&value).contains("not told"), "{value}");
        let sent: String = mock.seen().iter().map(|seen| seen.body.to_string()).collect();
        assert!(sent.contains("Q: aab") && sent.contains("D: aaaabb"), "{sent}");
        assert_eq!(mock.count(), 2);
        let cut = [&arguments[..], &["--long-text", "chunk-max"]].concat();
        let done = plackett_with_input(folder.path(), &cut, &input).expect(2);
        assert!(done.stderr.contains("its tokenizer") && mock.count() == 2, "{}", done.stderr);
    }
}

#[test]
fn a_server_embeds_texts_of_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let mock = Mock::start(|_, seen| {
        let texts = seen.body["inputs"].as_array().unwrap();
        let rows: Vec<Value> = texts.iter().map(|t| json!([t.as_str().unwrap().len(), 0.5])).collect();
        Answer::ok(json!(rows).to_string())
    });
    let name = format!("remote:{}/embed#max_batch=2,in_flight=2", mock.url);
    let texts = ["--prefix", "ab", "c", "cd", "cde", "cdef", "cdefg"];
    let done =
        plackett(folder.path(), &[&["embed", "--model", &name, "--json"][..], &texts].concat()).expect(0);
    let value = done.json();
    assert_eq!((&value["dim"], &value["truncated"]), (&json!(2), &json!([])));
    for (i, embedding) in value["embeddings"].as_array().unwrap().iter().enumerate() {
        assert_eq!(embedding, &json!({"index": i, "tokens": null, "vector": [i as f64 + 3.0, 0.5]}));
    }
    assert_eq!(mock.count(), 3);
    let done = plackett(folder.path(), &["embed", "--model", &name, "abc"]).expect(0);
    assert_eq!(done.stdout, "3 0.5\n");
}

#[test]
fn a_server_is_a_stage_of_a_pipeline() {
    let folder = tempfile::tempdir().unwrap();
    let mock = Mock::start(|_, seen| lengths(seen));
    let documents: String = (0..6)
        .map(|i| {
            format!("{}\n", json!({"id": format!("d{i}"), "text": format!("volcano {}", "lava ".repeat(i))}))
        })
        .collect();
    std::fs::write(folder.path().join("corpus.jsonl"), documents).unwrap();
    plackett(folder.path(), &["index", "corpus.jsonl", "-o", "index", "--no-vectors"]).expect(0);
    let stage =
        format!("bm25:4 >> cross-encoder(model=\"remote:{}/rerank#max_batch=3,in_flight=2\"):2", mock.url);
    let done = plackett(folder.path(), &["search", "index", "-p", &stage, "--json", "volcano"]).expect(0);
    let value = done.json();
    let ranking = value["results"][0]["ranking"].as_array().unwrap();
    let scores: Vec<f64> = ranking.iter().map(|entry| entry["score"].as_f64().unwrap()).collect();
    assert_eq!(scores.len(), 2);
    assert!(scores[0] > scores[1]);
    let sizes: Vec<usize> = mock.seen().iter().map(|s| s.body["texts"].as_array().unwrap().len()).collect();
    assert_eq!((sizes.iter().sum::<usize>(), sizes.len()), (4, 2), "all that came, at most three at once");
}

#[test]
fn what_a_server_cannot_give_is_refused_before_it_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let mock = Mock::start(|_, seen| lengths(seen));
    let rerank = format!("remote:{}/rerank", mock.url);
    let chat = format!("remote:{}/v1/chat/completions#m", mock.url);
    let unknown = format!("remote:{}/score", mock.url);
    let setting = format!("remote:{}/rerank#atempts=3", mock.url);
    for (method, model, more, wanted) in [
        ("late-interaction", &rerank, &[][..], "one vector per text"),
        ("bi-encoder", &rerank, &[], "it has no vectors"),
        ("cross-encoder", &chat, &[], "it does not score texts"),
        ("cross-encoder", &rerank, &["--long-text", "chunk-max"], "its tokenizer"),
        ("cross-encoder", &unknown, &[], "/v1/rerank"),
        ("cross-encoder", &setting, &[], "atempts"),
    ] {
        let arguments = [&["rerank", "--method", method, "--model", model, "-"], more].concat();
        let done = plackett_with_input(folder.path(), &arguments, &request("q", &["a"])).expect(2);
        assert!(done.stderr.contains(wanted), "{method} {model}: {}", done.stderr);
        assert!(done.stdout.is_empty());
    }
    let embed = format!("remote:{}/embed", mock.url);
    for (arguments, wanted) in [
        (&["embed", "--model", &rerank, "a text"][..], "cannot give embeddings"),
        (&["embed", "--model", &embed, "--max-tokens", "5", "a text"], "its tokenizer"),
        (&["embed", "--model", &embed, "--prompt", "query", "a text"], "--prefix"),
        (&["index", "absent.jsonl", "-o", "index", "--model", &embed], "a remote model"),
    ] {
        let done = plackett(folder.path(), arguments).expect(2);
        assert!(done.stderr.contains(wanted) && done.stdout.is_empty(), "{}", done.stderr);
    }
    let arguments = ["rerank", "--offline", "--method", "cross-encoder", "--model", &rerank, "-"];
    let done = plackett_with_input(folder.path(), &arguments, &request("q", &["a"])).expect(2);
    assert!(done.stderr.contains("off-line"), "{}", done.stderr);
    assert_eq!(mock.count(), 0);
}

#[test]
fn one_failed_request_leaves_the_others_and_the_log_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mock = Mock::start(|_, seen| match seen.body["query"].as_str() {
        Some("question q2") => Answer::status(413, r#"{"error": "too long", "error_type": "validation"}"#),
        _ => lengths(seen),
    });
    let name = format!("remote:{}/rerank#log=requests.jsonl,in_flight=1", mock.url);
    let input = request("q1", &["a", "bb"]) + &request("q2", &["a"]) + &request("q3", &["a", "bb"]);
    let arguments = ["rerank", "--method", "cross-encoder", "--model", &name, "-"];
    for asked in [3, 4] {
        let done = plackett_with_input(folder.path(), &arguments, &input).expect(1);
        assert_eq!(done.stdout.lines().count(), 2);
        for part in ["`q2`", "too long", "line 2", "max_batch", "1 of 3"] {
            assert!(done.stderr.contains(part), "{part}: {}", done.stderr);
        }
        assert_eq!(mock.count(), asked, "the log answers what it can");
    }
    // Port 1 is nobody's.
    let nobody = "remote:http://127.0.0.1:1/rerank#attempts=1";
    let arguments = ["rerank", "--method", "cross-encoder", "--model", nobody, "-"];
    let done = plackett_with_input(folder.path(), &arguments, &input).expect(3);
    assert!(done.stderr.contains("check that the server runs") && done.stdout.is_empty(), "{}", done.stderr);
    let embedder = "remote:http://127.0.0.1:1/embed#attempts=1";
    let arguments = ["rerank", "--method", "bi-encoder", "--model", embedder, "-"];
    let done = plackett_with_input(folder.path(), &arguments, &input).expect(3);
    for part in ["`q1`", "`q2`", "`q3`", "check that the server runs"] {
        assert!(done.stderr.contains(part), "{part}: {}", done.stderr);
    }
}

/// Servers write texts; what one cannot do is refused before it is asked.
#[test]
fn servers_generate_and_are_not_asked_for_what_they_cannot_do() {
    let mock = Mock::start(|_, seen| {
        let usage = json!({"prompt_tokens": 9, "completion_tokens": 2});
        let choice = match seen.path.as_str() {
            "/v1/completions" => json!({"text": " Paris", "finish_reason": "length", "index": 0}),
            _ => {
                let message = json!({"role": "assistant", "content": "Red."});
                json!({"message": message, "finish_reason": "stop", "index": 0})
            }
        };
        Answer::ok(json!({"choices": [choice], "usage": usage}).to_string())
    });
    let folder = tempfile::tempdir().unwrap();
    let ask = |path: &str, more: &[&str]| {
        let name = format!("remote:{}{path}#m", mock.url);
        plackett(folder.path(), &[&["generate", "--model", &name], more].concat())
    };
    let (chat, plain) = ("/v1/chat/completions", "/v1/completions");
    let refused: &[(&str, &[&str], &str)] = &[
        (chat, &["a", "--choose", "yes,no"], "--choose"),
        (chat, &["a", "--scores", "3"], "--scores"),
        (chat, &["a", "--beams", "3"], "--beams"),
        (chat, &["a", "--adapter", "x"], "--adapter"),
        (chat, &["a", "--sample", "--top-k", "3"], "--top-k"),
        (chat, &["a", "--cache", "f16"], "--cache"),
        (plain, &["a", "--chat"], "--chat"),
        ("/v1/embeddings", &["a"], "generate"),
    ];
    for (path, more, word) in refused {
        let stderr = ask(path, more).expect(2).stderr;
        assert!(stderr.contains(word), "{more:?}: {stderr}");
    }
    assert!(mock.seen().is_empty());
    let flags = ["--chat", "--system", "Be brief.", "Name a colour.", "--stop", "!", "--json"];
    let document = ask(chat, &flags).expect(0).json();
    let best = &document["results"][0]["hypotheses"][0];
    assert_eq!((&best["text"], &best["finish"]), (&json!("Red."), &json!("stop")));
    assert_eq!((&document["generated_tokens"], &best["log_prob"]), (&json!(2), &serde_json::Value::Null));
    let done = ask(plain, &["The capital of France is", "--max-tokens", "3"]).expect(0);
    assert_eq!(done.stdout, " Paris\n");
    assert!(done.stderr.contains("ended at the most tokens"), "{}", done.stderr);
    let seen = mock.seen();
    assert_eq!(seen[0].body["messages"][0], json!({"role": "system", "content": "Be brief."}));
    assert_eq!((&seen[0].body["stop"], &seen[1].body["max_tokens"]), (&json!(["!"]), &json!(3)));
    let broken = Mock::start(|_, _| Answer::status(400, "no"));
    let name = format!("remote:{}{chat}#m", broken.url);
    plackett(folder.path(), &["generate", "--model", &name, "a"]).expect(3);
}

/// Servers are asked for answers of at least a length, and one that does not keep to it is found out.
#[test]
fn servers_are_asked_for_answers_of_a_length() {
    let mock = Mock::start(|_, _| {
        let message = json!({"role": "assistant", "content": "[2] > [1]"});
        let choice = json!({"message": message, "finish_reason": "stop", "index": 0});
        let usage = json!({"prompt_tokens": 9, "completion_tokens": 5});
        Answer::ok(json!({"choices": [choice], "usage": usage}).to_string())
    });
    let folder = tempfile::tempdir().unwrap();
    let name = format!("remote:{}/v1/chat/completions#m", mock.url);
    let rank = |least: &str| {
        let method = format!("listwise(mode=free, max-tokens=9, min-tokens={least})");
        let arguments = ["rerank", "--method", &method, "--model", &name, "-"];
        plackett_with_input(folder.path(), &arguments, &request("q1", &["ab", "abc"]))
    };
    let done = rank("5").expect(0);
    let value: Value = serde_json::from_str(done.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(order(&value), ["d1", "d0"]);
    let seen = mock.seen();
    assert_eq!((&seen[0].body["min_tokens"], &seen[0].body["max_tokens"]), (&json!(5), &json!(9)));
    let refused = rank("6").expect(2).stderr;
    assert!(refused.contains("it wrote 5 tokens, and at least 6 were asked for"), "{refused}");
}

/// The log-probability of Yes grows with the passage; `silent` passages have neither label among the alternatives.
fn judged(seen: &mock::Seen) -> Answer {
    let chat = seen.path == "/v1/chat/completions";
    let prompt = if chat { &seen.body["messages"][0]["content"] } else { &seen.body["prompt"] };
    let prompt = prompt.as_str().unwrap();
    let passage = prompt.strip_prefix("Passage: ").and_then(|rest| rest.split('\n').next()).unwrap();
    assert!(prompt.ends_with("\nAnswer:"), "{prompt}");
    let yes = -10.0 + passage.len() as f64;
    let silent = passage == "silent";
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 1});
    let reply = if chat {
        let top = match silent {
            true => json!([{"token": "Well", "logprob": -0.5}, {"token": "I", "logprob": -7.0}]),
            // Conversations begin without a blank.
            false => json!([{"token": "Yes", "logprob": yes}, {"token": "No", "logprob": -3.0}]),
        };
        let content = json!([{"token": "Well", "logprob": -0.5, "top_logprobs": top}]);
        let message = json!({"role": "assistant", "content": "Well"});
        json!({"choices": [{"message": message, "finish_reason": "length", "logprobs": {"content": content}}], "usage": usage})
    } else {
        let top = match silent {
            true => json!({" Well": -0.5, " I": -7.0}),
            false => json!({" Yes": yes, " No": -3.0}),
        };
        let logprobs = json!({"tokens": [" Well"], "token_logprobs": [-0.5], "top_logprobs": [top]});
        json!({"choices": [{"text": " Well", "finish_reason": "length", "logprobs": logprobs}], "usage": usage})
    };
    Answer::ok(reply.to_string())
}

#[test]
fn a_server_that_writes_text_judges_passages_by_its_most_probable_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let input = request("q1", &["ab", "abcdef", "silent"]);
    for path in ["/v1/chat/completions", "/v1/completions"] {
        let mock = Mock::start(|_, seen| judged(seen));
        let name = format!("remote:{}{path}#m", mock.url);
        let arguments = ["rerank", "--method", "yes-no", "--model", &name, "-"];
        let value = plackett_with_input(folder.path(), &arguments, &input).expect(0).json();
        // −4 + 3 = −1; of the silent one both labels have at most −7, so that it ties with itself: 0; −8 + 3 = −5.
        assert_eq!(order(&value), ["d2", "d1", "d0"], "{path}");
        let scores: Vec<f64> =
            value["candidates"].as_array().unwrap().iter().map(|c| c["score"].as_f64().unwrap()).collect();
        assert_eq!(scores, [0.0, -1.0, -5.0]);
        let trace = &value["trace"];
        assert_eq!((trace["passes"].as_u64(), trace["prompt_tokens"].as_u64()), (Some(3), Some(27)));
        assert_eq!(trace["facts"]["labels-not-told"], "2");
        assert!(facts(&value).contains(&mock.url), "{value}");
        assert_eq!(mock.count(), 3);
    }
}

#[test]
fn likelihoods_of_a_server_need_a_repeated_text() {
    let folder = tempfile::tempdir().unwrap();
    let mock = Mock::start(|_, _| Answer::ok("{}"));
    let name = format!("remote:{}/v1/chat/completions#m", mock.url);
    let arguments = ["rerank", "--method", "query-likelihood", "--model", &name, "-"];
    let done = plackett_with_input(folder.path(), &arguments, &request("q1", &["ab"])).expect(2);
    assert!(done.stderr.contains("only `completions` can repeat a text"), "{}", done.stderr);
    assert_eq!(mock.count(), 0, "nothing is sent");
    // With echo the tokens after the prompt have their own log-probabilities.
    let mock = Mock::start(|_, seen| {
        let text = seen.body["prompt"].as_str().unwrap().to_string();
        let (prompt, query) = text.split_at(text.find("Question:").unwrap() + "Question:".len());
        let good = if prompt.contains("abcdef") { -1.0 } else { -4.0 };
        let tokens = json!([prompt, query, " next"]);
        let own = json!([null, good, -0.1]);
        let top = json!([null, {query: good}, {" next": -0.1}]);
        let logprobs = json!({"tokens": tokens, "token_logprobs": own, "top_logprobs": top});
        let choice = json!({"text": format!("{text} next"), "finish_reason": "length", "logprobs": logprobs});
        Answer::ok(
            json!({"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}).to_string(),
        )
    });
    let name = format!("remote:{}/v1/completions#m", mock.url);
    let arguments = ["rerank", "--method", "query-likelihood", "--model", &name, "-"];
    let value =
        plackett_with_input(folder.path(), &arguments, &request("q1", &["ab", "abcdef"])).expect(0).json();
    assert_eq!(order(&value), ["d1", "d0"]);
    assert_eq!(value["candidates"][0]["score"], -1.0);
}
