//! `plackett generate` on the tiny golden models, and on the real SmolLM2 where it can be had.

use crate::common::{Done, plackett};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

pub const DECODER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plackett-lm/tests/golden/decoder/llama");
const ADAPTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plackett-lm/tests/golden/adapter/llama-all");
pub const BOTH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plackett-lm/tests/golden/seq2seq/t5");

fn run(arguments: &[&str]) -> Done {
    plackett(Path::new("."), &[&["generate"], arguments].concat())
}

fn json(arguments: &[&str]) -> Value {
    run(&[arguments, &["--json"]].concat()).expect(0).json()
}

fn hypotheses(document: &Value, prompt: usize) -> Vec<Value> {
    document["results"][prompt]["hypotheses"].as_array().expect("hypotheses").clone()
}

fn refused(arguments: &[&str]) -> String {
    run(arguments).expect(2).stderr
}

#[test]
fn answers_are_those_of_the_list_with_their_probabilities() {
    let document = json(&["the cat", "a dog", "--model", DECODER, "--choose", "yes,no,maybe"]);
    for prompt in 0..2 {
        let found = hypotheses(&document, prompt);
        let texts: BTreeSet<&str> = found.iter().filter_map(|h| h["text"].as_str()).map(str::trim).collect();
        assert_eq!(texts, BTreeSet::from(["yes", "no", "maybe"]));
        // Over all answers there are, probabilities add up to one.
        let sum: f64 = found.iter().filter_map(|h| h["log_prob"].as_f64()).map(f64::exp).sum();
        assert!((sum - 1.0).abs() < 1e-4, "{sum}");
    }
}

#[test]
fn orderings_and_score_sheets_are_well_formed() {
    let found = hypotheses(&json(&["rank", "--model", DECODER, "--permutation", "4"]), 0);
    let text = found[0]["text"].as_str().expect("a text").trim().to_string();
    let parts: BTreeSet<&str> = text.split(" > ").collect();
    assert_eq!(parts, BTreeSet::from(["[1]", "[2]", "[3]", "[4]"]), "{text}");
    let found = hypotheses(&json(&["score", "--model", DECODER, "--scores", "3", "--max-score", "5"]), 0);
    let sheet: Value = serde_json::from_str(found[0]["text"].as_str().expect("a text")).expect("JSON");
    let scores = sheet["scores"].as_array().expect("scores");
    assert_eq!(scores.len(), 3);
    assert!(scores.iter().all(|s| s["score"].as_f64().is_some_and(|x| (0.0..=5.0).contains(&x))));
}

#[test]
fn lines_of_a_file_and_prompts_from_standard_input_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let (names, prompts) = (folder.path().join("names"), folder.path().join("prompts"));
    std::fs::write(&names, "red\ngreen apple\nblue\n").expect("written");
    std::fs::write(&prompts, "one\ntwo\n").expect("written");
    let (names, prompts) = (names.display().to_string(), prompts.display().to_string());
    let document = json(&["--file", &prompts, "--model", DECODER, "--trie", &names, "--beams", "3"]);
    for prompt in 0..2 {
        let found = hypotheses(&document, prompt);
        let texts: BTreeSet<&str> = found.iter().filter_map(|h| h["text"].as_str()).map(str::trim).collect();
        assert_eq!(texts, BTreeSet::from(["red", "green apple", "blue"]));
    }
}

#[test]
fn seeded_draws_repeat_for_any_number_of_threads() {
    let draw = |threads: &str, seed: &str| {
        let flags = ["the cat", "--model", DECODER, "--sample", "--samples", "3", "--max-tokens", "12"];
        hypotheses(&json(&[&flags[..], &["--seed", seed, "--threads", threads]].concat()), 0)
    };
    let first = draw("1", "7");
    assert_eq!(first.len(), 3);
    assert_eq!(draw("2", "7"), first);
    assert_ne!(draw("1", "8"), first);
}

