//! Remote models against a real OpenAI-compatible server, that of llama-cpp-python, with the SmolLM2-135M-Instruct GGUF.
//!
//! The tests start the server on a free loopback port and end it. They are skipped unless `PLACKETT_LLAMA_PYTHON` names an
//! interpreter that has it:
//!
//! ```text
//! python3 -m venv .venv && .venv/bin/pip install 'llama-cpp-python[server]==0.3.36'
//! PLACKETT_LLAMA_PYTHON=$PWD/.venv/bin/python cargo test -p plackett-lm --test it remote_real -- --nocapture
//! ```

mod server;

use plackett_lm::chat::{ChatOptions, Message};
use plackett_lm::decode::{LogitIds, TokenBytes};
use plackett_lm::decoder::{DecoderModel, DecoderOptions, OutputRequest, Positions, Request};
use plackett_remote::*;
use server::{Server, Setup};
use std::time::{Duration, Instant};

/// How many alternatives the server is asked for.
const TOP: usize = 300;

fn prompts() -> Vec<String> {
    let questions = [
        ("what is the capital of france", "Paris is the capital and the largest city of France."),
        ("how do vaccines work", "The stock market closed lower on Tuesday after a volatile session."),
        ("why is the sky blue", "Sunlight is scattered by the air; blue light is scattered most."),
        ("wie hoch ist die Zugspitze", "Die Zugspitze ist mit 2962 Metern der höchste Berg Deutschlands."),
        ("best way to learn rust", "Iron oxidises when water and oxygen reach its surface."),
    ];
    let mut all: Vec<String> = Vec::new();
    for (query, passage) in questions {
        all.push(format!(
            "Passage: {passage}\nQuery: {query}\nIs the passage relevant to the query? Answer Yes or No.\nAnswer:"
        ));
        all.push(format!(
            "Write a question that this passage answers.\nPassage: {passage}\nQuestion: {query}"
        ));
        all.push(format!("{passage} In other words,"));
        all.push(format!("Query: {query}\nRanking of [1], [2] and [3]: ["));
    }
    let more =
        ["One, two, three,", "def add(a, b):\n    return", "東京は", "x² + y² =", "The opposite of hot is"];
    all.extend(more.map(String::from));
    all
}

/// Next tokens with their log-probabilities, most probable first.
type Next = Vec<(Vec<u8>, f64)>;

/// The most probable next tokens by our own engine.
fn own(model: &DecoderModel, prompts: &[String]) -> Vec<Next> {
    let bytes = TokenBytes::from_tokenizer(model.tokenizer().backend()).expect("bytes of tokens");
    let one = |prompt: &String| {
        let ids = model.tokenizer().encode(prompt, false, true).expect("tokens");
        let outputs = OutputRequest {
            logits_at: Positions::Last,
            logit_ids: LogitIds::All,
            ..OutputRequest::default()
        };
        let request =
            Request { tokens: &ids, cache: None, pattern: Default::default(), adapter: None, outputs };
        let answer = model.forward(&[request]).expect("logits").remove(0);
        let logits: Vec<f64> = answer.logits[0].iter().map(|x| f64::from(*x)).collect();
        let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total = most + logits.iter().map(|x| (x - most).exp()).sum::<f64>().ln();
        let mut best: Vec<usize> = (0..logits.len()).collect();
        best.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
        let top = best.into_iter().take(TOP);
        top.map(|id| (bytes.bytes(id as u32).to_vec(), logits[id] - total)).collect()
    };
    prompts.iter().map(one).collect()
}

/// Tokens that a server can be asked for by their spelling, from the most probable one on in wider and wider steps: each
/// is text, is not empty, and is spelt like no other of the alternatives.
fn spread(top: &Next) -> Vec<(String, f64)> {
    let readable = |bytes: &[u8]| std::str::from_utf8(bytes).ok().filter(|t| !t.is_empty()).map(String::from);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\u{fffd}', "");
    let only = |bytes: &[u8]| top.iter().filter(|(other, _)| text(other) == text(bytes)).count() == 1;
    let usable = top.iter().filter(|(bytes, _)| only(bytes));
    let usable: Vec<(String, f64)> =
        usable.filter_map(|(bytes, value)| Some((readable(bytes)?, *value))).collect();
    let ranks = [0, 1, 2, 3, 4, 6, 8, 11, 15, 20, 27, 36, 48, 64, 85, 113, 150, 200];
    ranks.iter().filter_map(|rank| usable.get(*rank).cloned()).collect()
}

