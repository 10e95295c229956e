//! `plackett train` of a tiny decoder as a listwise reranker: from lists to a model that ranks, kills, and what is refused.

use crate::common::{kill_when, plackett};
use crate::train::{
    QUERIES, TEXTS, examples, one_best, prepared, refused, save_decoder, train, training, weights, write,
};
use serde_json::{Value, json};
use std::path::Path;

const METHOD: &str = "method = \"first\"\n";
const SETTINGS: &str = "[settings]\nsteps = 24\nbatch = 4\nrate = 5e-3\ncheckpoint = 4\n";

/// Eight lists of four candidates.
fn lists() -> String {
    examples(one_best) + &examples(|query, at| ((query + at) % 4) as f64)
}

/// A folder with a decoder that has room for prompts, eight lists and a training file.
fn decoder(rest: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    save_decoder(folder.path(), 2048);
    write(folder.path(), "train.jsonl", &lists());
    write(folder.path(), "t.toml", &training("./base", rest));
    folder
}

/// The ids of four candidates as a method orders them.
fn ranked(folder: &Path, method: &str, model: &str) -> Vec<String> {
    let candidates: Vec<Value> =
        (0..4).map(|at| json!({"docid": format!("d{at}"), "text": TEXTS[at]})).collect();
    let request = json!({"query": QUERIES[0], "candidates": candidates});
    write(folder, "requests.jsonl", &format!("{request}\n"));
    let arguments = ["rerank", "--method", method, "--model", model, "requests.jsonl", "--json"];
    let done = plackett(folder, &arguments).expect(0).json();
    let ranking = done["results"][0]["ranking"].as_array().unwrap();
    ranking.iter().map(|entry| entry["id"].as_str().unwrap().to_string()).collect()
}

fn is_whole(mut ids: Vec<String>) -> bool {
    ids.sort();
    ids == ["d0", "d1", "d2", "d3"]
}

#[test]
fn a_decoder_becomes_a_listwise_reranker() {
    let folder = decoder(&format!("validation = \"train.jsonl\"\n{METHOD}{SETTINGS}"));
    let folder = folder.path();
    let done = train(folder, "ranker").expect(0).json();
    assert_eq!((&done["queries"], &done["steps"], &done["resumed"]), (&json!(8), &json!(24), &json!(0)));
    let pair = |key: &str| [0, 1].map(|at| done[key][at].as_f64().unwrap());
    let [before, after] = pair("validation");
    assert!(after < before, "{before} {after}");
    assert!(pair("ndcg").iter().all(|ndcg| *ndcg > 0.0 && *ndcg <= 1.0 + 1e-9), "{done}");
    let change = &done["ndcg_change"];
    assert!(change["ci95"].is_array() && change["p"].is_number(), "{change}");
    let [before, after] = pair("ndcg");
    assert!((change["difference"].as_f64().unwrap() - (after - before)).abs() < 1e-9, "{change}");
    let card = std::fs::read_to_string(folder.join("ranker/README.md")).unwrap();
    for part in [
        "# A listwise reranker",
        "the method `first`",
        "nDCG@10 went from",
        "95 % interval",
        "weighted-ranknet",
    ] {
        assert!(card.contains(part), "{part}\n{card}");
    }
    let page = std::fs::read_to_string(folder.join("ranker/training.html")).unwrap();
    assert!(page.contains("A listwise reranker made from") && page.contains("validation nDCG@10"));
    assert!(is_whole(ranked(folder, "first", "./ranker")));
    // The same again has nothing to do, and changes nothing.
    let bytes = weights(folder, "ranker");
    let again = plackett(folder, &["train", "t.toml", "-o", "ranker"]).expect(0);
    assert!(again.stdout.contains("validation nDCG@10"), "{}", again.stdout);
    assert!(again.stdout.contains("rerank --method first --model ./ranker"), "{}", again.stdout);
    assert_eq!(weights(folder, "ranker"), bytes);
}

#[test]
fn the_best_model_by_the_ranking_of_held_out_lists_is_what_is_left() {
    let folder = decoder(&format!("validation = \"train.jsonl\"\n{METHOD}{SETTINGS}evaluate = 8\n"));
    let folder = folder.path();
    let done = train(folder, "ranker").expect(0).json();
    let found = &done["evaluated"];
    assert_eq!((&found["measure"], &found["stopped"]), (&json!("validation nDCG@10"), &Value::Null));
    assert!([8, 16, 24].contains(&found["best"].as_u64().unwrap()), "{done}");
    // The same weights in the same engine.
    assert_eq!(found["value"], done["ndcg"][1]);
    let left = std::fs::read_dir(folder.join("ranker/training")).unwrap();
    let left =
        left.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("evaluated"));
    assert_eq!(left.count(), 0);
}