#[test]
fn an_adapter_changes_what_is_written() {
    let log_probs = |more: &[&str]| {
        let flags = ["the cat", "--model", DECODER, "--choose", "yes,no"];
        let mut found = hypotheses(&json(&[&flags[..], more].concat()), 0);
        found.sort_by_key(|h| h["text"].to_string());
        found.iter().map(|h| h["log_prob"].as_f64().expect("a number")).collect::<Vec<f64>>()
    };
    assert_ne!(log_probs(&[]), log_probs(&["--adapter", ADAPTER]));
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    assert!(refused(&["x", "--model", DECODER, "--choose", "yes,yes"]).contains("twice"));
    assert!(refused(&["x", "--model", DECODER, "--choose", "yes,,no"]).contains("empty"));
    assert!(refused(&["x", "--model", DECODER, "--permutation", "0"]).contains("--permutation 0"));
    assert!(refused(&["x", "--model", DECODER, "--beams", "4", "--diverse", "3"]).contains("--diverse 3"));
    assert!(refused(&["x", "--model", DECODER, "--max-tokens", "9999"]).contains("positions"));
    assert!(refused(&["x", "--model", DECODER, "--adapter", DECODER]).contains("adapter_config.json"));
    assert!(refused(&["x", "--model", BOTH, "--chat"]).contains("--chat"));
    assert!(refused(&["x", "--model", BOTH]).contains("tokenizer.json"));
    assert!(refused(&["x", "--model", "no/such-model", "--offline"]).contains("no/such-model"));
    let server = "remote:http://127.0.0.1:9/v1/completions";
    assert!(refused(&["x", "--model", server, "--permutation", "3"]).contains("--permutation"));
}

/// A text is the same shown while it is written, in JSON, in a batch and with any number of threads, and ends before a stop
/// string.
#[test]
fn texts_do_not_depend_on_how_they_are_shown() {
    let prompts = ["What is", "the best passage?", "a"];
    let document = json(&[&prompts[..], &["--model", DECODER, "--max-tokens", "12"]].concat());
    for (n, prompt) in prompts.iter().enumerate() {
        let found = &hypotheses(&document, n)[0];
        let tokens = found["tokens"].as_array().expect("tokens").len();
        assert!((1..=12).contains(&tokens) && found["log_prob"].as_f64().is_some_and(|sum| sum < 0.0));
        let cut = found["end"] == "max-tokens";
        assert!(cut || found["end"] == "token", "{found}");
        for threads in ["1", "3"] {
            let flags = [prompt, "--model", DECODER, "--max-tokens", "12", "--threads", threads];
            let alone = run(&flags).expect(0);
            // Text for people has signs in place of control characters; JSON has the characters.
            let text = found["text"].as_str().expect("a text");
            let shown: String = text
                .chars()
                .map(|c| match c {
                    '\0'..='\u{1f}' if c != '\n' && c != '\t' => char::from_u32(0x2400 + c as u32).unwrap(),
                    '\u{7f}' => '\u{2421}',
                    '\u{80}'..='\u{9f}' => char::REPLACEMENT_CHARACTER,
                    _ => c,
                })
                .collect();
            assert_eq!(alone.stdout, format!("{shown}\n"), "{threads}");
            assert_eq!(alone.stderr.contains("ended at the most tokens"), cut, "{}", alone.stderr);
        }
    }
    let text = hypotheses(&document, 0)[0]["text"].as_str().expect("a text").to_string();
    let stop: String = text.chars().skip(3).take(2).collect();
    let expected = &text[..text.find(&stop).expect("a part of the text")];
    let flags = ["What is", "--model", DECODER, "--max-tokens", "12", "--stop", &stop];
    assert_eq!(run(&flags).expect(0).stdout, format!("{expected}\n"));
    let stopped = &hypotheses(&json(&flags), 0)[0];
    assert_eq!((stopped["text"].as_str(), stopped["end"].as_str()), (Some(expected), Some("stop")));
}