/// Spearman's rank correlation; equal numbers share their mean rank.
fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let ranks = |values: &[f64]| -> Vec<f64> {
        let below = |v: f64| values.iter().filter(|w| **w < v).count() as f64;
        let equal = |v: f64| values.iter().filter(|w| **w == v).count() as f64;
        values.iter().map(|v| below(*v) + (equal(*v) - 1.0) / 2.0).collect()
    };
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum::<f64>();
    dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
}

fn open(api: Api, server: &Server, change: impl FnOnce(&mut RemoteConfig)) -> RemoteModel {
    let mut config = RemoteConfig { max_top_logprobs: Some(TOP), ..RemoteConfig::new(api, &server.url) };
    change(&mut config);
    RemoteModel::open(config).expect("a model")
}

/// Asks for some tokens after each prompt and compares their numbers with those of a reference.
fn compare(what: &str, model: &RemoteModel, sent: &[String], reference: &[Next]) {
    let (mut least, mut most, mut all) = (1.0f64, 0.0f64, (Vec::new(), Vec::new()));
    for (prompt, top) in sent.iter().zip(reference) {
        let chosen = spread(top);
        assert!(chosen.len() >= 15, "{prompt}: {} tokens", chosen.len());
        let tokens: Vec<&str> = chosen.iter().map(|(token, _)| token.as_str()).collect();
        let told = model.chosen_logprobs(&[prompt], &tokens, TOP).expect("sent").remove(0).expect("numbers");
        // A token at the edge of what was asked for may fall out.
        let pairs: Vec<(f64, f64)> =
            told.iter().zip(&chosen).filter_map(|(t, (_, own))| Some((t.exact()?, *own))).collect();
        assert!(pairs.len() + 1 >= chosen.len(), "{prompt}: {told:?}");
        let (remote, own): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
        least = least.min(spearman(&remote, &own));
        most = pairs.iter().map(|(a, b)| (a - b).abs()).fold(most, f64::max);
        all.0.extend(remote);
        all.1.extend(own);
    }
    let whole = spearman(&all.0, &all.1);
    println!(
        "{} against {what}: {} prompts, {} chosen tokens: Spearman {whole:.5} over all, at least {least:.5} for one prompt; \
         largest difference {most:.4}",
        model.config().api,
        sent.len(),
        all.0.len(),
    );
    assert!(whole >= 0.99 && least >= 0.95);
}

#[test]
fn chosen_log_probabilities_are_those_of_the_model() {
    let Some(setup) = Setup::find() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&setup, folder.path());
    let engine = DecoderModel::open(&setup.model, &DecoderOptions::default()).expect("SmolLM2");
    let prompts = prompts();
    let completions = open(Api::Completions, &server, |_| {});
    compare("our engine", &completions, &prompts, &own(&engine, &prompts));
    compare("llama.cpp", &completions, &prompts, &setup.reference(&prompts, TOP));
    let spent = completions.spent();
    assert_eq!((spent.answered, spent.failed), (2 * prompts.len() as u64, 0));
    assert!(spent.prompt_tokens >= 20 * prompts.len() as u64 && spent.uncounted == 0, "{spent:?}");

    // The chat interface writes the conversation out as our template does.
    let template = engine.tokenizer().chat().expect("template");
    let render = |prompt: &String| {
        template.render(&[Message::new("user", prompt)], &ChatOptions::default()).expect("a prompt")
    };
    let rendered: Vec<String> = prompts.iter().map(render).collect();
    let chat = open(Api::Chat, &server, |_| {});
    compare("our engine", &chat, &prompts, &own(&engine, &rendered));
    compare("llama.cpp", &chat, &prompts, &setup.reference(&rendered, TOP));

    // Echoed numbers are the model's, or refused: this server has them one position off.
    let given = "The capital of France is";
    let reference = setup.reference(&[given.to_string()], 5).remove(0);
    let (token, own) = (String::from_utf8(reference[0].0.clone()).expect("text"), reference[0].1);
    match completions.continuation_logprobs(given, &[&token]).expect("sent").remove(0) {
        Ok(value) => assert!((value - own).abs() < 0.1, "{value} is not {own}"),
        Err(error) => {
            println!("echo: {error}");
            assert!(error.to_string().contains("the position after it"), "{error}");
        }
    }
}