#[test]
fn an_adapter_learns_written_orders_of_the_best_in_several_orders() {
    let rest = "method = \"full-rank(words=8)\"\nwindow = 3\norders = 2\n[trained]\nadapter = \"lora(rank=2)\"\n[settings]\nbatch = 8\n";
    let folder = decoder(rest);
    let folder = folder.path();
    let done = train(folder, "ranker").expect(0).json();
    // Eight lists in two orders, eight a step.
    assert_eq!((&done["queries"], &done["steps"], &done["ndcg"]), (&json!(8), &json!(2), &Value::Null));
    assert!(done["trainable"].as_u64() < done["parameters"].as_u64(), "{done}");
    let card = std::fs::read_to_string(folder.join("ranker/README.md")).unwrap();
    assert!(card.contains("objective = \"importance-aware\""), "{card}");
    assert!(card.contains("| the examples in their prompts, as tokens | "), "{card}");
    assert!(is_whole(ranked(folder, "full-rank(words=8)", "./ranker")));
}

/// Eight lists with a reasoning by the rule, as `train.jsonl`.
fn reasoned(folder: &Path) -> Value {
    write(folder, "lists.jsonl", &lists());
    plackett(folder, &["synth", "reasoning", "lists.jsonl", "-o", "train.jsonl", "--json"]).expect(0).json()
}

#[test]
fn a_decoder_learns_to_reason_before_it_orders() {
    let method = "dear(max-tokens=120, temperature=0)";
    let settings = SETTINGS.replace("24", "8");
    let rest =
        format!("validation = \"train.jsonl\"\nmethod = \"{method}\"\nobjective = \"language\"\n{settings}");
    let folder = decoder(&rest);
    let folder = folder.path();
    let made = reasoned(folder);
    assert_eq!((&made["lists"], &made["written"], &made["left_out"]), (&json!(8), &json!(8), &json!({})));
    let text = std::fs::read_to_string(folder.join("train.jsonl")).unwrap();
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let candidates = first["candidates"].as_array().unwrap();
    let best = candidates.iter().position(|candidate| candidate["text"] == TEXTS[0]).unwrap();
    assert_eq!((&candidates[best]["label"], &candidates[best]["teacher"]), (&json!(1.0), &json!(3.0)));
    // `what purrs` and `cats purr at night` have no word in common; `who swims` and `a fish swims in the sea` have one.
    assert_eq!(first["reasoning"], "No passage has a word of the query.");
    assert!(text.lines().nth(2).unwrap().contains("Needs: swims\\nswims: ["), "{text}");
    let done = train(folder, "ranker").expect(0).json();
    assert_eq!((&done["queries"], &done["steps"]), (&json!(8), &json!(8)));
    let [before, after] = [0, 1].map(|at| done["validation"][at].as_f64().unwrap());
    assert!(after < before, "{before} {after}");
    assert!(is_whole(ranked(folder, method, "./ranker")));
    assert!(is_whole(ranked(folder, "dear(mode=free, max-tokens=120, temperature=0)", "./ranker")));
    let too_long = |done: &Value| {
        let warnings = done["warnings"].as_array().unwrap();
        let part = "8 of 8 lists have more tokens before their order";
        warnings.iter().any(|said| said.as_str().unwrap().contains(part))
    };
    assert!(!too_long(&done), "{done}");
    // A method that lets the model write less than it learns.
    write(folder, "t.toml", &training("./base", &rest.replace("max-tokens=120", "max-tokens=5")));
    let done = train(folder, "short").expect(0).json();
    assert!(too_long(&done), "{done}");
}

#[test]
fn reasonings_and_trainings_that_do_not_go_together_are_refused() {
    for (rest, said) in [
        ("method = \"dear(max-tokens=120)\"\n", "no reasoning to learn from"),
        ("method = \"dear(max-tokens=120)\"\norders = 2\n", "orders = 2 would move"),
        ("method = \"dear(max-tokens=120)\"\nwindow = 3\n", "`reasoning` is about all 4 candidates"),
        ("method = \"full-rank\"\n", "does not reason before it writes an order"),
    ] {
        let folder = decoder(rest);
        if !said.contains("learn from") {
            reasoned(folder.path());
        }
        let message = refused(folder.path(), "out");
        assert!(message.contains(said), "{rest}: {message}");
        assert!(!folder.path().join("out").exists());
    }
}