#[test]
fn beams_come_best_first_and_groups_avoid_each_other() {
    let flags = ["a ranker", "--model", DECODER, "--beams", "4", "--max-tokens", "5"];
    let sums = |found: &[Value]| found.iter().filter_map(|h| h["log_prob"].as_f64()).collect::<Vec<f64>>();
    let beams = sums(&hypotheses(&json(&flags), 0));
    assert!(beams.len() == 4 && beams.is_sorted_by(|a, b| a >= b), "{beams:?}");
    let lines = run(&[&flags[..], &["--results", "2"]].concat()).expect(0).stdout;
    assert!(lines.lines().count() == 2 && lines.lines().all(|line| line.starts_with("1\t-")), "{lines}");
    let diverse = hypotheses(&json(&[&flags[..], &["--diverse", "2", "--diversity", "5"]].concat()), 0);
    let groups: BTreeSet<u64> = diverse.iter().filter_map(|h| h["group"].as_u64()).collect();
    assert_eq!(groups, BTreeSet::from([0, 1]));
}

/// Thousands of texts to choose from; two that have the same tokens are refused by name and not taken for one.
#[test]
fn a_long_list_is_one_of_its_lines() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines: Vec<String> = (0..2000).map(|i| format!("number {i}")).collect();
    let path = folder.path().join("names.txt");
    std::fs::write(&path, lines.join("\n")).expect("written");
    let path = path.display().to_string();
    let found = hypotheses(&json(&["a", "--model", DECODER, "--trie", &path, "--beams", "5"]), 0);
    assert_eq!(found.len(), 5);
    for hypothesis in found {
        let choice = hypothesis["choice"].as_u64().expect("a choice") as usize;
        assert_eq!(hypothesis["text"].as_str(), Some(lines[choice].as_str()));
    }
    // Characters that the tokenizer does not know are one token to it.
    std::fs::write(&path, "a \u{4e00}\na \u{4e01}\n").expect("written");
    let done = run(&["a", "--model", BOTH_WITH_LETTERS.path(), "--trie", &path]).expect(2);
    assert!(done.stderr.contains("have a spelling with the same tokens"), "{}", done.stderr);
}

/// An encoder–decoder reads a source, and what it does not do is refused by the flag's name.
#[test]
fn encoder_decoders_read_a_source() {
    let model = ["--model", BOTH_WITH_LETTERS.path(), "--max-tokens", "6"];
    let document = json(&[&["ABC", "DE"][..], &model].concat());
    assert_eq!(document["kind"], "encoder-decoder");
    for (n, source) in ["ABC", "DE"].iter().enumerate() {
        let text = run(&[&[*source][..], &model].concat()).expect(0).stdout;
        assert_eq!(Some(text.trim_end_matches('\n')), hypotheses(&document, n)[0]["text"].as_str());
    }
    let choice = json(&["ABC", "--model", BOTH_WITH_LETTERS.path(), "--choose", "YES,NO"]);
    let texts: BTreeSet<String> = hypotheses(&choice, 0).iter().map(|h| h["text"].to_string()).collect();
    assert_eq!(texts, BTreeSet::from(["\"YES\"".to_string(), "\"NO\"".to_string()]));
    for flags in [&["--chat"][..], &["--cache", "f16"], &["--adapter", "x"], &["--control-tokens"]] {
        let message = refused(&[&["ABC", "--model", BOTH_WITH_LETTERS.path()], flags].concat());
        assert!(message.contains(flags[0]) && message.contains("encoder-decoder"), "{message}");
    }
}

/// The tiny T5 with a tokenizer of its vocabulary: a character a token, from `!` to `v`, behind four control tokens.
pub static BOTH_WITH_LETTERS: Both = Both(LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(Path::new(BOTH).join(file), folder.path().join(file)).expect("copied");
    }
    let mut vocabulary = json!({"<pad>": 0, "</s>": 1, "<unk>": 2, "\u{2581}": 3});
    for (id, byte) in (4..).zip(b'!'..=b'v') {
        vocabulary[char::from(byte).to_string()] = id.into();
    }
    let special = |id: u32, content: &str| {
        json!({"id": id, "content": content, "special": true, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false})
    };
    let metaspace =
        json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true});
    let end = json!({"id": "</s>", "type_id": 0});
    let single = json!([{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": end}]);
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [special(0, "<pad>"), special(1, "</s>"), special(2, "<unk>")],
        "pre_tokenizer": metaspace, "decoder": metaspace,
        "post_processor": {"type": "TemplateProcessing", "single": single, "pair": single,
            "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}}},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": [], "unk_token": "<unk>"}
    });
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).expect("written");
    folder
}));