#[test]
fn a_server_that_is_killed_ends_the_run_with_a_reason_and_loses_nothing() {
    let Some(setup) = Setup::find() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(&setup, folder.path());
    let log = folder.path().join("requests.jsonl");
    let config = |c: &mut RemoteConfig| {
        (c.log, c.in_flight, c.attempts, c.backoff_seconds) = (Some(log.clone()), 2, 3, 0.05);
    };
    let generation = Generation { max_tokens: 12, top_logprobs: 2, ..Generation::default() };
    let request = |i: usize| CompletionRequest {
        prompt: format!("Fact number {i} about the sea:"),
        generation: generation.clone(),
    };
    let requests: Vec<CompletionRequest> = (0..60).map(request).collect();
    let finished = || {
        let lines = std::fs::read_to_string(&log).unwrap_or_default();
        lines.lines().filter(|line| line.contains("\"ok\":true")).count()
    };

    let model = open(Api::Completions, &server, config);
    let results = std::thread::scope(|scope| {
        let run = scope.spawn(|| model.complete(&requests).expect("sent"));
        let until = Instant::now() + Duration::from_secs(120);
        while finished() < 5 {
            assert!(Instant::now() < until && !run.is_finished(), "{} finished", finished());
            std::thread::sleep(Duration::from_millis(5));
        }
        server.kill();
        let killed = Instant::now();
        let results = run.join().expect("results");
        assert!(killed.elapsed() < Duration::from_secs(20), "{:?}", killed.elapsed());
        results
    });
    let texts: Vec<Option<String>> =
        results.iter().map(|r| r.as_ref().ok().map(|g| g.text.clone())).collect();
    let kept = texts.iter().flatten().count();
    assert!((5..60).contains(&kept), "{kept}");
    assert_eq!(finished(), kept, "what is finished is on the disk, and nothing else");
    let failed: Vec<&RemoteError> = results.iter().filter_map(|r| r.as_ref().err()).collect();
    let (consequences, causes): (Vec<&RemoteError>, Vec<&RemoteError>) =
        failed.into_iter().partition(|error| error.is_consequence());
    assert!((1..=2).contains(&causes.len()), "as many as were under way: {causes:?}");
    for cause in &causes {
        let message = cause.to_string();
        println!("{message}");
        let clear = message.contains("no answer after") && message.contains("check that the server runs")
            || message.contains("broke off");
        assert!(clear && message.contains(&server.url) && message.contains("request "), "{message}");
    }
    assert!(consequences.iter().all(|error| error.to_string().contains("was not sent: request ")));
    drop(model);

    // The same run again, with a server that lives.
    let server = Server::start_at(&setup, folder.path(), server.port);
    let model = open(Api::Completions, &server, config);
    let again = model.complete(&requests).expect("sent");
    let spent = model.spent();
    println!(
        "{kept} of 60 finished before the kill; afterwards {} reused, {} asked",
        spent.reused, spent.answered
    );
    assert_eq!((spent.reused, spent.answered, spent.failed), (kept as u64, 60 - kept as u64, 0));
    for (before, after) in texts.iter().zip(&again) {
        let after = &after.as_ref().expect("an answer").text;
        assert!(before.as_ref().is_none_or(|before| before == after), "a finished answer stays as it was");
    }
}
