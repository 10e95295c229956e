//! `plackett train` of a list ranker over the vectors of a tiny BERT, and what `plackett ask` makes of it.

use crate::common::{Done, plackett};
use crate::train::{TEXTS, assert_documented, refused, train, training, write};
use serde_json::{Value, json};
use std::path::Path;

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plackett-lm/tests/parity/bert");
const TABLE: &str = "[pointer]\nk = 2\nwidth = 8\nheads = 2\nlayers = 1\n";
const SETTINGS: &str = "[settings]\nsteps = 40\nbatch = 4\nrate = 3e-3\ncheckpoint = 4\n";

/// Four questions about four passages, two of which answer the sides of each.
fn questions() -> String {
    let candidates: Vec<Value> = TEXTS.iter().map(|text| json!({"text": text})).collect();
    let side = |at: usize| json!({"aspect": format!("side {at}"), "answer": TEXTS[at % 4]});
    let line = |at: usize| {
        let (question, aspects) = (format!("what of {at}"), [side(at), side(at + 1)]);
        format!("{}\n", json!({"question": question, "aspects": aspects, "candidates": candidates}))
    };
    (0..4).map(line).collect()
}

/// A folder with questions and a training file.
fn prepared(rest: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "train.jsonl", &questions());
    write(folder.path(), "t.toml", &training(TINY, rest));
    folder
}

/// Asks an index of the four passages, without a model that writes.
fn ask(folder: &Path, more: &[&str]) -> Done {
    let line = |(at, text): (usize, &&str)| format!("{}\n", json!({"_id": format!("d{at}"), "text": text}));
    let corpus: String = TEXTS.iter().enumerate().map(line).collect();
    if !folder.join("t.index").exists() {
        write(folder, "corpus.jsonl", &corpus);
        plackett(folder, &["index", "corpus.jsonl", "-o", "t.index", "--no-vectors"]).expect(0);
    }
    let given = ["ask", "t.index", "cats dogs fish birds", "--aspect", "purr", "--aspect", "sing"];
    plackett(folder, &[&given[..], &["--no-answer", "-k", "2"], more].concat())
}

#[test]
fn a_list_ranker_learns_and_orders_passages_of_an_answer() {
    let folder = prepared(&format!("validation = \"train.jsonl\"\n{TABLE}{SETTINGS}"));
    let folder = folder.path();
    let done = train(folder, "ranker").expect(0).json();
    assert_eq!((&done["queries"], &done["steps"], &done["resumed"]), (&json!(4), &json!(40), &json!(0)));
    assert_documented(&done);
    let [before, after] = [0, 1].map(|at| done["validation"][at].as_f64().unwrap());
    assert!(after.is_finite() && before != after, "{before} {after}");
    assert!((0..2).all(|at| (0.0..=1.0 + 1e-9).contains(&done["div"][at].as_f64().unwrap())), "{done}");
    assert_eq!(done["div_change"]["n"], 4);
    let card = std::fs::read_to_string(folder.join("ranker/README.md")).unwrap();
    for part in ["# A list ranker", "Their div went from", "layers = 1"] {
        assert!(card.contains(part), "{part}\n{card}");
    }
    let shown = plackett(folder, &["model", "show", "./ranker", "--json"]).expect(0).json();
    let shape = [&shown["width"], &shown["layers"], &shown["heads"]];
    assert_eq!((&shown["kind"], shape), (&json!("list-ranker"), [&json!(8), &json!(1), &json!(2)]));
    assert!(shown["vectors"].as_str().unwrap().contains("bert"), "{shown}");
    let asked = ask(folder, &["--ranker", "pointer", "--ranker-model", "./ranker", "--json"]);
    let document = asked.expect(0).json();
    let listed: Vec<&str> =
        document["ranking"].as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap()).collect();
    assert!(listed.len() == 2 && listed[0] != listed[1], "{listed:?}");
    assert_eq!((&document["ranker"], &document["model"]), (&json!("pointer"), &Value::Null));
    assert_eq!(document["trace"]["ranking"]["facts"]["ranker model"], "./ranker");
    let own = shown["fingerprint"].as_str().unwrap();
    assert_eq!((own.len(), &document["trace"]["ranking"]["facts"]["ranker fingerprint"]), (64, &json!(own)));
    // A folder that does not say whose vectors it reads is taken to read those of the bundled model, which are longer.
    std::fs::remove_file(folder.join("ranker/config.json")).unwrap();
    let refused = ask(folder, &["--ranker", "pointer", "--ranker-model", "./ranker"]).expect(2);
    assert!(refused.stderr.contains("it reads vectors of"), "{}", refused.stderr);
}

#[test]
fn lists_of_equal_candidates_are_counted_and_refused_where_there_are_no_others() {
    let folder = prepared(&format!("{TABLE}{SETTINGS}"));
    let alike: Vec<Value> = (0..3).map(|_| json!({"text": TEXTS[0]})).collect();
    let line = json!({"question": "what purrs", "aspects": ["cats", "night"], "candidates": alike});
    write(folder.path(), "train.jsonl", &format!("{line}\n{line}\n"));
    let message = refused(folder.path(), "out");
    assert!(message.contains("none of the 2 lists can teach") && message.contains("`line 1`"), "{message}");
    assert!(!folder.path().join("out").exists());
    write(folder.path(), "train.jsonl", &format!("{}{line}\n", questions()));
    let done = train(folder.path(), "out").expect(0).json();
    let warnings = done["warnings"].to_string();
    assert!(warnings.contains("1 of 5 lists can teach nothing, the first is line 5"), "{warnings}");
}

#[test]
fn a_trained_ranker_and_its_folder_go_together() {
    let folder = tempfile::tempdir().unwrap();
    for (more, said) in [
        (&["--ranker", "pointer"][..], "--ranker pointer needs --ranker-model DIR"),
        (&["--ranker", "mmr", "--ranker-model", "."][..], "--ranker-model has no effect with --ranker mmr"),
        (&["--ranker", "pointer", "--ranker-model", "nowhere"][..], "there is no such folder"),
        (&["--ranker", "pointer", "--ranker-model", "."][..], "list_ranker.json"),
    ] {
        let refused = ask(folder.path(), more).expect(2);
        assert!(refused.stderr.contains(said), "{said}: {}", refused.stderr);
    }
}

#[test]
fn keys_that_do_not_go_together_are_refused() {
    for (rest, said) in [
        ("[pointer]\nk = 0\n", "k: a whole number from 1 to 1000"),
        ("[pointer]\nheads = 3\n", "3 do not divide the width 128"),
        ("[pointer]\nwidht = 3\n", "did you mean `width`?"),
        ("[pointer]\n[settings]\nrecompute = true\n", "recompute: the layers of a list ranker"),
        ("[pointer]\n[trained]\nadapter = \"lora(rank=2)\"\n", "[trained]: is not for"),
        ("[pointer]\n[scorer]\nwidth = 8\n", "[scorer]: is the shape"),
        ("method = \"tsprank\"\n[pointer]\n", "leave one of them out"),
        ("objective = \"ranknet\"\n[pointer]\n", "objective: is that of RichRAG"),
        ("tokens = 64\n[pointer]\n", "tokens: is not for"),
    ] {
        let folder = prepared(rest);
        let message = refused(folder.path(), "out");
        assert!(message.contains(said), "{rest}: {message}");
        assert!(!folder.path().join("out").exists());
    }
}