pub struct Both(LazyLock<tempfile::TempDir>);

impl Both {
    pub fn path(&self) -> &str {
        self.0.path().to_str().expect("a path of text")
    }
}

#[test]
fn depths_are_chosen_counted_and_drafted_with() {
    let written = |flags: &[&str]| {
        let document = json(&[&["the cat", "--model", DECODER, "--max-tokens", "24"], flags].concat());
        (hypotheses(&document, 0)[0]["tokens"].clone(), document)
    };
    let (whole, document) = written(&[]);
    assert!(["depth", "exits", "drafts"].iter().all(|key| document.get(key).is_none()));
    let (drafted, document) = written(&["--draft-depth", "2"]);
    assert_eq!(drafted, whole);
    let drafts = &document["drafts"];
    assert_eq!(drafts["depth"], 2);
    let count = |key: &str| drafts[key].as_u64().expect("a count");
    assert_eq!(count("rounds") + count("accepted"), 24);
    assert!(count("drafted") >= count("accepted"));
    let (never, document) = written(&["--exit", "1:1.5,2:2"]);
    assert_eq!((never, &document["exits"]["mean_depth"]), (whole.clone(), &json!(3.0)));
    let (first, document) = written(&["--depth", "1"]);
    assert_eq!((document["depth"].as_u64(), first != whole), (Some(1), true));
    for keys in ["computed", "copied"] {
        let (always, document) = written(&["--exit", "1:0", "--exit-keys", keys]);
        assert_eq!(always, first);
        let answered = json!([{"depth": 1, "tokens": 24}, {"depth": 3, "tokens": 0}]);
        assert_eq!((&document["exits"]["tokens"], &document["exits"]["answered"]), (&json!(24), &answered));
    }
    let said = run(&["the cat", "--model", DECODER, "--max-tokens", "24", "--exit", "1:0"]).expect(0).stderr;
    assert!(said.contains("a token took 1.0 layers on average: 24 after 1, 0 after 3"), "{said}");
}

#[test]
fn depths_that_cannot_be_are_refused() {
    for (flags, said) in [
        (
            &["--depth", "4"][..],
            "--depth 4: a depth of 4 layers is wanted, and the model has 3; give a number from 1 to 3",
        ),
        (&["--depth", "0"], "--depth"),
        (
            &["--exit", "3:0.9"],
            "--exit: 3 is no layer before the last; the model has 3 layers, so give a number from 1 to 2",
        ),
        (&["--exit", "2:0.9,1:0.9"], "--exit: 2 stands before 1"),
        (&["--exit", "1"], "depths with probabilities are expected, as 4:0.9,8:0.8"),
        (&["--exit", "1:-1"], "depths with probabilities are expected"),
        (&["--draft-depth", "3"], "--draft-depth: 3 is no layer before the last"),
        (&["--depth", "2", "--draft-depth", "2"], "--depth runs 2 layers, so give a number from 1 to 1"),
        (&["--depth", "1", "--draft-depth", "1"], "there is none before the last; leave it out"),
        (&["--draft-depth", "1", "--exit", "1:0.5"], "--exit"),
        (&["--draft-depth", "1", "--beams", "2"], "--beams"),
        (&["--draft-depth", "1", "--choose", "a,b"], "--choose"),
        (&["--exit-keys", "copied"], "--exit"),
    ] {
        let message = refused(&[&["the cat", "--model", DECODER], flags].concat());
        assert!(message.contains(said), "{flags:?}: {message}");
    }
    let message = refused(&["ABC", "--model", BOTH_WITH_LETTERS.path(), "--depth", "1"]);
    assert!(message.contains("--depth") && message.contains("encoder-decoder"), "{message}");
}

#[test]
fn the_real_smollm2_knows_the_capital_of_france() {
    let pulled = plackett(Path::new("."), &["model", "pull", "SmolLM2-135M-Instruct"]);
    if pulled.code != 0 {
        println!("skipped: {}", pulled.stderr);
        return;
    }
    let document = json(&["The capital of France is", "--choose", "London,Paris,Rome"]);
    assert_eq!(hypotheses(&document, 0)[0]["text"].as_str().map(str::trim), Some("Paris"));
}