#[test]
fn reasonings_come_from_replies_and_models_and_what_is_of_no_use_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    save_decoder(folder, 2048);
    let candidates: Vec<Value> = TEXTS.iter().map(|text| json!({"text": text})).collect();
    let line =
        |reply: &str| json!({"query": QUERIES[1], "candidates": candidates, "reply": reply}).to_string();
    let replies =
        [line("[2] barks.\n\n[2] > [1] > [3] > [4]"), line("[2] > [1]"), line("[2] > [1] > [3] > [4]")];
    write(folder, "replies.jsonl", &replies.join("\n"));
    let synth = |rest: &[&str]| {
        let begin = ["synth", "reasoning", "replies.jsonl", "-o", "made.jsonl", "--json"];
        plackett(folder, &[&begin[..], rest].concat())
    };
    let done = synth(&["--by", "replies"]).expect(0).json();
    assert_eq!((&done["written"], done["left_out"].as_object().unwrap().len()), (&json!(1), 2));
    assert_eq!(done["warnings"].as_array().unwrap().len(), 2);
    let made: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("made.jsonl")).unwrap()).unwrap();
    assert_eq!(made["reasoning"], "[2] barks.");
    let scores: Vec<f64> = made["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|candidate| candidate["teacher"].as_f64().unwrap())
        .collect();
    assert_eq!(scores, [2.0, 3.0, 1.0, 0.0]);
    // A decoder of drawn weights writes something, and its order is held to the form.
    let method = "dear(max-tokens=12, min-tokens=12, temperature=0)";
    let asked = synth(&["--by", "model", "--model", "./base", "--method", method]);
    assert!(asked.code == 0 || asked.stderr.contains("nothing was written"), "{}", asked.stderr);
    for (rest, said) in [
        (&["--model", "./base"][..], "--model: --by needs asks no model"),
        (&["--by", "replies", "--seed", "2"][..], "--seed: replies name candidates"),
        (&[][..], "line 1: candidate"),
        (&["--by", "model", "--model", "./base", "--method", "full-rank"][..], "it does not reason"),
        (&["--by", "model", "--model", "./base", "--method", "dear(depth=2)"][..], "depth leaves candidates"),
        (&["--by", "model", "--model", "./base", "--method", "dear(window=3)"][..], "window=4"),
    ] {
        let refused = synth(rest).expect(2);
        assert!(refused.stderr.contains(said), "{rest:?}: {}", refused.stderr);
    }
    // Candidates are named as they stand in the line, whatever the order in which they are shown.
    let candidate = |text: &str, label: u8| json!({"text": text, "label": label});
    let blank = [candidate("a", 1), candidate("b", 0), candidate("", 0)];
    write(folder, "blank.jsonl", &json!({"query": "q", "candidates": blank}).to_string());
    for seed in ["1", "2", "3"] {
        let asked = ["synth", "reasoning", "blank.jsonl", "-o", "made.jsonl", "--seed", seed];
        let refused = plackett(folder, &asked).expect(2);
        assert!(refused.stderr.contains("line 1: `text` of candidate 3 is empty"), "{}", refused.stderr);
    }
}

#[test]
fn a_killed_training_of_lists_goes_on_to_the_same_bits() {
    let folder = decoder(&format!("{METHOD}{}", SETTINGS.replace("24", "60")));
    let folder = folder.path();
    train(folder, "whole").expect(0);
    let checkpoint = folder.join("killed/training/checkpoint.safetensors");
    kill_when(folder, &["train", "t.toml", "-o", "killed"], || checkpoint.exists());
    let done = train(folder, "killed").expect(0).json();
    assert!(done["resumed"].as_u64().unwrap() >= 4, "{done}");
    assert_eq!(weights(folder, "killed"), weights(folder, "whole"));
}

#[test]
fn lists_without_an_order_are_named() {
    let candidate = |label: f64| json!({"text": format!("text {label}"), "label": label});
    let scored = |teacher: f64| json!({"text": "t", "label": teacher, "teacher": 2});
    for (candidates, said) in [
        (vec![candidate(1.0)], "train.jsonl, record 9: `candidates` has 1"),
        (vec![candidate(1.0), candidate(1.0)], "record 9: all 2 candidates of the list have the same label"),
        (
            vec![scored(0.0), scored(1.0)],
            "record 9: all 2 candidates of the list have the same teacher score",
        ),
        ((0..25).map(|at| candidate(f64::from(at))).collect(), "train.jsonl, record 9: first: it shows"),
    ] {
        let folder = decoder(METHOD);
        let line = json!({"query": "q", "candidates": candidates});
        write(folder.path(), "train.jsonl", &format!("{}{line}\n", lists()));
        let message = refused(folder.path(), "out");
        assert!(message.contains(said), "{message}");
        assert!(!folder.path().join("out").exists());
    }
}

const POINTWISE: &str =
    "method = \"cross-encoder\"\nnegatives = 2\nobjective = \"softmax-cross-entropy\"\ntokens = 96\n";

#[test]
fn a_decoder_becomes_a_pointwise_reranker() {
    let lora = "[trained]\nadapter = \"lora(rank=4)\"\nsave_adapter = true\n";
    let settings = SETTINGS.replace("steps = 24", "steps = 60");
    let folder = decoder(&format!("validation = \"train.jsonl\"\n{POINTWISE}{lora}{settings}"));
    let folder = folder.path();
    write(folder, "train.jsonl", &examples(one_best));
    let done = train(folder, "ranker").expect(0).json();
    assert_eq!((&done["queries"], &done["steps"], &done["cut"]), (&json!(4), &json!(60), &json!(0)));
    let [before, after] = [0, 1].map(|at| done["validation"][at].as_f64().unwrap());
    assert!(after.is_finite() && before != after, "{before} {after}");
    let adapter = std::fs::read_to_string(folder.join("ranker/adapter/adapter_config.json")).unwrap();
    assert!(adapter.contains("\"score\"") && adapter.contains("SEQ_CLS"), "{adapter}");
    assert!(is_whole(ranked(folder, "cross-encoder", "./ranker")));
    // The same again changes nothing.
    let bytes = weights(folder, "ranker");
    assert_eq!(train(folder, "ranker").expect(0).json()["resumed"], json!(60));
    assert_eq!(weights(folder, "ranker"), bytes);
    let shown = plackett(folder, &["model", "show", "./ranker", "--json"]).expect(0).json();
    assert_eq!((&shown["cross_encoder"], &shown["kind"]), (&json!(true), &json!("decoder")));
    let generated = plackett(folder, &["generate", "--model", "./ranker", "a"]);
    assert!(generated.stderr.contains("a decoder with a score head"), "{}", generated.stderr);
    let asked = plackett(folder, &["rerank", "--method", "yes-no", "--model", "./ranker", "requests.jsonl"]);
    assert!(asked.stderr.contains("it has a score head"), "{}", asked.stderr);
}

#[test]
fn methods_and_keys_that_do_not_go_together_are_refused() {
    for (rest, parts) in [
        ("method = \"cross-encoder(prompt=yes)\"\n", ["t.toml, line 3: method:", "query-document"]),
        ("method = \"cross-encoder(long=refuse)\"\n", ["method: the option `long`", "`tokens` cuts"]),
        ("method = \"cross-encoder(prompt=yes-no)\"\n", ["no token `<|im_start|>`", "cross-encoder"]),
        (
            "method = \"cross-encoder\"\nwindow = 2\n",
            ["window: is for decoders that learn to order", "`method`"],
        ),
        ("method = \"cross-encoder\"\nlayers = 2\n", ["layers: a score head", "leave it out"]),
        ("method = \"frist\"\n", ["t.toml, line 3: method:", "`first`"]),
        ("method = \"first(wrods=2)\"\n", ["t.toml, line 3: method:", "wrods"]),
        ("method = \"yes-no\"\n", ["method: yes-no", "use first, full-rank or listwise"]),
        ("method = \"first\"\nnegatives = 2\n", ["negatives: is not for", "`window`"]),
        ("method = \"first\"\ntokens = 64\n", ["tokens: is not for", "words=32"]),
        ("method = \"first\"\ndepths = [2]\n", ["depths: is not for", "last layer"]),
        ("method = \"first\"\nwindow = 1\n", ["window:", "from 2"]),
        ("method = \"first\"\norders = 0\n", ["orders:", "from 1"]),
        ("method = \"first\"\norders = 1000000000000\n", ["orders:", "from 1 to 1000"]),
        ("method = \"full-rank\"\nobjective = \"listnet\"\n", ["0 labels of one token", "method `first`"]),
        ("window = 2\n", ["window: is for decoders", "`method`"]),
    ] {
        let folder = decoder(rest);
        let message = refused(folder.path(), "out");
        for part in parts {
            assert!(message.contains(part), "{rest}: {message}");
        }
        assert!(!folder.path().join("out/model.safetensors").exists());
    }
    let folder = prepared(METHOD);
    let message = refused(folder.path(), "out");
    assert!(message.contains("method: a listwise method asks a decoder"), "{message}");
    assert!(message.contains("SmolLM2-135M-Instruct, or leave `method` out"), "{message}");
    let folder = prepared("method = \"cross-encoder\"\n");
    let message = refused(folder.path(), "out");
    assert!(message.contains("method: cross-encoder is named for decoders alone"), "{message}");
}
